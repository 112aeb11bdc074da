"""A peer that vanishes, as real libzmq sockets see it: over IPv4 and IPv6, by whoever runs this and by nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import zmq
from zmq.utils.monitor import recv_monitor_message

from zmqfuzz import writer
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.reach import Reach, planned
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.procfs import TcpState
from zmqfuzz.script import Attack, Connect, Script, Send, Vanish
from zmqfuzz.trial import ClosedBy, Observation, Stage, Surface, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.wire import Fill, Raw

NOBODY = 65534
PEERS = """
import os, sys, trio
from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Vanish
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.wire import Frame

user, *endpoints = sys.argv[1:]
if int(user) != os.geteuid():
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
    (rights,) = [line for line in open("/proc/self/status") if line.startswith("CapEff")]
    assert int(rights.split()[1], 16) == 0
steps = (Connect(), Shake("DEALER", within=20), Send((Frame(b"last words"),)), Vanish())
left = len(endpoints)

async def one(endpoint, over):
    async def dial(buffer=None, /):
        return await connect(endpoint, buffer)

    async def held():
        global left
        left -= 1
        if not left:
            print("gone", flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            over.set()
        await over.wait()

    (transcript,) = await inject(Attack((Script(steps),)), dial, Meter(), seconds=60, held=held)
    assert transcript.missed == (), transcript.missed

async def session():
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        for endpoint in endpoints:
            nursery.start_soon(one, endpoint, over)

trio.run(session)
"""
OPTIONS: dict[str, dict[int, int]] = {
    "none": {},
    "heartbeats": {zmq.HEARTBEAT_IVL: 100, zmq.HEARTBEAT_TIMEOUT: 300},
    "keepalive": {
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 1,
        zmq.TCP_KEEPALIVE_INTVL: 1,
        zmq.TCP_KEEPALIVE_CNT: 1,
    },
    "MAXRT": {zmq.TCP_MAXRT: 500},
}
"""What libzmq offers against peers that vanished (zmq_setsockopt(3)); the last needs something on its way to them."""


class Watched:
    """A listening ROUTER, and what its monitor says of its one peer."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], bind: str, options: dict[int, int]) -> None:
        self.router = context.socket(zmq.ROUTER)
        self.router.setsockopt(zmq.LINGER, 0)
        self.router.setsockopt(zmq.IPV6, 1)
        for option, value in options.items():
            self.router.setsockopt(option, value)
        self.monitor = self.router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.router.bind(bind)
        self.endpoint = self.router.getsockopt_string(zmq.LAST_ENDPOINT)

    def heard(self) -> bytes:
        """Who said the last words."""
        assert self.router.poll(30_000)
        peer, words = self.router.recv_multipart()
        assert words == b"last words"
        return peer

    def given_up(self, within: int) -> bool:
        """Whether libzmq gives the peer up in so many milliseconds."""
        return bool(self.monitor.poll(within)) and recv_monitor_message(self.monitor)["event"] == zmq.EVENT_DISCONNECTED

    def unacknowledged(self) -> tuple[int, int]:
        """Octets that the peer's kernel has not acknowledged, and how often the last of them were sent again."""
        port = int(self.endpoint.rpartition(":")[2])
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, queues, _, again, *_ = line.split()
                if int(local.rpartition(":")[2], 16) == port and int(state, 16) == TcpState.ESTABLISHED:
                    return int(queues.partition(":")[0], 16), int(again, 16)
        return 0, 0

    def close(self) -> None:
        self.router.disable_monitor()
        self.router.close()


@contextmanager
def vanished(bind: str, user: int) -> Iterator[tuple[dict[str, Watched], Callable[[], None]]]:
    """A ROUTER for each of OPTIONS, whose peer has said its last words and vanished; what ends these peers' process."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        doors = {name: Watched(context, bind, options) for name, options in OPTIONS.items()}
        for door in doors.values():
            stack.callback(door.close)
        command = [sys.executable, "-c", PEERS, str(user), *(door.endpoint for door in doors.values())]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peers:
            assert peers.stdout is not None
            assert peers.stdout.readline() == "gone\n"

            def end() -> None:
                peers.communicate("over\n", timeout=60)
                assert peers.returncode == 0

            yield doors, end


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:*", "tcp://[::1]:*"])
@pytest.mark.parametrize("user", sorted({os.geteuid(), NOBODY if os.geteuid() == 0 else os.geteuid()}))
def test_libzmq_keeps_a_peer_that_vanished_unless_it_was_told_to_look(bind: str, user: int) -> None:
    with vanished(bind, user) as (doors, end):
        for door in doors.values():
            peer = door.heard()
            if door is not doors["keepalive"]:  # it has nothing to do but to ask for a sign of life
                door.router.send_multipart([peer, b"are you there?"])
        for name in ("heartbeats", "keepalive", "MAXRT"):
            assert doors[name].given_up(60_000), name
        plain, until = doors["none"], time.monotonic() + 60
        while plain.unacknowledged()[1] < 3 and time.monotonic() < until:
            time.sleep(0.05)
        waiting, again = plain.unacknowledged()
        assert waiting == len(b"\0\x0eare you there?")
        assert again >= 3
        assert not plain.given_up(0)
        end()
        assert plain.given_up(60_000), "an attack that ends resets what is left"


def cut_as_a_cable(surface: Surface) -> dict[Stage, Attack]:
    """For each stage of a connection an attack that vanishes in it, as ``abrupt-disconnect`` draws them."""
    family, situation = families()["abrupt-disconnect"], Situation(surface, Limits(), Budget())
    found: dict[Stage, Attack] = {}
    for seed in range(600):
        (script,) = family.draw(RandomDraw(seed), situation)
        if Vanish() in script.steps:
            alone = replace(script, steps=script.steps[: script.steps.index(Vanish()) + 1], times=1)
            stages = planned((alone,), surface)
            if stages:
                found.setdefault(max(stages, key=list(Stage).index), Attack((alone,), family.name))
    return found


def test_abrupt_disconnects_vanish_at_every_event_of_the_protocol() -> None:
    """The reach map counts them where they vanished, and a libzmq sees them there."""
    with zmq.Context() as context:
        door = Watched(context, "tcp://127.0.0.1:*", {})
        surface = Surface(door.endpoint, "ROUTER")
        attacks = cut_as_a_cable(surface)
        assert attacks.keys() == {Stage.CONNECTED, Stage.HANDSHAKE, Stage.TRAFFIC, Stage.MESSAGE}
        assert Stage.GREETING in cut_as_a_cable(replace(surface, mechanism="CURVE", known=False))
        reach = Reach()

        async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
            return await connect(door.endpoint, buffer)

        for stage, attack in attacks.items():
            (transcript,) = trio.run(inject, attack, dial, Meter())
            assert stage in transcript.acted
            assert (transcript.missed, transcript.closed_by) == ((), ClosedBy.OPEN)
            reach.note(Trial(attack, surface, (transcript,), Observation(), 0.0))
        door.close()
    assert {row.stage for row in reach.rows() if row.count} >= {stage.value for stage in attacks}


def test_a_door_without_segments_is_counted_in_the_reach_map(tmp_path: Path) -> None:
    with zmq.Context() as context:
        door = Watched(context, f"ipc://{tmp_path}/door", {})
        surface = Surface(door.endpoint, "ROUTER")
        reach = Reach()

        async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
            return await connect(door.endpoint, buffer)

        for attack in cut_as_a_cable(surface).values():
            (transcript,) = trio.run(inject, attack, dial, Meter())
            reach.note(Trial(attack, surface, (transcript,), Observation(), 0.0))
        door.close()
    said = "abrupt-disconnect could not vanish: an ipc connection has no segments to leave unanswered (4 attacks)"
    assert reach.impossible() == (f"NULL ROUTER that binds: {said}",)
    assert reach.to_plain()["impossible"] == [*reach.impossible()]


def test_what_is_still_on_its_way_is_told() -> None:
    """A target that does not read cannot be left without a word: our kernel goes on asking whether there is room."""
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
            return await connect(f"tcp://127.0.0.1:{silent.getsockname()[1]}", buffer)

        steps = (Connect(), Send((Raw(Fill(32 << 20)),)), Vanish())
        (transcript,) = trio.run(inject, Attack((Script(steps),)), dial, Meter())
    (said,) = [entry.note for entry in transcript.entries if "acknowledged" in entry.note]
    left = int(said.split()[0].replace(",", ""))
    assert 0 < left <= transcript.sent


def test_where_every_segment_comes_from_nearby_it_is_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "ip_default_ttl"
    setting.write_text("255\n")
    monkeypatch.setitem(writer._DEFAULTS, socket.AF_INET, (str(setting),))
    with socket.socket() as sock:
        assert writer.vanish(sock).startswith("segments are sent with the largest time to live here")  # type: ignore[arg-type]
    monkeypatch.setitem(writer._DEFAULTS, socket.AF_INET, (str(tmp_path / "none"),))
    with socket.socket() as sock:
        assert writer.vanish(sock) == ""  # type: ignore[arg-type]
