"""What an attack holds open, and which of those peers a socket may rightly take for one of its own."""

from __future__ import annotations

import random

import pytest

from zmqfuzz.holding import Holding, comparable, held_by, idle_peers, may_be_ready, silent_peers
from zmqfuzz.script import Attack, Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Greeting1, Greeting2, Property, Raw, encode

GREETING = encode(Greeting())
READY = Command(b"READY", properties=(Property(b"Socket-Type", b"PULL"),))
PUSH = Surface("tcp://127.0.0.1:5555", "PUSH")


def script(*steps: Step, times: int = 1) -> Script:
    return Script((Connect(), *steps), times)


@pytest.mark.parametrize(
    ("steps", "ready"),
    [
        ((), False),
        ((Expect("bytes"),), False),
        *(((Send((Raw(GREETING[:size]),)),), False) for size in (1, 9, 10, 11, 12, 63, 64)),
        ((Send((Raw(GREETING[:10]),)), Send((Raw(GREETING[10:]),))), False),
        ((Send((Raw(GREETING),)), Expect("ready"), Send((READY,))), True),
        ((Shake("PULL"),), True),
        ((Send((Raw(b"\x01"),)),), True),
        ((Send((Greeting1(b"me"),)),), True),
        ((Send((Greeting1(b"me", long=True),)),), True),
        ((Send((Greeting2(7, b""),)),), True),
        ((Send((Raw(encode(Greeting2(7, b""))[:11]),)),), True),
        ((Send((Raw(b"GET / HTTP/1.1\r\n\r\n"),)),), True),
        ((Send((Frame(Fill(40)),)),), True),
        ((Send((Raw(Fill(9, 0xFF)),)),), False),
        ((Send((Raw(b"\xff"),), times=2),), False),
        ((Send((Raw(b"\xff\x00"),), times=6),), True),
        ((Shake("PULL"), Reset(), Connect()), False),
        ((Send((Raw(b""),)), Connect(), Shake("PULL")), True),
    ],
)
def test_only_a_peer_that_cannot_have_shaken_hands_is_not_ready(steps: tuple[Step, ...], ready: bool) -> None:
    assert may_be_ready(script(*steps)) is ready


def test_what_is_left_open_is_held() -> None:
    scripts = (
        script(times=3),
        script(Close(), times=5),
        script(Reset(), Connect()),
        script(Shake("PULL"), ShutdownWrite(), times=2),
        Script(()),
    )
    assert held_by(Attack(scripts)) == Holding(6, 2)
    assert held_by(Attack(())) == Holding(0, 0)


@pytest.mark.parametrize(
    ("socket_type", "side", "holding", "asked"),
    [
        ("ROUTER", "bind", Holding(2, 2), True),
        ("ROUTER", "bind", Holding(0, 0), False),
        ("ROUTER", "connect", Holding(2, 2), False),
        ("PAIR", "bind", Holding(1, 0), False),
        ("PUSH", "bind", Holding(2, 0), True),
        ("PUSH", "bind", Holding(2, 1), False),
        ("DEALER", "bind", Holding(2, 1), False),
        ("", "bind", Holding(2, 1), False),
        ("PUB", "bind", Holding(2, 1), True),
    ],
)
def test_an_honest_client_is_asked_only_where_it_may_expect_to_be_served(
    socket_type: str, side: str, holding: Holding, asked: bool
) -> None:
    door = Surface("tcp://127.0.0.1:5555", socket_type, side=side)
    assert comparable(door, holding) is asked


@pytest.mark.parametrize("seed", range(20))
def test_silent_peers_never_get_ready_and_idle_ones_do(seed: int) -> None:
    holding = held_by(silent_peers(PUSH, random.Random(seed)))
    assert holding.open > 0
    assert holding.ready == 0
    assert held_by(idle_peers(PUSH, 3)) == Holding(3, 3)
    assert held_by(idle_peers(PUSH, 0)) == Holding(0, 0)
