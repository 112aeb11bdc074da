"""The proxy between real peers: what passes unchanged, what is told of it, and that nothing is left of it."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import zmq

from tests.proxy.pairs import PATIENCE, QUIET, Pair, paired
from zmqfuzz.errors import Inconclusive, UsageError
from zmqfuzz.proxy import Proxy
from zmqfuzz.zmtp import Command, Frame, Greeting, Greeting2, encode

DATA_SEGMENTS_IN = 152
"""Where struct tcp_info has them (Linux include/uapi/linux/tcp.h)."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    with paired() as pair:
        yield pair


def received(sock: socket.socket, many: int) -> bytes:
    """So many octets."""
    sock.settimeout(PATIENCE / 1000)
    octets = b""
    while len(octets) < many:
        piece = sock.recv(many - len(octets))
        assert piece, f"ended after {octets!r}"
        octets += piece
    return octets


def segments(sock: socket.socket) -> int:
    """How many segments with octets have come."""
    count: int = struct.unpack_from("=I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), DATA_SEGMENTS_IN)[
        0
    ]
    return count


class Ends:
    """Two plain sockets with the proxy between them."""

    def __init__(self, **options: int) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(f"tcp://127.0.0.1:{self.door.getsockname()[1]}", **options)  # type: ignore[arg-type]

    def joined(self) -> tuple[socket.socket, socket.socket]:
        """The near and the far end of a new connection."""
        near = socket.create_connection(("127.0.0.1", int(self.proxy.endpoint.rpartition(":")[2])))
        self.door.settimeout(PATIENCE / 1000)
        return near, self.door.accept()[0]


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    with made.proxy, made.door:
        yield made


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


def test_octets_of_any_version_and_of_no_zmtp_pass_eagerly(ends: Ends) -> None:
    for octets in (encode(Greeting2(5, b"me")) + encode(Frame(b"x" * 300)), b"GET / HTTP/1.1\r\n\r\n", b"\x04"):
        near, far = ends.joined()
        for octet in octets:  # each before the next: nothing waits for the end of anything
            near.sendall(bytes([octet]))
            assert received(far, 1) == bytes([octet])
        far.sendall(octets)
        assert received(near, len(octets)) == octets
        near.close()
        assert far.recv(1) == b""
        far.close()
    assert ends.proxy.wait_for("raw", n=1).words.startswith("not readable as ZMTP (it begins with no greeting")
    assert [passage.version for passage in ends.proxy.connections] == ["2.0", "", ""]


@pytest.mark.parametrize(
    "fault", ["drop on=message n=999", "corrupt on=message n=999", "delay 1ms on=PONG", "hang n=9 on=PING"]
)
def test_a_fault_that_is_not_met_changes_nothing(ends: Ends, fault: str) -> None:
    ends.proxy.fault(fault)
    near, far = ends.joined()
    octets = encode(Greeting()) + b"".join(encode(Frame(bytes([size % 256]) * size)) for size in range(300))
    sender = threading.Thread(target=near.sendall, args=(octets,))
    sender.start()
    assert received(far, len(octets)) == octets
    sender.join()
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    near.close()
    far.close()


def test_a_head_that_is_held_back_for_a_fault_is_let_go_when_it_is_healed(ends: Ends) -> None:
    near, far = ends.joined()
    with ends.proxy.fault.drop(on="PONG"):
        near.sendall(encode(Greeting()) + b"\x04")
        assert received(far, 64) == encode(Greeting())
    assert received(far, 1) == b"\x04"
    with ends.proxy.fault.drop(on="PONG"):
        near.sendall(encode(Command(b"PING", bytes(2)))[1:] + encode(Command(b"PONG")) + encode(Frame(b"x")))
        assert received(far, 11) == encode(Command(b"PING", bytes(2)))[1:] + encode(Frame(b"x"))
    near.close()
    far.close()


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
        pair.far.send(b"dropped")
        pair.far.send(b"answer")
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
        assert pair.left() == []


def test_both_directions_are_awaited_where_that_is_asked_for(pair: Pair) -> None:
    with Proxy(pair.endpoint) as proxy:
        closing = proxy.fault.close(after="message", direction="both")
        pair.through(proxy)
        pair.say([b"1"], [b"2"])
        assert pair.heard(1) == [[b"1"]]
        assert pair.silent()
        assert closing.acted == 0
        pair.far.send(b"answer")
        assert pair.left() == []
        assert pair.near.recv() == b"answer"
        assert closing.acted == 1


def test_reset_is_rst_and_close_is_fin_even_where_something_waits_to_be_read(ends: Ends) -> None:
    for kind, side in (("reset", "client"), ("close", "both")):
        near, far = ends.joined()
        with ends.proxy.fault(f"{kind} after=message" + f" side={side}" * (side == "client")):
            far.sendall(b"never read")
            near.sendall(encode(Greeting()) + encode(Frame(b"a")) + encode(Frame(b"behind")))
            assert received(far, 67) == encode(Greeting()) + encode(Frame(b"a"))
            assert far.recv(1) == b""
            near.settimeout(PATIENCE / 1000)
            if kind == "reset":
                with pytest.raises(ConnectionResetError):
                    received(near, 100)
            else:
                assert near.recv(100) in (b"", b"never read")
                assert near.recv(100) == b""
        near.close()
        far.close()


def test_a_peer_that_resets_is_a_reset_for_the_other(ends: Ends) -> None:
    near, far = ends.joined()
    near.sendall(encode(Greeting()))
    received(far, 64)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.close()
    far.settimeout(PATIENCE / 1000)
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    assert ends.proxy.wait_for("closed").words == "reset by the client"
    far.close()


def test_pace_is_kept(ends: Ends) -> None:
    near, far = ends.joined()
    octets = encode(Greeting()) + encode(Frame(b"x" * 200))
    for fault, least in (("delay 150ms", 0.15), (f"throttle {len(octets) * 5}", 0.19)):
        with ends.proxy.fault(fault):
            began = time.monotonic()
            near.sendall(octets)
            assert received(far, len(octets)) == octets
            assert time.monotonic() - began >= least
    for fault in ("delay 1h", "throttle 1"):
        with ends.proxy.fault(fault):
            before = sum(entry.event == "fault" for entry in ends.proxy.log)
            near.sendall(octets)
            ends.proxy.wait_for("fault", n=before + 1)
        assert received(far, len(octets)) == octets  # healed, nothing waits
    counts = [segments(far)]
    for fault in ("delay 0.001s on=PING", "split"):
        with ends.proxy.fault(fault):
            near.sendall(octets)
            assert received(far, len(octets)) == octets
            counts.append(segments(far))
    assert counts[1] - counts[0] < 4
    assert counts[2] - counts[1] > 10
    near.close()
    far.close()


def test_what_begins_in_the_middle_of_a_message_waits_for_its_end(ends: Ends) -> None:
    near, far = ends.joined()
    first, second = encode(Frame(b"a" * 200_000)), encode(Frame(b"b"))
    near.sendall(encode(Greeting()) + first[:100_000])
    assert received(far, 100_064) == encode(Greeting()) + first[:100_000]
    ends.proxy.fault.inject(b"!", on="message", times=1)
    ends.proxy.fault.drop(on="message", times=1)
    ends.proxy.fault.hang(on="message", n=1, octets=150_009)
    near.sendall(first[100_000:] + second + second)
    assert received(far, 50_009) == first[100_000:150_009]
    far.settimeout(QUIET / 1000)
    with pytest.raises(TimeoutError):
        far.recv(1)
    ends.proxy.heal()
    assert received(far, 49_000) == first[150_009:199_009]
    near.close()
    far.close()


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
