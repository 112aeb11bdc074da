"""Servers without the key: who is one, and what is made of clients that take it for theirs, by real libzmq programs."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import zmq

from tests.admission import told_of, trial_of
from zmqfuzz.acquaint import locked
from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.credentials import Credentials
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.impostors import IMPOSTOR, meetings
from zmqfuzz.script import Attack, Close, Connect, Expect, Script, Shake, Wait
from zmqfuzz.strangers import LISTENS, visits
from zmqfuzz.trial import Surface, Trial

CLIENT = Path(__file__).resolve().parent.parent / "targets" / "examples" / "locked_client.py"
CODES = ("ZF405", "ZF406")
PUBLIC, SECRET = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
KEY = Credentials.read(our_secret_key=SECRET)
CURVE = Surface("tcp://127.0.0.1:1", "DEALER", "CURVE", side="connect", lock="CURVE")
PLAIN = replace(CURVE, mechanism="PLAIN")


def serving(mechanism: str, label: str = IMPOSTOR, *, within: float = 1.0, stranger: bool = False) -> Script:
    shake = Shake("ROUTER", mechanism=mechanism, within=within, stranger=stranger)
    return Script((Connect(), shake, Expect("message", within=LISTENS)), label=label)


NO_KEY, OTHER_KEY = serving("NULL"), serving("CURVE", stranger=True)


def seen(*peers: tuple[Script, bool], door: Surface = CURVE) -> Trial:
    """Servers, and whether the client trusted each."""
    return trial_of(peers, door)


def told(trial: Trial) -> list[str]:
    return told_of(trial, CODES)


@pytest.mark.parametrize("script", [NO_KEY, OTHER_KEY, serving("PLAIN")], ids=["no key", "another key", "a password"])
def test_who_is_trusted_is_told_by_what_the_client_asks_for(script: Script) -> None:
    assert told(seen((script, True))) == ["ZF405"]
    assert told(seen((script, False))) == []
    assert told(seen((script, True), door=PLAIN)) == ["ZF406"]
    assert visits(seen((script, True))) == [], "no stranger comes to a client"


@pytest.mark.parametrize(
    ("script", "door"),
    [
        (serving("CURVE"), CURVE),
        (serving("NULL", "attacker"), CURVE),
        (serving("NULL", within=0.1), CURVE),
        (replace(NO_KEY, steps=NO_KEY.steps[:-1]), CURVE),
        (replace(NO_KEY, steps=(*NO_KEY.steps, *serving("CURVE").steps)), CURVE),
        (NO_KEY, replace(CURVE, lock="")),
        (NO_KEY, replace(CURVE, side="bind")),
    ],
    ids=["the key", "another role", "in a hurry", "waits for nothing", "also with the key", "no lock", "a server"],
)
def test_a_server_that_may_be_trusted_is_no_impostor(script: Script, door: Surface) -> None:
    assert meetings(seen((script, True), door=door)) == []
    assert told(seen((script, True), door=door)) == []


def test_clients_are_held_to_the_key_that_was_given() -> None:
    curve, null = replace(CURVE, lock=""), replace(CURVE, lock="", mechanism="NULL")
    news = replace(null, socket_type="SUB")

    def locks(*doors: Surface, known: Credentials = KEY) -> list[str]:
        return [door.lock for door in locked(doors, known)]

    assert locks(curve) == ["CURVE"]
    assert locks(null, replace(PLAIN, lock=""), news) == ["CURVE"] * 3, "it asks nowhere for the key that was given"
    assert locks(curve, null, news) == ["CURVE", "CURVE", ""], "another socket may be meant for anyone"
    assert locks(curve, null, known=Credentials()) == ["", ""]
    assert locks(replace(PLAIN, lock=""), known=Credentials("ada", "lovelace")) == [""], "PLAIN proves no server"


@pytest.mark.parametrize("kind", ["DEALER", "SUB", "REP"])
def test_the_family_draws_every_kind_of_impostor(kind: str) -> None:
    family, door = families()["authorisation"], replace(CURVE, socket_type=kind)
    situation = Situation(door, Limits(), Budget())
    attacks = [Attack(family.draw(RandomDraw(seed), situation), family.name, seed) for seed in range(150)]
    found = {meeting.kind for attack in attacks for meeting in meetings(seen((attack.scripts[0], True), door=door))}
    assert found >= {"no key", "another key", "PLAIN, which proves no server", "ZMTP 1.0, which knows no keys"}
    assert found >= {"ZMTP 2.0, which knows no keys"}
    assert all(meetings(seen((attack.scripts[0], True), door=door)) for attack in attacks if "Shake" in str(attack))
    assert not family.applies(replace(door, lock=""))


def at(*words: str, script: Script) -> Trial:
    """Play it to the example, which connects to us."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    command = (sys.executable, str(CLIENT), "--connect", endpoint, f"--server-key={PUBLIC}", *words)
    spec = Spec(command, bind=(endpoint,), credentials=KEY)

    async def play() -> Trial:
        with trio.fail_after(60):
            async with spec.harness() as harness:
                (surface,) = harness.surfaces(await harness.standing())
                return await harness.trial(Attack((script,), seed=3), surface.key)

    return trio.run(play)


AGAIN = replace(NO_KEY, steps=(*NO_KEY.steps, *((Close(), Wait(0.7), *NO_KEY.steps) * 2)))
needs_curve = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


@needs_curve
@pytest.mark.parametrize(
    ("words", "script", "code"),
    [
        ((), AGAIN, ["ZF405"]),
        (("--hardened",), NO_KEY, []),
        pytest.param(("--hardened",), AGAIN, [], marks=pytest.mark.slow),
        (("--keys-late",), NO_KEY, ["ZF406"]),
        pytest.param((), OTHER_KEY, [], marks=pytest.mark.slow),
    ],
    ids=["falls back", "hardened", "hardened, again", "keys too late", "with the key in hand"],
)
def test_a_client_that_takes_another_server(words: tuple[str, ...], script: Script, code: list[str]) -> None:
    trial = at(*words, script=script)
    (meeting,) = meetings(trial)
    assert meeting.trusted or meeting.refused
    assert told(trial) == code
