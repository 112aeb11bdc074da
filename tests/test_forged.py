"""Peers that say who they are in their metadata: what is compared, and what a real program makes of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import zmq

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Situation, families, invariants
from zmqfuzz.credentials import Credentials
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.finding import Violation
from zmqfuzz.forged import CLAIMANT, compared
from zmqfuzz.script import Attack, Script, Send, Shake
from zmqfuzz.trial import ClosedBy, Observation, Reached, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Frame, Property

NOTICES = Path(__file__).resolve().parent.parent / "targets" / "examples" / "notices.py"
PUBLIC, SECRET = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
KEY = Credentials.read(server_key=PUBLIC)
FAMILY, INVARIANT = "forged-metadata", "ZF407"
DOOR = Surface("tcp://127.0.0.1:1", "REP")


def drawn(name: bytes, value: bytes, door: Surface = DOOR) -> Attack:
    """An attack of the family in which peers say this."""
    situation = Situation(door, Limits(), Budget())
    for seed in range(1000):
        scripts = families()[FAMILY].draw(RandomDraw(seed), situation)
        if Property(name, value) in said(scripts):
            return Attack(scripts, FAMILY, seed)
    raise AssertionError(f"nobody says {name!r}={value!r}")


def said(scripts: tuple[Script, ...]) -> set[Property]:
    shakes = (step for script in scripts for step in script.steps if isinstance(step, Shake))
    return {one for shake in shakes for one in shake.properties}


def judged(trial: Trial) -> bool:
    return isinstance(invariants()[INVARIANT].judge(trial, Limits()), Violation)


ADMIN = drawn(b"User-Id", b"admin")


def seen(answers: dict[str, bytes], attack: Attack = ADMIN) -> Trial:
    """``answers`` by the number of a peer, or by its label; what is not there was not answered."""
    transcripts = []
    for number, script in enumerate(attack.scripts):
        answer = answers.get(str(number), answers.get(script.label))
        said = (answer,) if answer is not None else ()
        transcripts.append(
            Transcript(script.label, (), ClosedBy.OPEN, 1, 1, Reached.TRAFFIC, messages=len(said), answers=said)
        )
    return Trial(attack, DOOR, tuple(transcripts), Observation(), 1.0)


OTHERS = "says nothing of itself"


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({CLAIMANT: b"yes", OTHERS: b"no"}, True),
        ({CLAIMANT: b"no", OTHERS: b"no"}, False),
        ({CLAIMANT: b"yes", OTHERS: b"no", "0": b"number 1"}, None),
        ({CLAIMANT: b"yes", OTHERS: b"no", "3": b"no"}, None),
        ({CLAIMANT: b"yes", OTHERS: b"no", "4": b"yes"}, None),
        ({OTHERS: b"no"}, None),
        ({str(number): b"%d" % (number % 2) for number in range(8)}, None),
        ({str(number): b"%d" % number for number in range(8)}, None),
        ({str(number): b"%d" % (number > 0) for number in range(8)}, None),
        ({CLAIMANT: b"", OTHERS: b"no"}, True),
    ],
    ids=[
        "believed",
        "not believed",
        "differs by itself",
        "only some are believed",
        "anything said makes the difference",
        "refused",
        "two that answer in turns",
        "a counter",
        "the first is another",
        "an empty answer",
    ],
)
def test_a_difference_counts_where_nothing_else_makes_one(answers: dict[str, bytes], told: bool | None) -> None:
    trial = seen(answers)
    found = compared(trial)
    assert (found.believed if found is not None else None) is told
    assert judged(trial) is (told is True)
    assert invariants()[INVARIANT].tested(trial, Limits()) is (told is not None)


def test_only_the_same_question_is_compared() -> None:
    last = ADMIN.scripts[-1]
    other = [replace(step, units=(Frame(b"else"),)) if isinstance(step, Send) else step for step in last.steps]
    scripts = (*ADMIN.scripts[:-1], replace(last, steps=tuple(other)))
    assert compared(seen({CLAIMANT: b"yes", OTHERS: b"no"}, replace(ADMIN, scripts=scripts))) is None


def test_the_family_says_words_of_the_program_and_asks_those_who_answer() -> None:
    situation = Situation(DOOR, Limits(), Budget(), ((b"", b"only the Keeper may do this"),))
    draws = [families()[FAMILY].draw(RandomDraw(seed), situation) for seed in range(200)]
    assert {Property(b"User-Id", b"Keeper"), Property(b"Peer-Address", b"127.0.0.1")} <= set().union(*map(said, draws))
    assert {len(scripts) for scripts in draws} == {8}
    silent = Situation(replace(DOOR, socket_type="PUB"), Limits(), Budget())
    assert len(families()[FAMILY].draw(RandomDraw(1), silent)) == 1


def at(*words: str, known: Credentials) -> Trial:
    """Play it at the notice board."""
    spec = Spec((sys.executable, str(NOTICES), *words), credentials=known)

    async def play() -> Trial:
        with trio.fail_after(60):
            async with spec.harness() as harness:
                (surface,) = harness.surfaces(await harness.standing())
                return await harness.trial(drawn(b"User-Id", b"admin", surface), surface.key)

    return trio.run(play)


needs_curve = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


@pytest.mark.parametrize(
    ("words", "known", "believed"),
    [
        ((), Credentials(), True),
        (("--hardened",), Credentials(), False),
        pytest.param((f"--secret-key={SECRET}",), KEY, True, marks=needs_curve),
        pytest.param((f"--secret-key={SECRET}", "--hardened"), KEY, False, marks=needs_curve),
    ],
    ids=["weak", "hardened", "weak, with a key", "hardened, with a key"],
)
def test_who_says_that_it_is_the_admin(words: tuple[str, ...], known: Credentials, believed: bool) -> None:
    trial = at(*words, known=known)
    found = compared(trial)
    assert found is not None, trial.transcripts
    assert (found.believed, judged(trial)) == (believed, believed)
    assert b"ask an admin" in found.usual
