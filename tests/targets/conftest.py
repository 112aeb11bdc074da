"""Programs to start, written to a folder, and a mark by which every process of a test can be found again."""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = {
    # Binds KIND=ENDPOINT for each argument of that form; "=" alone is a mark.
    "server": """
        import sys, time, zmq
        context = zmq.Context()
        sockets = []
        for word in sys.argv[1:]:
            kind, _, where = word.partition("=")
            if kind in zmq.SocketType.__members__:
                socket = context.socket(zmq.SocketType[kind])
                socket.linger = 0
                socket.ipv6 = "[" in where
                socket.bind(where)
                sockets.append(socket)
        print("bound", flush=True)
        time.sleep(600)
    """,
    # As server, but with a mechanism.
    "secured": """
        import sys, time, zmq
        context = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        if sys.argv[1] == "PLAIN":
            socket.plain_server = True
        else:
            socket.curve_server = True
            socket.curve_secretkey = zmq.curve_keypair()[1]
        socket.bind(sys.argv[2])
        time.sleep(600)
    """,
    # Leaves a grandchild in a session of its own, whose parent is gone; then runs the rest of its arguments.
    "daemoniser": """
        import os, sys, time
        mark, *command = sys.argv[1:]
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(600)", mark])
            os._exit(0)
        os.wait()
        os.execv(sys.executable, [sys.executable, *command])
    """,
    # Forks the server, and stays.
    "forker": """
        import os, subprocess, sys
        subprocess.run([sys.executable, *sys.argv[1:]])
        import time; time.sleep(600)
    """,
    # Forks the server, and ends well: what is left runs in the background.
    "background": """
        import subprocess, sys
        subprocess.Popen([sys.executable, *sys.argv[1:]])
    """,
    "dies": """
        import sys
        print("starting")
        sys.exit("the configuration is missing")
    """,
    "crashes": """
        import os, signal
        os.kill(os.getpid(), signal.SIGSEGV)
    """,
    "plain": """
        import socket, sys, time
        door = socket.create_server(("127.0.0.1", int(sys.argv[1])))
        kept = []
        while True:
            kept.append(door.accept())
    """,
    "idle": """
        import time
        time.sleep(600)
    """,
    "chatty": """
        import os, sys, time
        line = b"x" * 1023 + b"\\n"
        for _ in range(30 * 1024):
            os.write(1, line)
        os.write(2, "the end\\x1b[31m \\u202e\\n".encode())
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    """,
    "hungry": """
        import sys, time, zmq
        socket = zmq.Context().socket(zmq.PULL)
        socket.bind(sys.argv[1])
        time.sleep(1.5)
        kept = []
        while True:
            kept.append(bytearray(b"x") * (4 << 20))
            time.sleep(0.005)
    """,
}


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., list[str]]:
    """The command that runs one of PROGRAMS with these arguments."""

    def command(name: str, *arguments: str) -> list[str]:
        path = tmp_path / f"{name}.py"
        lines = PROGRAMS[name].strip("\n").splitlines()
        path.write_text("\n".join(line[8:] for line in lines) + "\n", encoding="utf-8")
        return [sys.executable, str(path), *arguments]

    return command


def _marked(mark: str) -> set[int]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                if mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                    found.add(int(name))
            except OSError:
                continue
    return found


class Mark:
    """A word to put into command lines; ``pids`` are the living processes that have it."""

    def __init__(self) -> None:
        self.word = f"zf-{uuid.uuid4().hex}"

    def pids(self) -> set[int]:
        return _marked(self.word)

    def wait(self, count: int, within: float = 10.0) -> set[int]:
        """The marked processes, once there are ``count``; whatever there is after ``within`` seconds."""
        deadline = time.monotonic() + within
        while len(found := self.pids()) != count and time.monotonic() < deadline:
            time.sleep(0.01)
        return found


@pytest.fixture
def mark() -> Iterator[Mark]:
    made = Mark()
    yield made
    left = made.wait(0, within=5.0)
    for pid in left:
        os.kill(pid, 9)
    assert not left
