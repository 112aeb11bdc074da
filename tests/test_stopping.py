"""How a target ends when it is told to stop: judged from records by hand, and seen in real processes."""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

import zmqfuzz
from zmqfuzz.assembly import Spec, check
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.events import Event, Found, Plan, Unconfirmed
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.catalogue import invariants
from zmqfuzz.endpoints import NARROW, connect
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Attack, Await, Script
from zmqfuzz.signals import Bell, Signals
from zmqfuzz.stopper import Look, Stopper
from zmqfuzz.stopping import (
    HUNG,
    READER,
    SLOW,
    STOPPING,
    TOLD,
    VANISHED,
    Request,
    allowed,
    asked,
    asks,
    requests,
    scripts,
    times_for,
    together,
)
from zmqfuzz.trial import ClosedBy, Examination, Observation, Reached, Stop, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Fill, Frame

T = TypeVar("T")
ZF321, ZF322 = invariants()["ZF321"], invariants()["ZF322"]
EXAMPLE = Path(__file__).parent.parent / "targets" / "examples" / "shutdown.py"
DOOR = Surface("tcp://127.0.0.1:5555", "ROUTER")
ECHO = Request("DEALER", (Frame(b"", more=True), Frame(Fill(16_384))), answered=True)
PEERS = scripts(DOOR, ECHO, 50, 1.0)
FIN, RST, OPEN = ClosedBy.FIN, ClosedBy.RST, ClosedBy.OPEN
SOON, NEVER = Stop("SIGTERM", 0.1, True), Stop("SIGTERM", 4.0, False)
PROMISED = Limits(linger=1.0, delivers=1.0)


def trial(label: str, stop: Stop | None, messages: int = 0, closed_by: ClosedBy = FIN) -> Trial:
    attack = together([PEERS[label]] if label else [])
    transcript = Transcript(label, (), closed_by, 1, 1, Reached.TRAFFIC, messages=messages)
    return Trial(attack, DOOR, (transcript,) * bool(label), Observation(stop=stop), 1.0)


ALONE = trial("", SOON)


def test_a_promise_is_broken_when_no_process_ends_in_time() -> None:
    late = trial(HUNG, NEVER)
    violation = ZF321.judge(Examination("stop", (late,) * 3, (ALONE,)), PROMISED)
    assert violation is not None
    assert "SIGTERM beside a hung peer, it still ran 4.0 s later" in violation.sentence
    assert violation.measures[0].limit == f"<= {allowed(PROMISED, SOON):.2f} s" == "<= 2.20 s"
    assert [measure.observed for measure in violation.measures if measure.name == "control"]


@pytest.mark.parametrize(
    ("trials", "controls", "limits"),
    [
        ((trial(HUNG, NEVER), trial(HUNG, SOON)), (ALONE,), PROMISED),
        ((trial(HUNG, Stop("SIGTERM", 2.1, True)),), (ALONE,), PROMISED),
        ((trial(HUNG, NEVER),), (ALONE,), Limits()),
        ((trial(HUNG, NEVER),), (trial("", NEVER),), PROMISED),
        ((trial(HUNG, NEVER),), (trial("", Stop("SIGTERM", 2.0, True)),), PROMISED),
        ((trial(HUNG, Stop("SIGTERM", 4.0, False, at_rest=False)),), (ALONE,), PROMISED),
        ((), (ALONE,), PROMISED),
    ],
)
def test_what_ends_in_time_once_or_is_in_doubt_is_not_blamed(
    trials: tuple[Trial, ...], controls: tuple[Trial, ...], limits: Limits
) -> None:
    assert ZF321.judge(Examination("stop", trials, controls), limits) is None


def test_doubts_are_never_a_violation() -> None:
    for entry, label in ((ZF321, HUNG), (ZF322, SLOW)):
        controls = (ALONE, trial(SLOW, None, 50))
        stop = NEVER if label == HUNG else SOON
        assert entry.judge(Examination("stop", (trial(label, stop, 3),), controls), PROMISED) is not None
        assert entry.judge(Examination("stop", (trial(label, stop, 3),), controls, doubts=("?",)), PROMISED) is None


@pytest.mark.parametrize(
    ("shown", "control", "limits", "lost"),
    [
        ((trial(SLOW, SOON, 10),) * 3, 50, PROMISED, True),
        ((trial(SLOW, SOON, 10),) * 3, 50, Limits(delivers=1.0), True),
        ((trial(SLOW, SOON, 10),) * 3, 50, Limits(linger=1.0), False),
        ((trial(SLOW, SOON, 10), trial(SLOW, SOON, 50)), 50, PROMISED, False),
        ((trial(SLOW, SOON, 46),), 50, Limits(linger=1.0, delivers=0.9), False),
        ((trial(SLOW, SOON, 44),), 50, Limits(linger=1.0, delivers=0.9), True),
        ((trial(SLOW, SOON, 10),), 49, PROMISED, False),
        ((trial(SLOW, SOON, 10, RST),), 50, PROMISED, False),
        ((trial(SLOW, NEVER, 10, RST),), 50, PROMISED, False),
        ((trial(SLOW, Stop("SIGTERM", 1.05, True), 10),), 50, PROMISED, False),  # the linger has run out
        ((trial(SLOW, Stop("SIGTERM", 0.6, True), 10),), 50, Limits(delivers=1.0), False),  # perhaps
        ((trial(HUNG, SOON, 0, OPEN),), 50, PROMISED, False),
    ],
)
def test_answers_are_lost_where_there_was_time_for_them(
    shown: tuple[Trial, ...], control: int, limits: Limits, lost: bool
) -> None:
    violation = ZF322.judge(Examination("stop", shown, (ALONE, trial(SLOW, None, control))), limits)
    assert (violation is not None) is lost
    if violation is not None:
        assert f"got {min(one.transcripts[0].messages for one in shown)} of 50 answers" in violation.sentence


def test_the_peers_of_a_door() -> None:
    assert list(PEERS) == [HUNG, VANISHED, SLOW, READER]
    assert {label: asked(script) for label, script in PEERS.items()} == {HUNG: 0, VANISHED: 0, SLOW: 50, READER: 50}
    assert all(asks(together([script])) for script in PEERS.values())
    ipc = scripts(Surface("ipc:///tmp/door", "ROUTER"), ECHO, 50)
    assert VANISHED not in ipc
    (published,) = requests(Surface("tcp://127.0.0.1:1", "PUB"), "SUB", ())
    speaks = scripts(DOOR, published, 1)
    assert [asked(script) for script in speaks.values()] == [0] * 4
    assert not any(asks(together([script])) for script in speaks.values())


def test_requests_are_the_round_trip_that_was_answered() -> None:
    large, _, small = requests(DOOR, "REQ", (b"hello",))
    assert (large.kind, large.units) == ("DEALER", (Frame(b"", more=True), Frame(Fill(16_384))))
    assert small.units == (Frame(b"", more=True), Frame(b"hello"))
    assert times_for(DOOR, 40 * 16_400) < 64 < times_for(DOOR, 40 * 1030) < 1000


def test_repro_says_that_it_cannot_tell_a_program_to_stop() -> None:
    assert "tell the program to stop" in cannot_play(together([PEERS[HUNG]]))
    assert cannot_play(Attack(())) == ""


def test_peers_rest_when_each_has_ended_or_waits_to_be_told() -> None:
    waits, ends = Script((Await(TOLD),)), Script(())
    signals, bell = Signals((waits, ends), (TOLD,)), Bell()
    signals.wakes(bell)
    assert not signals.hopeless(TOLD)
    signals.waits(TOLD)
    assert not signals.resting(TOLD)
    rung = bell.rung
    signals.leave(ends)
    assert signals.resting(TOLD)
    assert rung.is_set()
    assert Signals((waits,)).hopeless(TOLD)


def test_a_narrow_connection_holds_little_of_what_is_not_read() -> None:
    async def taken(buffer: int | None) -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            peer = await connect(f"tcp://127.0.0.1:{server.getsockname()[1]}", buffer)
            ours, _ = server.accept()
            ours.setblocking(False)
            count = 0
            with peer, ours, trio.move_on_after(0.5):
                while True:
                    try:
                        count += ours.send(bytes(8192))
                    except BlockingIOError:
                        await trio.sleep(0.01)
            return count

    assert 4 * trio.run(taken, NARROW - 1) < trio.run(taken, None)


def stopped(spec: Spec, work: Callable[[Stopper, str], Awaitable[T]]) -> T:
    async def session() -> T:
        with trio.fail_after(180):
            async with spec.harness() as harness:
                key = harness.surfaces(await harness.standing())[0].key
                await harness.calibrate(key)
                return await work(Stopper(harness), key)

    return trio.run(session)


def program(*words: str, limits: Limits = PROMISED) -> Spec:
    return Spec((sys.executable, str(EXAMPLE), *words), limits=limits)


def test_the_default_linger_waits_for_a_peer_that_does_not_read() -> None:
    limits = Limits(linger=0.05)

    async def work(stopper: Stopper, key: str) -> Examination:
        return await stopper.examine(together([PEERS[HUNG]]), key, times=1)

    seen = stopped(program(limits=limits), work)
    violation = ZF321.judge(seen, limits)
    assert violation is not None
    (stop,) = [one.observation.stop for one in seen.trials]
    assert stop is not None
    assert (stop.signal, stop.ended) == ("SIGTERM", False)
    notes = [entry.note for entry in seen.trials[0].transcripts[0].entries]
    assert "the target was told to stop (SIGTERM)" in notes


@pytest.mark.slow
def test_no_linger_loses_what_a_slow_peer_still_reads() -> None:
    async def work(stopper: Stopper, key: str) -> Examination:
        return await stopper.examine(together([PEERS[SLOW]]), key, times=1)

    seen = stopped(program("--drop"), work)
    assert ZF321.judge(seen, PROMISED) is None
    violation = ZF322.judge(seen, PROMISED)
    assert violation is not None, seen
    assert {"last frame", "connection", "control"} <= {measure.name for measure in violation.measures}
    assert seen.trials[0].transcripts[0].closed_by is FIN


def test_a_linger_of_a_second_keeps_both_promises_beside_all_peers() -> None:
    async def work(stopper: Stopper, key: str) -> tuple[Look, Trial]:
        look = await stopper.look(key)
        alone = look.controls[0].observation.stop
        assert alone is not None
        return look, await stopper.stopped(together(list(look.peers.values())), key, alone, 4 * look.rest * 60)

    look, seen = stopped(program("--hardened"), work)
    assert (look.why, list(look.peers)) == ("", [HUNG, VANISHED, SLOW, READER])
    controls = (*look.controls, seen)
    assert ZF321.judge(Examination("stop", (seen,), controls), PROMISED) is None
    stop = seen.observation.stop
    assert stop is not None
    assert stop.ended


def test_a_run_finds_at_its_end_what_is_lost_without_linger() -> None:
    events: list[Event] = []
    spec = program("--drop", limits=Limits(delivers=1.0))
    outcome = check(spec, Plan((), seconds=1.0, stop="always"), events.append)
    (finding,) = outcome.findings
    assert (finding.code, finding.attack.strategy, finding.confirmed, finding.tried) == ("ZF322", STOPPING, 3, 3)
    assert [event.finding for event in events if isinstance(event, Found)] == [finding]
    assert not [event for event in events if isinstance(event, Unconfirmed)]
    assert "ends 0." in outcome.envelope.observed(Limits())[0]


def test_what_is_attached_is_left_alone() -> None:
    async def session() -> str:
        async with program("--hardened").harness() as first:
            surface = first.surfaces(await first.standing())[0]
            running = (await first.standing()).running
            pid = running.pids()[0]
            attached = Spec(connect=(surface.address,), pid=pid, limits=PROMISED)
            async with attached.harness() as harness:
                told = (await harness.standing()).running.stop()
            return told or ("ended" if running.exit() is not None else "still there")

    assert trio.run(session) == "still there"


def test_the_item_is_there_where_an_end_is_promised() -> None:
    def named(families: str | tuple[str, ...] = (), exclude: str = "", **promises: object) -> list[str]:
        target = zmqfuzz.target(["x"], **promises)  # type: ignore[arg-type]
        return [attack.family for attack in target.attacks(families, exclude or ())]

    assert STOPPING not in named()
    assert named(linger="500ms")[-1] == STOPPING
    assert named(delivers=1)[-1] == STOPPING
    assert STOPPING not in named(exclude=STOPPING, linger=1)
    assert named(STOPPING) == [STOPPING]
    assert named(("flood", STOPPING)) == ["flood", STOPPING]


@pytest.mark.parametrize("name", ["KILL", "STOP", "NOPE"])
def test_a_signal_that_no_program_can_obey(name: str) -> None:
    with pytest.raises(UsageError, match="--stop-signal"):
        Spec((sys.executable,), stop_signal=name).target()


def test_another_signal_is_sent_where_it_is_declared() -> None:
    async def session() -> tuple[str, bool]:
        spec = Spec((sys.executable, str(EXAMPLE), "--hardened"), stop_signal="INT")
        async with spec.harness() as harness:
            running = (await harness.standing()).running
            said = running.stop()
            with trio.move_on_after(20):
                while running.pids():
                    await trio.sleep(0.01)
            exit_ = running.exit()
            return said, exit_ is not None and exit_.code == 0

    assert trio.run(session) == ("SIGINT", True)
