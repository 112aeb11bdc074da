"""Dead peers at real libzmq sockets: who lets go of them in time, who does not, and who cuts the living."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import zmq

from zmqfuzz.budget import TOLERANCE, Budget, Limits
from zmqfuzz.campaign.confirmed import Confirmed
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import Situation, families, invariants
from zmqfuzz.credentials import Credentials
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.harness import Harness
from zmqfuzz.listener import Listeners
from zmqfuzz.mapped import libraries
from zmqfuzz.parked import State, judgeable, parked, vanished
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, Step, Vanish, Wait
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.targets.library import hosted
from zmqfuzz.trial import ClosedBy, Surface, Trial

EXAMPLE = str(Path(__file__).resolve().parent.parent / "targets" / "examples" / "reaper.py")
LIMITS = Limits(handshake_within=1.0, hung_within=1.0, vanished_within=4.0)
FAMILY = families()["dead-peer"]
CODES = [f"ZF{number}" for number in range(311, 317)]
KEEPS = {"ZF311", "ZF312", "ZF313", "ZF315", "ZF316"}
FORMS: dict[tuple[str, ...], set[str]] = {
    (): KEEPS,
    ("--hardened",): set(),
    ("--set-late",): KEEPS,
    ("--no-handshake-ivl",): {"ZF311"},
    ("--no-heartbeat",): {"ZF312"},
    ("--no-keepalive",): set(),
    ("--no-heartbeat", "--no-keepalive"): {"ZF312", "ZF313"},
    ("--no-zap-domain",): {"ZF315", "ZF316"},
    ("--impatient",): {"ZF314"},
}
CASES = {(form, "tcp://127.0.0.1:*"): codes for form, codes in FORMS.items()}
CASES |= {(form, "tcp://[::1]:*"): FORMS[form] for form in ((), ("--hardened",), ("--no-heartbeat", "--no-keepalive"))}
CASES |= {(form, "ipc"): FORMS[form] - {"ZF313"} for form in ((), ("--hardened",), ("--impatient",))}
LOCKS = ("plain", "curve")
ATTEMPTS = 12
"""Trials of which one must be played without our own process being kept from looking."""
TOGETHER = 7
"""Targets at a time: most of the time is waited."""


async def played(target: ChildTarget, credentials: Credentials | None) -> Trial:
    async with Harness(target, limits=LIMITS, credentials=credentials) as harness:
        (surface,) = harness.surfaces(await harness.standing())
        assert (await harness.calibrate(surface.key)).ok
        for seed in range(ATTEMPTS):
            attack = Attack(FAMILY.draw(RandomDraw(seed), Situation(surface, LIMITS, Budget())), FAMILY.name)
            trial = await harness.trial(attack, surface.key, ask=True)
            early = invariants()["ZF314"].judge(trial, LIMITS) is not None or not any(
                peer.transcript.closed_by is not ClosedBy.OPEN for peer in parked(trial, State.IDLE, 1.0)
            )
            if judgeable(trial) and early:
                break
        assert trial.observation.exit is None
        return trial


def locked(mechanism: str) -> tuple[ChildTarget, Credentials]:
    zmq.Context().term()  # loads the library
    library = hosted(libraries([os.getpid()], "libzmq")[0], "ROUTER", mechanism=mechanism)
    return ChildTarget(library.command, hard_cap=LIMITS.hard_cap), library.known()


@pytest.fixture(scope="module", name="trials")
def fixture_trials(tmp_path_factory: pytest.TempPathFactory) -> Mapping[object, Trial]:
    """One trial of each case."""
    found: dict[object, Trial] = {}

    async def one(key: object, target: ChildTarget, credentials: Credentials | None) -> None:
        async with places:
            found[key] = await played(target, credentials)

    async def session() -> None:
        with trio.fail_after(500):
            async with trio.open_nursery() as nursery:
                for number, (form, where) in enumerate(CASES):
                    bind = where if where != "ipc" else f"ipc://{tmp_path_factory.mktemp('ipc')}/{number}"
                    command = [sys.executable, EXAMPLE, "--bind", bind, *form]
                    nursery.start_soon(one, (form, where), ChildTarget(command, hard_cap=LIMITS.hard_cap), None)
                for mechanism in LOCKS:
                    nursery.start_soon(one, mechanism, *locked(mechanism))

    places = trio.CapacityLimiter(TOGETHER)
    trio.run(session)
    return found


def broken(trial: Trial) -> set[str]:
    return {code for code in CODES if invariants()[code].judge(trial, LIMITS) is not None}


def test_each_weakness_is_told_and_nothing_else(trials: Mapping[object, Trial]) -> None:
    """All forms in one test: they are played at the same time, and once."""
    assert all(judgeable(trials[case]) for case in CASES)
    assert {case: broken(trials[case]) for case in CASES} == CASES
    for form, where in CASES:
        tested = {code for code in CODES if invariants()[code].tested(trials[form, where], LIMITS)}
        assert tested == set(CODES) - ({"ZF313"} if where == "ipc" else set()), (form, where)
    for mechanism in LOCKS:
        stall_behind_a_lock(trials[mechanism])
    let_go_in_time(trials)
    a_culprit_shows_it_alone(trials)
    what_was_not_waited_out_is_not_judged(trials)


def stall_behind_a_lock(trial: Trial) -> None:
    assert broken(trial) == {"ZF311", "ZF312", "ZF313"}, "the timers are libzmq's own: 30 s, and none"
    stalled = [peer.words for peer in parked(trial, State.STALLED, 1.0) if peer.kept]
    assert {"0 octets", "64 octets", "half a command", "after 1 command(s)"} <= set(stalled)
    assert not any(peer.kept for peer in parked(trial, State.OLDER_STALLED, 1.0))


def let_go_in_time(trials: Mapping[object, Trial]) -> None:
    hardened, keepalive = (trials[form, "tcp://127.0.0.1:*"] for form in (("--hardened",), ("--no-heartbeat",)))
    cut = [peer.cut_after for peer in parked(hardened, State.STALLED, 1.0)]
    assert len(cut) >= 11
    assert all(0.5 < seconds < 1.0 + TOLERANCE for seconds in cut)
    assert len(vanished(hardened, 4.0)) >= 4, "in the handshake and behind it; older ones are refused"
    assert max(peer.held for peer in vanished(keepalive, 4.0)) > 1.5, "TCP keepalive: after three seconds"


def a_culprit_shows_it_alone(trials: Mapping[object, Trial]) -> None:
    for form, codes in FORMS.items():
        trial = trials[form, "tcp://127.0.0.1:*"]
        for code in codes:
            violation = invariants()[code].judge(trial, LIMITS)
            assert violation is not None
            assert violation.culprit in trial.attack.scripts


def what_was_not_waited_out_is_not_judged(trials: Mapping[object, Trial]) -> None:
    trial = trials[(), "tcp://127.0.0.1:*"]
    for limits in (Limits(), replace(LIMITS, handshake_within=1.5, hung_within=1.5, vanished_within=4.5)):
        assert not [code for code in CODES if invariants()[code].judge(trial, limits)]
        assert not [code for code in CODES if invariants()[code].tested(trial, limits)]
    held = trial.observation.held
    assert held is not None
    late = [sample for sample in trial.observation.series if not 0.5 < sample.at < 1.5]
    assert not broken(replace(trial, observation=replace(trial.observation, series=tuple(late))))


def test_a_replay_that_puts_nothing_to_the_test_says_neither_fixed_nor_still_there() -> None:
    async def session() -> tuple[Confirmed, Confirmed]:
        target = ChildTarget([sys.executable, EXAMPLE], hard_cap=LIMITS.hard_cap)
        async with Harness(target, limits=Limits(handshake_within=0.2)) as harness:
            (surface,) = harness.surfaces(await harness.standing())
            triage = Triage(harness)
            hasty, patient = (Attack((Script((Connect(), Expect("close", wait))),)) for wait in (0.1, 1.2))
            first = await triage.confirm((hasty,), surface.key, "ZF311", times=1)
            for _ in range(ATTEMPTS):
                second = await triage.confirm((patient,), surface.key, "ZF311", times=1)
                if second.tried:
                    break
            return first, second

    hasty, patient = trio.run(session)
    assert (hasty.shown, hasty.tried, hasty.holds) == (0, 0, False)
    assert hasty.doubts
    assert (patient.shown, patient.tried, patient.holds) == (1, 1, True)


def drawn(limits: Limits, seed: int = 0, **door: str) -> tuple[Script, ...]:
    surface = Surface(door.pop("address", "tcp://127.0.0.1:1"), "ROUTER", **door)  # type: ignore[arg-type]
    return FAMILY.draw(RandomDraw(seed), Situation(surface, limits, Budget()))


def seconds(script: Script) -> float:
    return sum(map(patience, script.steps))


def patience(step: Step) -> float:
    match step:
        case Wait(wait) | Expect("close", wait):
            return wait if wait > 0.1 else 0.0
        case Send(chunk=1):
            return step.octets * step.every
    return 0.0


def test_without_a_promise_nobody_waits_long() -> None:
    for seed in range(200):
        (script,) = drawn(Limits(), seed)
        assert seconds(script) < 0.5


def test_only_what_is_promised_is_waited_for_as_far_as_it_fits() -> None:
    promised = {script.label: seconds(script) for script in drawn(Limits(hung_within=3.0))}
    assert promised == {"idle, honest": 4.0, "hung": 4.0, "hung, older": 4.0}
    fits, too_long = Budget().longest, Budget().longest + 1
    assert {script.label for script in drawn(Limits(handshake_within=too_long, vanished_within=fits))} == {"vanished"}
    assert max(map(seconds, drawn(Limits(vanished_within=fits)))) < Budget().trial_seconds - 3


def test_behind_a_lock_that_is_not_known_nobody_is_hung_and_at_ipc_nobody_waits_to_vanish() -> None:
    surface = Surface("tcp://127.0.0.1:1", "", "CURVE", known=False)
    scripts = FAMILY.draw(RandomDraw(0), Situation(surface, LIMITS, Budget()))
    assert {script.label for script in scripts} == {"stalled", "stalled, older", "vanished"}
    assert not any(isinstance(step, Shake) for script in scripts for step in script.steps)
    (script,) = [script for script in drawn(LIMITS, address="ipc:///tmp/x") if script.label == "vanished"]
    assert isinstance(script.steps[-1], Vanish)


CLIENT = """
import sys, zmq
dealer = zmq.Context().socket(zmq.DEALER)
dealer.reconnect_ivl, dealer.handshake_ivl = 20, int(sys.argv[2])
dealer.connect(sys.argv[1])
while True:
    dealer.poll(1000) and dealer.recv_multipart()
"""


def test_a_program_that_connects_keeps_a_server_that_stalls_or_does_not() -> None:
    def stalled(surface: Surface) -> Attack:
        situation = Situation(surface, Limits(handshake_within=0.5), Budget())
        draws = (FAMILY.draw(RandomDraw(seed), situation) for seed in range(50))
        return Attack(next(scripts for scripts in draws if scripts[0].label == "stalled"))

    async def client(ivl: str, found: dict[str, bool | None]) -> None:
        address = f"ipc://@zmqfuzz-{os.getpid()}-reaping-{ivl}"
        limits = Limits(handshake_within=0.5)
        target = ChildTarget([sys.executable, "-c", CLIENT, address, ivl], hard_cap=LIMITS.hard_cap, connecting=True)
        async with Harness(target, limits=limits, listeners=Listeners((address,))) as harness:
            (surface,) = harness.surfaces(await harness.standing())
            for _ in range(ATTEMPTS):
                trial = await harness.trial(stalled(surface), surface.key)
                if invariants()["ZF311"].tested(trial, limits):
                    found[ivl] = invariants()["ZF311"].judge(trial, limits) is not None
                    break

    async def session() -> dict[str, bool | None]:
        found: dict[str, bool | None] = {}
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for ivl in ("0", "500"):
                    nursery.start_soon(client, ivl, found)
        return found

    assert trio.run(session) == {"0": True, "500": False}


def test_a_promise_that_takes_longer_than_an_attack_leaves_the_run_inconclusive(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zmqfuzz", "run", "--only", "dead-peer", "--cases", "1", "--for", "2s"]
    command += ["--handshake-within", "5min", "--store", str(tmp_path), "--", sys.executable, EXAMPLE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    for name in ("ZF311 handshake-reaped", "ZF315 older-handshake-reaped"):
        assert f"inconclusive: {name}: attacks wait for at most 14 s (--handshake-within says 300 s)" in done.stdout
    undeclared = done.stdout.split("no limit was declared with ")[1].splitlines()[0].split(", ")
    assert "--hung-within" in undeclared
    assert "--handshake-within" not in undeclared


def test_an_attack_has_the_time_that_is_promised_as_far_as_a_minute() -> None:
    assert Budget.waiting_out(Limits(hung_within=10.0)) == Budget.waiting_out(Limits()) == Budget()
    for seconds in (30.0, 60.0):
        budget = Budget.waiting_out(Limits(handshake_within=seconds, hung_within=1.0))
        assert budget.patience(seconds) == seconds + 1
        assert budget.trial_seconds < 1.5 * seconds
    assert Budget.waiting_out(Limits(vanished_within=61.0)) == Budget()
