"""Doors behind PLAIN and CURVE, of real libzmq programs: learnt, asked honestly, and attacked behind the lock."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import zmq

import zmqfuzz
from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.plain import attack_from_lines, attack_to_lines
from zmqfuzz.catalogue import Family, Situation, families
from zmqfuzz.credentials import Credentials
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.harness import Harness
from zmqfuzz.probe import UNASKED
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.trial import Direction, Reached, Surface, Transcript
from zmqfuzz.zmtp.wire import CurveCommand, Frame

EXAMPLE = str(Path(__file__).resolve().parent.parent / "targets" / "examples" / "curve.py")
PLAIN = """
import sys, threading, zmq
context, ready = zmq.Context(), threading.Event()
def gate():
    zap = context.socket(zmq.REP)
    zap.bind("inproc://zeromq.zap.01")
    ready.set()
    while True:
        version, number, *_, name, password = zap.recv_multipart()
        good = (name, password) == (b"me", b"secret")
        zap.send_multipart([version, number, b"200" if good else b"400", b"", b"", b""])
threading.Thread(target=gate, daemon=True).start()
ready.wait()
echo = context.socket(zmq.ROUTER)
echo.plain_server, echo.zap_domain = True, b"echo"
echo.bind("tcp://127.0.0.1:*")
while True:
    echo.send_multipart(echo.recv_multipart())
"""
CLIENT = """
import sys, zmq
endpoint, mechanism, *keys = sys.argv[1:]
client = zmq.Context().socket(zmq.DEALER)
client.linger, client.reconnect_ivl = 0, 20
if mechanism == "CURVE":
    client.curve_serverkey = keys[0].encode()
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
else:
    client.plain_username, client.plain_password = b"me", b"secret"
client.connect(endpoint)
while True:
    client.send(b"news")
    client.poll(50)
"""
T = TypeVar("T")

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


def pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def curve(*options: str, secret: str = "", credentials: Credentials | None = None) -> Spec:
    # Joined with "=": a key may begin with a dash.
    words = (sys.executable, EXAMPLE, "--hardened", f"--secret-key={secret or pair()[1]}", *options)
    return Spec(words, credentials=credentials or Credentials())


def plain(credentials: Credentials | None = None) -> Spec:
    return Spec((sys.executable, "-c", PLAIN), credentials=credentials or Credentials())


@asynccontextmanager
async def door(spec: Spec) -> AsyncIterator[tuple[Harness, Surface]]:
    async with spec.harness() as harness:
        (surface,) = harness.surfaces(await harness.standing())
        yield harness, surface


def at(spec: Spec, work: Callable[[Harness, Surface], Awaitable[T]]) -> T:
    async def session() -> T:
        with trio.fail_after(240):
            async with door(spec) as (harness, surface):
                return await work(harness, surface)

    return trio.run(session)


async def play(harness: Harness, surface: Surface, *scripts: Script) -> tuple[Transcript, ...]:
    return (await harness.trial(Attack(scripts, seed=7), surface.key)).transcripts


def notes(transcript: Transcript) -> str:
    return " ".join(entry.note for entry in transcript.entries if entry.direction is Direction.RECEIVED)


def test_a_curve_door_whose_key_is_known_is_learnt_and_answers() -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        assert (surface.mechanism, surface.socket_type, surface.known) == ("CURVE", "ROUTER", True)
        result = await harness.calibrate(surface.key)
        assert (result.level, result.ok) == ("application", True)

    public, secret = pair()
    at(curve("--socket", "ROUTER", secret=secret, credentials=Credentials.read(server_key=public)), work)


@pytest.mark.parametrize("spec", [curve(), plain()], ids=["CURVE", "PLAIN"])
def test_a_door_whose_secret_is_not_known_is_not_asked(spec: Spec) -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        assert (surface.socket_type, surface.known) == ("", False)
        assert (await harness.calibrate(surface.key)).level == UNASKED
        shake = Shake("DEALER", mechanism=surface.mechanism, within=1, stranger=True)
        (transcript,) = await play(harness, surface, Script((Connect(), shake)))
        assert transcript.reached < Reached.TRAFFIC

    at(spec, work)


def test_wrong_keys_are_told_before_any_attack() -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        result = await harness.calibrate(surface.key)
        assert not result.ok
        assert "are the keys and the password the right ones?" in result.detail

    at(curve(credentials=Credentials.read(server_key=pair()[0])), work)


def test_only_the_client_that_is_allowed_gets_in() -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        assert (await harness.calibrate(surface.key)).ok
        honest = Script((Connect(), Shake("REQ", mechanism="CURVE"), Send((Frame(b"", more=True), Frame(b"hello")))))
        stranger = Script((Connect(), Shake("REQ", mechanism="CURVE", stranger=True, within=1)))
        first, second = await play(harness, surface, honest, stranger)
        assert first.reached is Reached.TRAFFIC
        assert second.reached is Reached.HANDSHAKE
        assert "ERROR 400" in notes(second)

    server, client = pair(), pair()
    known = Credentials.read(server_key=server[0], client_key=":".join(client))
    at(curve(f"--allow={client[0]}", secret=server[1], credentials=known), work)


def test_a_saved_attack_is_sealed_anew_each_time_it_is_played() -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        steps: tuple[Step, ...] = (
            Connect(),
            Shake("DEALER", mechanism="CURVE"),
            Send((Frame(b"", more=True), Frame(b"again")), times=3),
            *[Expect("message", within=5)] * 6,
            Send((CurveCommand(b"MESSAGE", nonce="repeat"),)),
            Expect("close", within=5),
        )
        attack, _ = attack_from_lines(attack_to_lines(Attack((Script(steps),)), {}))
        sent = set()
        for _ in range(2):
            (transcript,) = (await harness.trial(attack, surface.key)).transcripts
            assert notes(transcript).count("frame MORE=0 size=5") == 3
            assert transcript.closed_by.name in ("FIN", "RST")
            sent |= {entry.data for entry in transcript.entries if entry.note.startswith("sealed")}
        assert len(sent) == 4

    public, secret = pair()
    at(curve("--socket", "ROUTER", secret=secret, credentials=Credentials.read(server_key=public)), work)


async def reaches(harness: Harness, surface: Surface, family: Family) -> Reached:
    """The furthest that a few attacks of the family get."""
    situation, best = Situation(surface, Limits(), Budget()), Reached.NOTHING
    for seed in range(40):
        attack = Attack(family.draw(RandomDraw(seed), situation), family.name, seed)
        best = max(best, (await harness.trial(attack, surface.key)).reached)
        if best >= family.needs:
            break
    return best


@pytest.mark.parametrize("mechanism", ["CURVE", "PLAIN"])
def test_every_family_gets_behind_the_lock(mechanism: str) -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        assert surface.mechanism == mechanism
        fitting = [family for family in families().values() if family.applies(surface)]
        assert {family.mechanism for family in fitting} == {"", mechanism}
        short = {}
        for family in fitting:
            reached = await reaches(harness, surface, family)
            if reached < family.needs:
                short[family.name] = reached.name
        assert short == {}

    public, secret = pair()
    if mechanism == "CURVE":
        at(curve("--socket", "ROUTER", secret=secret, credentials=Credentials.read(server_key=public)), work)
    else:
        at(plain(Credentials(username="me", password="secret")), work)


@pytest.mark.parametrize("mechanism", ["CURVE", "PLAIN"])
def test_a_client_with_a_lock_meets_a_hostile_server_that_has_the_key(mechanism: str) -> None:
    async def work(harness: Harness, surface: Surface) -> None:
        assert (surface.mechanism, surface.socket_type, surface.known) == (mechanism, "DEALER", True)
        result = await harness.calibrate(surface.key)
        assert (result.level, result.ok) == ("application", True)
        shake = Shake("ROUTER", mechanism=mechanism, within=5)
        (transcript,) = await play(harness, surface, Script((Connect(), shake, Expect("message", 5))))
        assert transcript.reached is Reached.TRAFFIC
        assert "size=4" in notes(transcript)
        for family in families().values():
            if family.mechanism == mechanism:
                assert await reaches(harness, surface, family) >= family.needs

    public, secret = pair()
    endpoint = trio.run(_free)
    spec = Spec(
        (sys.executable, "-c", CLIENT, endpoint, mechanism, *([public] if mechanism == "CURVE" else [])),
        bind=(endpoint,),
        credentials=Credentials.read(our_secret_key=secret),
    )
    at(spec, work)


@pytest.mark.parametrize(
    ("secrets", "locked"),
    [({}, {"NULL"}), ({"server_key": "0" * 40}, {"NULL", "CURVE"}), ({"username": "me"}, {"NULL", "PLAIN"})],
    ids=["nothing", "key", "user"],
)
def test_a_suite_has_the_items_that_fit_what_was_declared(secrets: dict[str, Any], locked: set[str]) -> None:
    mark = zmqfuzz.target(["server"], **secrets).parametrize().mark
    items = {item.id for item in mark.args[1]}
    fitting = {
        name
        for name, family in families().items()
        if family.mechanism in locked | {""} and (secrets or not family.locked)
    }
    assert items == fitting


async def _free() -> str:
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
