"""Promised rates: what may be taken of a flood, how it is counted, and what real programs do with the rest."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import trio

import zmqfuzz
from zmqfuzz.assembly import Spec, check
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.events import Plan
from zmqfuzz.catalogue import invariants
from zmqfuzz.declared import Declared
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Verdict
from zmqfuzz.measured import Flow, Service
from zmqfuzz.rater import Counting, Rater
from zmqfuzz.rating import BYSTANDER, MANY, RATING, Tally, allowed, burst, flood, gentle, message_of, offered, told, way
from zmqfuzz.script import Attack, Send
from zmqfuzz.trial import Examination, Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Frame

EXAMPLE = Path(__file__).resolve().parent.parent / "targets" / "examples" / "rate_limited.py"
ZF501 = invariants()["ZF501"]
DOOR = Surface("tcp://127.0.0.1:1", "ROUTER")
FIFTY = Limits(rate=50.0)
UNITS = (Frame(b"", more=True), Frame(b"{}"))


def flow(taken: int, **more: object) -> Flow:
    values: dict[str, object] = {"peers": 1, "offered": 900, "seconds": 3.0, "by": "answers"} | more
    return Flow(taken=taken, **values)  # type: ignore[arg-type]


def judged(*flows: Flow, limits: Limits = FIFTY, doubts: tuple[str, ...] = ()) -> bool:
    trials = tuple(Trial(Attack(()), DOOR, (), Observation(flow=one), 3.0) for one in flows)
    return ZF501.judge(Examination("rate", trials, doubts=doubts), limits) is not None


def test_a_rate_and_a_burst_may_be_taken_and_no_more() -> None:
    assert burst(FIFTY) == 100
    assert burst(Limits(rate=50.0, burst=10)) == 10
    assert burst(Limits(rate=1 / 60)) == 1
    assert allowed(FIFTY, 3.0) == pytest.approx(1.2 * 250 + 2)
    assert judged(flow(303), flow(400), flow(900))
    assert not judged(flow(302), flow(900), flow(900)), "on one process it was kept"
    assert not judged(flow(900), doubts=("it cannot be counted",))
    assert not judged(flow(900), limits=Limits())
    assert judged(flow(200), limits=Limits(rate=50.0, burst=1))


@pytest.mark.parametrize("rate", [1 / 60, 1.0, 50.0, 2000.0])
@pytest.mark.parametrize("peers", [1, MANY])
def test_a_flood_offers_much_more_than_may_be_taken(rate: float, peers: int) -> None:
    limits = Limits(rate=rate)
    attack = flood(DOOR, "DEALER", UNITS, limits, peers, beside=peers > 1)
    sends = [step for script in attack.scripts for step in script.steps if isinstance(step, Send)]
    seconds = max(step.times * step.every for step in sends)
    crowd = offered(attack, len(UNITS)) - offered(attack, len(UNITS), BYSTANDER)
    assert crowd > 2.4 * allowed(limits, seconds)
    assert 2.9 <= seconds <= 6.1
    assert message_of(attack) == ("DEALER", UNITS)
    assert offered(gentle(DOOR, "DEALER", UNITS, limits), len(UNITS)) <= max(3, 0.75 * rate + 1)


def test_an_answer_is_counted_when_it_is_like_those_to_an_honest_peer() -> None:
    same, sizes, key = Tally(), Tally(), Tally(b"mark")
    for tally, answers in ((same, [(b"", b"ok")] * 3), (sizes, [(b"", b"7"), (b"", b"1234")]), (key, [(b"mark 1",)])):
        for answer in answers:
            tally.take(answer)
        tally.begin()
        assert (tally.like, tally.other) == (0, 0)
    for answer in ((b"", b"ok"), (b"", b"no"), (b"ok",)):
        same.take(answer)
    for answer in ((b"", b"123"), (b"", b"slow down"), (b"1",), (b"", b"")):
        sizes.take(answer)
    for answer in ((b"x", b"a mark"), (b"", b"ok")):
        key.take(answer)
    assert [(tally.like, tally.other) for tally in (same, sizes, key)] == [(1, 2), (1, 3), (1, 1)]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (flow(200), "it read all octets and dropped the rest"),
        (flow(200, later=300), "it let messages wait, and took 300 of them afterwards (back-pressure)"),
        (flow(200, other=700), "it answered 700 messages otherwise (an error?)"),
        (flow(200, paused=1), "it stopped reading 1 of 1 connections (back-pressure)"),
        (flow(200, cut=1), "it closed 1 of 1 connections"),
        (flow(900), "nothing was kept away"),
    ],
)
def test_the_ways_of_throttling_are_told_apart(seen: Flow, said: str) -> None:
    assert way(seen) == said
    assert said in told(seen)


def test_a_bystander_is_told() -> None:
    assert told(flow(200, peers=8, honest=Service(9, 30, 3.0))).endswith("a bystander got 9 of 30 answers")


def test_a_burst_needs_a_rate() -> None:
    with pytest.raises(UsageError, match="--burst: it says by how much a rate may be passed; declare --rate, too"):
        Declared("", EXAMPLE, EXAMPLE).contract({"burst": 3})
    with pytest.raises(UsageError, match="burst"):
        zmqfuzz.target(["x"], burst=3)
    assert Declared("", EXAMPLE, EXAMPLE).contract({"burst": 3, "rate": 1.0}) == Limits(rate=1.0, burst=3)


def test_a_target_that_promises_a_rate_has_an_item_for_it() -> None:
    names = [attack.family for attack in zmqfuzz.target(["x"], rate="5/s").attacks()]
    assert names[-1] == RATING
    assert [attack.family for attack in zmqfuzz.target(["x"], rate="5/s").attacks(["rate"])] == [RATING]
    assert RATING not in [attack.family for attack in zmqfuzz.target(["x"]).attacks()]
    assert RATING not in [attack.family for attack in zmqfuzz.target(["x"], rate="5/s").attacks(exclude="rate")]


def spec(*words: str, **more: object) -> Spec:
    return Spec((sys.executable, str(EXAMPLE), *words), limits=FIFTY, **more)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_limit_for_each_connection_is_passed_by_many_and_a_limit_for_all_is_not() -> None:
    seen: dict[str, Flow] = {}

    async def taken(form: str, counting: Counting | None = None) -> Counting:
        async with spec(form, "--over", "error").harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            rater = Rater(harness)
            if counting is None:
                await harness.calibrate(surface.key)
                return (await rater.learn(surface.key))[0]
            told = replace(counting, tally=deepcopy(counting.tally))
            _, many = rater.floods(surface, told)
            flow = (await rater.flooded(many, surface.key, told)).observation.flow
            assert flow is not None
            seen[form] = flow
            return told

    async def both() -> None:
        with trio.fail_after(100):
            counting = await taken("--hardened")
            assert counting.why == ""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(taken, "--hardened", counting)
                nursery.start_soon(taken, "--per-connection", counting)
        kept, passed = seen["--hardened"], seen["--per-connection"]
        assert not judged(kept)
        assert way(kept) == f"it answered {kept.other} messages otherwise (an error?)"
        assert judged(passed)
        assert passed.honest is not None
        assert passed.honest.wanted == 30

    trio.run(both)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ((), Verdict.VIOLATED),
        (("--socket", "PULL"), Verdict.VIOLATED),
        (("--hardened", "--over", "wait"), Verdict.HELD),
        (("--hardened", "--socket", "PULL"), Verdict.HELD),
    ],
)
def test_whole_runs(words: tuple[str, ...], verdict: Verdict) -> None:
    outcome = check(spec(*words), Plan((), 10.0, stop="never"), lambda event: None)
    assert outcome.verdict is verdict
    assert {finding.code for finding in outcome.findings} == ({"ZF501"} if verdict is Verdict.VIOLATED else set())


@pytest.mark.slow
def test_what_answers_nobody_is_counted_by_a_command_or_not_at_all(tmp_path: Path) -> None:
    program, taken = tmp_path / "sink.py", tmp_path / "taken"
    program.write_text(
        "import sys, zmq\ns = zmq.Context().socket(zmq.PULL)\ns.bind(sys.argv[1])\n"
        f"f = open({str(taken)!r}, 'a', buffering=1)\nwhile s.recv_multipart():\n    f.write('x\\n')\n"
    )
    command, plan = (sys.executable, str(program), "{endpoint}"), Plan((), 10.0, stop="never")
    blind = check(Spec(command, limits=FIFTY), plan, lambda event: None)
    assert blind.verdict is Verdict.INCONCLUSIVE
    assert "what it takes cannot be counted" in blind.doubts[0]
    counted = check(Spec(command, limits=FIFTY, counter=f"wc -l {taken}"), plan, lambda event: None)
    assert [finding.code for finding in counted.findings] == ["ZF501"]
