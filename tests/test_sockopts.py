"""Options as they are written to ``--set``, and what is suggested."""

from __future__ import annotations

import pytest
import zmq

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import UsageError
from zmqfuzz.sockopts import Option, costs, parse_set, suggested, written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MAXMSGSIZE=64KiB", (("MAXMSGSIZE", 65536),)),
        ("maxmsgsize = -1", (("MAXMSGSIZE", -1),)),
        ("ZMQ_LINGER=1500", (("LINGER", 1500),)),
        ("HEARTBEAT_IVL=1s,HEARTBEAT_TIMEOUT=2.5s", (("HEARTBEAT_IVL", 1000), ("HEARTBEAT_TIMEOUT", 2500))),
        ("TCP_KEEPALIVE=1, TCP_KEEPALIVE_IDLE=1min", (("TCP_KEEPALIVE", 1), ("TCP_KEEPALIVE_IDLE", 60))),
        ("ZAP_DOMAIN=7", (("ZAP_DOMAIN", "7"),)),
        ("PLAIN_SERVER=1", (("PLAIN_SERVER", 1),)),
    ],
)
def test_options_are_read_in_the_units_of_libzmq(text: str, found: tuple[Option, ...]) -> None:
    assert parse_set(text) == found
    assert parse_set(written(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--set is empty"),
        ("MAXMSGSIZE", "gives no value"),
        ("MAXMSGSIZ=1", "did you mean MAXMSGSIZE"),
        ("EVENTS=1", "can be read and not set"),
        ("MAXMSGSIZE=3s", "is a duration, not a size"),
        ("RCVHWM=many", "not a whole number"),
        ("LINGER=1\x1b[2J", "is not a duration"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        parse_set(text)
    assert "\n" not in str(raised.value)


def test_what_is_suggested_exists_and_keeps_what_was_promised() -> None:
    limits = Limits(max_frame=4096, handshake_within=2.0, hung_within=3.0, vanished_within=8.0, linger=0.5)
    for code in invariants():
        for options in suggested(code, limits):
            assert all(hasattr(zmq, name) for name, _ in options)
            assert parse_set(written(options)) == options
    assert suggested("ZF201", limits) == ((("MAXMSGSIZE", 4096),),)
    assert suggested("ZF201", limits, "CURVE") == ((("MAXMSGSIZE", 4129),),)
    assert dict(suggested("ZF312", limits)[0]) == {"HEARTBEAT_IVL": 900, "HEARTBEAT_TIMEOUT": 1800}
    assert suggested("ZF101", limits) == ()
    assert costs(suggested("ZF201", limits)[0])
    assert not costs((("MAXMSGSIZE", -1),))
