"""Recorded messages as honest questions: to a server that ignores all else, and to a worker that connects to us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.errors import UsageError
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.probe import Prober
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Wait
from zmqfuzz.seeds import honest
from zmqfuzz.trial import SILENT, Surface
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role
from zmqfuzz.zmtp.wire import Frame

JOB = (b"", b'{"id": 7, "width": 640}')
WORKER = """
import json, sys, threading, zmq
how, endpoint = sys.argv[1:]
sock = zmq.Context().socket(zmq.DEALER if how != "server" else zmq.ROUTER)
sock.linger, sock.reconnect_ivl = 0, 20
(sock.bind if how == "server" else sock.connect)(endpoint)
working = True
while True:
    if not sock.poll(300):
        how == "server" or sock.send_multipart([b"", b"ALIVE"])
        continue
    *envelope, body = sock.recv_multipart()
    try:
        if working and b"{" in body:
            sock.send_multipart([*envelope, b"%d" % (json.loads(body)["width"] * 2)])
    except Exception:
        working = how == "hardened"
"""


@contextmanager
def program(how: str, endpoint: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", WORKER, how, endpoint]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["weak", "hardened"])
def test_a_worker_that_connects_and_beats_and_answers_nothing_is_deaf(how: str) -> None:
    endpoint = f"ipc://@zf-answering-{os.getpid()}-{how}"

    async def session() -> None:
        listeners = Listeners((endpoint,), asks=(JOB,))
        await listeners.open()
        try:
            with trio.fail_after(60), program(how, endpoint) as process:
                await listeners.learn(20)
                (surface,) = listeners.surfaces
                assert (await listeners.calibrate(surface)).level == "application"
                assert (await listeners.ask(surface, 5)).ok
                hostile = Frame(b"", more=True), Frame(b'{"id": 7}')
                script = Script((Connect(), Shake("ROUTER"), Send(hostile), Wait(0.1)))
                await inject(Attack((script,)), listeners.dial(surface), Meter(), role=Role.SERVER)
                seen = await listeners.ask(surface, 0.9)
                assert process.poll() is None
                assert seen.ok == (how == "hardened"), seen
                assert seen.ok or (seen.level == SILENT and "gave no answer" in seen.detail)
        finally:
            listeners.close()

    trio.run(session)


def test_a_server_that_ignores_what_it_does_not_know_is_asked_what_was_recorded() -> None:
    endpoint = f"ipc://@zf-answering-{os.getpid()}-server"
    prober = Prober(asks=honest([JOB]))
    with program("server", endpoint):
        try:
            assert prober.calibrate(Surface(endpoint, "ROUTER")).level == "application"
            assert prober.exchange is not None
            assert prober.exchange.parts == JOB
        finally:
            prober.close()


def test_a_few_small_messages_that_begin_otherwise_are_asked() -> None:
    many = [(b"put %d" % number,) for number in range(9)] + [(b"x" * 100_000,), (b"get a",), (b"a", b"b"), (b"c",)]
    assert honest(many) == ((b"put 0",), (b"put 1",), (b"put 2",))
    assert honest([(b"put a longer one",), (b"put a longer two",), (b"get a",)]) == (
        (b"put a longer one",),
        (b"get a",),
    )
    assert honest([]) == ()


def test_what_is_asked_is_saved_beside_a_finding() -> None:
    spec = Spec(("python", "server.py"), asks=(JOB, (b"\x00\xff",)))
    assert Spec.from_plain(spec.to_plain()).asks == spec.asks
    assert Spec.from_plain({"command": ["a"]}).asks == ()
    with pytest.raises(UsageError, match="cannot be read"):
        Spec.from_plain({"command": ["a"], "asks": [["no hex"]]})
