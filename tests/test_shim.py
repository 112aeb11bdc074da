"""The shim in real programs: what it records, what it sets, and that the program does not notice it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zmqfuzz.opened import Recorded, read
from zmqfuzz.shim import Injected, environment

MANY = """
import asyncio, inspect, multiprocessing, os, sys, threading, zmq, zmq.asyncio, zmq.auth.thread

def child():
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    pull.bind("tcp://127.0.0.1:*")
    context.destroy(0)

def thread():
    with zmq.Context.instance().socket(zmq.REP) as rep:
        rep.bind("tcp://127.0.0.1:*")

async def talk():
    context = zmq.asyncio.Context()
    pub, sub = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    pub.bind("inproc://talk")
    sub.connect("inproc://talk")
    sub.subscribe(b"")
    await pub.recv()
    await pub.send_multipart([b"1", b"2"])
    print(await sub.recv_multipart())
    context.destroy(0)

if __name__ == "__main__":
    print([entry for entry in sys.path if "shim" in entry])
    for way in ("fork", "spawn"):
        process = multiprocessing.get_context(way).Process(target=child)
        process.start()
        process.join()
        print(way, process.exitcode)
    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    asyncio.run(talk())
    authenticator = zmq.auth.thread.ThreadAuthenticator(zmq.Context.instance())
    authenticator.start()
    authenticator.stop()
    router = zmq.Context.instance().socket(zmq.ROUTER)
    for wrong in (lambda: router.bind("tcp://nowhere"), lambda: setattr(router, "nonsense", 1)):
        try:
            wrong()
        except (zmq.ZMQError, AttributeError) as error:
            print(type(error).__name__, error)
    print(inspect.signature(zmq.Socket.bind), zmq.Socket.set.__name__, zmq.__spec__.loader.__class__.__name__)
    before = len(os.listdir("/proc/self/fd"))
    router.router_mandatory = True
    router.setsockopt(zmq.LINGER, 7)
    router.bind("tcp://127.0.0.1:*")
    router.maxmsgsize = 100
    print(router.get(zmq.LINGER), router.maxmsgsize)
    router.close(linger=3)
    zmq.Context.instance().term()
"""

Run = Callable[..., tuple[str, Recorded]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a source with the shim: what it printed, and what was recorded."""
    folder = tmp_path / "records"
    folder.mkdir()

    def start(
        source: str, *words: str, inject: tuple[Injected, ...] = (), shim: bool = True, kind: str = ""
    ) -> tuple[str, Recorded]:
        (tmp_path / "program.py").write_text(source, encoding="utf-8")
        added = environment(folder, os.environ, inject, kind, "bind") if shim else {}
        done = subprocess.run(
            [sys.executable, *words, "program.py"],
            cwd=tmp_path,
            env={**os.environ, **added},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return f"{done.returncode}\n{done.stdout}{done.stderr}", read(folder)

    return start


def test_every_socket_of_every_process_is_recorded_and_the_program_does_as_ever(run: Run, tmp_path: Path) -> None:
    plain, nothing = run(MANY, shim=False)
    assert not nothing.processes
    assert plain.startswith("0\n")
    said, recorded = run(MANY)
    assert said == plain
    lines = MANY.splitlines()
    bound = {(one.type, one.pid, door.given) for one in recorded.sockets for door in one.doors if door.verb == "bind"}
    pulls = {pid for kind, pid, _ in bound if kind == "PULL"}
    assert len(pulls) == 2  # forked, and spawned
    assert {kind for kind, *_ in bound} >= {"PULL", "REP", "XPUB", "ROUTER"}
    assert len(recorded.zap) == 1
    router = next(one for one in recorded.sockets if one.type == "ROUTER" and one.doors)
    place = router.doors[0].place
    assert place is not None
    assert place.file == str(tmp_path / "program.py")
    assert lines[place.line - 1].strip() == 'router.bind("tcp://127.0.0.1:*")'
    assert router.doors[0].options["LINGER"] == 7
    assert router.doors[0].options["MAXMSGSIZE"] == -1
    assert router.doors[0].endpoint.startswith("tcp://127.0.0.1:")
    assert [(one.name, one.value, one.order > router.doors[0].order) for one in router.settings] == [
        ("ROUTER_MANDATORY", 1, False),
        ("LINGER", 7, False),
        ("MAXMSGSIZE", 100, True),
    ]
    assert router.closed is not None
    assert router.closed.linger == 3


def test_the_sitecustomize_that_was_there_runs_under_its_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys\nprint(__name__, sys.modules[__name__].__file__)\n")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(tmp_path / "site")
    try:
        said, recorded = run("import sitecustomize\nprint(sitecustomize.__file__)")
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    theirs = str(tmp_path / "site" / "sitecustomize.py")
    assert said == f"0\nsitecustomize {theirs}\n{theirs}\n"
    assert len(recorded.processes) == 1
    assert not recorded.processes[0].versions  # it did not import zmq


ONE = """
import zmq
context = zmq.Context()
socket = context.socket(zmq.PULL)
socket.bind("tcp://127.0.0.1:*")
print(socket.maxmsgsize, socket.rcvhwm)
socket.close()
context.term()
print("done")
"""


def test_where_nothing_can_be_written_the_program_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "records").rmdir()
    said, recorded = run(ONE)
    assert said == "0\n-1 1000\ndone\n"
    assert not recorded.sockets


def test_python_that_takes_no_environment_is_not_recorded(run: Run) -> None:
    said, recorded = run(ONE, "-I")
    assert said.endswith("done\n")
    assert not recorded.processes


def test_a_broken_order_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZMQFUZZ_SHIM_SET", "{")
    assert run(ONE)[0] == "0\n-1 1000\ndone\n"


def test_options_are_set_just_before_bind_and_what_libzmq_refuses_is_told(run: Run) -> None:
    said, recorded = run(ONE, inject=(("MAXMSGSIZE", 777), ("RCVHWM", 5), ("LINGER", -7), ("NONE", 1)), kind="PULL")
    assert said == "0\n777 5\ndone\n"
    (socket,) = recorded.sockets
    assert [one.name for one in socket.injected] == ["MAXMSGSIZE", "RCVHWM", "LINGER", "NONE"]
    assert [bool(one.error) for one in socket.injected] == [False, False, True, True]
    assert socket.doors[0].options["MAXMSGSIZE"] == 777


def test_options_are_not_set_on_sockets_of_other_types(run: Run) -> None:
    said, recorded = run(ONE, inject=(("MAXMSGSIZE", 777),), kind="ROUTER")
    assert said.startswith("0\n-1 1000\n")
    assert not recorded.sockets[0].injected


def test_what_the_programs_own_code_raises_meanwhile_reaches_it(run: Run) -> None:
    """A signal handler, which Python runs wherever it happens to be."""
    source = """
import signal, sys, zmq
context = zmq.Context()
def handler(number, frame):
    raise TimeoutError("of the program")
signal.signal(signal.SIGUSR1, handler)
def hook(event, words):
    if armed and event == "open" and str(words[0]).endswith(".jsonl"):
        signal.raise_signal(signal.SIGUSR1)
armed = False
sys.addaudithook(hook)
socket = context.socket(zmq.PULL)
armed = True
try:
    socket.linger = 3
except TimeoutError as error:
    print(error, socket.linger)
armed = False
context.destroy(0)
"""
    assert run(source)[0] == "0\nof the program 3\n"


def test_a_program_with_endless_sockets_fills_no_disk_and_no_memory(run: Run, tmp_path: Path) -> None:
    source = """
import zmq
context = zmq.Context()
for number in range(500):
    with context.socket(zmq.PUSH) as push:
        push.sndhwm = number + 1
        push.bind(f"inproc://{number}")
from zmqfuzz_shim_record import state
print(len(state.numbers), len(state.seen))
"""
    said, recorded = run(source)
    assert said.split() == ["0", "0", "4"]
    assert len(recorded.sockets) == 50


def test_half_written_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    whole = {"event": "create", "pid": 1, "socket": 1, "type": "PUB", "context": 0, "place": ["/x.py", 3, "f"]}
    lines = ["{", "[]", '{"event": "bind"}', '{"event": "close", "socket": "x"}', json.dumps(whole), '{"event": "cl']
    (tmp_path / "1-aa.jsonl").write_text("\n".join(lines))
    (socket,) = read(tmp_path).sockets
    assert (socket.type, str(socket.place)) == ("PUB", "/x.py:3")


def test_secrets_are_not_written(run: Run, tmp_path: Path) -> None:
    source = """
import zmq
socket = zmq.Context().socket(zmq.REP)
socket.plain_password = b"tell nobody"
public, secret = zmq.curve_keypair()
socket.curve_server, socket.curve_secretkey = True, secret
socket.bind("tcp://127.0.0.1:*")
print(secret.decode())
"""
    said, recorded = run(source)
    written = "".join(path.read_text() for path in (tmp_path / "records").iterdir())
    assert recorded.sockets[0].doors
    assert said.split()[1] not in written
    assert "tell nobody" not in written
