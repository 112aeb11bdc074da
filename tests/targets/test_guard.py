"""The message guard: what it lets pass, what it refuses, and that it lets go of what it held."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from zmqfuzz.targets.examples.guard import Inspector, Limits

GUARD = Path(__file__).parents[2] / "targets" / "examples" / "guard.py"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


LIMITS = Limits(max_frame=1000, max_message=3000, max_frames=10, max_handshake=100)
TRAFFIC = {  # octets after the handshake: why they are refused
    "at the limits": (
        frame(b"a" * 1000, 1) * 2 + frame(b"a" * 1000) + frame(b"", 1) * 9 + frame(b"") + frame(b"b"),
        "",
    ),
    "pings alone": (frame(b"\x04PING\0\0", 4) * 50, ""),
    "long form": (b"\x02" + struct.pack(">Q", 3) + b"abc" + frame(b"c"), ""),
    "frame": (frame(b"ok") + b"\x02" + struct.pack(">Q", 1001), "frame of 1001 octets"),
    "huge": (b"\x03" + b"\xff" * 8, "frame of 18446744073709551615 octets"),
    "message": (frame(b"a" * 1000, 1) * 3 + frame(b"a"), "message of 3001 octets or more"),
    "frames": (frame(b"", 1) * 11, "message of 11 frames or more"),
    "ping is no end": ((frame(b"a", 1) + frame(b"\x04PING\0\0", 4)) * 6, "message of 11 frames or more"),
    "command with more": (frame(b"\x09SUBSCRIBE", 5), "flags 0x05"),
    "reserved": (frame(b"a", 8), "flags 0x08"),
}


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 16])
@pytest.mark.parametrize("case", TRAFFIC)
def test_inspector_verdict_does_not_hang_on_how_the_octets_arrive(case: str, chunk: int) -> None:
    traffic, refusal = TRAFFIC[case]
    stream, inspector, passed = GREETING + READY + traffic, Inspector(LIMITS), b""
    for at in range(0, len(stream), chunk):
        passed += inspector.admit(memoryview(stream[at : at + chunk]))
        if inspector.refusal:
            break
    assert inspector.refusal == refusal
    assert stream.startswith(passed)
    assert (passed == stream) is not bool(refusal)


@pytest.mark.parametrize(
    "opening",
    [
        b"\x01\0",
        b"GET / HTTP/1.1\r\n\r\n",
        GREETING[:10] + b"\x01\x05\0\0",
        GREETING.replace(b"NULL", b"CURV"),
        GREETING + frame(b"x"),
        GREETING + frame(bytes(101), 4),
        GREETING + b"\x06" + b"\xff" * 8,
    ],
)
def test_inspector_refuses_other_openings(opening: bytes) -> None:
    inspector = Inspector(LIMITS)
    inspector.admit(memoryview(opening))
    assert inspector.refusal
    assert not inspector.ready


class Relay:
    """A guard process between the test as a client and the test as the service behind it."""

    def __init__(self, process: subprocess.Popen[str], port: int, inner: socket.socket) -> None:
        self.process, self.port, self.inner = process, port, inner

    @contextmanager
    def link(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            service, _ = self.inner.accept()
            with service:
                service.settimeout(10)
                yield client, service

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu(self) -> int:
        return sum(map(int, Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


@pytest.fixture(name="start")
def fixture_start(tmp_path: Path) -> Iterator[Callable[..., Relay]]:
    with socket.socket(socket.AF_UNIX) as inner:
        inner.bind(str(tmp_path / "inner"))
        inner.listen(100)
        inner.settimeout(10)
        started: list[subprocess.Popen[str]] = []

        def start(*options: str, program: tuple[str, ...] = (str(GUARD),)) -> Relay:
            command = [sys.executable, *program, "--inner", f"ipc://{tmp_path}/inner", *options]
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            started.append(process)
            assert process.stderr is not None
            return Relay(process, int(process.stderr.readline().rpartition(":")[2]), inner)

        yield start
        for process in started:
            process.terminate()
            assert process.wait(timeout=5) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""  # what a test wants to be said it has read
            process.stderr.close()


def read(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size and (more := connection.recv(size - len(got))):
        got += more
    return bytes(got)


def closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def until(true: Callable[[], bool], *, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not (result := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return result


def test_octets_pass_unchanged_both_ways(start: Callable[..., Relay]) -> None:
    relay = start("--max-frame", str(1 << 20))
    message = frame(os.urandom(1 << 20), 1) * 3 + frame(os.urandom(1 << 20))  # exactly at the default --max-message
    with relay.link() as (client, service):
        client.sendall(GREETING + READY)
        assert read(service, len(GREETING + READY)) == GREETING + READY
        for source, sink in ((client, service), (service, client)):
            for at in range(0, len(message), 65536):
                source.sendall(message[at : at + 65536])
                assert read(sink, len(message[at : at + 65536])) == message[at : at + 65536]


def test_lets_go_of_every_kind_of_ending(start: Callable[..., Relay]) -> None:
    relay = start("--drain-time", "1")
    before = relay.descriptors()
    with relay.link() as (client, service):  # half-closed: the late reply still comes
        client.sendall(GREETING + READY + frame(b"ask"))
        client.shutdown(socket.SHUT_WR)
        service.sendall(b"late reply")
        assert read(client, 10) == b"late reply"
        assert closed(client)
    with relay.link() as (client, service):  # RST
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert closed(service)
    with relay.link() as (client, service):  # the service leaves
        client.sendall(GREETING + READY)
        service.close()
        assert closed(client)
    assert until(lambda: relay.descriptors() == before)


@pytest.mark.parametrize(
    "opening",
    [b"", GREETING, GREETING + READY + frame(b"a", 1), GREETING + READY + b"\0\x05half"],
    ids=["nothing", "greeting", "message", "frame"],
)
def test_too_slow_is_given_up(start: Callable[..., Relay], opening: bytes) -> None:
    relay = start("--handshake-time", "0.5", "--message-time", "0.5")
    before = relay.descriptors()
    with relay.link() as (client, service):
        with suppress(ConnectionError):  # given up already, on a busy machine
            client.sendall(opening)
        assert closed(client)
        assert closed(service)
    assert until(lambda: relay.descriptors() == before)


def test_a_peer_that_does_not_read_is_not_read_from(start: Callable[..., Relay]) -> None:
    relay = start("--stall-time", "2.5")
    with relay.link() as (client, service):
        client.sendall(GREETING + READY)
        service.setblocking(False)
        held, chunk = 0, bytes(1 << 16)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                held += service.send(chunk)
            except BlockingIOError:
                time.sleep(0.01)
        assert held < 16 << 20  # kernel buffers and one chunk: nothing piles up in the guard
        assert (
            int(Path(f"/proc/{relay.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") < 64 << 20
        )
        service.settimeout(10)
        assert closed(service)  # and in the end it is given up


def test_full_house_waits_and_rests(start: Callable[..., Relay]) -> None:
    relay = start("--max-connections", "2", "--handshake-time", "60")
    with relay.link(), relay.link(), socket.create_connection(("127.0.0.1", relay.port), timeout=10) as third:
        relay.inner.settimeout(0.5)
        spent = relay.cpu()
        with pytest.raises(TimeoutError):
            relay.inner.accept()
        assert relay.cpu() - spent <= 10  # hundredths of a second: it does not spin on the waiting newcomer
        relay.inner.settimeout(10)
        third.sendall(GREETING)
    service, _ = relay.inner.accept()
    service.close()


@pytest.mark.parametrize(
    ("opening", "ready"),
    [
        (GREETING + READY + frame(b"ask"), True),
        (GREETING + b"\x04\x1c\0READY" + frame(b"\x09SUBSCRIBE", 4), False),  # ZF101 as zmqfuzz found it
        (GREETING + frame(b"\x05HELLO", 4) * 3 + b"\x04\xff", False),
        (GREETING.replace(b"NULL", b"CURV"), False),
        (GREETING + frame(b"no command"), False),
        (GREETING + b"\x06" + b"\xff" * 8, False),
    ],
    ids=["honest", "nameless", "unfinished", "mechanism", "message", "huge"],
)
def test_handshake_one_octet_at_a_time(start: Callable[..., Relay], opening: bytes, ready: bool) -> None:
    relay = start()
    with relay.link() as (bystander, service):
        bystander.sendall(GREETING + READY)
        with (
            relay.link() as (client, behind),
            nullcontext() if ready else suppress(ConnectionError),
        ):  # refused half-way
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(opening)):
                client.sendall(opening[at : at + 1])
                time.sleep(0.002)  # so that each comes alone
            if ready:
                assert read(behind, len(opening)) == opening
        assert read(service, len(GREETING + READY)) == GREETING + READY
        service.sendall(b"still here")
        assert read(bystander, 10) == b"still here"
    assert relay.process.poll() is None


FAULTY = """
import sys
sys.path.insert(0, {folder!r})
import guard
admit = guard.Inspector.admit
def faulty(self, data):
    return admit(self, data) if b"boom" not in bytes(data) else 1 / 0
guard.Inspector.admit = faulty
guard.main()
"""


def test_a_fault_of_ours_ends_one_connection(start: Callable[..., Relay]) -> None:
    relay = start(program=("-c", FAULTY.format(folder=str(GUARD.parent))))
    before = relay.descriptors()
    with relay.link() as (bystander, service):
        bystander.sendall(GREETING + READY)
        for _ in range(4):
            with relay.link() as (client, behind):
                client.sendall(b"boom")
                assert closed(client)
                assert closed(behind)
        assert read(service, len(GREETING + READY)) == GREETING + READY
        service.sendall(b"still here")
        assert read(bystander, 10) == b"still here"
    assert until(lambda: relay.descriptors() == before)
    relay.process.terminate()
    assert relay.process.stderr is not None
    said = relay.process.stderr.read()
    assert [f"fault {n}," in said for n in range(1, 5)] == [True, True, False, True]
    assert said.count("ZeroDivisionError: division by zero") == 3
    assert relay.process.wait(timeout=5) == 0


def test_the_socket_behind_the_broker_serves_the_guard_alone(tmp_path: Path) -> None:
    command = [sys.executable, str(GUARD.with_name("broker.py")), "--hardened"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as broker:
        try:
            assert broker.stderr is not None
            port = int(broker.stderr.readline().rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(GREETING + READY)
                assert read(client, 64).startswith(b"\xff")  # and so the socket behind is bound
            (inner,) = tmp_path.glob("broker-*/inner")
            for hello in (b"", GREETING + READY):
                with socket.socket(socket.AF_UNIX) as intruder:
                    intruder.settimeout(10)
                    intruder.connect(str(inner))
                    with suppress(BrokenPipeError):
                        intruder.sendall(hello)
                    with suppress(ConnectionResetError):
                        assert intruder.recv(1) == b""
        finally:
            broker.terminate()
    assert broker.returncode == 0
