"""What a target sends: what is surely missing of it, in which order it comes, and what is said of drops."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

import zmqfuzz
from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.catalogue import invariants
from zmqfuzz.declared import read
from zmqfuzz.dropping import DROPS, Said, parse_drops
from zmqfuzz.errors import UsageError
from zmqfuzz.feeds import (
    CALM,
    ENOUGH,
    LEARNT,
    ON,
    OVER,
    READER,
    STILL,
    Heard,
    asked,
    awaited,
    behind,
    dense,
    everybody_reads,
    late,
    lost,
    missing,
    missing_numbers,
    numbers,
    parted,
    silent,
    swapped,
    until_full,
)
from zmqfuzz.follower import Follower
from zmqfuzz.measured import Feed
from zmqfuzz.script import Attack, Close, ReadOn, StopReading
from zmqfuzz.stopping import Request
from zmqfuzz.trial import Examination, Exit, Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Command, Frame

TICKER = Path(__file__).resolve().parent.parent / "targets" / "examples" / "ticker.py"
PUB, PUSH, ROUTER = (Surface("tcp://127.0.0.1:5555", kind) for kind in ("PUB", "PUSH", "ROUTER"))
SUBSCRIBES = Request("SUB", (Command(b"SUBSCRIBE", b""),), answered=False)
LISTENS = Request("PULL", (), answered=False)
ASKS = Request("DEALER", (Frame(b"x"),), answered=True)
LOST = Feed(1.0, 2000, 5000, 3000, "the numbers in messages", told=0)


@pytest.mark.parametrize("written", ["never", "log:dropped", r"log:dropped=(\d+)", "counter:cat 'dropped count'"])
def test_a_way_to_tell_of_drops(written: str) -> None:
    assert parse_drops(written) == written
    assert zmqfuzz.target(["x"], drops=written).limits == Limits(drops=written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("dropped", "write log:REGEX, counter:CMD or never"),
        ("never:mind", "write log:REGEX"),
        ("log:", "write log:REGEX"),
        ("counter: ", "write log:REGEX"),
        (3, "write log:REGEX"),
        ("log:(", "no regular expression"),
        (r"log:(\d+) of (\d+)", "has 2 groups"),
        ("counter:'", "close its quotes"),
    ],
)
def test_no_way_to_tell_of_drops(written: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_drops(written)


def test_a_command_is_that_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "count.py").touch()
    file = tmp_path / "pyproject.toml"
    table = '[tool.zmqfuzz.targets.x]\ncommand = ["x"]\n[tool.zmqfuzz.targets.x.limits]\n'
    file.write_text(f'{table}drops = "counter:python count.py"\n')
    assert read(file)["x"].limits == {"drops": f"counter:python {tmp_path}/count.py"}
    file.write_text(f'{table}drops = "count"\n')
    with pytest.raises(UsageError, match=r"limits\.drops: 'count' is not a way to tell of drops"):
        read(file)


def test_what_an_output_says() -> None:
    text = "dropped 3 so far\nfine\ndropped 12 so far\n"
    assert Said.of("dropped", text) == Said(2, None)
    assert Said.of(r"^dropped (\d+)", text) == Said(2, 12)
    assert Said.of(r"lost (\d+)", text) == Said(0, None)
    assert Said.of(r"fine( \d+)?$", text) == Said(1, None)


def heads(*frames: bytes) -> list[tuple[bytes, ...]]:
    return [(b"quote", frame) for frame in frames]


@pytest.mark.parametrize(
    "frame",
    [
        "price 17.5, seq {0}".format,
        '{{"seq": {0}, "price": 3}}'.format,
    ],
)
def test_a_number_in_text_that_grows_by_one(frame: object) -> None:
    assert callable(frame)
    found = heads(*(frame(number).encode() for number in range(95, 95 + CALM)))
    place = dense(found)
    assert place is not None
    assert numbers(place, found) == list(range(95, 95 + CALM))
    assert dense(found[: CALM - 1]) is None
    assert dense([*found[:9], *found[10:], *found]) is None


@pytest.mark.parametrize("order", ["big", "little"])
def test_a_number_in_octets_that_grows_by_one(order: str) -> None:
    assert order in ("big", "little")
    every = range(250, 250 + CALM)
    found = heads(*(number.to_bytes(8, "big" if order == "big" else "little") + b"rest" for number in every))
    place = dense(found)
    assert place is not None
    assert numbers(place, found) == list(every)


def test_random_messages_hold_no_such_number() -> None:
    draw = random.Random(1)
    assert dense(heads(*(draw.randbytes(40) for _ in range(CALM)))) is None
    assert dense(heads(*(b"same" for _ in range(CALM)))) is None


FULL = list(range(100, 200))


@pytest.mark.parametrize(
    ("values", "count"),
    [
        (FULL, 0),
        ([*FULL, *range(260, 280)], 60),
        ([*FULL, *range(260, 280), *range(200, 260)], 0),  # late, and there
        ([*FULL[::2], *range(260, 280)], None),  # it is never sent all
        ([*FULL, *range(1, 50)], None),  # they begin anew
        (FULL[:12], None),
    ],
)
def test_numbers_that_are_missing(values: list[int], count: int | None) -> None:
    assert missing_numbers(values) == count


@pytest.mark.parametrize(
    ("still", "count"),
    [
        (FULL, 0),
        ([*FULL[:40], *FULL[90:]], 50),
        ([*FULL[:40], *FULL[90:], 7, 8, 9], 50),  # what only it got says nothing
        (FULL[::2], None),
        ([*FULL[50:], *FULL[:50]], None),  # another order: not the same feed
        ([1, 1, 1], None),
        (FULL[:40], 0),  # cut: what came later was not for it
    ],
)
def test_what_another_reader_got_meanwhile(still: list[int], count: int | None) -> None:
    assert missing(still, FULL) == count
    assert missing(still, [1] * 100) is None  # all alike


def test_what_comes_behind_later_ones() -> None:
    assert late(FULL) == 0
    assert late([*FULL[:40], *FULL[60:], *FULL[40:60]]) == 20
    assert late([*FULL, *FULL]) == 0  # twice, and no new ones
    assert late([*FULL, *range(1, 40)]) == 0  # they begin anew
    assert late([]) == 0


def heard(*numbers: int) -> Heard:
    found = Heard()
    for number in numbers:
        found.take((b"quote %d" % number,))
    return found


def test_at_a_publisher_another_reader_tells_what_is_missing() -> None:
    place = dense(heard(*FULL).heads)
    reader, gap = heard(*FULL), heard(*FULL[:40], *FULL[90:])
    assert lost(PUB, reader, gap, None).missing == lost(PUB, reader, gap, place).missing == 50
    assert lost(PUB, gap, gap, place).missing == 50  # half of the numbers: thrown away for all
    few = heard(*FULL[:90], *range(200, 400))
    assert lost(PUB, few, few, place).missing == 0  # few: not made in time, maybe
    assert lost(PUSH, heard(), gap, place).missing == 50
    assert not lost(PUSH, heard(), gap, None).by
    assert lost(PUB, heard(*[1] * 100), heard(*[1] * 100), None).why.startswith("its messages are alike")


@pytest.mark.parametrize(("surface", "request_"), [(PUB, SUBSCRIBES), (PUSH, LISTENS), (ROUTER, ASKS)])
def test_a_reader_that_stands_still_and_reads_on(surface: Surface, request_: Request) -> None:
    attack = behind(surface, request_, DROPS, until_full(100.0))
    first, still = parted(attack)
    (script,) = still.scripts
    assert script.label == STILL
    assert [type(step) for step in script.steps if isinstance(step, StopReading | ReadOn)] == [StopReading, ReadOn]
    assert awaited(still) == ((ON, OVER) if request_.answered else (LEARNT, ON, OVER))
    assert asked(attack) == (until_full(100.0) if request_.answered else 0)
    assert [one.label for one in first.scripts] == ([] if request_.answered else [READER])
    leaves = any(isinstance(step, Close) for one in first.scripts for step in one.steps)
    assert leaves is (surface is PUSH)  # which gives each message to one of them
    calm = everybody_reads(attack)
    assert not any(isinstance(step, StopReading | ReadOn) for one in calm.scripts for step in one.steps)
    assert awaited(calm) == awaited(attack)
    assert asked(calm) == asked(attack)
    assert "zmqfuzz replay" in cannot_play(attack)


def trial(feed: Feed | None, exit: Exit | None = None) -> Trial:
    return Trial(Attack((), strategy=DROPS), PUB, (), Observation(exit=exit, feed=feed), 1.0)


@pytest.mark.parametrize(
    ("feed", "broken"),
    [
        (LOST, True),
        (replace(LOST, told=1), False),
        (replace(LOST, told=None), False),  # it could not be known
        (replace(LOST, before=1), False),  # what matches is not about this
        (replace(LOST, missing=ENOUGH - 1), False),
    ],
)
def test_drops_without_a_word(feed: Feed, broken: bool) -> None:
    entry, limits = invariants()["ZF212"], Limits(drops="log:dropped")
    assert silent(feed) is broken
    assert (entry.judge(Examination("drops", (trial(feed),) * 3), limits) is not None) is broken
    assert not entry.judge(Examination("drops", (trial(feed),) * 3), Limits())
    assert not entry.judge(Examination("drops", (trial(feed), trial(replace(LOST, told=1)))), limits)
    assert not entry.judge(Examination("drops", (trial(feed),) * 3, doubts=("everybody",)), limits)
    assert not entry.judge(Examination("drops", (trial(feed, Exit(code=1)),) * 3), limits)


@pytest.mark.parametrize(
    ("feed", "broken"),
    [
        (replace(LOST, numbered=True, late=2), True),
        (replace(LOST, numbered=True, late=1), False),
        (replace(LOST, numbered=False, late=20), False),
    ],
)
def test_a_feed_that_overtakes_itself(feed: Feed, broken: bool) -> None:
    entry = invariants()["ZF708"]
    assert bool(swapped(feed)) is broken
    assert (entry.judge(Examination("order", (trial(feed),) * 3), Limits()) is not None) is broken
    assert not entry.judge(Examination("order", (trial(feed), trial(LOST))), Limits())


def test_a_target_that_promises_it_has_an_item_for_it() -> None:
    declared = zmqfuzz.target(["x"], drops="never")
    assert DROPS in [attack.family for attack in declared.attacks()]
    assert DROPS not in [attack.family for attack in declared.attacks(exclude=DROPS)]
    assert DROPS not in [attack.family for attack in zmqfuzz.target(["x"]).attacks()]


def test_a_publisher_that_says_what_it_drops() -> None:
    """Quotes without numbers: what another reader gets tells what is missing."""

    async def session() -> Feed | None:
        spec = Spec(
            (sys.executable, str(TICKER), "--unnumbered", "--hardened"),
            limits=Limits(drops=r"log:(\d+) quotes dropped"),
        )
        async with spec.harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            await harness.calibrate(surface.key)
            follower = Follower(harness)
            assert follower.speaks(surface.key)
            return (await follower.dropped(surface.key)).observation.feed

    feed = trio.run(session)
    assert feed is not None
    assert feed.by == "what another reader got meanwhile"
    assert feed.missing >= ENOUGH
    assert feed.told
    assert not silent(feed)
