"""The proxy between real peers: what passes unchanged, what is told of it, and that nothing is left of it."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import zmq

from tests.proxy.ends import Ends, received
from tests.proxy.pairs import PATIENCE, Pair, paired
from zmqfuzz.errors import Inconclusive, UsageError
from zmqfuzz.proxy import Proxy
from zmqfuzz.zmtp import Frame, Framing, Greeting, Greeting1, Greeting2, SocketTypeByte, Unit, encode


@pytest.fixture
def pair() -> Iterator[Pair]:
    with paired() as pair:
        yield pair


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN", "CURVE"])
def test_without_a_fault_all_passes_as_it_is(mechanism: str) -> None:
    some = random.Random(1)
    messages = [[some.randbytes(some.choice((0, 1, 255, 256, 70_000))) for _ in range(3)] for _ in range(30)]
    with paired(mechanism) as pair, Proxy(pair.endpoint) as proxy:
        pair.through(proxy)
        pair.say(*messages)
        assert pair.heard(len(messages)) == messages
        for message in messages:
            pair.far.send_multipart(message)
        assert [pair.near.recv_multipart() for _ in messages] == messages
        proxy.wait_for("message", n=len(messages) * (1 if mechanism != "CURVE" else 3), direction="server->client")
        (passage,) = proxy.connections
        assert (passage.version, passage.mechanism, passage.ended) == ("3.1", mechanism, "")


@pytest.mark.parametrize(
    ("greeting", "version", "framing"),
    [
        (Greeting2(SocketTypeByte.DEALER), "2.0", Framing.V2),
        (Greeting2(SocketTypeByte.DEALER, revision=0), "1.0", Framing.V1),
        (Greeting1(), "1.0", Framing.V1),
    ],
)
def test_peers_of_older_versions_are_read_too(pair: Pair, greeting: Unit, version: str, framing: Framing) -> None:
    with Proxy(pair.endpoint) as proxy:
        proxy.fault.drop(on="message", n=2)
        proxy.fault.duplicate(on="message", n=1, direction="server->client")
        near = socket.create_connection(("127.0.0.1", int(proxy.endpoint.rpartition(":")[2])))
        near.sendall(encode(greeting) + b"".join(encode(Frame(body), framing) for body in (b"1", b"2", b"3")))
        assert pair.heard(2) == [[b"1"], [b"3"]]
        pair.far.send(b"answer")
        answer = encode(Frame(b"answer"), framing)
        near.settimeout(PATIENCE / 1000)
        came = b""
        while answer * 2 not in came:
            piece = near.recv(1000)
            assert piece, came
            came += piece
        assert proxy.connections[0].version == version
        assert not [entry for entry in proxy.log if entry.event == "raw"]
        near.close()


def test_the_log_tells_both_directions_in_words(pair: Pair) -> None:
    with Proxy(pair.endpoint) as proxy:
        pair.through(proxy)
        pair.say([b"a", b"\x1b[31m"])
        pair.heard(1)
        pair.far.send(b"answer")
        proxy.wait_for("message", direction="server->client")
        entries = [(entry.direction, entry.event, entry.words) for entry in proxy.log]
        assert ("client->server", "READY", "READY Socket-Type=DEALER Identity=") in entries
        assert ("server->client", "message", "message 1, part 1, 6 octets") in entries
        assert [words for _, event, words in entries if event == "part"] == ["message 1, part 1, 1 octet, MORE"]
        assert all(line.isprintable() for line in map(str, proxy.log))
        assert proxy.connections[0].messages == (1, 1)
        with pytest.raises(
            TimeoutError, match=r"(?s)PING 1 did not pass within 0.01 s; the last of the log:\n.*greeting 3.1"
        ):
            proxy.wait_for("PING", within=0.01)


def test_heartbeats_can_be_dropped_and_are_missed(pair: Pair) -> None:
    pair.near.setsockopt(zmq.HEARTBEAT_IVL, 20)
    pair.near.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10_000)
    with Proxy(pair.endpoint) as proxy:
        pair.through(proxy)
        assert proxy.wait_for("PONG").direction == "server->client"
        with proxy.fault.drop(on="PONG", times=3) as dropped:
            while dropped.acted < 3:
                time.sleep(0.01)
        pair.say([b"still there"])
        assert pair.heard(1) == [[b"still there"]]
    with paired() as other, Proxy(other.endpoint) as proxy:
        other.near.setsockopt(zmq.HEARTBEAT_IVL, 20)
        other.near.setsockopt(zmq.HEARTBEAT_TIMEOUT, 200)
        proxy.fault.drop(on="PONG")
        other.through(proxy)
        proxy.wait_for("closed")  # the client gives up


def test_faults_keep_to_their_connection_and_direction() -> None:
    with paired(again=True) as pair, Proxy(pair.endpoint) as proxy:
        first = proxy.fault.reset(after="READY", connection=1)
        second = proxy.fault.close(after="GREETING", connection=2)
        never = proxy.fault.hang(after="READY", connection=4)
        drops = proxy.fault.drop(on="message", direction="server->client", times=1)
        pair.through(proxy)
        proxy.wait_for("READY", connection=3, direction="server->client")
        pair.say([b"one"])
        pair.heard(1)
        assert pair.ended()  # else the first message may go to a connection that was reset, and the second be dropped
        pair.far.send(b"dropped")
        pair.far.send(b"answer")
        assert pair.near.poll(PATIENCE)
        assert pair.near.recv() == b"answer"
        assert [passage.ended for passage in proxy.connections] == [
            "closed by fault: reset after=READY connection=1",
            "closed by fault: close after=GREETING connection=2",
            "",
        ]
        assert (first.acted, second.acted, never.acted, drops.acted) == (1, 1, 0, 1)


def test_a_fault_that_is_set_late_acts_at_once_where_its_point_has_passed(pair: Pair) -> None:
    with Proxy(pair.endpoint) as proxy:
        pair.through(proxy)
        pair.say([b"1"], [b"2"])
        pair.heard(2)
        with proxy.fault.hang(after="message", n=2) as hung, proxy.fault.hang(after="message", n=3):
            pair.say([b"3"])
            assert pair.silent()
            assert hung.acted == 1
        assert pair.heard(1) == [[b"3"]]
        proxy.fault.reset(after="message", n=3)
        assert pair.ended()


def test_both_directions_are_awaited_where_that_is_asked_for(pair: Pair) -> None:
    with Proxy(pair.endpoint) as proxy:
        closing = proxy.fault.close(after="message", direction="both")
        pair.through(proxy)
        pair.say([b"1"], [b"2"])
        assert pair.heard(1) == [[b"1"]]
        assert pair.silent()
        assert closing.acted == 0
        pair.far.send(b"answer")
        assert pair.ended()
        assert pair.near.recv() == b"answer"
        assert closing.acted == 1


def test_faults_can_be_set_from_within_a_loop(pair: Pair) -> None:
    async def inside() -> None:
        with Proxy(pair.endpoint) as proxy:
            proxy.fault.drop(on="message", n=1)
            pair.through(proxy)
            pair.say([b"1"], [b"2"])
            assert pair.heard(1) == [[b"2"]]

    trio.run(inside)


def test_what_was_not_kept_is_not_said_to_be_absent() -> None:
    with paired() as pair, Proxy(pair.endpoint, keep=200) as proxy:
        pair.through(proxy)
        pair.say([b"x" * 500])
        pair.heard(1)
        assert proxy.saw(b"READY")
        with pytest.raises(Inconclusive, match="were not kept, so they cannot be searched; give the proxy keep="):
            proxy.saw(b"absent")


def test_ipc_is_served_and_cannot_vanish(tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as rep, context.socket(zmq.REQ) as req:
        rep.linger = req.linger = 0
        rep.bind(f"ipc://{tmp_path}/far")
        with Proxy(f"ipc://{tmp_path}/far", at=f"ipc://{tmp_path}/near") as proxy:
            req.connect(proxy.endpoint)
            req.send(b"x")
            assert rep.recv() == b"x"
            with pytest.raises(Inconclusive, match="cannot vanish from the client: an ipc connection has no segments"):
                proxy.fault.vanish()
        assert not (tmp_path / "near").exists()


def test_where_no_server_is_the_client_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        endpoint = f"tcp://127.0.0.1:{door.getsockname()[1]}"
    with Proxy(endpoint) as proxy:
        near = socket.create_connection(("127.0.0.1", int(proxy.endpoint.rpartition(":")[2])))
        near.settimeout(PATIENCE / 1000)
        with pytest.raises(ConnectionResetError):
            near.recv(1)
        assert "no connection to" in proxy.wait_for("refused").words


@pytest.mark.parametrize(
    ("to", "options", "sentence"),
    [
        ("127.0.0.1:5555", {}, "names no transport"),
        ("tcp://192.0.2.1:5555", {}, "is not on this machine's loopback"),
        ("tcp://127.0.0.1:5555", {"at": "tcp://0.0.0.0:0"}, "is a wildcard"),
    ],
)
def test_what_cannot_be_is_said_at_once(to: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Proxy(to, **options)  # type: ignore[arg-type]


def test_a_process_that_was_forked_keeps_nothing_open() -> None:
    ends = Ends()
    near, far = ends.joined()
    near.sendall(b"\xff")
    assert received(far, 1) == b"\xff"
    hands, told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(told[1], b"x")
        os.read(hands[0], 1)
        os._exit(0)
    try:
        os.read(told[0], 1)
        ends.proxy.close()
        near.settimeout(PATIENCE / 1000)
        assert near.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(ends.proxy.endpoint.rpartition(":")[2])))
    finally:
        os.write(hands[1], b"x")
        os.waitpid(child, 0)
        for number in (*hands, *told):
            os.close(number)
        for sock in (near, far, ends.door):
            sock.close()


def test_nothing_is_left_of_it() -> None:
    threads, before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    ends = Ends()
    joined = [ends.joined() for _ in range(5)]
    ends.proxy.fault.hang()
    hung = ends.joined()
    hung[0].sendall(encode(Greeting()))
    ends.proxy.close()
    ends.proxy.close()
    for near, far in [*joined, hung]:
        near.settimeout(PATIENCE / 1000)
        try:
            assert near.recv(1) == b""
        except ConnectionResetError:
            pass
        near.close()
        far.close()
    ends.door.close()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(UsageError, match="The proxy is closed"):
        ends.proxy.fault.hang()
    ends.proxy.heal()
