"""Faults are values: written, read and drawn; what cannot be meant is refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings

from zmqfuzz import strategies as zst
from zmqfuzz.errors import UsageError
from zmqfuzz.fault import KINDS, TO_CLIENT, TO_SERVER, Fault


@settings(suppress_health_check=list(HealthCheck))
@given(fault=zst.faults(parts=3, connections=None))
def test_a_fault_is_read_as_it_is_written(fault: Fault) -> None:
    assert Fault.read(str(fault)) == fault
    assert eval(repr(fault), {"Fault": Fault}) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang after=READY", Fault("hang", after="READY")),
        ("half-close", Fault("half_close")),
        ("delay 200ms on=message n=3", Fault("delay", on="message", n=3, seconds=0.2)),
        ("throttle 2KiB/s", Fault("throttle", rate=2048)),
        ("corrupt -2 mask=0x80 on=message", Fault("corrupt", on="message", offset=-2, mask=0x80)),
        ("inject 0001ff after=READY", Fault("inject", after="READY", data=b"\x00\x01\xff")),
        ("reset side=client on=PING connection=2", Fault("reset", on="PING", connection=2, side="client")),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert Fault.read(text) == fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no fault ''"),
        ("hung", "no fault 'hung'; there are hang"),
        ("hang ready", "'ready' .* says nothing"),
        ("hang at=READY", "'at=READY' .* says nothing"),
        ("hang n=1 n=2", "says n twice"),
        ("hang after=READY on=PING", "are two points"),
        ("hang after=ready", "'ready' is no event"),
        ("hang on=connect", "Nothing passes on connect"),
        ("hang on=PING part=2", "only a message has parts"),
        ("hang after=message within=length", "within=length or within=body goes with on="),
        ("hang on=message within=head", "within=length or within=body goes with on="),
        ("drop on=message within=body", "within names one place"),
        ("drop on=message octets=3", "changes all of it"),
        ("hang after=message n=0", "counts from 1"),
        ("hang direction=up", "no direction 'up'"),
        ("reset side=left", "no side 'left'"),
        ("close side=client", "close takes no side"),
        ("hang seconds=3", "hang takes no seconds"),
        ("delay", "delay needs a value"),
        ("throttle", "throttle needs a value"),
        ("inject", "inject needs a value"),
        ("inject zz", "is not octets; write them in hex"),
        ("corrupt mask=0x100", "flips no bit"),
        ("corrupt mask=x", "is not a whole number"),
        ("split size=0", "at least one octet"),
        ("reorder on=GREETING", "A greeting is sent once"),
        ("delay 3km", "is not a duration"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Fault.read(text)


def test_what_is_drawn_is_what_was_asked_for() -> None:
    assert find(zst.faults(kinds="reset"), lambda fault: True) == Fault(
        "reset", after="GREETING", direction=TO_SERVER, connection=1
    )
    wanted = find(zst.faults(kinds="corrupt", messages=5), lambda fault: fault.n == 4 and fault.direction == TO_CLIENT)
    assert wanted == Fault("corrupt", on="message", n=4, direction=TO_CLIENT, connection=1, offset=0)
    with pytest.raises(UsageError, match="no fault 'hung'"):
        zst.faults(kinds="hung")
    with pytest.raises(UsageError, match="No kind of fault is left"):
        zst.faults(kinds="hang", exclude="hang")


def test_the_page_names_each_fault_and_its_texts_are_read() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "proxy.md").read_text(encoding="utf-8")
    table = page[page.index("## Faults") : page.index("## With Hypothesis")]
    assert re.findall(r"^\| `(\w+)\(", table, re.MULTILINE) == list(KINDS)
    texts = re.findall(r"--fault '([^']+)'", page) + re.findall(r"`((?:corrupt|inject|throttle) [^`(]+)`", page)
    assert len(texts) >= 4
    for text in texts:
        Fault.read(text)
