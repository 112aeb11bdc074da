"""LINGER behind a proxy, from both sides: what waits for ever is caught, what keeps to its time is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import zmq

from tests.proxy.pairs import PATIENCE, QUIET
from zmqfuzz.proxy import Proxy

MESSAGES = [b"%d" % number for number in range(5)]


@pytest.fixture
def pull() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.PULL) as sock:
        sock.linger = 0
        sock.bind("tcp://127.0.0.1:*")
        yield sock


def stopping(proxy: Proxy, linger: int) -> threading.Thread:
    """A program that has said all and stops, with LINGER in milliseconds (-1: for ever)."""

    def program() -> None:
        with zmq.Context() as context:
            push = context.socket(zmq.PUSH)
            push.linger = linger
            push.connect(proxy.endpoint)
            for message in MESSAGES:
                push.send(message)
            push.close()

    thread = threading.Thread(target=program, daemon=True)
    thread.start()
    return thread


def received(pull: zmq.Socket[bytes], many: int) -> list[bytes]:
    return [pull.recv() for _ in range(many) if pull.poll(PATIENCE)]


def test_to_linger_for_ever_is_to_wait_for_a_hung_peer(pull: zmq.Socket[bytes]) -> None:
    with Proxy(pull.getsockopt_string(zmq.LAST_ENDPOINT)) as proxy:
        with proxy.fault.hang():
            program = stopping(proxy, -1)
            proxy.wait_for("fault")
            program.join(0.4)
            assert program.is_alive()
        program.join(PATIENCE / 1000)
        assert not program.is_alive()
        assert received(pull, len(MESSAGES)) == MESSAGES


@pytest.mark.parametrize("linger", [0, 200])
@pytest.mark.parametrize("fault", ["hang", "vanish after=GREETING", "hang after=GREETING"])
def test_to_linger_for_a_time_is_to_end_in_it_and_to_lose_what_was_left(
    pull: zmq.Socket[bytes], linger: int, fault: str
) -> None:
    with Proxy(pull.getsockopt_string(zmq.LAST_ENDPOINT)) as proxy:
        setting = proxy.fault(fault)
        program = stopping(proxy, linger)
        program.join(PATIENCE / 1000)
        assert not program.is_alive()
        setting.heal()
        assert not pull.poll(QUIET)


def test_what_lingers_is_delivered_to_a_slow_peer(pull: zmq.Socket[bytes]) -> None:
    with Proxy(pull.getsockopt_string(zmq.LAST_ENDPOINT)) as proxy:
        proxy.fault.throttle(2000)
        program = stopping(proxy, -1)
        assert received(pull, len(MESSAGES)) == MESSAGES
        program.join(PATIENCE / 1000)
        assert not program.is_alive()
