"""Decoded transcripts: the facts are there, nothing hostile gets through, no line is too wide."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaign.test_plain import attacks
from zmqfuzz.campaign.decode import (
    WIDTH,
    decode_attack,
    describe_attack,
    next_framing,
    printable,
    quantity,
)
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
    Signal,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import ClosedBy, Direction, Entry, Observation, Reached, Surface, Transcript, Trial
from zmqfuzz.zmtp.measure import head, unit_size
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Framing, Greeting, Greeting1, Greeting2, Raw, Unit, encode

FLOOD = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(Fill(255), more=True),), times=409_600))),))


def observed(attack: Attack, *entries: Entry, closed_by: ClosedBy = ClosedBy.OPEN) -> Trial:
    transcripts = tuple(
        Transcript(script.label, entries, closed_by, 1, 1, Reached.TRAFFIC)
        for script in attack.scripts
        for _ in range(script.times)
    )
    return Trial(attack, Surface("tcp://127.0.0.1:1"), transcripts, Observation(), 1.0)


def sent(at: float, data: bytes, note: str = "") -> Entry:
    return Entry(at, Direction.SENT, data, note=note)


def received(at: float, data: bytes = b"", note: str = "") -> Entry:
    return Entry(at, Direction.RECEIVED, data, note=note)


def place(lines: list[str], words: str) -> int:
    return next(number for number, line in enumerate(lines) if words in line)


def test_each_step_is_a_numbered_line_with_hex_at_one_column_and_its_repeats() -> None:
    lines = decode_attack(FLOOD)
    assert [line[:3].strip() for line in lines] == ["1", "2", "3"]
    assert re.search(r"frame MORE=1 size=255 +01 ff 79 79 .*x 409,600$", lines[2])
    assert "greeting 3.1 NULL" in lines[1]
    assert "DEALER" in lines[1]
    several = decode_attack(Attack((Script((Connect(), Send((Raw(b"abc"),)), Send((Frame(b"x"),)), Close())),)))
    assert several[1].index("61 62 63") == several[2].index("00 01 78")


def test_what_came_back_stands_below_the_step_that_it_answers() -> None:
    attack = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(b"hi"),)), Expect("close"), Send((Raw(b"z"),)))),))
    trial = observed(
        attack,
        sent(0.1, encode(Greeting()), "greeting 3.1 NULL, then READY"),
        received(0.2, bytes(64), "greeting 3.1 NULL; READY Socket-Type=ROUTER"),
        sent(0.3, b"\4\5READY", "honest reply"),
        received(0.5, b"\x00\x02hi"),
        Entry(0.6, Direction.NOTE, b"", note="target closed (FIN)"),
        sent(0.4, encode(Frame(b"hi"))),
        closed_by=ClosedBy.FIN,
    )
    lines = decode_attack(attack, trial)
    order = ["connect", "2  ->", "<-  greeting 3.1 NULL", "<-  READY Socket-Type=ROUTER", "3  ->", "4  .."]
    order += ["4 octets: 00 02 68 69", "target closed (FIN)", "5  ->", "not played"]
    places = [place(lines, words) for words in order]
    assert places == sorted(places)
    assert "still open" not in "\n".join(lines)


def test_tempo_and_signals_are_told_in_words() -> None:
    steps = (Connect(4096), StopReading(), ReadOn(2000), ReadOn(), Await("up\x1b", 0.5), Vanish())
    attack = Attack((Script((Signal("up\x1b"),), label="victim"), Script(steps, label="slow reader")))
    said = "nobody signalled 'up\\x1b': waited 0.5 s"
    lines = decode_attack(attack, observed(attack, Entry(0.5, Direction.NOTE, b"", note=said)))
    wanted = [r'signal "up\x1b"', "connect, receive buffer of 4 KiB", "stop reading", "at most 2,000 octets a second"]
    wanted += ["read on", r'wait for signal "up\x1b", at most 0.5 s', "nobody signalled", "vanish: "]
    text = "\n".join(lines)
    places = [text.index(words) for words in wanted[:1]] + [text.rindex(words) for words in wanted[1:]]
    assert places == sorted(places)
    assert "then vanished" in describe_attack(attack)
    assert "not read" in describe_attack(attack)


def test_a_step_skipped_between_two_connections_does_not_shift_the_reactions() -> None:
    steps = (Connect(), Send((Raw(b"A"),)), Send((Raw(b"B"),)), Connect(), Send((Raw(b"C"),)))
    attack = Attack((Script(steps),))
    trial = observed(attack, sent(0.1, b"A"), received(0.2, b"", "first"), sent(0.3, b"C"), received(0.4, b"", "last"))
    lines = decode_attack(attack, trial)
    assert place(lines, "first") == place(lines, "41") + 1
    assert place(lines, "not played") == place(lines, "42") + 1
    assert place(lines, "last") == place(lines, "43") + 1
    assert "connection still open" in lines[-1]


def test_several_peers_are_told_apart_and_their_ends_counted() -> None:
    attack = Attack((Script((Connect(),), times=6, label="flood"), Script((Connect(), Wait(1.0)), label="honest")))
    lines = decode_attack(attack, observed(attack))
    text = "\n".join(lines)
    assert "6 alike" in text
    assert "6 of these peers: still open" in text
    assert place(lines, "flood") < place(lines, "honest")


def test_a_trial_of_other_scripts_is_not_mixed_in() -> None:
    other = Attack((Script((Connect(),)),))
    assert decode_attack(FLOOD, observed(other, received(0.1, b"", "strange"))) == decode_attack(FLOOD)


def test_many_reactions_are_counted_not_listed() -> None:
    attack = Attack((Script((Connect(),)),))
    same = [received(0.1, b"", "frame MORE=0 size=5")] * 1000
    assert any("x 1,000" in line for line in decode_attack(attack, observed(attack, *same)))
    different = [received(0.1, b"", f"frame {number}") for number in range(1000)]
    lines = decode_attack(attack, observed(attack, *different))
    assert len(lines) < 20
    assert any("more reactions" in line for line in lines)
    assert any("frame 999" in line for line in lines)


@given(attacks, st.text(), st.binary(max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_attack_and_any_reaction_decodes_to_harmless_lines(attack: Attack, note: str, data: bytes) -> None:
    small = replace(attack, scripts=tuple(replace(script, times=script.times % 3 + 1) for script in attack.scripts))
    trial = observed(
        small, received(0.0, data, note), Entry(1.0, Direction.NOTE, b"", note=note), sent(2.0, data, note)
    )
    for line in [*decode_attack(attack), *decode_attack(small, trial), describe_attack(attack)]:
        assert line == printable(line)
    assert all(len(line) <= WIDTH for line in decode_attack(small, trial))


@given(st.text())
def test_printable_lets_nothing_through_that_moves_or_hides(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r", r"a\x0ab\x0d"),
        ("\u202e", r"\u202e"),
        ("\u200b", r"\u200b"),
        ("\x9b", r"\x9b"),
        ("\U000e0041", r"\U000e0041"),
        ("e\u0301", r"e\u0301"),
        ("\ud800", r"\ud800"),
        ("Zürich 東京", "Zürich 東京"),
    ],
)
def test_printable_shows_the_code(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
@pytest.mark.parametrize("framing", Framing)
def test_head_and_size_agree_with_the_encoder(size: int, framing: Framing) -> None:
    units: list[Unit] = [
        Frame(Fill(size)),
        Frame(Fill(size), long=True),
        Frame(Fill(size), declared_size=7),
        Raw(Fill(9)),
    ]
    for unit in [*units, Frame(bytes(size)), Command(b"PING"), Greeting(), Greeting1(b"i"), Greeting2()]:
        octets = encode(unit, framing)
        assert octets.startswith(head(unit, framing))
        assert len(octets) == unit_size(unit, framing)


def test_an_old_greeting_changes_the_framing() -> None:
    assert next_framing(Greeting1(), Framing.V2) is Framing.V1
    assert next_framing(Frame(), Framing.V1) is Framing.V1
    assert next_framing(Greeting2(), Framing.V1) is Framing.V2
    steps = (Connect(), Send((Greeting1(),)), Send((Frame(b"x"),)), Connect(), Send((Frame(b"x"),)))
    lines = decode_attack(Attack((Script(steps),)))
    assert "02 00 78" in lines[2]
    assert "00 01 78" in lines[4]


def test_huge_bodies_are_not_built() -> None:
    attack = Attack((Script((Send((Frame(Fill(2**62)), Raw(Fill(2**61))), times=2**40),)),))
    assert decode_attack(attack)
    assert describe_attack(attack)


@pytest.mark.parametrize(
    ("attack", "facts"),
    [
        (FLOOD, ["1 unauthenticated DEALER peer", "100.4 MiB in 409,600 frames", "MORE set on every one"]),
        (Attack((Script((Connect(),), times=32),)), ["32 unauthenticated peers", "nothing sent"]),
        (
            Attack((Script((Connect(), Shake("REQ", mechanism="PLAIN"), Reset())),)),
            ["1 authenticated REQ peer", "reset"],
        ),
        (Attack((Script((Send((Frame(b"a", declared_size=2**63),)),)),)), ["declared sizes that are not the sizes"]),
        (Attack((Script((Send((Greeting(),), chunk=1, every=0.1),)),)), ["1 greeting", "1 octet a write"]),
    ],
)
def test_an_attack_in_a_few_words(attack: Attack, facts: list[str]) -> None:
    phrase = describe_attack(attack)
    assert all(fact in phrase for fact in facts), phrase
    assert "\n" not in phrase


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 octets"),
        (1, "1 octet"),
        (5000, "5,000 octets"),
        (1024, "1 KiB"),
        (64 << 20, "64 MiB"),
        (3 << 30, "3 GiB"),
    ],
)
def test_quantity(octets: int, text: str) -> None:
    assert quantity(octets) == text
