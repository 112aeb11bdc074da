"""``zmqfuzz proxy`` as its users meet it: what it prints, how it ends, and that its door is closed then."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from click.testing import CliRunner

from zmqfuzz.cli.commands import cli
from zmqfuzz.errors import ZmqfuzzError

PROXY = [sys.executable, "-m", "zmqfuzz", "proxy"]


@contextmanager
def proxy(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and where it listens."""
    running = subprocess.Popen([*PROXY, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    late = threading.Timer(90, running.kill)
    late.start()
    try:
        assert running.stdout is not None
        yield running, running.stdout.readline().split()[0]
    finally:
        late.cancel()
        running.kill()
        running.communicate()


def test_it_shows_what_passes_and_closes_all_with_ctrl_c() -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as rep, context.socket(zmq.REQ) as req:
        rep.linger = req.linger = 0
        req.setsockopt(zmq.RECONNECT_IVL, -1)
        rep.bind("tcp://127.0.0.1:*")
        to = rep.getsockopt_string(zmq.LAST_ENDPOINT)
        with proxy("--to", to, "--fault", "duplicate on=PING", "--fault", "hang after=message n=1") as (running, door):
            req.connect(door)
            req.send(b"\x1b[31mred")
            assert rep.poll(20_000)
            rep.recv()
            assert running.stdout is not None
            lines = []
            for line in running.stdout:
                lines.append(line)
                if line.endswith("fault: hang after=message n=1\n") and "->" in line:
                    break
            running.send_signal(signal.SIGINT)
            text = "".join([*lines, *running.stdout])
            assert running.wait(60) == 130
            assert running.stderr is not None
            assert running.stderr.read() == "Interrupted: every connection is closed.\n"
            assert re.search(r"#1 -> greeting 3\.1 NULL +ff 00", text)
            assert re.search(r"#1 -> message 1, part 2, 8 octets +1b 5b", text)
            assert "\x1b" not in text
            with socket.socket() as sock:
                assert sock.connect_ex(("127.0.0.1", int(door.rpartition(":")[2]))) != 0


def test_what_was_never_reached_is_said_at_the_end() -> None:
    done = CliRunner().invoke(
        cli, ["proxy", "--to", "tcp://127.0.0.1:9", "--fault", "drop on=PING", "--for", "0.1s"], standalone_mode=False
    )
    assert done.return_value == 0
    assert done.output.endswith(" to tcp://127.0.0.1:9\n  fault: drop on=PING\n  never reached: drop on=PING\n")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--to", "tcp://127.0.0.1:9", "--fault", "hung"], 2, "There is no fault 'hung'; there are hang,"),
        (["--to", "tcp://192.0.2.1:9"], 2, "tcp://192.0.2.1:9 is not on this machine's loopback"),
        (["--to", "ipc:///a", "--fault", "vanish side=server"], 3, "The proxy cannot vanish from the server"),
    ],
)
def test_what_is_wrong_is_one_sentence(options: list[str], code: int, sentence: str) -> None:
    done = CliRunner().invoke(cli, ["proxy", *options])
    assert isinstance(done.exception, ZmqfuzzError)
    assert done.exception.exit_code == code
    assert str(done.exception).startswith(sentence)
