"""What the proxy does to the octets of plain peers: to each of them, in time, and at the end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy.ends import Ends, received, segments
from tests.proxy.pairs import PATIENCE, QUIET
from zmqfuzz.zmtp import Command, Frame, Greeting, Greeting2, encode


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    with made.proxy, made.door:
        yield made


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


def test_reset_is_rst_and_close_is_fin_even_where_something_waits_to_be_read(ends: Ends) -> None:
    unread = encode(Greeting())
    for kind, side in (("reset", "client"), ("close", "both")):
        near, far = ends.joined()
        with ends.proxy.fault(f"{kind} after=message" + f" side={side}" * (side == "client")):
            far.sendall(unread)
            near.sendall(encode(Greeting()) + encode(Frame(b"a")) + encode(Frame(b"behind")))
            assert received(far, 67) == encode(Greeting()) + encode(Frame(b"a"))
            assert far.recv(1) == b""
            near.settimeout(PATIENCE / 1000)
            if kind == "reset":
                with pytest.raises(ConnectionResetError):
                    received(near, 100)
            else:
                assert near.recv(100) in (b"", unread)
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
