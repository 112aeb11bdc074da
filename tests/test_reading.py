"""How fast a peer reads, over real sockets and against libzmq: not at all, slowly, and on again."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
import zmq

from zmqfuzz.answers import Answers
from zmqfuzz.endpoints import connect
from zmqfuzz.peer import Peer
from zmqfuzz.reading import Record, counted
from zmqfuzz.script import Close, Connect, Expect, ReadOn, Script, Send, Shake, Step, StopReading, Wait
from zmqfuzz.trial import ClosedBy, Direction, Transcript
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Connection
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Property, encode

BODY = bytes(100_000)
RESET = struct.pack("ii", 1, 0)
MESSAGES = 200
"""20 MB: more than the largest send buffer of Linux's defaults (4 MiB), our receive buffer and a high-water mark."""


def play(endpoint: str, *steps: Step) -> Transcript:
    async def session() -> Transcript:
        async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
            return await connect(endpoint, buffer)

        release = trio.Event()
        with trio.fail_after(60):
            return await Peer(Script(steps), dial, Meter()).play(release, release.set)

    return trio.run(session)


@contextmanager
def pushing() -> Iterator[tuple[str, list[int]]]:
    """A PUSH that sends MESSAGES to its first peer, then closes; the numbers of those it could send."""
    context = zmq.Context()
    sock = context.socket(zmq.PUSH)
    sock.sndhwm = 5
    sock.linger = 0
    sock.bind("tcp://127.0.0.1:*")
    endpoint = sock.getsockopt_string(zmq.LAST_ENDPOINT)
    taken: list[int] = []
    stop = threading.Event()

    def serve() -> None:
        while len(taken) < MESSAGES and not stop.is_set():
            if sock.poll(20, zmq.POLLOUT):
                sock.send(BODY)
                taken.append(len(taken))
        sock.close(linger=0 if stop.is_set() else 20_000)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield endpoint, taken
    finally:
        stop.set()
        thread.join()
        context.term()


def test_a_peer_that_stops_reading_fills_the_high_water_mark() -> None:
    with pushing() as (endpoint, taken):
        transcript = play(endpoint, Connect(4096), Shake("PULL", within=10), StopReading(), Wait(1.0))
        assert len(taken) < MESSAGES
    assert transcript.received < len(BODY) * MESSAGES
    assert transcript.closed_by is ClosedBy.OPEN


def test_who_reads_on_gets_all_of_it() -> None:
    with pushing() as (endpoint, taken):
        steps = (StopReading(), Wait(0.3), ReadOn(), Expect("close", 40))
        transcript = play(endpoint, Connect(), Shake("PULL", within=10), *steps)
        assert len(taken) == MESSAGES
    assert transcript.received > len(BODY) * MESSAGES
    assert transcript.closed_by is not ClosedBy.OPEN


@pytest.mark.parametrize("stopped", [False, True], ids=["reading", "stopped"])
def test_waiting_is_honest_while_it_reads(stopped: bool) -> None:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.heartbeat_ivl, router.heartbeat_timeout = 50, 1000
    router.bind("tcp://127.0.0.1:*")
    pause: tuple[Step, ...] = (StopReading(), Expect("close", 10)) if stopped else (Wait(1.8), Send((Frame(b"still"),)))
    try:
        steps = (Connect(), Shake("DEALER", within=10), *pause)
        transcript = play(router.getsockopt_string(zmq.LAST_ENDPOINT), *steps)
        if not stopped:
            assert router.poll(10_000)
            assert router.recv_multipart()[1:] == [b"still"]
        replies = [entry for entry in transcript.entries if entry.note == "honest reply"]
        assert (transcript.closed_by is ClosedBy.OPEN) is (len(replies) > 3) is not stopped
    finally:
        context.destroy(linger=0)


@contextmanager
def server(talk: Callable[[socket.socket], None], family: int = socket.AF_INET) -> Iterator[str]:
    """Hands its first connection to ``talk``, in a thread, and closes it."""
    door = socket.socket(family)
    door.bind(("127.0.0.1", 0) if family == socket.AF_INET else "")
    door.listen()
    name = door.getsockname()
    address = f"tcp://127.0.0.1:{name[1]}" if family == socket.AF_INET else f"ipc://@{name[1:].decode()}"

    def serve() -> None:
        with door.accept()[0] as sock:
            talk(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address
    finally:
        thread.join()
        door.close()


def test_a_rate_is_kept() -> None:
    with server(lambda sock: sock.sendall(bytes(10_000))) as endpoint:
        transcript = play(endpoint, Connect(), ReadOn(20_000), Expect("close", 30))
    pieces = [entry for entry in transcript.entries if entry.direction is Direction.RECEIVED]
    assert transcript.received == 10_000
    assert max(len(entry.data) for entry in pieces) <= 1000
    assert pieces[-1].at - pieces[0].at >= 9 * 1000 / 20_000


def reset_it(sock: socket.socket) -> None:
    sock.sendall(b"unread")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@pytest.mark.parametrize(
    ("talk", "family", "closed_by"),
    [
        (reset_it, socket.AF_INET, ClosedBy.RST),
        (lambda sock: sock.sendall(b"unread"), socket.AF_INET, ClosedBy.FIN),
        (lambda sock: sock.sendall(b"unread"), socket.AF_UNIX, ClosedBy.FIN),
    ],
    ids=["RST", "FIN", "ipc"],
)
def test_who_does_not_read_still_sees_the_end(
    talk: Callable[[socket.socket], None], family: int, closed_by: ClosedBy
) -> None:
    heard = threading.Event()

    def late(sock: socket.socket) -> None:
        heard.wait(10)
        talk(sock)

    with server(late, family) as endpoint:
        threading.Timer(0.2, heard.set).start()
        transcript = play(endpoint, Connect(), StopReading(), Expect("close", 20))
    assert transcript.closed_by is closed_by
    assert transcript.received == 0
    assert [entry.note for entry in transcript.entries] == [closed_by.value]


def test_what_was_left_unread_can_be_read_after_the_fin() -> None:
    with server(lambda sock: sock.sendall(b"later")) as endpoint:
        transcript = play(
            endpoint, Connect(), StopReading(), Expect("close", 20), ReadOn(), Expect("bytes", 20), Close()
        )
    assert transcript.received == 5
    assert [entry.note for entry in transcript.entries].count(ClosedBy.FIN.value) == 1


def test_a_small_receive_buffer_is_small_from_the_start() -> None:
    filled: list[int] = []

    def fill(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.settimeout(0.3)
        total = 0
        try:
            while total < 1 << 22:
                total += sock.send(bytes(1024))
        except TimeoutError:
            pass
        filled.append(total)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)  # a FIN would wait behind what is not read

    for buffer in (2048, None):
        with server(fill) as endpoint:
            play(endpoint, Connect(buffer), StopReading(), Expect("close", 20))
    assert filled[0] < 32_768 < filled[1]


def test_skimmed_frames_are_told_as_read_ones() -> None:
    """What nobody wants the bodies of is read faster, and told in the same words, however the octets were cut."""
    ordinary = (Frame(b"one", more=True), Frame(Fill(300)), Frame(b""))
    odd = (Frame(b"x", long=True), Frame(b"y", reserved=0x80), Command(b"PING", b"\0\0ctx"), Frame(b"z", more=True))
    units = (*ordinary, Command(b"PONG"), *ordinary * 4, *odd, *ordinary, Frame(b"cut", declared_size=9))
    hello = (Greeting(), Command(b"READY", properties=(Property(b"Socket-Type", b"PUSH"),)))
    stream = b"".join([encode(unit) for unit in (*hello, *units)])
    for size in (1, 2, 7, 100, len(stream)):
        told = []
        for tap in (None, lambda parts: None):
            meter = Meter(tap=tap)
            connection, record, seen = Connection(), Record(meter, Answers(Script(()))), Counter[str]()
            connection.send(Greeting())
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
            notes = [counted(connection, piece, seen, record) for piece in (*pieces, b"")]
            seen_of_all = record.transcript("")
            told.append((notes, seen, meter.messages, seen_of_all.messages, seen_of_all.reached, seen_of_all.breaches))
        assert told[0] == told[1]
        assert told[0][2] == 14
