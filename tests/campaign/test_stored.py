"""What is kept of trials comes back as it was, within its bound, without secrets."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaign.test_plain import attacks
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.keeper import FIRST, MANY, Keeper, unpacked
from zmqfuzz.campaign.stored import Seen, seen_from_plain, seen_to_plain, without
from zmqfuzz.errors import UsageError
from zmqfuzz.exposure import Exposure, Listening, Loaded
from zmqfuzz.measured import Beside, Flow, Service
from zmqfuzz.script import Attack
from zmqfuzz.trial import (
    ClosedBy,
    Direction,
    Entry,
    Examination,
    Exit,
    Gone,
    Observation,
    ProbeResult,
    Reached,
    Sample,
    Stage,
    Stop,
    Surface,
    Transcript,
    Trial,
)

times = st.integers(0, 10**9).map(lambda number: number / 1e6)
texts = st.text(st.characters(codec=None), max_size=8)
counts = st.integers(0, 1 << 40)
entries = st.builds(Entry, times, st.sampled_from(Direction), st.binary(max_size=12), st.integers(1, 9), texts)
samples = st.builds(Sample, times, counts, counts, counts, counts, counts, times)
services = st.builds(Service, counts, counts, times, texts)
transcripts = st.builds(
    Transcript,
    texts,
    st.lists(entries, max_size=3).map(tuple),
    st.sampled_from(ClosedBy),
    counts,
    counts,
    st.sampled_from(Reached),
    st.lists(texts, max_size=2).map(tuple),
    acted=st.frozensets(st.sampled_from(Stage)),
    gone=st.lists(st.builds(Gone, times, st.none() | times), max_size=1).map(tuple),
)
observations = st.builds(
    Observation,
    st.none() | samples,
    series=st.lists(samples, max_size=3).map(tuple),
    probes=st.lists(st.builds(ProbeResult, texts, st.booleans(), times), max_size=2).map(tuple),
    exit=st.none() | st.builds(Exit, st.none() | st.integers(0, 255)),
    log_tail=texts,
    executed=st.booleans(),
    beside=st.none() | st.builds(Beside, counts, services, st.none() | services),
    stop=st.none() | st.builds(Stop, texts, times, st.booleans()),
    flow=st.none() | st.builds(Flow, counts, counts, counts, times, texts),
)
trials = st.builds(
    Trial,
    attacks,
    st.builds(Surface, st.just("tcp://127.0.0.1:1"), st.sampled_from(["ROUTER", ""])),
    st.lists(transcripts, max_size=3).map(tuple),
    observations,
    times,
)
examinations = st.builds(Examination, st.just("rounds"), st.lists(trials, max_size=2).map(tuple))
SURFACE = Surface("tcp://127.0.0.1:5555", "ROUTER")
LOOK = Exposure((SURFACE,), (Listening("tcp://0.0.0.0:1", True),), (Loaded("/x", (4, 3, 5), mended=frozenset({"C"})),))


@settings(max_examples=60, deadline=None)
@given(trials | examinations | st.just(LOOK))
def test_it_comes_back_as_it_was(seen: Seen) -> None:
    assert seen_from_plain(json.loads(json.dumps(seen_to_plain(seen)))) == seen


@pytest.mark.parametrize("plain", [None, [], {}, {"exposure": 1}, {"examination": "rounds"}, {"attack": ["{}"]}])
def test_what_is_not_understood_is_said(plain: object) -> None:
    with pytest.raises(UsageError):
        seen_from_plain(plain)


def trial(*, family: str = "flood", ended: ClosedBy = ClosedBy.US, peers: int = 1, data: bytes = b"x") -> Trial:
    one = Transcript("a", (Entry(0.1, Direction.SENT, data),), ended, 1, 0, Reached.TRAFFIC)
    return Trial(Attack((), family), SURFACE, (one,) * peers, Observation(), 0.1)


class Sink:
    """Takes what a keeper writes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, text: str, found: bool) -> None:
        self.texts.append(text)

    def kept(self) -> list[Seen]:
        return [one.seen for text in self.texts for one in unpacked(text)]


def test_of_many_alike_few_are_kept_and_each_new_way_to_end() -> None:
    sink = Sink()
    keeper = Keeper(sink.put, Limits())
    for _ in range(1000):
        keeper.take(trial(), 1)
    keeper.take(trial(ended=ClosedBy.RST), 2)
    keeper.take(trial(peers=MANY + 1, family="other"), 2)
    keeper.flush()
    assert len(sink.kept()) == 10 + 1  # the first, second, fourth ... 512th; and the one that was reset
    assert sink.kept()[-1] == trial(ended=ClosedBy.RST)


def test_examinations_are_kept_first_and_findings_always() -> None:
    sink = Sink()
    keeper = Keeper(sink.put, Limits())
    for _ in range(5):
        keeper.take(Examination("rounds", (trial(),)), 1)
    keeper.evidence("ZF101-abcd", [trial(peers=2 * MANY)] * 3)
    assert len(sink.kept()) == FIRST + 3
    last = [one for text in sink.texts for one in unpacked(text)][-1]
    assert (last.finding, last.process) == ("ZF101-abcd", "ZF101-abcd-3")


def test_a_bound_is_kept() -> None:
    sink = Sink()
    keeper = Keeper(sink.put, Limits(), most=4000)
    for number in range(4000):
        keeper.take(trial(family=f"{number}", data=number.to_bytes(40)), 1)
    keeper.evidence("ZF101-abcd", [trial()])
    assert sum(map(len, sink.texts)) <= 4000
    assert sink.texts


def test_a_password_is_blotted_out() -> None:
    hello = b"\x05HELLO\x03ada\x08lovelace"
    (kept,) = (without(one, (b"lovelace",)) for one in (trial(data=hello),))
    assert isinstance(kept, Trial)
    assert kept.transcripts[0].entries[0].data == b"\x05HELLO\x03ada\x08********"
    examined = without(Examination("held", (trial(data=hello),)), (b"lovelace",))
    assert b"lovelace" not in repr(examined).encode()
    received = msgspec.structs.replace(trial(data=hello).transcripts[0].entries[0], direction=Direction.RECEIVED)
    assert received.data == hello


@pytest.mark.parametrize("text", ["", "!", "eJwDAAAAAAE=", "AAAA"])
def test_what_cannot_be_unpacked_is_said(text: str) -> None:
    with pytest.raises(UsageError):
        list(unpacked(text))


def filled(hint: Any) -> Any:
    """A value of a type, with something in every field, also in one that is added some day."""
    inner = [one for one in get_args(hint) if one not in (type(None), Ellipsis)]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{field.name: filled(hints[field.name]) for field in dataclasses.fields(hint)})
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint(**{name: filled(one) for name, one in get_type_hints(hint).items()})
    if get_origin(hint) in (tuple, frozenset):
        return get_origin(hint)(filled(one) for one in inner)
    if get_origin(hint) is dict:
        return {filled(inner[0]): filled(inner[1])}
    if inner:
        return filled(inner[0])
    known = {int: 3, float: 0.5, str: "x", bool: True, bytes: b"\xff"}
    return known[hint] if hint in known else next(iter(hint))


def test_every_field_of_what_is_observed_comes_back() -> None:
    seen = Trial(Attack(()), SURFACE, (filled(Transcript),), filled(Observation), 0.5)
    assert seen.observation.flow is not None
    assert seen_from_plain(json.loads(json.dumps(seen_to_plain(seen)))) == seen
