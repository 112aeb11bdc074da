"""A worker that a message ends: told where threads are missing and the program says why, on each of three processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.examiner import Examiner
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import Examination, Observation, Sample, Surface, Trial
from zmqfuzz.zmtp.wire import Frame

ZF104 = invariants()["ZF104"]
EXAMPLE = Path(__file__).resolve().parent.parent / "targets" / "examples" / "worker_pool.py"

PYTHON = "Exception in thread Thread-2 (work):\nTraceback (most recent call last):\nValueError: no number\n"
JAVA = 'Exception in thread "pool-1" java.lang.NumberFormatException: For input string\n'
RUST = "thread 'worker-1' panicked at src/main.rs:7:5:\ncalled `Result::unwrap()` on an `Err` value\n"


def seen(before: int, after: int, said: str = PYTHON) -> Trial:
    ends = [Sample(0.0, 0, 0, 0, 0, count, 0.0) for count in (before, after)]
    observation = Observation(ends[0], settled=ends[1], log_tail=said)
    return Trial(Attack(()), Surface("tcp://127.0.0.1:5555", "ROUTER"), (), observation, 1.0)


CALM = (seen(7, 7, ""),)


@pytest.mark.parametrize(
    ("trials", "controls", "broken"),
    [
        ((seen(7, 6),) * 3, CALM, True),
        ((seen(7, 3, JAVA),) * 3, CALM, True),
        ((seen(7, 6, RUST),) * 3, CALM, True),
        ((seen(7, 6, "stopping idle worker\n"),) * 3, CALM, False),
        ((seen(7, 6), seen(7, 7)), CALM, False),
        ((seen(7, 7),) * 3, CALM, False),
        ((seen(7, 6),) * 3, (seen(7, 6),), False),
        ((seen(7, 6),) * 3, (), False),
    ],
)
def test_what_is_told_as_a_worker_that_is_gone(
    trials: tuple[Trial, ...], controls: tuple[Trial, ...], broken: bool
) -> None:
    assert (ZF104.judge(Examination("workers", trials, controls), Limits()) is not None) is broken


def message(*frames: bytes) -> Attack:
    units = tuple(Frame(frame, more=number < len(frames)) for number, frame in enumerate(frames, 1))
    return Attack((Script((Connect(), Shake("DEALER"), Send(units), Expect("message", 0.2))),))


@pytest.mark.parametrize("form", [(), ("--hardened",)])
def test_a_pool_of_workers(form: tuple[str, ...]) -> None:
    async def session() -> dict[bytes, Examination]:
        async with Spec((sys.executable, str(EXAMPLE), *form)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            await harness.calibrate(surface.key)
            examiner = Examiner(harness)
            return {body: await examiner.workers(message(b"", body), surface.key, times=1) for body in (b"7", b"x")}

    found = trio.run(session)
    assert ZF104.judge(found[b"7"], Limits()) is None
    violation = ZF104.judge(found[b"x"], Limits())
    assert (violation is None) is bool(form)
    if violation is not None:
        assert violation.signature == "worker ended with ValueError"
