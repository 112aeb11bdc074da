"""The example programs as real processes: they serve, their weakness shows, and the hardened twin has none of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import zmq

from zmqfuzz.targets.examples.guard import Inspector, Limits

EXAMPLES = Path(__file__).parents[2] / "targets" / "examples"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
MIB = 1 << 20
SERVICES = {  # program: an honest request and its reply
    "broker.py": (b'{"op": "echo", "body": [1]}', b'{"ok": true, "body": [1]}'),
    "worker_crash.py": (b"abc", b"ABC"),
    "worker_deaf.py": (b"Ada Lovelace", b"hello Ada"),
    "frame_limit.py": (b"abc", b"abc"),
    "descriptor_leak.py": (b'{"pages": [1, 2]}', b"pages: 2"),
    "memory_leak.py": (b"{}", b"events: "),
}
PLAIN = {  # program: the peer's type; what it says (if it speaks first) and hears
    ("pull.py",): (zmq.PUSH, b"x", None),
    ("rep.py",): (zmq.REQ, b"x", b"x"),
    ("router.py",): (zmq.DEALER, b"x", b"x"),
    ("pub.py",): (zmq.SUB, None, b"tick "),
    ("plain.py", "pull"): (zmq.PUSH, b"x", None),
    ("plain.py", "rep"): (zmq.REQ, b"x", b"x"),
    ("plain.py", "router"): (zmq.DEALER, b"x", b"x"),
    ("plain.py", "pub"): (zmq.SUB, None, b"tick "),
    ("plain.py", "xpub"): (zmq.SUB, None, b"tick "),
    ("plain.py", "push"): (zmq.PULL, None, b"work "),
    ("plain.py", "pair"): (zmq.PAIR, b"x", b"x"),
    ("plain.py", "dealer"): (zmq.REP, None, b"task "),
    ("plain.py", "req"): (zmq.REP, None, b"task "),
    ("plain.py", "sub"): (zmq.XPUB, None, b"\x01"),
    ("plain.py", "xsub"): (zmq.XPUB, None, b"\x01"),
}


class Program:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        self.endpoint = ""

    def tree(self) -> list[psutil.Process]:
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def descriptors(self) -> int:
        return sum(process.num_fds() for process in self.tree())

    def rss(self) -> int:
        return sum(int(process.memory_info().rss) for process in self.tree())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=5)

    def raw(self) -> socket.socket:
        host, port = self.endpoint.removeprefix("tcp://").split(":")
        return socket.create_connection((host, int(port)), timeout=10)


@pytest.fixture(name="run")
def fixture_run(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def run(*command: str, ready: str = "listening on ") -> Program:
        log = tmp_path / f"log{len(started)}"
        if command[0].endswith(".py"):
            command = (sys.executable, str(EXAMPLES / command[0]), *command[1:])
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr, start_new_session=True)
        started.append(program := Program(process, log))
        if ready:
            until(lambda: ready in log.read_text() and log.read_text().endswith("\n"), what=f"{command} is up")
            program.endpoint = log.read_text().split(ready)[1].split()[0]
        return program

    yield run
    for program in started:
        try:
            os.killpg(program.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        program.process.wait()


def until(true: Callable[[], bool], *, what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@contextmanager
def peer(kind: int, endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(kind) as peer:
        peer.linger = 0
        if kind == zmq.SUB:
            peer.subscribe(b"")
        peer.connect(endpoint)
        yield peer


def ask(program: Program, body: bytes | list[bytes], patience: float = 10) -> bytes | None:
    """One request over a connection of its own; None: no reply."""
    with peer(zmq.DEALER, program.endpoint) as dealer:
        dealer.send_multipart([b"", body] if isinstance(body, bytes) else body)
        return dealer.recv_multipart()[-1] if dealer.poll(int(patience * 1000)) else None


def serves(program: Program, name: str) -> None:
    request, reply = SERVICES[name]
    assert (ask(program, request) or b"nothing").startswith(reply)


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


def read(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (more := connection.recv(size - len(got))):
        got += more
    return got


def shake_hands(connection: socket.socket) -> None:
    connection.sendall(GREETING)
    assert len(read(connection, 64)) == 64
    connection.sendall(READY)
    head = read(connection, 2)
    read(connection, head[1])


def closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("form", ["weak", "hardened"])
@pytest.mark.parametrize("name", SERVICES)
def test_service_serves_stops_and_comes_back_on_the_same_port(
    run: Callable[..., Program], name: str, form: str
) -> None:
    flags = ["--hardened"] if form == "hardened" else []
    first = run(name, *flags)
    serves(first, name)
    assert first.stop() == 0, first.log.read_text()
    second = run(name, *flags, "--bind", first.endpoint)
    assert second.endpoint == first.endpoint
    serves(second, name)


@pytest.mark.parametrize("command", PLAIN, ids=" ".join)
def test_plain_program_does_what_its_type_does(run: Callable[..., Program], command: tuple[str, ...]) -> None:
    kind, says, hears = PLAIN[command]
    program = run(*command)
    with peer(kind, program.endpoint) as honest:
        if says is not None:
            assert honest.poll(10_000, zmq.POLLOUT)
            honest.send(says)
        if hears is not None:
            assert honest.poll(10_000)
            assert honest.recv_multipart()[-1].startswith(hears)
    assert program.process.poll() is None
    assert program.stop() == 0, program.log.read_text()


def test_runs_as_a_module(run: Callable[..., Program]) -> None:
    serves(run(sys.executable, "-m", "zmqfuzz.targets.examples.broker", "--hardened"), "broker.py")


def test_sigkill_of_the_broker_ends_its_guard(run: Callable[..., Program]) -> None:
    broker = run("broker.py", "--hardened")
    guard = broker.tree()[1]
    broker.process.kill()
    broker.process.wait()
    assert guard.wait(timeout=5) in (None, 0)


def test_broker_bad_requests_are_answered(run: Callable[..., Program]) -> None:
    broker = run("broker.py")
    for body in (b"", b"\xff", b"[]", b"7", b'{"op": []}', b"[" * 50_000, b'{"op": "no"}', [b""], [b"", b"a", b"b"]):
        assert (ask(broker, body) or b"nothing").startswith(b'{"ok": false'), body
    serves(broker, "broker.py")


@pytest.mark.parametrize("form", ["weak", "hardened"])
def test_broker_unfinished_message(run: Callable[..., Program], form: str) -> None:
    broker = run("broker.py", *(["--hardened"] if form == "hardened" else []))
    serves(broker, "broker.py")
    before = broker.rss()
    with broker.raw() as attacker:
        shake_hands(attacker)
        part = frame(bytes(32768), flags=1)
        if form == "weak":
            attacker.sendall(part * 1024)
            until(lambda: broker.rss() - before > 28 * MIB, what="memory grows with the unfinished message")
        else:
            with pytest.raises(ConnectionError):
                attacker.sendall(part * 1024)
            assert broker.rss() - before < 8 * MIB
        serves(broker, "broker.py")


def test_worker_crash(run: Callable[..., Program]) -> None:
    weak, hardened = run("worker_crash.py"), run("worker_crash.py", "--hardened")
    for envelope in ([b"alone"], [b"", b"a", b"b"], [b"x", b"y"]):
        assert (ask(hardened, envelope) or b"").startswith(b"error")
    serves(hardened, "worker_crash.py")
    with peer(zmq.DEALER, weak.endpoint) as dealer:
        dealer.send(b"alone")
        assert weak.process.wait(timeout=10) == 1
    assert "ValueError: not enough values to unpack" in weak.log.read_text()


@pytest.mark.parametrize(
    "bad", [[b"", b"\xff\xfe"], [b"", b""], [b"", b"two", b"parts"]], ids=["utf8", "empty", "parts"]
)
def test_worker_deaf(run: Callable[..., Program], bad: list[bytes]) -> None:
    weak, hardened = run("worker_deaf.py"), run("worker_deaf.py", "--hardened")
    assert (ask(hardened, bad) or b"").startswith(b"error")
    serves(hardened, "worker_deaf.py")
    with peer(zmq.DEALER, weak.endpoint) as dealer:
        dealer.send_multipart(bad)
        until(lambda: "Exception in thread" in weak.log.read_text(), what="the worker ends")
    with weak.raw() as connection:
        shake_hands(connection)  # alive
    assert ask(weak, b"Ada", patience=0.5) is None  # and deaf
    assert weak.stop() == 0


@pytest.mark.parametrize(
    ("form", "highest"), [([], None), (["--too-late"], None), (["--off-by-one"], 65537), (["--hardened"], 65536)]
)
def test_frame_limit(run: Callable[..., Program], form: list[str], highest: int | None) -> None:
    program = run("frame_limit.py", *form)
    for size in (65536, 65537, 65538):
        with program.raw() as connection:
            shake_hands(connection)
            connection.sendall(frame(bytes(size)))
            if highest is None or size <= highest:
                assert read(connection, size + 9) == frame(bytes(size))
            else:
                assert closed(connection)
    serves(program, "frame_limit.py")


@pytest.mark.parametrize("form", ["weak", "hardened"])
def test_descriptor_leak(run: Callable[..., Program], form: str) -> None:
    program = run("descriptor_leak.py", *(["--hardened"] if form == "hardened" else []))
    serves(program, "descriptor_leak.py")
    before = program.descriptors()
    with peer(zmq.DEALER, program.endpoint) as dealer:
        for body in (b"junk", b"{}", b"\xff", b"7") * 10:
            dealer.send_multipart([b"", body])
            assert dealer.poll(10_000)
            assert dealer.recv_multipart()[-1].startswith(b"error")
    serves(program, "descriptor_leak.py")
    if form == "weak":
        assert program.descriptors() - before >= 40
    else:
        until(lambda: program.descriptors() - before <= 1, what="descriptors come back")


@pytest.mark.parametrize("form", ["weak", "hardened"])
def test_memory_leak(run: Callable[..., Program], form: str) -> None:
    program = run("memory_leak.py", *(["--hardened"] if form == "hardened" else []))
    serves(program, "memory_leak.py")
    before = program.rss()
    with peer(zmq.DEALER, program.endpoint) as dealer:
        for _ in range(400):
            dealer.send_multipart([b"", b"\xff" * 65536])
            assert dealer.poll(10_000)
            dealer.recv_multipart()
    serves(program, "memory_leak.py")
    grown = program.rss() - before
    assert grown > 20 * MIB if form == "weak" else grown < 4 * MIB


@pytest.mark.parametrize("form", ["weak", "hardened"])
def test_client_after_a_protocol_error(run: Callable[..., Program], form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.settimeout(20)
        client = run("client.py", "--connect", endpoint, *(["--hardened"] if form == "hardened" else []), ready="")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            connection.sendall(GREETING.replace(b"NULL", b"NOPE"))
            assert closed(connection)
        if form == "weak":
            server.settimeout(2)
            with pytest.raises(TimeoutError):
                server.accept()
        else:
            server.accept()[0].close()
    if form == "hardened":
        with zmq.Context() as context, context.socket(zmq.REP) as rep:
            rep.linger = 0
            until(lambda: bound(rep, endpoint), what="the port is free again")
            assert rep.poll(10_000)
            rep.send(rep.recv())
            until(lambda: "served by" in client.log.read_text(), what="the client is served again")
    assert client.stop() == 0


def bound(rep: zmq.Socket[bytes], endpoint: str) -> bool:
    try:
        rep.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True


@pytest.fixture(name="cserver", scope="session")
def fixture_cserver(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here")
    header = subprocess.run([compiler, "-E", "-x", "c", "-"], input=b"#include <zmq.h>\n", capture_output=True)
    if header.returncode:
        pytest.skip("no zmq.h here (Debian: libzmq3-dev)")
    program = str(tmp_path_factory.mktemp("c") / "cserver")
    options = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fstack-protector-strong"]
    subprocess.run([compiler, *options, "-o", program, str(EXAMPLES / "cserver.c"), "-lzmq"], check=True)
    return program


@pytest.mark.parametrize("kind", ["rep", "router", "pull"])
def test_cserver(run: Callable[..., Program], cserver: str, kind: str) -> None:
    weak, hardened = run(cserver, kind, "tcp://127.0.0.1:*"), run(cserver, kind, "tcp://127.0.0.1:*", "hardened")
    sender = zmq.PUSH if kind == "pull" else zmq.REQ
    for program, size in ((weak, 256), (hardened, 256), (hardened, 257), (hardened, MIB), (weak, 1000)):
        with peer(sender, program.endpoint) as honest:
            honest.send(b"a" * size)
            if program is weak and size > 256:
                assert weak.process.wait(timeout=10) in (-signal.SIGABRT, -signal.SIGSEGV)
            elif sender == zmq.REQ:
                assert honest.poll(10_000)
                assert honest.recv() == (b"A" * size if size <= 256 else b"error: too long")
    assert hardened.stop() == 0


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


def test_guard_passes_octets_unchanged_both_ways_and_lets_go(run: Callable[..., Program], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as inner:
        inner.bind(str(tmp_path / "inner"))
        inner.listen()
        inner.settimeout(10)
        guard = run("guard.py", "--inner", f"ipc://{tmp_path}/inner", "--max-frame", str(MIB), "--drain-time", "0.2")
        before = guard.descriptors()
        message = frame(os.urandom(MIB), 1) * 3 + frame(os.urandom(MIB))
        for ending in (socket.SHUT_WR, None):
            with guard.raw() as client:
                service, _ = inner.accept()
                with service:
                    service.settimeout(10)
                    client.sendall(GREETING + READY)
                    assert read(service, len(GREETING + READY)) == GREETING + READY
                    for source, sink in ((client, service), (service, client)):
                        for part in range(0, len(message), 65536):
                            source.sendall(message[part : part + 65536])
                            assert read(sink, len(message[part : part + 65536])) == message[part : part + 65536]
                    if ending is not None:
                        client.shutdown(ending)
                        service.sendall(b"late reply")
                        assert read(client, 10) == b"late reply"
                    else:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        client.close()
                    assert closed(service)
        until(lambda: guard.descriptors() == before, what="descriptors come back")
    assert guard.stop() == 0
