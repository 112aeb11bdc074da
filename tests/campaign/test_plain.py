"""What is written is read back as it was; what is not understood is refused with place and remedy."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.campaign.plain import (
    EVENTS,
    attack_from_lines,
    attack_to_lines,
    finding_from_json,
    finding_to_json,
    surface_from_plain,
    surface_to_plain,
)
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Measure, Severity
from zmqfuzz.script import (
    Attack,
    Await,
    Close,
    Connect,
    Expect,
    ReadOn,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    Signal,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import (
    CURVE_WORDS,
    Command,
    CurveCommand,
    Fill,
    Flag,
    Frame,
    Greeting,
    Greeting1,
    Greeting2,
    Property,
    Raw,
    SocketTypeByte,
)

ints = st.integers() | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**200)])
optional = st.none() | ints
octets = st.binary(max_size=40) | st.sampled_from([b"READY", b"\xff\xfe", b"caf\xc3\xa9", b" ", b'"\\{}'])
bodies = octets | st.builds(Fill, ints, ints)
floats = st.floats(allow_nan=False)
properties = st.lists(st.builds(Property, octets, octets, optional, optional), max_size=3).map(tuple)
units = st.one_of(
    st.builds(Raw, bodies),
    st.builds(Greeting, ints, ints, octets, ints, octets, octets),
    st.builds(Greeting1, octets, st.booleans()),
    st.builds(Greeting2, ints | st.sampled_from(list(SocketTypeByte)), octets, ints, octets),
    st.builds(Frame, bodies, st.booleans(), st.booleans(), st.none() | st.booleans(), optional, ints),
    st.builds(Command, octets, octets, properties, optional, st.booleans()),
    st.builds(
        CurveCommand,
        octets,
        st.none() | octets,
        bodies,
        ints,
        properties,
        st.tuples(ints, ints),
        ints,
        flip_inside=optional,
        flip=optional,
        size=optional,
        more=st.booleans(),
        command=st.none() | st.booleans(),
        reserved=ints,
        **{field: st.sampled_from(words) for field, words in CURVE_WORDS.items()},
    ),
)
shakes = st.builds(
    Shake,
    st.text(),
    octets,
    st.text(),
    octets,
    octets,
    properties,
    st.tuples(ints, ints),
    floats,
    octets,
    st.booleans(),
    ints,
    st.lists(units, max_size=2).map(tuple),
    st.booleans(),
)
steps = st.one_of(
    st.sampled_from([ShutdownWrite(), Reset(), Close(), StopReading(), Vanish()]),
    st.builds(Connect, optional),
    st.builds(ReadOn, optional),
    st.builds(Signal, st.text()),
    st.builds(Await, st.text(), floats),
    shakes,
    st.builds(Send, st.lists(units, max_size=4).map(tuple), ints, optional, floats),
    st.builds(Expect, st.sampled_from(EVENTS), floats),
    st.builds(Wait, floats),
)
scripts = st.builds(Script, st.lists(steps, max_size=5).map(tuple), ints, st.text())
attacks = st.builds(Attack, st.lists(scripts, max_size=3).map(tuple), st.text(), ints)
surfaces = st.builds(Surface, st.text(), st.text(), st.text(), st.text(), ints, st.sampled_from(["bind", "connect"]))
findings = st.builds(
    Finding,
    *[st.text()] * 3,
    st.sampled_from(Severity),
    *[st.text()] * 2,
    st.lists(st.builds(Measure, st.text(), st.text(), st.text()), max_size=2).map(tuple),
    surfaces,
    attacks,
    attacks,
    st.text(),
    ints,
    ints,
    *[st.text()] * 3,
    st.lists(attacks, max_size=2).map(tuple),
    st.text(),
    floats,
    ints,
    st.lists(st.text(), max_size=2).map(tuple),
)
SURFACE = {"address": "tcp://127.0.0.1:5555", "socket_type": "ROUTER"}


@given(attacks)
@settings(max_examples=400, deadline=None)
def test_an_attack_comes_back_as_it_was(attack: Attack) -> None:
    header = {"surface": SURFACE, "target": "gateway \u202e\x1b", "note": [1, None]}
    lines = attack_to_lines(attack, header)
    assert all(line.isascii() and "\n" not in line for line in lines)
    assert attack_from_lines(lines) == (attack, header)
    assert attack_from_lines([line + "\n" for line in lines])[0] == attack


@given(findings)
@settings(max_examples=60, deadline=None)
def test_a_finding_comes_back_as_it_was(finding: Finding) -> None:
    assert finding_from_json(finding_to_json(finding)) == finding


@given(surfaces)
def test_a_surface_comes_back_as_it_was(surface: Surface) -> None:
    assert surface_from_plain(json.loads(json.dumps(surface_to_plain(surface)))) == surface


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner)))
def test_nonsense_is_a_usage_error(value: Any) -> None:
    with pytest.raises(UsageError):
        attack_from_lines([json.dumps(value)])
    with pytest.raises(UsageError):
        finding_from_json(json.dumps(value))


@given(attacks, st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_read_or_refused_with_a_sentence(attack: Attack, data: st.DataObject) -> None:
    text = "\n".join(attack_to_lines(attack, {}))
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.sampled_from(["", "0", '"', "}", "\n"])) + text[at + 1 :]
    with suppress(UsageError):  # anything else would be a traceback for the user
        attack_from_lines(damaged.split("\n"))


@given(attacks, st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_is_refused(attack: Attack, data: st.DataObject) -> None:
    text = "\n".join(attack_to_lines(attack, {}))
    with pytest.raises(UsageError):
        attack_from_lines(text[: data.draw(st.integers(0, len(text) - 1))].split("\n"))


def test_the_file_is_readable_in_a_diff() -> None:
    send = Send((Frame(Fill(255), more=True), Command(b"PING", b"\0\1"), Raw(b"\xff")), times=409_600)
    script = Script((Connect(), Shake("DEALER"), send, Expect("close", 1.0)), times=3, label="flood")
    lines = attack_to_lines(Attack((script,), "flood", 7), {"surface": SURFACE, "target": "app"})
    assert [json.loads(line) for line in lines] == [
        {"zft": 1, "strategy": "flood", "seed": 7, "surface": SURFACE, "target": "app"},
        {"script": "flood", "times": 3},
        {"step": "connect"},
        {"step": "shake", "socket_type": "DEALER"},
        {
            "step": "send",
            "units": [
                {"frame": {"fill": "79", "size": 255}, "more": True},
                {"command": "PING", "data": {"hex": "0001"}},
                {"raw": {"hex": "ff"}},
            ],
            "times": 409_600,
        },
        {"step": "expect", "event": "close"},
        {"end": True},
    ]


def test_flags_in_a_number_are_written_as_the_number() -> None:
    attack = Attack((Script((Send((Frame(reserved=Flag.MORE), Greeting(as_server=True))),)),))
    assert attack_from_lines(attack_to_lines(attack, {}))[0] == attack


HEAD = '{"zft": 1}'
END = '{"end": true}'


@pytest.mark.parametrize(
    ("lines", "place", "words"),
    [
        ([], "x.zft", "empty"),
        (["", " "], "x.zft", "empty"),
        (["hello"], "x.zft:1", "not JSON"),
        (["[" * 100_000], "x.zft:1", "not JSON"),
        ([HEAD, "9" * 5000], "x.zft:2", "not JSON"),
        (['{"frames": 1}'], "x.zft:1", "not a .zft file"),
        (['{"zft": true}'], "x.zft:1", "not a .zft file"),
        (['{"zft": 2}'], "x.zft:1", "upgrade zmqfuzz"),
        (['{"zft": 1, "seed": "a"}'], "x.zft:1", "whole number"),
        (['{"zft": 1, "surface": {"adress": "a"}}'], "x.zft:1", "'address'"),
        ([HEAD], "x.zft", "truncated"),
        ([HEAD, '{"script": "a"}', '{"step": "connect"'], "x.zft:3", "cut short"),
        ([HEAD, '{"step": "connect"}', END], "x.zft:2", "before any script"),
        ([HEAD, '{"script": "a", "tims": 2}', END], "x.zft:2", "'times'"),
        ([HEAD, '{"script": "a"}', '{"step": "conect"}', END], "x.zft:3", "'connect'"),
        ([HEAD, '{"script": "a"}', '{"step": "wait"}', END], "x.zft:3", "'seconds'"),
        ([HEAD, '{"script": "a"}', '{"step": "wait", "seconds": "1"}', END], "x.zft:3", "a number"),
        ([HEAD, '{"script": "a"}', '{"step": "wait", "seconds": true}', END], "x.zft:3", "a number"),
        ([HEAD, '{"script": "a"}', '{"step": "wait", "seconds": 1' + "0" * 400 + "}", END], "x.zft:3", "too large"),
        ([HEAD, '{"script": "a"}', '{"step": "expect", "event": "redy"}', END], "x.zft:3", "'ready'"),
        ([HEAD, '{"script": "a"}', '{"step": "send", "units": [{"fram": "a"}]}', END], "x.zft:3", "'frame'"),
        ([HEAD, '{"script": "a"}', '{"step": "send", "units": [{"raw": {"hex": "f"}}]}', END], "x.zft:3", "two digits"),
        (
            [HEAD, '{"script": "a"}', '{"step": "send", "units": [{"raw": {"text": "\\u00e9"}}]}', END],
            "x.zft:3",
            "octets",
        ),
        ([HEAD, '{"script": "a"}', '{"step": "send", "units": [{"frame": {"fill": "79"}}]}', END], "x.zft:3", "size"),
        ([HEAD, END, '{"script": "a"}'], "x.zft:3", "after the end line"),
        ([HEAD, '{"scrpt": "a"}', END], "x.zft:2", "'script'"),
    ],
)
def test_errors_name_the_line_and_the_remedy(lines: list[str], place: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        attack_from_lines(lines, source="x.zft")
    assert str(caught.value).startswith(place)
    assert words in str(caught.value)


def test_a_finding_of_a_newer_version_or_with_a_broken_attack_is_refused() -> None:
    attack = Attack((Script((Connect(),)),))
    finding = Finding("ZF101-aaaa", "ZF101", "t", Severity.LOW, "s", "g", (), Surface("a"), attack, attack, "app")
    plain = json.loads(finding_to_json(replace(finding, history=(attack,))))
    with pytest.raises(UsageError, match="upgrade"):
        finding_from_json(json.dumps(plain | {"finding": 9}))
    with pytest.raises(UsageError, match=r"finding\.json: .*truncated"):
        finding_from_json(json.dumps(plain | {"history": [plain["attack"][:-1]]}), source="finding.json")
    with pytest.raises(UsageError, match="'critical'"):
        finding_from_json(json.dumps(plain | {"severity": "critcal"}))
    del plain["title"]
    with pytest.raises(UsageError, match="'title'"):
        finding_from_json(json.dumps(plain))
