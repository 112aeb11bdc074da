"""Several peers whose scripts are interleaved by signals, and a peer that vanishes; real sockets throughout."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
import zmq

from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.script import Attack, Await, Close, Connect, Expect, Script, Send, Shake, Signal, Step, Vanish, Wait
from zmqfuzz.trial import ClosedBy, Transcript
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.wire import Frame, Raw

TCPI_UNACKED = 24
"""Offset of the segments sent and not acknowledged in ``struct tcp_info`` (linux/tcp.h)."""


def play(
    endpoint: str, *scripts: Script, seconds: float = 30.0, held: Callable[[], Awaitable[None]] | None = None
) -> tuple[Transcript, ...]:
    async def session() -> tuple[Transcript, ...]:
        async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
            return await connect(endpoint, buffer)

        with trio.fail_after(60):
            return await inject(Attack(scripts), dial, Meter(), seconds=seconds, held=held)

    return trio.run(session)


def notes(transcript: Transcript) -> list[str]:
    return [entry.note for entry in transcript.entries if not entry.data]


@contextmanager
def echoing(endpoint: str) -> Iterator[tuple[str, list[bytes]]]:
    """A ROUTER that sends every message back; the bodies in the order they came."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.bind(endpoint)
    address = router.getsockopt_string(zmq.LAST_ENDPOINT)
    bodies: list[bytes] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if router.poll(10):
                message = router.recv_multipart()
                bodies.append(message[-1])
                router.send_multipart(message)
        router.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address, bodies
    finally:
        stop.set()
        thread.join()
        context.term()


def said(text: bytes) -> tuple[Step, ...]:
    """Send it, and know that it was taken."""
    return Send((Frame(text),)), Expect("message", 20)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_signals_interleave_scripts(transport: str) -> None:
    shaken = (Connect(), Shake("DEALER", within=20))
    victim = (*shaken, *said(b"1"), Signal("one"), Await("two", 20), *said(b"3"), Signal("three"))
    attacker = (*shaken, Await("one", 20), *said(b"2"), Signal("two"), Await("three", 20), *said(b"4"))
    address = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://@zmqfuzz-{os.getpid()}-signals"
    for first in (0, 1):
        scripts = [Script(victim, label="victim"), Script(attacker, label="attacker")]
        with echoing(address) as (endpoint, bodies):
            transcripts = play(endpoint, scripts[first], scripts[1 - first])
            assert bodies == [b"1", b"2", b"3", b"4"]
        assert not any(notes(transcript) for transcript in transcripts)


def test_a_signal_stays_given_and_reaches_every_peer() -> None:
    with echoing("tcp://127.0.0.1:*") as (endpoint, bodies):
        early = Script((Signal("go"),))
        late = Script((Connect(), Shake("DEALER", within=20), Await("go", 20), *said(b"x")), times=9)
        transcripts = play(endpoint, early, late)
        assert bodies == [b"x"] * 9
    assert not any(notes(transcript) for transcript in transcripts)


def test_a_signal_that_never_comes_is_told_and_ends_at_its_deadline() -> None:
    with echoing("tcp://127.0.0.1:*") as (endpoint, bodies):
        waiting = Script((Connect(), Shake("DEALER", within=20), Await("go", 0.2), *said(b"on")))
        slow = Script((Await("done", 20), Signal("go")))
        ends = Script((Wait(1.0), Signal("done")))
        transcript, *_ = play(endpoint, waiting, slow, ends)
        assert bodies == [b"on"]
    assert notes(transcript) == ["nobody signalled 'go': waited 0.2 s"]


def test_nobody_waits_for_what_no_peer_is_left_to_signal() -> None:
    with echoing("tcp://127.0.0.1:*") as (endpoint, _):
        waiting = Script((Connect(), Await("go", 3600)))
        (alone,) = play(endpoint, waiting, seconds=20)
        circle = [Script((Await("a", 0.1), Signal("b"))), Script((Await("b", 3600), Await("c", 3600)))]
        transcripts = play(endpoint, *circle, seconds=20)
    assert notes(alone) == ["nobody signalled 'go': no peer is left that would"]
    assert [notes(transcript)[0][:20] for transcript in transcripts] == ["nobody signalled 'a'", "nobody signalled 'c'"]


def test_a_peer_that_vanishes_acknowledges_nothing_and_is_reset_at_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        accepted: list[socket.socket] = []

        async def held() -> None:
            sock, _ = door.accept()
            accepted.append(sock)
            sock.settimeout(0.3)
            assert sock.recv(100) == b"here"
            sock.send(b"are you there?")
            with pytest.raises(TimeoutError):
                sock.recv(100)
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            assert struct.unpack_from("=I", info, TCPI_UNACKED)[0] == 1

        steps = (Connect(), Send((Raw(b"here"),)), Vanish(), Send((Raw(b"gone"),)), Close())
        (transcript,) = play(f"tcp://127.0.0.1:{door.getsockname()[1]}", Script(steps), held=held)
        with accepted[0] as sock, pytest.raises(ConnectionResetError):
            sock.recv(100)
    assert (transcript.sent, transcript.closed_by, transcript.missed) == (4, ClosedBy.OPEN, ())


def test_a_peer_that_vanished_may_connect_again_beside() -> None:
    with echoing("tcp://127.0.0.1:*") as (endpoint, bodies):
        first = (Connect(), Shake("DEALER", identity=b"a", within=20), *said(b"1"), Vanish())
        again = (Connect(), Shake("DEALER", identity=b"b", within=20), *said(b"2"))
        (transcript,) = play(endpoint, Script((*first, *again)))
        assert bodies == [b"1", b"2"]
    assert transcript.missed == ()


def test_where_a_peer_cannot_vanish_that_is_said_and_the_script_goes_on() -> None:
    with echoing(f"ipc://@zmqfuzz-{os.getpid()}-vanish") as (endpoint, bodies):
        steps = (Connect(), Shake("DEALER", within=20), Vanish(), *said(b"still here"))
        (transcript,) = play(endpoint, Script(steps))
        assert bodies == [b"still here"]
    (missed,) = transcript.missed
    assert missed.startswith("could not vanish: an ipc connection")
    assert missed in notes(transcript)
