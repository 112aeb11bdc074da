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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq

EXAMPLES = Path(__file__).parents[2] / "targets" / "examples"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
MIB = 1 << 20
FORMS = pytest.mark.parametrize("form", [[], ["--hardened"]], ids=["weak", "hardened"])
SERVICES = {  # program: an honest request and its reply
    "broker.py": (b'{"op": "echo", "body": [1]}', b'{"ok": true, "body": [1]}'),
    "worker_crash.py": (b"abc", b"ABC"),
    "stop_and_wait.py": (b"abc", b"abc"),
    "worker_deaf.py": (b"Ada Lovelace", b"hello Ada"),
    **dict.fromkeys(("frame_limit.py", "relay.py"), (b"abc", b"abc")),
    "descriptor_leak.py": (b'{"pages": [1, 2]}', b"pages: 2"),
    "memory_leak.py": (b"{}", b"events: "),
    "pickle_server.py": (b"?", b'{"error": '),
}
PLAIN = {  # for each type its honest peer, what that one says (if it speaks first) and hears
    "pull": (zmq.PUSH, b"x", None),
    "rep": (zmq.REQ, b"x", b"x"),
    "router": (zmq.DEALER, b"x", b"x"),
    "pub": (zmq.SUB, None, b"tick "),
    "xpub": (zmq.SUB, None, b"tick "),
    "push": (zmq.PULL, None, b"work "),
    "pair": (zmq.PAIR, b"x", b"x"),
    "dealer": (zmq.REP, None, b"task "),
    "req": (zmq.REP, None, b"task "),
    "sub": (zmq.XPUB, None, b"\x01"),
    "xsub": (zmq.XPUB, None, b"\x01"),
}
COMMANDS = [("pull.py",), ("rep.py",), ("router.py",), ("pub.py",), *(("plain.py", kind) for kind in PLAIN)]


@dataclass
class Program:
    process: subprocess.Popen[bytes]
    log: Path
    endpoint: str = ""

    def pids(self) -> list[int]:
        """The process and, for the hardened broker, its guard."""
        main = self.process.pid
        return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    def descriptors(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def rss(self) -> int:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=5)

    def raw(self) -> socket.socket:
        host, port = self.endpoint.removeprefix("tcp://").split(":")
        return socket.create_connection((host, int(port)), timeout=10)


Run = Callable[..., Program]


@pytest.fixture(name="run")
def fixture_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    started: list[Program] = []
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a killed broker cannot remove its private directory

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
        with suppress(ProcessLookupError):
            os.killpg(program.process.pid, signal.SIGKILL)
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
    assert (ask(program, SERVICES[name][0]) or b"nothing").startswith(SERVICES[name][1])


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
    except OSError as error:
        return not isinstance(error, TimeoutError)
    return True


@FORMS
@pytest.mark.parametrize("name", SERVICES)
def test_service_serves_stops_and_comes_back_on_the_same_port(run: Run, name: str, form: list[str]) -> None:
    first = run(name, *form)
    serves(first, name)
    assert first.stop() == 0, first.log.read_text()
    second = run(name, *form, "--bind", first.endpoint)
    assert second.endpoint == first.endpoint
    serves(second, name)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_plain_program_does_what_its_type_does(run: Run, command: tuple[str, ...]) -> None:
    kind, says, hears = PLAIN[command[-1].removesuffix(".py")]
    program = run(*command)
    with peer(kind, program.endpoint) as honest:
        if says is not None:
            assert honest.poll(10_000, zmq.POLLOUT)
            honest.send(says)
        if hears is not None:
            assert honest.poll(10_000)
            assert honest.recv_multipart()[-1].startswith(hears)
    assert program.stop() == 0, program.log.read_text()


def test_runs_as_a_module(run: Run) -> None:
    serves(run(sys.executable, "-m", "zmqfuzz.targets.examples.broker", "--hardened"), "broker.py")


def test_sigkill_of_the_broker_ends_its_guard(run: Run) -> None:
    broker = run("broker.py", "--hardened")
    guard = Path(f"/proc/{broker.pids()[1]}/cmdline")
    broker.process.kill()
    broker.process.wait()
    until(lambda: not guard.exists() or not guard.read_bytes(), what="the guard ends")  # a zombie has no command line


def test_broker_bad_requests_are_answered(run: Run) -> None:
    broker = run("broker.py")
    for body in (b"", b"\xff", b"[]", b"7", b'{"op": []}', b"[" * 50_000, b'{"op": "no"}', [b""], [b"", b"a", b"b"]):
        assert (ask(broker, body) or b"nothing").startswith(b'{"ok": false'), body
    serves(broker, "broker.py")


@FORMS
def test_broker_unfinished_message(run: Run, form: list[str]) -> None:
    broker = run("broker.py", *form)
    serves(broker, "broker.py")
    before = broker.rss()
    with broker.raw() as attacker:
        shake_hands(attacker)
        if not form:
            attacker.sendall(frame(bytes(32768), flags=1) * 1024)
            until(lambda: broker.rss() - before > 28 * MIB, what="memory grows with the unfinished message")
        else:
            with pytest.raises(ConnectionError):
                attacker.sendall(frame(bytes(32768), flags=1) * 1024)
            assert broker.rss() - before < 8 * MIB
        serves(broker, "broker.py")


def test_worker_crash(run: Run) -> None:
    weak, hardened = run("worker_crash.py"), run("worker_crash.py", "--hardened")
    assert all((ask(hardened, bad) or b"").startswith(b"error") for bad in ([b"x"], [b"", b"a", b"b"], [b"x", b"y"]))
    serves(hardened, "worker_crash.py")
    with peer(zmq.DEALER, weak.endpoint) as dealer:
        dealer.send(b"alone")
        assert weak.process.wait(timeout=10) == 1
    assert "ValueError: not enough values to unpack" in weak.log.read_text()


@pytest.mark.parametrize(
    "bad", [[b"", b"\xff\xfe"], [b"", b""], [b"", b"two", b"parts"]], ids=["utf8", "empty", "parts"]
)
def test_worker_deaf(run: Run, bad: list[bytes]) -> None:
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
def test_frame_limit(run: Run, form: list[str], highest: int | None) -> None:
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


@FORMS
def test_descriptor_leak(run: Run, form: list[str]) -> None:
    program = run("descriptor_leak.py", *form)
    serves(program, "descriptor_leak.py")
    before = program.descriptors()
    with peer(zmq.DEALER, program.endpoint) as dealer:
        for body in (b"junk", b"{}", b"\xff", b"7") * 10:
            dealer.send_multipart([b"", body])
            assert dealer.poll(10_000)
            assert dealer.recv_multipart()[-1].startswith(b"error")
    serves(program, "descriptor_leak.py")
    if not form:
        assert program.descriptors() - before > 35  # 40, less the connections that were still closing
    else:
        until(lambda: program.descriptors() - before <= 1, what="descriptors come back")


@FORMS
def test_memory_leak(run: Run, form: list[str]) -> None:
    program = run("memory_leak.py", *form)
    serves(program, "memory_leak.py")
    before = program.rss()
    with peer(zmq.DEALER, program.endpoint) as dealer:
        for _ in range(400):
            dealer.send_multipart([b"", b"\xff" * 65536])
            assert dealer.poll(10_000)
            dealer.recv_multipart()
    serves(program, "memory_leak.py")
    assert program.rss() - before < 4 * MIB if form else program.rss() - before > 20 * MIB


@FORMS
def test_client_after_a_protocol_error(run: Run, form: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.settimeout(20)
        client = run("client.py", "--connect", endpoint, *form, ready="")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            connection.sendall(GREETING.replace(b"NULL", b"NOPE"))
            assert closed(connection)
        if not form:
            server.settimeout(2)
            with pytest.raises(TimeoutError):
                server.accept()
        else:
            server.accept()[0].close()
    if form:
        with zmq.Context() as context, context.socket(zmq.REP) as rep:
            rep.linger = 0
            rep.bind(endpoint)
            assert rep.poll(10_000)
            rep.send(rep.recv())
            until(lambda: "served by" in client.log.read_text(), what="the client is served again")
    assert client.stop() == 0


@pytest.fixture(name="cserver", scope="session")
def fixture_cserver(tmp_path_factory: pytest.TempPathFactory) -> str:
    if (compiler := shutil.which("gcc")) is None:
        pytest.skip("no gcc here")
    header = subprocess.run([compiler, "-E", "-x", "c", "-"], input=b"#include <zmq.h>\n", capture_output=True)
    if header.returncode:
        pytest.skip("no zmq.h here (Debian: libzmq3-dev)")
    program = str(tmp_path_factory.mktemp("c") / "cserver")
    options = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fstack-protector-strong"]
    subprocess.run([compiler, *options, "-o", program, str(EXAMPLES / "cserver.c"), "-lzmq"], check=True)
    return program


@pytest.mark.parametrize("kind", ["rep", "router", "pull"])
def test_cserver(run: Run, cserver: str, kind: str) -> None:
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
