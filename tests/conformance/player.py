"""Plays a row against a real libzmq socket of this process, with zmqfuzz's own peers, and tells the reaction.

No wait is judged by how long it took, but for one: what waits for the timer does not close before it. What is expected
to happen is given long enough for a busy machine; only what must not happen (a close, a delivery) is given little.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio
import zmq

from tests.conformance.row import Reaction, Row, Stage
from zmqfuzz.endpoints import address_of, connect, listen
from zmqfuzz.injector import inject
from zmqfuzz.peer import Dial
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.trial import ClosedBy, Direction, Transcript
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp import Command, Frame, Greeting, Greeting1, Greeting2, Property, Role, Unit, peer_type

__all__ = ["observe"]

TIMER = 0.3
"""HANDSHAKE_IVL in seconds where a row is to run into it."""

LONG, SHORT = 60.0, 0.6
"""Seconds for what should happen, and for what should not."""

TICK = 0.02
HONEST = b"honest"
SERVER_PUBLIC, SERVER_SECRET = zmq.curve_keypair() if zmq.has("curve") else (b"", b"")


@dataclass
class Seen:
    """What one play showed: messages of the application, how the connection stood at the end, at what second."""

    messages: list[bytes] = field(default_factory=list)
    honest: bool = False
    closed: bool = False
    seconds: float = 0.0
    back: bool = False


async def observe(row: Row, context: zmq.Context[zmq.Socket[bytes]]) -> Reaction:
    """The reaction of this process's libzmq to ``row``; ``row.reaction`` only says how patiently to look."""
    quiet = row.reaction in (Reaction.TIMER, Reaction.STALLS)
    seen = await _play(row, context, 0.0, SHORT if quiet else LONG)
    if seen.closed and row.side == "connect":
        return Reaction.COMES_BACK if seen.back else Reaction.GIVES_UP
    if seen.closed:
        return Reaction.CLOSES
    if seen.messages:
        return Reaction.DELIVERS
    if seen.honest:
        accepts = row.stage in (Stage.GREETING, Stage.HANDSHAKE) or not row.units
        return Reaction.ACCEPTS if accepts else Reaction.DROPS
    seen = await _play(row, context, TIMER, LONG if row.reaction is Reaction.TIMER else TIMER + SHORT)
    return Reaction.TIMER if seen.closed and seen.seconds > TIMER * 0.8 else Reaction.STALLS


async def _play(row: Row, context: zmq.Context[zmq.Socket[bytes]], timer: float, patience: float) -> Seen:
    seen, heard = Seen(), trio.Event()
    meter = Meter()
    async with _socket(row, context, timer) as (sock, dial), trio.open_nursery() as nursery:
        nursery.start_soon(_application, sock, row, seen, heard)
        attack = Attack((Script(tuple(_steps(row, patience))),))
        role = Role.CLIENT if row.side == "bind" else Role.SERVER
        (transcript,) = await inject(attack, dial, meter, role=role, seconds=3 * LONG, stop=heard)
        seen.closed = transcript.closed_by in (ClosedBy.FIN, ClosedBy.RST)
        seen.seconds = meter.now()
        seen.honest = seen.honest or _answered(row, transcript)
        if seen.closed and row.side == "connect":
            with trio.move_on_after(LONG if row.reaction is Reaction.COMES_BACK else SHORT):
                (await dial(None)).close()
                seen.back = True
        nursery.cancel_scope.cancel()
    return seen


@asynccontextmanager
async def _socket(
    row: Row, context: zmq.Context[zmq.Socket[bytes]], timer: float
) -> AsyncIterator[tuple[zmq.Socket[bytes], Dial]]:
    """A fresh libzmq socket, and how to get a connection with it."""
    with context.socket(getattr(zmq, row.socket_type)) as sock:
        sock.linger = 0
        sock.handshake_ivl = int(timer * 1000)
        sock.reconnect_ivl = 20
        sock.maxmsgsize = row.max_size
        if row.socket_type == "SUB":
            sock.subscribe(b"")
        if row.mechanism == "PLAIN":
            sock.plain_server, sock.zap_domain = True, b"conformance"
        elif row.mechanism == "CURVE":
            sock.curve_server, sock.curve_secretkey = True, SERVER_SECRET
        if row.side == "bind":
            sock.bind("tcp://127.0.0.1:*")
            address = sock.get_string(zmq.LAST_ENDPOINT)

            async def dial(buffer: int | None = None) -> trio.socket.SocketType:
                return await connect(address)

            yield sock, dial
            return
        listener = await listen("tcp://127.0.0.1:0")
        try:
            sock.connect(address_of(listener))

            async def accept(buffer: int | None = None) -> trio.socket.SocketType:
                return (await listener.accept())[0]

            yield sock, accept
        finally:
            listener.close()


async def _application(sock: zmq.Socket[bytes], row: Row, seen: Seen, heard: trio.Event) -> None:
    """Read all that comes, as an application would; publish, or ask, where the pattern speaks first."""
    while True:
        with suppress(zmq.Again, zmq.ZMQError):
            if row.socket_type in ("PUB", "XPUB", "REQ"):
                sock.send(HONEST, zmq.NOBLOCK)
        with suppress(zmq.Again, zmq.ZMQError):
            while row.socket_type not in ("PUB", "PUSH"):
                parts = sock.recv_multipart(zmq.NOBLOCK)[row.socket_type == "ROUTER" :]
                if parts[-1].endswith(HONEST):
                    seen.honest = True
                    parts.pop()
                if parts:
                    seen.messages.append(b" ".join(parts))
                if seen.honest or row.alone:
                    heard.set()
                if row.socket_type == "REP":  # it reads no more before it has answered
                    sock.send(b"answer")
        sock.get(zmq.EVENTS)  # lets libzmq do what it does only when the application calls
        await trio.sleep(TICK)


def _steps(row: Row, patience: float) -> list[Step]:
    steps: list[Step] = [Connect()]
    kind = peer_type(row.socket_type)[0]
    ready = Command(b"READY", properties=(Property(b"Socket-Type", kind.encode()),))
    match row.stage:
        case Stage.OPENING:
            steps += [Send(row.units)]
        case Stage.GREETING:
            steps += [Send(row.units)]
            if not row.alone:
                steps += [Expect("greeting", patience), Send((ready,)), Expect("ready", patience)]
        case Stage.HANDSHAKE:
            greeting = Greeting(mechanism=row.mechanism.encode())
            steps += [Send((greeting,)), Expect("greeting", patience), Send(row.units), Expect("ready", patience)]
        case Stage.TRAFFIC:
            steps += [Shake(kind, within=patience)]
            steps += [Expect("message", patience)] if row.socket_type == "REQ" else []  # it asks before it listens
            steps += [Send(row.units)]
        case Stage.V1:
            steps += [Send((Greeting1(),)), Send(row.units)]
        case Stage.V2:
            steps += [Send((Greeting2(),)), Expect("bytes", patience), Send(row.units)]
    if not row.alone:
        steps += [Send(_honest(row))]
        if row.socket_type in ("PUB", "PUSH"):
            return [*steps, Expect("message", patience)]
    return [*steps, Expect("close", patience)]


def _honest(row: Row) -> tuple[Unit, ...]:
    """A message that the application, or we, must see when the connection is still of use."""
    match row.socket_type:
        case "REP" | "REQ":
            return (Frame(b"", more=True), Frame(HONEST))
        case "XPUB" | "PUB":
            return (Frame(b"\x01" + HONEST),)
        case "PUSH":
            return (Command(b"PING", b"\0\0" + HONEST),)
        case _:
            return (Frame(HONEST),)


def _answered(row: Row, transcript: Transcript) -> bool:
    """Whether a socket that reads nothing has published what we subscribed to, or answered our PING."""
    received = b"".join(entry.data for entry in transcript.entries if entry.direction is Direction.RECEIVED)
    return row.socket_type in ("PUB", "PUSH") and HONEST in received
