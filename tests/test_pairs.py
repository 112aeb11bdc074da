"""Weak and hardened twins of promises that one attack tells apart: played once, at real processes, and judged."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.examiner import Examiner
from zmqfuzz.fresh import MARKER
from zmqfuzz.script import Attack, Close, Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import Examination, Trial
from zmqfuzz.zmtp.wire import Fill, Frame

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
KIB = 1024


def attack(*steps: Send | Expect | Close, times: int = 1) -> Attack:
    return Attack((Script((Connect(), Shake("DEALER"), *steps), times),))


JUST_WITHIN = attack(Send((Frame(Fill(64 * KIB)),)), Expect("close", within=1.0))
IN_PARTS = attack(Send((Frame(Fill(60 * KIB), more=True),), times=160), Expect("close", within=0.3))
NAMED = Send((Frame(b"", more=True), Frame(b'{"name": "%s"}' % MARKER)), times=3000, fresh=MARKER)
ASKED, AGAIN = attack(NAMED, Close()), attack(replace(NAMED, fresh=b""), Close())
GONE = attack(Send((Frame(b"hello"),)), Expect("message"), Close(), times=4)


async def played(words: tuple[str, ...], attack: Attack, limits: Limits) -> Trial:
    async with Spec((sys.executable, str(EXAMPLES / words[0]), *words[1:]), limits=limits).harness() as harness:
        (surface,) = harness.surfaces(await harness.standing())
        await harness.calibrate(surface.key)
        return await harness.trial(attack, surface.key)


@pytest.mark.parametrize(
    ("code", "words", "form", "attack", "limits"),
    [
        ("ZF202", ("frame_limit.py",), "--too-low", JUST_WITHIN, Limits(max_frame=64 * KIB)),
        ("ZF207", ("broker.py",), "", IN_PARTS, Limits(max_message=256 * KIB)),
    ],
)
def test_a_size(code: str, words: tuple[str, ...], form: str, attack: Attack, limits: Limits) -> None:
    for other, broken in ((form, True), ("--hardened", False)):
        seen = trio.run(played, (*words, *filter(None, [other])), attack, limits)
        assert (invariants()[code].judge(seen, limits) is not None) is broken


@pytest.mark.slow
@pytest.mark.parametrize("form", [(), ("--hardened",)])
def test_connections_that_their_peers_have_closed(form: tuple[str, ...]) -> None:
    async def session() -> tuple[Trial, Examination]:
        async with Spec((sys.executable, str(EXAMPLES / "relay.py"), *form)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            await harness.calibrate(surface.key)
            once = await harness.trial(GONE, surface.key, rest=True)
            return once, await Examiner(harness).rounds(GONE, surface.key, "ZF208")

    once, seen = trio.run(session)
    assert (once.observation.abandoned > 0) is not bool(form)
    assert not seen.doubts
    assert (invariants()["ZF208"].judge(seen, Limits()) is not None) is not bool(form)


SLOW = """
import sys, time, zmq
with zmq.Context() as context, context.socket(zmq.PULL) as sock:
    sock.rcvhwm = 0
    sock.bind(sys.argv[1])
    kept = []
    while True:
        letter = sock.recv()
        if sys.argv[2:]:
            kept.append(letter)
        time.sleep(0.002)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", [(), ("--hardened",)])
def test_answers_that_are_kept_for_each_new_name(form: tuple[str, ...]) -> None:
    async def session() -> tuple[Examination, Examination]:
        async with Spec((sys.executable, str(EXAMPLES / "lookup.py"), *form)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            examiner = Examiner(harness)
            return await examiner.rounds(ASKED, surface.key, "ZF204"), await examiner.rounds(
                AGAIN, surface.key, "ZF204"
            )

    new, again = trio.run(session)
    assert not new.doubts
    assert not again.doubts
    assert (invariants()["ZF204"].judge(new, Limits()) is not None) is not bool(form)
    assert invariants()["ZF204"].judge(again, Limits()) is None, "the same name again is nothing new"


@pytest.mark.slow
@pytest.mark.parametrize("keeps", [("keeps",), ()])
def test_rounds_that_a_slow_program_cannot_work_off_are_begun_anew(keeps: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    flood = Attack((Script((Connect(), Shake("PUSH"), Send((Frame(Fill(1000)),), times=30_000))),))

    async def session() -> Examination:
        async with Spec((sys.executable, str(tmp_path / "slow.py"), "{endpoint}", *keeps)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            return await Examiner(harness).rounds(flood, surface.key, "ZF204")

    seen = trio.run(session)
    assert not seen.doubts
    assert (invariants()["ZF204"].judge(seen, Limits()) is not None) is bool(keeps)
