"""Every attack family against real libzmq sockets: in its first attacks it reaches the state that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Family, Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.peer import Dial
from zmqfuzz.script import Attack
from zmqfuzz.trial import Reached, Surface
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role

PROGRAM = Path(__file__).resolve().parent.parent / "targets" / "examples" / "plain.py"
CLIENT = """
import sys, time, zmq
with zmq.Context() as context:
    while True:  # after a breach of ZMTP libzmq does not connect that socket again
        with context.socket(getattr(zmq, sys.argv[1])) as socket:
            socket.linger, socket.reconnect_ivl = 0, 10
            if socket.type == zmq.SUB:
                socket.subscribe(b"")
            socket.connect(sys.argv[2])
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                if socket.type == zmq.DEALER:
                    socket.send(b"task", zmq.NOBLOCK)
                if socket.poll(20):
                    socket.recv_multipart()
"""
NULL = Surface("tcp://127.0.0.1:1")
FAMILIES = [pytest.param(family, id=name) for name, family in families().items() if family.applies(NULL)]
"""Those that a door takes without a password or a key."""
ATTACKS = 10
"""What a short run gives a family; by then it must have got where it says."""


@pytest.fixture(params=["ROUTER", "XPUB"])
def listening(request: pytest.FixtureRequest) -> Iterator[Surface]:
    command = [sys.executable, str(PROGRAM), request.param.lower()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"tcp://\S+", process.stderr.readline())
        assert found is not None
        yield Surface(found[0], request.param)
        process.kill()


@pytest.fixture(params=["DEALER", "SUB"])
def connecting(request: pytest.FixtureRequest) -> Iterator[Surface]:
    surface = Surface(f"ipc://@zmqfuzz-{os.getpid()}-live", request.param, side="connect")
    with subprocess.Popen([sys.executable, "-c", CLIENT, request.param, surface.address]) as process:
        yield surface
        process.kill()


async def furthest(family: Family, surface: Surface, dial: Dial, role: Role) -> Reached:
    """How far the first attacks of a family get; no further than it needs."""
    situation, reached = Situation(surface, Limits(), Budget()), Reached.NOTHING
    for seed in range(ATTACKS):
        attack = Attack(family.draw(RandomDraw(seed), situation), family.name, seed)
        transcripts = await inject(attack, dial, Meter(), role=role, seconds=5)
        reached = max(reached, *(transcript.reached for transcript in transcripts))
        if reached >= family.needs:
            break
    return reached


@pytest.mark.parametrize("family", FAMILIES)
def test_a_listening_target_is_taken_where_the_family_wants_it(family: Family, listening: Surface) -> None:
    async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
        return await connect(listening.address, buffer)

    assert trio.run(furthest, family, listening, dial, Role.CLIENT) >= family.needs


@pytest.mark.parametrize("family", FAMILIES)
def test_a_connecting_target_is_taken_there_too(family: Family, connecting: Surface) -> None:
    async def session() -> Reached:
        listeners = Listeners((connecting.address,))
        await listeners.open()
        try:
            return await furthest(family, connecting, listeners.dial(connecting), Role.SERVER)
        finally:
            listeners.close()

    assert trio.run(session) >= family.needs
