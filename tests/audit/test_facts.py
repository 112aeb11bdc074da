"""What the rules say of libzmq, asked of the libzmq that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import zmq

from zmqfuzz.audit.rules.options import BEFORE
from zmqfuzz.audit.setting import DEFAULTS, changed_defaults

_UNREAD = """
import os, socket, sys
import zmq

context = zmq.Context()
watched, other = context.socket(zmq.ROUTER), context.socket(zmq.REP)
monitor = watched.get_monitor_socket()
doors = [each.bind_to_random_port("tcp://127.0.0.1") for each in (watched, other)]

def greeted(port, within):
    with socket.socket() as peer:
        peer.settimeout(within)
        try:
            peer.connect(("127.0.0.1", port))
            return bool(peer.recv(1))
        except TimeoutError:
            return False

for _ in range(1500):
    if not greeted(doors[0], 3.0):
        break
    while sys.argv[1] == "read" and monitor.poll(0):
        monitor.recv_multipart()
print("served" if greeted(doors[1], 3.0) else "deaf", flush=True)
os._exit(0)  # the context could not be ended
"""


@pytest.mark.parametrize(("how", "what"), [("read", "served"), ("unread", "deaf")])
def test_a_monitor_that_nobody_reads_stops_all_sockets_of_the_context(how: str, what: str) -> None:
    words = [sys.executable, "-c", textwrap.dedent(_UNREAD), how]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == what


def _arrives(context: zmq.Context[zmq.Socket[bytes]], *, limit_first: bool) -> bool:
    """Whether a message over MAXMSGSIZE arrives, set before or after bind; its connection's end means not."""
    with context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
        monitor = pull.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        push.linger = 0
        if limit_first:
            pull.setsockopt(zmq.MAXMSGSIZE, 1000)
        port = pull.bind_to_random_port("tcp://127.0.0.1")
        if not limit_first:
            pull.setsockopt(zmq.MAXMSGSIZE, 1000)
        push.connect(f"tcp://127.0.0.1:{port}")
        push.send(bytes(1001))
        poller = zmq.Poller()
        poller.register(pull, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        ready = dict(poller.poll(30_000))
        pull.disable_monitor()
        monitor.close()
        assert ready
        return pull in ready


def test_an_option_after_bind_has_no_effect() -> None:
    assert "MAXMSGSIZE" in BEFORE
    with zmq.Context() as context:
        assert not _arrives(context, limit_first=True)
        assert _arrives(context, limit_first=False)


def test_every_option_that_may_come_too_late_exists() -> None:
    assert {name for name in BEFORE if not hasattr(zmq, name)} == set()


def test_of_curve_server_and_curve_serverkey_the_last_one_decides() -> None:
    if not zmq.has("curve"):
        pytest.skip("this libzmq was built without CURVE")
    public, _ = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SERVERKEY, public)
        assert not socket.getsockopt(zmq.CURVE_SERVER)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        assert socket.getsockopt(zmq.CURVE_SERVER)


def test_curve_keypair_gives_the_public_key_first() -> None:
    if not zmq.has("curve"):
        pytest.skip("this libzmq was built without CURVE")
    first, second = zmq.curve_keypair()
    assert zmq.curve_public(second) == first


def test_what_has_no_effect_has_none() -> None:
    context = zmq.Context()
    early = context.socket(zmq.PULL)
    before = len(os.listdir("/proc/self/task"))
    context.set(zmq.IO_THREADS, 4)
    context.linger = 7
    late = context.socket(zmq.PULL)
    try:
        assert len(os.listdir("/proc/self/task")) == before
        assert (early.linger, late.linger) == (-1, 7)
    finally:
        context.destroy(linger=0)


@pytest.mark.parametrize(("send", "receive", "taken"), [(5, 5, 10), (5, 0, 1000), (0, 5, 1000)])
def test_marks_of_inproc_are_added_and_none_at_one_end_is_none(send: int, receive: int, taken: int) -> None:
    context = zmq.Context()
    out, into = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    out.sndhwm, into.rcvhwm = send, receive
    into.bind("inproc://marks")
    out.connect("inproc://marks")
    sent = 0
    try:
        while sent < 1000 and out.poll(0, zmq.POLLOUT):
            out.send(b"", zmq.NOBLOCK)
            sent += 1
        assert sent == taken
    finally:
        context.destroy(linger=0)


def test_the_defaults_that_are_known_are_those_of_this_libzmq() -> None:
    if zmq.zmq_version_info() != (4, 3, 5):
        pytest.skip("the table is of libzmq 4.3.5")
    context = zmq.Context()
    try:
        socket = context.socket(zmq.DEALER)
        assert {name: socket.get(getattr(zmq, name)) for name in DEFAULTS} == DEFAULTS
    finally:
        context.destroy(linger=0)


def test_a_default_that_has_changed_is_told() -> None:
    assert not changed_defaults("/lib/libzmq.so.5", "4.3.5", DEFAULTS)
    (line,) = changed_defaults("/lib/libzmq.so.5", "9.0.0", {**DEFAULTS, "LINGER": 0})
    assert (line.code, str(line.path)) == ("ZF648", "<libzmq.so.5>")
    assert "The default of LINGER is 0 in libzmq 9.0.0; in 4.3.5 it is -1." in line.sentence
