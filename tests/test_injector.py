"""Many peers at once against real libzmq sockets in other processes, and nothing left open whatever ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.peer import Dial
from zmqfuzz.script import Attack, Close, Connect, Expect, Reset, Script, Send, Shake, Step, Wait
from zmqfuzz.trial import ClosedBy, Direction, Reached, Surface, Transcript
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role
from zmqfuzz.zmtp.wire import Fill, Frame, Greeting, Raw

MIB = 1 << 20
SERVER = """
import json, sys, zmq, zmq.auth.thread
mechanism, endpoint = sys.argv[1:]
context = zmq.Context()
if mechanism == "PLAIN":
    auth = zmq.auth.thread.ThreadAuthenticator(context)
    auth.start()
    auth.configure_plain(passwords={"u": "p"})
router = context.socket(zmq.ROUTER)
router.linger = 0
router.heartbeat_ivl, router.heartbeat_timeout = 100, 1000
router.plain_server = mechanism == "PLAIN"
router.bind(endpoint)
print(router.last_endpoint.decode(), flush=True)
poller, octets = zmq.Poller(), {}
poller.register(router, zmq.POLLIN)
poller.register(sys.stdin, zmq.POLLIN)
while not octets.get("", 0):
    ready = dict(poller.poll())
    if router in ready:
        identity, *parts = router.recv_multipart()
        octets[identity.decode("latin-1")] = octets.get(identity.decode("latin-1"), 0) + sum(map(len, parts))
        if parts[-1] == b"echo":
            router.send_multipart([identity, identity, *parts])
    else:
        sys.stdin.readline()
        print(json.dumps(octets), flush=True)
"""


class Server:
    """A ROUTER in a process of its own: echoes on demand, counts octets for each identity."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.endpoint = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def counts(self) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counts = json.loads(self._line())
        assert isinstance(counts, dict)
        return counts


@contextmanager
def serving(mechanism: str = "NULL", endpoint: str = "tcp://127.0.0.1:*") -> Iterator[Server]:
    command = [sys.executable, "-c", SERVER, mechanism, endpoint]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Server(process)
        process.kill()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


def dialling(endpoint: str) -> Dial:
    async def dial(buffer: int | None = None, /) -> trio.socket.SocketType:
        return await connect(endpoint, buffer)

    return dial


def play(
    endpoint: str,
    *scripts: Script,
    seconds: float = 20.0,
    held: Callable[[], Awaitable[None]] | None = None,
    meter: Callable[[Meter], None] | None = None,
) -> tuple[Transcript, ...]:
    async def session() -> tuple[Transcript, ...]:
        counted = Meter()
        with trio.fail_after(60):
            result = await inject(Attack(scripts), dialling(endpoint), counted, seconds=seconds, held=held)
        if meter is not None:
            meter(counted)
        return result

    return trio.run(session)


def shaken(identity: bytes, *steps: Step) -> tuple[Step, ...]:
    return (Connect(), Shake("DEALER", identity=identity, within=15), *steps)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_many_peers_at_once(transport: str, tmp_path: Path) -> None:
    endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/router"
    body = Frame(Fill(1000))
    scripts = [
        Script(shaken(b"peer-%d" % number, Send((body,), times=number), Expect("close", 0.3)), label=f"{number}")
        for number in range(1, 65)
    ]
    meters: list[Meter] = []
    with serving("NULL", endpoint) as server:
        transcripts = play(server.endpoint, *scripts, meter=meters.append)
        counts = server.counts()
    assert [transcript.label for transcript in transcripts] == [script.label for script in scripts]
    assert {transcript.reached for transcript in transcripts} == {Reached.TRAFFIC}
    assert {transcript.closed_by for transcript in transcripts} == {ClosedBy.OPEN}
    assert counts == {f"peer-{number}": 1000 * number for number in range(1, 65)}
    assert sum(transcript.sent for transcript in transcripts) == meters[0].sent


def test_times_is_so_many_peers_that_do_the_same(server: Server) -> None:
    once = Script(shaken(b"", Send((Frame(b"abc"),)), Expect("close", 0.2)), times=40, label="forty")
    other = Script((Connect(), Send((Greeting(),)), Expect("greeting", 5), Close()), label="one")
    transcripts = play(server.endpoint, once, other)
    assert [transcript.label for transcript in transcripts] == ["forty"] * 40 + ["one"]
    assert transcripts[-1].reached >= Reached.GREETING
    assert sorted(server.counts().values()) == [3] * 40


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
def test_a_peer_that_shook_hands_is_honest_between_its_steps(mechanism: str) -> None:
    shake = Shake("DEALER", identity=b"ada", mechanism=mechanism, username=b"u", password=b"p", within=10)
    ask = Send((Frame(b"one", more=True), Frame(b"echo")))
    steps = (Connect(), shake, ask, Expect("message", 10), Expect("close", 1.5), ask, Expect("close", 0.5))
    started = time.monotonic()
    with serving(mechanism) as server:
        (transcript,) = play(server.endpoint, Script(steps))
    assert time.monotonic() - started < 9, "neither the handshake nor the echo was waited for in vain"
    assert transcript.reached is Reached.TRAFFIC
    assert transcript.closed_by is ClosedBy.OPEN, "unanswered heartbeats would have ended it"
    assert len([item for item in transcript.entries if item.note == "honest reply"]) >= 4
    received = b"".join(item.data for item in transcript.entries if item.direction is Direction.RECEIVED)
    assert received.count(b"\x01\x03ada\x01\x03one\x00\x04echo") == 2


def test_a_wrong_password_goes_no_further_than_the_greeting() -> None:
    with serving("PLAIN") as server:
        wrong = Shake("DEALER", mechanism="PLAIN", username=b"u", password=b"wrong", within=1)
        (transcript,) = play(server.endpoint, Script((Connect(), wrong, Send((Frame(b"x"),)), Expect("close", 0.5))))
    assert transcript.reached is Reached.GREETING
    assert "400" in " ".join(item.note for item in transcript.entries)


def test_held_is_awaited_while_the_connections_are_open(server: Server) -> None:
    seen: list[int] = []

    async def held() -> None:
        await trio.sleep(0.05)
        seen.append(_established(server.endpoint))

    left_open = Script(shaken(b"", Send((Frame(b"x"),))), times=9)
    play(server.endpoint, left_open, Script((*shaken(b""), Close())), held=held)
    assert seen == [9]
    assert _established(server.endpoint) == 0


def test_the_deadline_ends_every_script_and_keeps_what_was_recorded(server: Server) -> None:
    slow = Script(shaken(b"slow", Send((Frame(b"x"),)), Wait(60), Send((Frame(b"never"),))), times=5)
    dripping = Script((Connect(), Send((Raw(bytes(600)),), chunk=3, every=1.0)))
    started = time.monotonic()
    transcripts = play(server.endpoint, slow, dripping, seconds=0.8)
    assert 0.8 <= time.monotonic() - started < 5
    assert all("out of time" in transcript.entries[-1].note for transcript in transcripts)
    assert all(b"never" not in item.data for transcript in transcripts for item in transcript.entries)
    assert transcripts[0].reached is Reached.TRAFFIC


def test_a_send_that_the_deadline_interrupts_is_told_and_counted(server: Server) -> None:
    meters: list[Meter] = []
    dripping = Script(shaken(b"drip", Send((Frame(b"x"),), times=500, every=0.01)))
    (transcript,) = play(server.endpoint, dripping, seconds=0.7, meter=meters.append)
    assert server.counts()["drip"] > 5
    sent = [item for item in transcript.entries if item.direction is Direction.SENT]
    assert sum(len(item.data) * item.times for item in sent) == transcript.sent == meters[0].sent


def test_stop_ends_the_scripts_early(server: Server) -> None:
    async def session() -> float:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_after, stop, 0.2)
            started = trio.current_time()
            attack = Attack((Script((Connect(), Wait(60)), times=3),))
            transcripts = await inject(attack, dialling(server.endpoint), Meter(), stop=stop)
        assert len(transcripts) == 3
        return trio.current_time() - started

    assert trio.run(session) < 5


def test_nothing_to_play_is_over_at_once(server: Server) -> None:
    started = time.monotonic()
    assert play(server.endpoint) == ()
    assert [transcript.entries for transcript in play(server.endpoint, Script(()))] == [()]
    assert time.monotonic() - started < 1


async def _cancelled(attack: Attack, endpoint: str) -> None:
    with trio.move_on_after(0.3):
        await inject(attack, dialling(endpoint), Meter())
        pytest.fail("the attack was over before it was cancelled")


async def _out_of_time(attack: Attack, endpoint: str) -> None:
    await inject(attack, dialling(endpoint), Meter(), seconds=0.3)


async def _failing(attack: Attack, endpoint: str) -> None:
    async def held() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await inject(attack, dialling(endpoint), Meter(), seconds=0.3, held=held)


@pytest.mark.parametrize("ending", [_cancelled, _out_of_time, _failing])
def test_whatever_ends_it_no_socket_and_no_task_is_left(
    server: Server, ending: Callable[[Attack, str], Awaitable[None]]
) -> None:
    steps = [
        shaken(b"", Send((Frame(Fill(MIB), more=True),), times=10_000)),
        shaken(b"", Wait(60)),
        (Connect(), Shake("NOBODY", within=60)),
        (Connect(), Expect("message", within=60)),
        (Connect(), Send((Raw(bytes(999)),), chunk=1, every=0.2)),
        (Connect(), Close(), Connect(), Reset(), Connect(), Wait(60)),
    ]
    attack = Attack(tuple(Script(each, times=3) for each in steps))

    async def session() -> None:
        before = os.listdir("/proc/self/fd"), trio.lowlevel.current_statistics().tasks_living
        for _ in range(3):
            await ending(attack, server.endpoint)
        assert (os.listdir("/proc/self/fd"), trio.lowlevel.current_statistics().tasks_living) == before

    trio.run(session)


CLIENTS = """
import sys, time, zmq
context, kept = zmq.Context(), []
for number in range(3):
    dealer = context.socket(zmq.DEALER)
    dealer.routing_id = b"client-%d" % number
    dealer.reconnect_ivl = 20
    dealer.connect(sys.argv[1])
    dealer.send(b"hello")
    kept.append(dealer)
time.sleep(60)
"""


def test_as_the_server_many_peers_take_a_connection_each() -> None:
    async def session() -> None:
        listeners = Listeners((f"ipc://@zmqfuzz-{os.getpid()}-injector",))
        await listeners.open()
        surface = Surface(f"ipc://@zmqfuzz-{os.getpid()}-injector", "DEALER", side="connect")
        script = Script((Connect(), Shake("ROUTER", within=10), Expect("message", 5), Send((Frame(b"back"),))), times=3)
        with subprocess.Popen([sys.executable, "-c", CLIENTS, surface.address]) as process:
            transcripts = await inject(Attack((script,)), listeners.dial(surface), Meter(), role=Role.SERVER)
            more = Attack((replace(script, times=6),))
            late = await inject(more, listeners.dial(surface), Meter(), role=Role.SERVER, seconds=4)
            process.kill()
        listeners.close()
        assert {transcript.reached for transcript in (*transcripts, *late)} >= {Reached.TRAFFIC}
        received = b"".join(item.data for transcript in transcripts for item in transcript.entries)
        assert all(b"client-%d" % number in received for number in range(3))
        refused = [transcript for transcript in late if transcript.closed_by is ClosedBy.REFUSED]
        assert len(refused) == 3, "there are three clients, and six peers that wait for one"
        assert refused[0].entries[0].note == "not connected: timed out"

    trio.run(session)


async def _set_after(event: trio.Event, seconds: float) -> None:
    await trio.sleep(seconds)
    event.set()


def _established(endpoint: str) -> int:
    """Connections of this process to ``endpoint``, as the system lists them."""
    port = f":{int(endpoint.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) and row[3] == "01" for row in rows)
