"""What is to be new each time is so, for both drivers and in the script that needs no zmqfuzz; the rest stays."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import trio
import zmq

from tests.campaign.test_repro import router, run
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.endpoints import Place, connect
from zmqfuzz.fresh import MARKER, said
from zmqfuzz.injector import inject
from zmqfuzz.scale import busier, hastened
from zmqfuzz.script import Attack, Close, Connect, Script, Send, Shake, Wait
from zmqfuzz.trial import Surface
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.wire import Frame, Raw

ASKED = Send((Frame(b'{"id": ' + MARKER + b"}"), Raw(b"\0\1x")), times=20, fresh=MARKER)


def ids(received: list[bytes]) -> set[int]:
    return {json.loads(body)["id"] for body in received if body != b"x"}


@pytest.mark.parametrize("at_once", [0, 1])
def test_each_message_has_a_number_of_its_own(at_once: int) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as sock:
        sock.bind("tcp://127.0.0.1:*")
        endpoint = sock.get_string(zmq.LAST_ENDPOINT)
        attack = Attack((Script((Connect(), Shake("PUSH"), ASKED, Close())),), at_once=at_once)
        for _ in range(2):
            trio.run(partial(inject, attack, partial(connect, endpoint), Meter(), place=Place.at(endpoint)))
        received = [sock.recv() for _ in range(80) if sock.poll(5000)]
    assert received.count(b"x") == 40
    assert len(ids(received)) == 40
    assert all(len(str(number)) == len(MARKER) for number in ids(received))


def test_the_script_that_needs_no_zmqfuzz_does_so_too(tmp_path: Path) -> None:
    attack = Attack((Script((Connect(), Shake("DEALER"), ASKED, Wait(0.2))),))
    with router() as (endpoint, received):
        assert run(tmp_path, attack, endpoint).returncode == 0
        assert len(ids([message[-1] for message in received])) == 20


def test_without_it_a_send_is_what_it_was() -> None:
    assert said(Send(ASKED.units)) == ASKED.units
    assert said(ASKED)[1] == ASKED.units[1]


def test_visitors_come_oftener_where_others_say_more() -> None:
    visit = (Connect(), Shake("DEALER"), Wait(1.0), Send((Frame(b"a"),)), Close())
    attack = hastened(Attack((Script(visit * 2, times=4), Script((Connect(), ASKED)))))
    assert not any(isinstance(step, Wait) for script in attack.scripts for step in script.steps)
    visits, says = busier(attack, 100, visits=64).scripts
    assert sum(isinstance(step, Connect) for step in visits.steps) * visits.times == 64
    assert says.steps[1] == Send(ASKED.units, times=2000, fresh=MARKER)


@pytest.mark.parametrize(
    "seed", [(b'{"a": {"b": [1, "c"]}, "d": 2.5}',), (b"GET a/b", b"\x82\xa1a\x01\xa1b\xc4\x02hi"), (b"",)]
)
def test_one_field_is_new_and_the_others_are_as_recorded(seed: tuple[bytes, ...]) -> None:
    situation = Situation(Surface("tcp://127.0.0.1:1", "REP"), Limits(), Budget(), (seed,))
    family, seen = families()["accumulation"], set()
    for number in range(200):
        for script in family.draw(RandomDraw(number), situation):
            seen |= {step.units for step in script.steps if isinstance(step, Send)}
    bodies = {unit.body for units in seen for unit in units if isinstance(unit, Frame)}
    assert all(any(MARKER in unit.body for unit in units if isinstance(unit, Frame)) for units in seen)  # type: ignore[operator]
    if seed[0].startswith(b"{"):
        wanted = (b'{"%s": {"b": [1, "c"]}, "d": 2.5}', b'{"a": {"b": [%s, "c"]}, "d": 2.5}')
        assert {words % MARKER for words in wanted} <= bodies
    if len(seed) == 2:
        assert {b"GET %s/b" % MARKER, b"%s a/b" % MARKER} <= bodies
