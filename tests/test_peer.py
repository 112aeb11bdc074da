"""One peer over real sockets: what it sends, octet by octet, how it leaves, and what it bears."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.endpoints import connect
from zmqfuzz.peer import Peer
from zmqfuzz.reading import KEPT, MOST_ENTRIES
from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.trial import ClosedBy, Direction, Reached, Transcript
from zmqfuzz.writer import MOST_PIECES, STALL, Meter
from zmqfuzz.zmtp.connection import Connection
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Greeting1, Greeting2, Property, Raw, Unit, encode

MIB = 1 << 20


@dataclass
class Seen:
    """One connection as a server saw it that knows nothing of ZeroMQ."""

    data: bytearray = field(default_factory=bytearray)
    reads: int = 0
    end: str = "open"
    ended: threading.Event = field(default_factory=threading.Event)


class Recorder:
    """Accepts in a thread; keeps what each connection brings. ``talk`` may speak first, and says whether to read."""

    def __init__(self, transport: str, talk: Callable[[socket.socket], bool] = lambda sock: True) -> None:
        self.seen: list[Seen] = []
        self._talk = talk
        self._open: list[socket.socket] = []
        if transport == "ipc":
            path = f"{tempfile.mkdtemp(prefix='zf-peer-')}/socket"
            self._door = socket.socket(socket.AF_UNIX)
            self._door.bind(path)
            self._door.listen(128)
            self.endpoint = f"ipc://{path}"
        else:
            self._door = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.endpoint = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._door.accept()
            except OSError:
                return
            self._open.append(sock)
            self.seen.append(Seen())
            threading.Thread(target=self._read, args=(sock, self.seen[-1]), daemon=True).start()

    def _read(self, sock: socket.socket, seen: Seen) -> None:
        try:
            while self._talk(sock) and (data := sock.recv(65536)):
                seen.data += data
                seen.reads += 1
            seen.end = "FIN"
        except OSError as error:
            seen.end = "RST" if error.errno == 104 else str(error)
        sock.close()
        seen.ended.set()

    def wait(self, count: int) -> list[Seen]:
        """The connections in the order they came, once there are ``count`` and all have ended."""
        deadline = time.monotonic() + 10
        while len(self.seen) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(self.seen) == count
        assert all(seen.ended.wait(10) for seen in self.seen)
        return self.seen

    def close(self) -> None:
        self._door.close()
        for sock in self._open:
            sock.close()
        if self.endpoint.startswith("ipc://"):
            path = self.endpoint.removeprefix("ipc://")
            os.unlink(path)
            os.rmdir(os.path.dirname(path))


@contextmanager
def recording(transport: str = "tcp", talk: Callable[[socket.socket], bool] = lambda sock: True) -> Iterator[Recorder]:
    recorder = Recorder(transport, talk)
    try:
        yield recorder
    finally:
        recorder.close()


def play(endpoint: str, *steps: Step, within: float = 20.0) -> Transcript:
    """The transcript of one peer, released as soon as its steps have ended."""

    async def session() -> Transcript:
        async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
            return await connect(endpoint, buffer)

        release = trio.Event()
        with trio.fail_after(within):
            return await Peer(Script(steps), dial, Meter()).play(release, release.set)

    return trio.run(session)


def told(transcript: Transcript) -> bytes:
    """What the transcript says was sent."""
    return b"".join(item.data * item.times for item in transcript.entries if item.direction is Direction.SENT)


def notes(transcript: Transcript) -> list[str]:
    return [item.note for item in transcript.entries if item.direction is Direction.NOTE]


octets = st.binary(max_size=40)
units: st.SearchStrategy[Unit] = st.one_of(
    st.builds(Raw, octets),
    st.builds(
        Frame,
        octets | st.builds(Fill, st.integers(0, 70_000), st.integers(0, 255)),
        more=st.booleans(),
        command=st.booleans(),
        long=st.sampled_from([None, True, False]),
        declared_size=st.none() | st.integers(0, 2**64 - 1),
        reserved=st.integers(0, 255),
    ),
    st.builds(Command, octets, octets, st.lists(st.builds(Property, octets, octets), max_size=2).map(tuple)),
    st.builds(Greeting, filler=octets),
    st.builds(Greeting1, octets),
    st.builds(Greeting2, identity=octets),
)
sends = st.builds(
    Send,
    st.lists(units, min_size=1, max_size=3).map(tuple),
    times=st.sampled_from([1, 2, 3, 7, 50]),
    chunk=st.sampled_from([None, 1, 2, 9, 64, 5000]),
    every=st.sampled_from([0.0, 0.0, 0.0001]),
)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_server_receives_exactly_what_the_transcript_says_was_sent(transport: str) -> None:
    with recording(transport) as recorder:

        @settings(max_examples=40)
        @given(st.lists(sends, max_size=3))
        def exactly(steps: list[Send]) -> None:
            recorder.seen.clear()
            transcript = play(recorder.endpoint, Connect(), *steps, Close())
            (seen,) = recorder.wait(1)
            speech = Connection()  # frames follow the version that was greeted with
            meant = b"".join(b"".join(map(speech.send, step.units)) * step.times for step in steps)
            assert seen.data == told(transcript) == meant
            assert transcript.sent == len(meant)
            assert (seen.end, transcript.closed_by) == ("FIN", ClosedBy.US)

        exactly()


@pytest.mark.parametrize(("chunk", "times", "pause"), [(2, 1, 0.02), (None, 6, 0.02)], ids=["chunks", "repeats"])
def test_every_is_the_time_between_two_writes(chunk: int | None, times: int, pause: float) -> None:
    body = b"0123456789ab" if chunk else b"ab"
    with recording() as recorder:
        started = time.monotonic()
        play(recorder.endpoint, Connect(), Send((Raw(body),), times=times, chunk=chunk, every=pause), Close())
        assert time.monotonic() - started >= 5 * pause
        (seen,) = recorder.wait(1)
        assert seen.data == body * times
        assert seen.reads > 1


def test_a_large_body_in_small_pieces_does_not_take_for_ever() -> None:
    with recording() as recorder:
        transcript = play(recorder.endpoint, Connect(), Send((Raw(Fill(4 * MIB)),), chunk=1, every=0.0005), Close())
        (seen,) = recorder.wait(1)
        assert len(seen.data) == transcript.sent == 4 * MIB
        assert seen.reads >= MOST_PIECES / 8


def test_many_repeats_are_one_entry() -> None:
    with recording() as recorder:
        transcript = play(recorder.endpoint, Connect(), Send((Frame(b"x"),), times=1_000_003), Close())
        assert recorder.wait(1)[0].data == b"\x00\x01x" * 1_000_003
        (entry,) = [item for item in transcript.entries if item.direction is Direction.SENT]
        assert (entry.data, entry.times, entry.note) == (b"\x00\x01x", 1_000_003, "")


LEAVINGS = [
    ("tcp", (Close(),), "FIN", ClosedBy.US),
    ("tcp", (Reset(),), "RST", ClosedBy.US),
    ("tcp", (ShutdownWrite(), Wait(0.1)), "FIN", ClosedBy.FIN),
    ("tcp", (), "RST", ClosedBy.OPEN),
    ("ipc", (Close(),), "FIN", ClosedBy.US),
    ("ipc", (Reset(),), "FIN", ClosedBy.US),
    ("ipc", (ShutdownWrite(), Wait(0.1)), "FIN", ClosedBy.FIN),
]


@pytest.mark.parametrize(("transport", "leave", "end", "closed_by"), LEAVINGS)
def test_how_a_peer_leaves_is_what_the_server_sees(
    transport: str, leave: tuple[Step, ...], end: str, closed_by: ClosedBy
) -> None:
    with recording(transport) as recorder:
        transcript = play(recorder.endpoint, Connect(), Send((Raw(b"bye"),)), *leave)
        (seen,) = recorder.wait(1)
        assert (bytes(seen.data), seen.end) == (b"bye", end)
        assert transcript.closed_by is closed_by


def test_a_half_closed_peer_still_reads() -> None:
    def after_the_fin(sock: socket.socket) -> bool:
        while sock.recv(1000):
            pass
        sock.sendall(b"later")
        return False

    with recording(talk=after_the_fin) as recorder:
        transcript = play(recorder.endpoint, Connect(), ShutdownWrite(), Expect("bytes", within=5))
    assert transcript.received == 5
    assert notes(transcript)[0].startswith("half-closed")


def test_who_reads_nothing_ends_the_send_and_not_the_script() -> None:
    with recording(talk=lambda sock: threading.Event().wait(8)) as recorder:
        started = time.monotonic()
        transcript = play(recorder.endpoint, Connect(), Send((Frame(Fill(MIB)),), times=64), Close())
        seconds = time.monotonic() - started
    assert STALL <= seconds < 4 * STALL
    assert f"target took nothing for {STALL:g} s" in notes(transcript)
    (entry,) = [item for item in transcript.entries if item.direction is Direction.SENT]
    assert entry.note.startswith(f"target took {transcript.sent:,} of ")
    assert 0 < transcript.sent < 64 * MIB
    assert entry.times <= transcript.sent // len(entry.data) + 1
    assert transcript.closed_by is ClosedBy.US


@pytest.mark.parametrize("polite", [False, True])
def test_a_target_that_closes_in_the_middle_of_a_send(polite: bool) -> None:
    def closing(sock: socket.socket) -> bool:
        sock.recv(1000)
        if polite:
            sock.shutdown(socket.SHUT_WR)  # FIN before the RST
        return False

    with recording(talk=closing) as recorder:
        steps = (Send((Raw(Fill(MIB)),), times=32), Send((Raw(b"more"),)), Expect("message", within=5), Close())
        started = time.monotonic()
        transcript = play(recorder.endpoint, Connect(), *steps)
    assert time.monotonic() - started < 4
    assert transcript.closed_by in (ClosedBy.FIN, ClosedBy.RST)
    assert transcript.sent < 32 * MIB
    assert transcript.closed_by.value in notes(transcript)


def test_a_refused_connection_is_recorded_and_the_script_goes_on() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        steps = (Send((Raw(b"x"),)), Shake("DEALER"), Expect("close"), ShutdownWrite(), Reset(), Close())
        transcript = play(endpoint, Connect(), *steps)
    assert transcript.closed_by is ClosedBy.REFUSED
    (note,) = notes(transcript)
    assert note.startswith("not connected: ")
    assert note.endswith("Connection refused")
    assert (transcript.sent, transcript.reached) == (0, Reached.NOTHING)
    assert play("ipc:///nowhere/zmqfuzz.sock", Connect()).closed_by is ClosedBy.REFUSED


def test_a_script_can_connect_again() -> None:
    with recording() as recorder:
        first, second, third = (Send((Raw(text),)) for text in (b"one", b"two", b"three"))
        transcript = play(recorder.endpoint, Connect(), first, Close(), Connect(), second, Connect(), third, Close())
        seen = [(bytes(seen.data), seen.end) for seen in recorder.wait(3)]
    assert seen == [(b"one", "FIN"), (b"two", "RST"), (b"three", "FIN")]
    assert told(transcript) == b"onetwothree"
    assert transcript.closed_by is ClosedBy.US


def test_received_data_past_the_cap_is_counted_and_not_kept() -> None:
    def talk(sock: socket.socket) -> bool:
        sock.sendall(encode(Greeting()))
        for _ in range(40):
            sock.sendall(encode(Frame(Fill(99_991))))
        return False

    with recording(talk=talk) as recorder:
        transcript = play(recorder.endpoint, Connect(), Expect("close", within=10), Wait(0.3))
    kept = sum(len(item.data) for item in transcript.entries)
    assert kept <= KEPT < transcript.received <= 4_000_064
    assert len(transcript.entries) <= MOST_ENTRIES + 2


def test_frames_follow_the_version_that_the_target_speaks() -> None:
    def old(sock: socket.socket) -> bool:
        if not getattr(old, "said", False):
            sock.sendall(encode(Greeting1(b"id")))
            old.said = True  # type: ignore[attr-defined]
        return True

    with recording(talk=old) as recorder:
        steps = (Send((Greeting1(),)), Expect("greeting", within=5), Send((Frame(b"x"),)), Close())
        transcript = play(recorder.endpoint, Connect(), *steps)
        # RFC 13: length, flags, body
        assert recorder.wait(1)[0].data == told(transcript) == b"\x01\x00" + b"\x02\x00x"


def heartbeat(sock: socket.socket) -> bool:
    """Shakes hands, asks for a sign of life, reads."""
    ready = encode(Command(b"READY", properties=(Property(b"Socket-Type", b"ROUTER"),)))
    sock.sendall(encode(Greeting()) + ready)
    while len(sock.recv(1, socket.MSG_PEEK | socket.MSG_WAITALL)) and not sock.recv(65536).endswith(b"a"):
        pass
    sock.sendall(encode(Command(b"PING", b"\0\0")))
    while sock.recv(65536):
        pass
    return False


def test_what_could_not_be_sent_any_more_is_not_told_as_sent() -> None:
    with recording(talk=heartbeat) as recorder:
        steps = (Shake("DEALER", within=5), Send((Raw(b"ab"),), chunk=1, every=0.3), Expect("close", within=0), Close())
        transcript = play(recorder.endpoint, Connect(), *steps)
    assert len(told(transcript)) == transcript.sent
