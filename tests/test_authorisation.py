"""Strangers at locked doors: who is one, and what is made of those who are let in, by real libzmq programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import zmq

from tests.admission import told_of, trial_of
from zmqfuzz.acquaint import locked
from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.claims import open_doors
from zmqfuzz.campaign.minimise import minimise
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.credentials import Credentials
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.strangers import FIRST, FORGER, LISTENS, NO_PASSWORD, STRANGER, forgeries, visits
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.wire import CurveCommand, Frame

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
CODES = ("ZF401", "ZF402", "ZF403", "ZF404")
SERVER = ("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
CLIENT = ("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
KEY = Credentials.read(server_key=SERVER[0])
LISTED = Credentials.read(server_key=SERVER[0], client_key=":".join(CLIENT))
CURVE = Surface("tcp://127.0.0.1:1", "REP", "CURVE", lock="CURVE", listed=True)
ASKS = (Send((Frame(b"", more=True), Frame(b"hello"))), Expect("message", within=LISTENS))


def shaking(mechanism: str, label: str = STRANGER, *, within: float = 1.0, **more: object) -> Script:
    shake = replace(Shake("REQ", mechanism=mechanism, within=within), **more)  # type: ignore[arg-type]
    return Script((Connect(), shake, *ASKS), label=label)


UNKNOWN_KEY = shaking("CURVE", stranger=True)


def seen(*peers: tuple[Script, bool], door: Surface = CURVE) -> Trial:
    """Peers, and whether each was let in."""
    return trial_of(peers, door)


def told(trial: Trial) -> list[str]:
    return told_of(trial, CODES)


def test_who_is_let_in_is_told_by_what_the_door_asks_for() -> None:
    assert told(seen((UNKNOWN_KEY, True))) == ["ZF401"]
    assert told(seen((UNKNOWN_KEY, False))) == []
    assert told(seen((shaking("NULL"), True), door=replace(CURVE, mechanism="NULL"))) == ["ZF402"]
    first = replace(UNKNOWN_KEY, label=FIRST)
    assert told(seen((first, False), (UNKNOWN_KEY, True))) == ["ZF403"]
    assert told(seen((first, True), (UNKNOWN_KEY, True))) == ["ZF401"], "it was open before"


@pytest.mark.parametrize(
    ("script", "door"),
    [
        (shaking("CURVE"), CURVE),
        (shaking("CURVE", stranger=True), replace(CURVE, listed=False)),
        (shaking("CURVE", "attacker", stranger=True), CURVE),
        (shaking("CURVE", stranger=True, within=0.1), CURVE),
        (replace(UNKNOWN_KEY, steps=UNKNOWN_KEY.steps[:-1]), CURVE),
        (shaking("PLAIN"), replace(CURVE, mechanism="PLAIN", lock="PLAIN")),
        (shaking("PLAIN", known_name=True, password=b"x"), replace(CURVE, mechanism="PLAIN", lock="PLAIN")),
        (UNKNOWN_KEY, replace(CURVE, lock="")),
    ],
    ids=["allowed", "any key may", "another role", "in a hurry", "waits for nothing", "its name", "guesses", "no lock"],
)
def test_a_peer_that_may_be_let_in_is_no_stranger(script: Script, door: Surface) -> None:
    assert visits(seen((script, True), door=door)) == []
    assert told(seen((script, True), door=door)) == []


def test_a_stranger_that_was_minimised_is_still_one() -> None:
    """Whatever the minimiser leaves is judged by what it does: an honest peer is not the smallest stranger."""

    async def still(attack: Attack) -> bool:
        return bool(told(seen(*((script, True) for script in attack.scripts))))

    (script,) = trio.run(minimise, Attack((UNKNOWN_KEY,)), still, 5.0).scripts
    assert [visit.kind for visit in visits(seen((script, True)))] in (["an unknown key"], ["no key"])


def test_doors_are_held_to_the_lock_that_was_given() -> None:
    rep, curve, null = Surface("tcp://127.0.0.1:1", "REP"), replace(CURVE, lock="", listed=False), "NULL"
    pub = Surface("tcp://127.0.0.1:2", "PUB")

    def locks(*doors: Surface, known: Credentials = KEY) -> list[str]:
        return [door.lock for door in locked(doors, known)]

    assert locks(curve) == ["CURVE"]
    assert locks(rep, pub) == ["CURVE", "CURVE"], "no door asks for the key that was given"
    assert locks(curve, rep) == ["CURVE", "CURVE"], "a second door of the same socket"
    assert locks(curve, pub) == ["CURVE", ""], "another socket may be meant for everyone"
    assert locks(curve, rep, known=Credentials()) == ["", ""]
    assert locks(replace(rep, side="connect")) == [""]
    assert [door.listed for door in locked((curve,), LISTED)] == [True]
    (said,) = open_doors(locked((curve, pub), KEY), KEY)
    assert said.startswith(f"PUB-{null.lower()}-tcp-0: it asks for nothing")


def forging(*units: CurveCommand, instead: tuple[CurveCommand, ...] = (), honest: int = 0) -> Script:
    shake = Shake("DEALER", mechanism="CURVE", within=1.0, instead=instead, honest=honest)
    sends = (Send(units),) if units else ()
    return Script((Connect(), shake, *sends, Expect("message", within=LISTENS)), label=FORGER)


USED = forging(CurveCommand(b"MESSAGE", body=b"hello", nonce="repeat"))
FORGERS = (
    USED,
    forging(CurveCommand(b"MESSAGE", body=b"hello", nonce="lower")),
    forging(instead=(CurveCommand(b"HELLO", box="random"),)),
    forging(instead=(CurveCommand(b"INITIATE", cookie="random"),), honest=1),
)


def test_a_forger_is_one_by_what_it_sends() -> None:
    assert [told(seen((forger, True))) for forger in FORGERS] == [["ZF404"]] * 4
    assert [told(seen((forger, False))) for forger in FORGERS] == [[]] * 4
    honest = (forging(), forging(CurveCommand(b"MESSAGE", body=b"hello")), replace(USED, label="attacker"))
    assert [told(seen((script, True))) for script in honest] == [[]] * 3
    assert forgeries(seen((USED, True), door=replace(CURVE, socket_type="PULL"))) == [], "nobody is answered there"


def drawn(door: Surface) -> Iterator[Attack]:
    family = families()["authorisation"]
    situation = Situation(door, Limits(), Budget(), ((b"zmqfuzz",),))
    return (Attack(family.draw(RandomDraw(seed), situation), "authorisation", seed) for seed in range(150))


@pytest.mark.parametrize(
    ("door", "kinds"),
    [
        (CURVE, {"no key", "an unknown key", "a password instead of a key", "no proof that the key is its own"}),
        (replace(CURVE, mechanism="PLAIN", lock="PLAIN"), {"no password", "an unknown name", "a wrong password"}),
        (replace(CURVE, mechanism="NULL"), {"no key"}),
    ],
    ids=["CURVE", "PLAIN", "open"],
)
def test_the_family_draws_every_kind_of_stranger(door: Surface, kinds: set[str]) -> None:
    older = {"ZMTP 1.0, which knows no keys", "ZMTP 2.0, which knows no keys", "a message without a handshake"}
    trials = (seen(*((script, True) for script in attack.scripts), door=door) for attack in drawn(door))
    found = {visit.kind for trial in trials for visit in visits(trial)}
    assert kinds | older <= found
    trials = (seen(*((script, True) for script in attack.scripts), door=door) for attack in drawn(door))
    assert len({visit.kind for trial in trials for visit in forgeries(trial)}) == (3 if door == CURVE else 0)
    assert not families()["authorisation"].applies(replace(door, lock=""))
    assert not families()["authorisation"].applies(Surface("tcp://127.0.0.1:1"))


def at(program: str, *words: str, known: Credentials, door: int = 0, scripts: tuple[Script, ...]) -> Trial:
    """Play them at a door of an example."""
    spec = Spec((sys.executable, str(EXAMPLES / program), *words), credentials=known)

    async def play() -> Trial:
        with trio.fail_after(60):
            async with spec.harness() as harness:
                surfaces = harness.surfaces(await harness.standing())
                return await harness.trial(Attack(scripts, seed=3), surfaces[door].key)

    return trio.run(play)


STRANGERS = (
    shaking("NULL"),
    shaking("NULL", version=(3, 0)),
    shaking("PLAIN", stranger=True, username=b"admin", password=NO_PASSWORD),
    UNKNOWN_KEY,
    *(attack.scripts[0] for attack in drawn(CURVE) if "ZMTP" in str(attack) or "Greeting" in str(attack)),
)[:12]
HONEST = replace(shaking("CURVE"), label="honest")
needs_curve = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


@needs_curve
def test_a_door_with_a_list_lets_in_nobody_else() -> None:
    words = ("--hardened", f"--secret-key={SERVER[1]}", f"--allow={CLIENT[0]}")
    trial = at("curve.py", *words, known=LISTED, scripts=(HONEST, *STRANGERS))
    assert trial.transcripts[0].messages == 1, "who is on the list is let in"
    assert len({visit.kind for visit in visits(trial)}) >= 5
    assert told(trial) == []


@needs_curve
@pytest.mark.parametrize(
    ("words", "known", "code"),
    [
        (("--hardened", "--zap", "none"), LISTED, "ZF401"),
        (("--hardened", "--zap", "none"), KEY, ""),
        ((), KEY, "ZF402"),
        pytest.param(("--second", "tcp://127.0.0.1:*"), KEY, "ZF402", marks=pytest.mark.slow),
    ],
    ids=["no handler", "any key may", "too late", "second door"],
)
def test_a_door_that_lets_strangers_in(words: tuple[str, ...], known: Credentials, code: str) -> None:
    scripts = (HONEST, shaking("NULL"), UNKNOWN_KEY)
    command = (f"--secret-key={SERVER[1]}", *words)
    doors = (0, 1) if "--second" in words else (0,)
    found = [told(at("curve.py", *command, known=known, door=door, scripts=scripts)) for door in doors]
    assert any([code] == codes for codes in found) if code else not any(found)


@needs_curve
@pytest.mark.parametrize(("form", "code"), [((), ["ZF403"]), (("--hardened",), [])], ids=["weak", "hardened"])
def test_a_handler_that_ends_leaves_the_door_open(form: tuple[str, ...], code: list[str]) -> None:
    lock = ("--mechanism", "curve", f"--secret-key={SERVER[1]}", f"--allow={CLIENT[0]}", "--closes")
    attack = next(attack for attack in drawn(CURVE) if len(attack.scripts) > 1)
    assert told(at("zap.py", *lock, *form, known=LISTED, scripts=attack.scripts)) == code


@needs_curve
@pytest.mark.parametrize(
    ("form", "code"),
    [((), ["ZF404"]), (("--hardened",), []), pytest.param(("--no-vouch",), ["ZF401"], marks=pytest.mark.slow)],
    ids=["weak", "hardened", "no vouch"],
)
def test_what_was_recorded_or_forged_passes_a_lock_that_does_not_look(form: tuple[str, ...], code: list[str]) -> None:
    vouch = CurveCommand(b"INITIATE", vouch="foreign")
    unproven = replace(shaking("CURVE", honest=1, instead=(vouch,)), label=STRANGER)
    words = (f"--secret-key={SERVER[1]}", *form)
    assert told(at("own_curve.py", *words, known=KEY, scripts=(*FORGERS, unproven))) == code
