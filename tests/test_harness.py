"""One attack, one target, one trial: with the example programs as real processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from zmqfuzz.budget import MIB, Budget, Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import TargetDidNotStart
from zmqfuzz.examiner import ROUNDS, Examiner
from zmqfuzz.harness import Harness
from zmqfuzz.listener import Listeners
from zmqfuzz.scale import planned
from zmqfuzz.script import Attack, Close, Connect, Expect, Script, Send, Shake, Step, Wait
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.trial import ClosedBy, Exit, Reached
from zmqfuzz.zmtp.wire import Fill, Frame

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
T = TypeVar("T")


def attack(*steps: Step, peers: int = 1) -> Attack:
    return Attack((Script((Connect(), Shake("DEALER"), *steps), peers),))


HONEST = attack(Send((Frame(b"", more=True), Frame(b"abc"))), Expect("message"))
DEADLY = attack(Send((Frame(b"x"),)), Expect("close"))


def playing(
    work: Callable[[Harness, str], Awaitable[T]],
    program: str,
    *arguments: str,
    limits: Limits | None = None,
    budget: Budget | None = None,
) -> T:
    """Run ``work`` with a harness and the key of its first door; nothing is left after it."""
    limits = limits or Limits()

    async def session() -> T:
        target = ChildTarget([sys.executable, str(EXAMPLES / program), *arguments], hard_cap=limits.hard_cap)
        before = len(os.listdir("/proc/self/fd"))
        with trio.fail_after(120):
            async with Harness(target, limits=limits, budget=budget) as harness:
                standing = await harness.standing()
                key = harness.surfaces(standing)[0].key
                await harness.calibrate(key)
                result = await work(harness, key)
                pids = (await harness.standing()).running.pids()
        assert not any(Path(f"/proc/{pid}/status").exists() for pid in pids)
        with trio.move_on_after(5):
            while len(os.listdir("/proc/self/fd")) > before:
                await trio.sleep(0.02)
        assert len(os.listdir("/proc/self/fd")) <= before
        return result

    return trio.run(session)


def test_a_trial_holds_what_was_seen() -> None:
    async def work(harness: Harness, key: str) -> None:
        trial = await harness.trial(HONEST, key, ask=True)
        seen = trial.observation
        assert trial.attack == HONEST
        assert trial.surface.key == key == "ROUTER-null-tcp-0"
        assert trial.reached is Reached.TRAFFIC
        assert trial.sent == trial.transcripts[0].sent > 64
        assert seen.exit is None
        assert (len(seen.probes), seen.probes[-1].ok, seen.probes[-1].level) == (1, True, "application")
        assert seen.baseline is not None
        assert seen.held is not None
        assert seen.settled is not None
        assert 4 * MIB < seen.baseline.rss <= seen.peak_rss
        assert seen.held.descriptors >= seen.settled.descriptors <= seen.baseline.descriptors
        assert [sample.at for sample in seen.series] == sorted(sample.at for sample in seen.series)
        assert seen.series[-1].sent == trial.sent
        assert (harness.trials, harness.starts, harness.last_history) == (1, 1, ())
        await harness.trial(DEADLY, key)
        assert harness.last_history == (HONEST,)

    playing(work, "worker_crash.py")


def test_who_died_is_replaced_and_its_exit_and_last_words_are_told() -> None:
    async def work(harness: Harness, key: str) -> None:
        first = (await harness.standing()).running.pids()
        trial = await harness.trial(DEADLY, key, ask=True)
        assert trial.observation.exit == Exit(code=1)
        assert "ValueError" in trial.observation.log_tail
        assert not any(probe.ok for probe in trial.observation.probes)
        trial = await harness.trial(HONEST, key, ask=True)
        assert trial.observation.exit is None
        assert trial.observation.probes[-1].ok
        assert (harness.starts, harness.last_history) == (2, ())
        assert (await harness.standing()).running.pids() != first

    playing(work, "worker_crash.py")


def test_who_went_deaf_is_told_and_replaced() -> None:
    async def work(harness: Harness, key: str) -> None:
        deaf = Attack((Script((Connect(), Shake("REQ"), Send((Frame(b"", True), Frame(b"\xff"))), Wait(0.2))),))
        trial = await harness.trial(deaf, key, ask=True)
        assert [probe.ok for probe in trial.observation.probes] == [False]
        assert trial.observation.exit is None
        assert "UnicodeDecodeError" in trial.observation.log_tail
        assert (await harness.trial(HONEST, key, ask=True)).observation.probes[-1].ok
        assert harness.starts == 2

    playing(work, "worker_deaf.py", limits=Limits(recover=1.0))


def test_fresh_trials_are_on_one_fresh_process_and_stop_when_it_is_gone() -> None:
    async def work(harness: Harness, key: str) -> None:
        trials = await harness.fresh_trials((HONEST, HONEST, DEADLY, HONEST), key)
        assert [trial.observation.exit for trial in trials] == [None, None, Exit(code=1)]
        assert all(len(trial.observation.probes) == 1 for trial in trials[:2])
        again = await harness.fresh_trials((DEADLY,), key)
        assert [trial.observation.exit for trial in again] == [Exit(code=1)]
        assert harness.starts == 3

    playing(work, "worker_crash.py")


def test_a_trial_is_over_in_time_whatever_the_script_wants() -> None:
    async def work(harness: Harness, key: str) -> None:
        started = trio.current_time()
        trial = await harness.trial(attack(Wait(60), peers=5), key)
        assert trio.current_time() - started < 4
        assert trial.seconds < 4
        assert len(trial.transcripts) == 5

    playing(work, "worker_crash.py", budget=Budget(trial_seconds=0.5))


FLOOD = attack(Send((Frame(Fill(65536), more=True),), times=3000), Close())


def test_past_the_hard_cap_the_target_is_killed_and_that_is_told() -> None:
    async def work(harness: Harness, key: str) -> None:
        trial = await harness.trial(FLOOD, key, ask=True)
        assert trial.observation.exit == Exit(signal=9)
        assert trial.observation.probes == ()
        assert trial.observation.peak_rss < 300 * MIB
        assert trial.transcripts[0].closed_by in (ClosedBy.FIN, ClosedBy.RST, ClosedBy.OPEN)
        assert (await harness.trial(HONEST, key, ask=True)).observation.probes[-1].ok

    playing(work, "broker.py", limits=Limits(hard_cap=80 * MIB))


def test_that_the_warden_killed_at_the_hard_cap_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqfuzz.observer.INTERVAL", 5.0)

    async def work(harness: Harness, key: str) -> None:
        trial = await harness.trial(FLOOD, key)
        assert trial.observation.exit == Exit(signal=9)
        assert trial.observation.killed_at_cap

    playing(work, "broker.py", limits=Limits(hard_cap=80 * MIB))


def test_an_examination_that_passes_the_hard_cap_is_no_clean_bill() -> None:
    async def work(harness: Harness, key: str) -> None:
        examination = await Examiner(harness).held(FLOOD, key, None, times=1)
        assert all(trial.observation.exit is not None for trial in examination.trials)
        assert examination.doubts or invariants()["ZF203"].judge(examination, harness.limits)

    playing(work, "broker.py", limits=Limits(hard_cap=80 * MIB))


@pytest.mark.slow
def test_held_memory_is_examined_beside_honest_traffic_of_the_same_volume() -> None:
    async def work(harness: Harness, key: str) -> None:
        small = attack(Send((Frame(Fill(1000), more=True),), times=8000))
        seen = await harness.trial(small, key)
        examination = await Examiner(harness).held(small, key, seen, times=2)
        assert examination.kind == "held"
        assert (len(examination.trials), len(examination.controls), len(examination.rounds)) == (2, 1, 3)
        large = examination.trials[0].attack
        assert planned(small) < planned(large) <= 1.1 * harness.budget.examine_bytes
        assert examination.controls[0].sent == pytest.approx(examination.trials[0].sent, rel=0.05)
        for trial in examination.trials:
            assert trial.observation.baseline is not None
            assert trial.observation.held is not None
            assert trial.observation.held.rss - trial.observation.baseline.rss > 24 * MIB
        assert examination.doubts == ()

    playing(work, "broker.py")


def test_rounds_are_on_one_process_and_one_that_dies_is_a_doubt() -> None:
    async def work(harness: Harness, key: str) -> None:
        examination = await Examiner(harness).rounds(HONEST, key, "ZF204")
        assert (examination.kind, len(examination.trials), examination.doubts) == ("rounds", ROUNDS, ())
        assert all(trial.observation.settled is not None for trial in examination.trials)
        examination = await Examiner(harness).rounds(DEADLY, key, "ZF204")
        assert len(examination.trials) == 1
        assert examination.doubts

    playing(work, "worker_crash.py")


@pytest.mark.parametrize(("form", "serves"), [((), False), (("--hardened",), True)], ids=["weak", "hardened"])
def test_a_target_that_connects_to_us(form: tuple[str, ...], serves: bool) -> None:
    async def session() -> None:
        endpoint = f"ipc://@zf-harness-{os.getpid()}"
        command = [sys.executable, str(EXAMPLES / "client.py"), "--connect", endpoint, *form]
        target = ChildTarget(command, hard_cap=1 << 30, endpoints=(endpoint,), connecting=True)
        async with Harness(target, limits=Limits(recover=4.0), listeners=Listeners((endpoint,))) as harness:
            key = harness.surfaces(await harness.standing())[0].key
            assert (await harness.calibrate(key)).ok
            bad = Script(
                (Connect(), Shake("ROUTER"), Send((Frame(b"", reserved=0xF8, declared_size=1 << 62),)), Wait(0.2))
            )
            trial = await harness.trial(Attack((bad,)), key, ask=True)
            assert trial.observation.probes[-1].ok is serves
            assert (await harness.trial(Attack(()), key, ask=True)).observation.probes[-1].ok
            assert harness.starts == (1 if serves else 2)

    trio.run(session)


def test_a_client_that_does_not_connect_or_ends_is_told() -> None:
    async def session(*command: str) -> None:
        endpoint = f"ipc://@zf-harness-none-{os.getpid()}"
        target = ChildTarget([sys.executable, *command], hard_cap=1 << 30, endpoints=(endpoint,), connecting=True)
        async with Harness(target, listeners=Listeners((endpoint,)), start_within=1.0) as harness:
            await harness.standing()

    with pytest.raises(TargetDidNotStart, match="did not connect within 1 s"):
        trio.run(session, "-c", "import time; time.sleep(60)")
    with pytest.raises(TargetDidNotStart, match=r"(?s)ended before it connected.*no configuration"):
        trio.run(session, "-c", "raise SystemExit('no configuration')")
