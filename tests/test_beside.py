"""Is an honest client served while others hold connections? Judged from records by hand, asked of real processes."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import zmq

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.attribution import bare_socket_too
from zmqfuzz.catalogue import invariants
from zmqfuzz.examiner import Examiner
from zmqfuzz.harness import Harness
from zmqfuzz.measured import Beside, Service
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, Wait
from zmqfuzz.targets.library import hosted
from zmqfuzz.trial import Examination, Exit, Observation, ProbeResult, Surface, Trial
from zmqfuzz.zmtp.wire import Frame, Greeting, Raw, encode

T = TypeVar("T")
ZF103 = invariants()["ZF103"]
EXAMPLE = Path(__file__).parent.parent / "targets" / "examples" / "stop_and_wait.py"
BUNDLED = Path(zmq.__file__).parent.parent / "pyzmq.libs"

ASKED = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(b"hello"),)), Expect("message"))),))
"""One peer that asks, and then stays."""

SILENT = Attack((Script((Connect(),), 3), Script((Connect(), Send((Raw(encode(Greeting())[:20]),)), Wait(0.05)))))

YES, NO = Service(1, 1, 0.01), Service(0, 1, 2.0)
MANY, FEW, MOST = Service(20, 20, 0.2, "message"), Service(5, 20, 0.2, "message"), Service(15, 20, 0.2, "message")


def seen(*moments: Service | None, open_: int = 3) -> Trial:
    before, during, after = moments
    beside = Beside(open_, during, before, after) if during is not None else None
    return Trial(SILENT, Surface("tcp://127.0.0.1:5555", "ROUTER"), (), Observation(beside=beside), 1.0)


CALM = (seen(YES, YES, YES),)


@pytest.mark.parametrize(
    ("trials", "controls", "broken"),
    [
        ((seen(YES, NO, YES),) * 3, CALM, True),
        ((seen(MANY, FEW, MANY),) * 3, (seen(MANY, MANY, MANY),), True),
        ((seen(MANY, MOST, MANY),) * 3, (seen(MANY, MANY, MANY),), False),
        ((seen(MANY, FEW, FEW),) * 3, (seen(MANY, MANY, MANY),), False),
        ((seen(MANY, FEW, MANY),) * 3, (seen(MANY, FEW, MANY),), False),
        ((seen(YES, YES, YES),), (), False),
        ((seen(YES, NO, YES), seen(YES, YES, YES)), CALM, False),
        ((seen(YES, NO, NO),) * 3, CALM, False),
        ((seen(NO, NO, YES),) * 3, CALM, False),
        ((seen(YES, NO, None),) * 3, CALM, False),
        ((seen(YES, NO, YES),) * 3, (seen(YES, NO, YES),), False),
        ((seen(YES, NO, YES),) * 3, (), False),
    ],
)
def test_who_is_served_before_and_after_and_beside_idle_peers_must_be_served_beside_the_attack(
    trials: tuple[Trial, ...], controls: tuple[Trial, ...], broken: bool
) -> None:
    assert (ZF103.judge(Examination("beside", trials, controls), Limits()) is not None) is broken


def test_what_is_in_doubt_is_not_judged() -> None:
    doubtful = Examination("beside", (seen(YES, NO, YES),) * 3, CALM, doubts=("the target was still at work",))
    assert ZF103.judge(doubtful, Limits()) is None


@pytest.mark.parametrize(
    ("observation", "suspect"),
    [
        (Observation(), False),
        (Observation(beside=Beside(2, NO)), True),
        (Observation(beside=Beside(2, FEW)), True),
        (Observation(beside=Beside(2, MOST)), False),
        (Observation(beside=Beside(2, YES)), False),
        (Observation(beside=Beside(2, NO), exit=Exit(code=1)), False),
        (Observation(beside=Beside(2, NO), probes=(ProbeResult("application", False, 5.0),)), False),
        (Observation(beside=Beside(2, NO), probes=(ProbeResult("application", True, 0.1),)), True),
    ],
)
def test_a_client_that_was_not_served_beside_makes_a_suspect_unless_the_target_is_dead_or_deaf(
    observation: Observation, suspect: bool
) -> None:
    assert ZF103.suspects is not None
    trial = Trial(SILENT, Surface("tcp://127.0.0.1:5555", "ROUTER"), (), observation, 1.0)
    assert ZF103.suspects(trial, Limits()) is suspect


def examined(spec: Spec, work: Callable[[Harness, str], Awaitable[T]]) -> T:
    async def session() -> T:
        with trio.fail_after(180):
            async with spec.harness() as harness:
                key = harness.surfaces(await harness.standing())[0].key
                await harness.calibrate(key)
                return await work(harness, key)

    return trio.run(session)


def program(*words: str) -> Spec:
    return Spec((sys.executable, str(EXAMPLE), *words))


def test_one_client_at_a_time_is_found_and_is_the_applications() -> None:
    async def work(harness: Harness, key: str) -> tuple[Trial, Examination, bool | None]:
        look = await harness.trial(ASKED, key)
        seen = await Examiner(harness).beside(ASKED, key)
        surface = harness.surfaces(await harness.standing())[0]
        return look, seen, await bare_socket_too(harness, ZF103, ASKED, surface, 0.0)

    look, seen, bare = examined(program(), work)
    assert ZF103.suspects is not None
    assert ZF103.suspects(look, Limits())
    assert look.observation.probes[-1].ok  # it serves again when the peer has gone
    violation = ZF103.judge(seen, Limits())
    assert violation is not None
    assert "1 connection stayed open" in violation.sentence
    assert len(seen.trials) == 3
    assert bare is False


def test_all_clients_at_once_are_served_and_one_look_is_enough() -> None:
    async def work(harness: Harness, key: str) -> Examination:
        return await Examiner(harness).beside(ASKED, key)

    seen = examined(program("--hardened"), work)
    assert not seen.doubts
    assert len(seen.trials) == 1
    assert ZF103.judge(seen, Limits()) is None


@pytest.mark.parametrize("kind", ["PUSH", "DEALER", "PUB", "REP", "PULL"])
def test_the_installed_libzmq_serves_beside_silent_connections(kind: str) -> None:
    library = hosted(BUNDLED, kind)

    async def work(harness: Harness, key: str) -> tuple[Trial, int]:
        trial = await harness.trial(SILENT, key)
        return trial, harness.asked_beside

    trial, asked = examined(Spec(library.command, socket_type=kind), work)
    assert asked == 1
    beside = trial.observation.beside
    assert beside is not None
    assert beside.open == 4
    assert beside.during.got > 0


WELCOME = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.XPUB) as sock:
    sock.bind(sys.argv[1])
    while True:
        if sock.poll(200) and sock.recv()[:1] == b"\\x01":
            sock.send(b"welcome")
"""


@pytest.mark.slow
def test_a_publisher_that_greets_the_first_subscriber_only_starves_nobody(tmp_path: Path) -> None:
    (tmp_path / "welcome.py").write_text(WELCOME)
    peer = Attack((Script((Connect(), Shake("SUB"), Send((Frame(b"\x01"),)), Expect("message"))),))

    async def work(harness: Harness, key: str) -> Examination:
        return await Examiner(harness).beside(peer, key)

    for _ in range(4):  # calibration may come before the last subscriber is seen to have gone, and is not greeted then
        seen = examined(Spec((sys.executable, str(tmp_path / "welcome.py"), "{endpoint}")), work)
        assert ZF103.judge(seen, Limits()) is None
        beside = seen.trials[-1].observation.beside
        if beside is not None and beside.during.got == 0:
            return
    pytest.skip("no calibration came when nobody was subscribed, so nobody was held to a greeting")


def test_beside_a_peer_that_rightly_gets_its_share_nobody_is_asked() -> None:
    library = hosted(BUNDLED, "PUSH")
    peer = Attack((Script((Connect(), Shake("PULL"))),))

    async def work(harness: Harness, key: str) -> tuple[Trial, int]:
        trial = await harness.trial(peer, key)
        return trial, harness.asked_beside

    trial, asked = examined(Spec(library.command, socket_type="PUSH"), work)
    assert (trial.observation.beside, asked) == (None, 0)
