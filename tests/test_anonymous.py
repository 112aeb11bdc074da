"""Peers that do not say who they are: wherever an identity is announced, it is left out, and nothing else is."""

from __future__ import annotations

import pytest

from zmqfuzz.anonymous import anonymous, names_itself
from zmqfuzz.scale import round_of
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Step
from zmqfuzz.trial import Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Greeting1, Greeting2, Property, Raw, Unit

NAME = Property(b"iDENTITY", b"ada")
TYPE = Property(b"Socket-Type", b"DEALER")
MESSAGE: tuple[Unit, ...] = (Frame(b"ada", more=True), Frame(b"identity"))
NAMED: list[tuple[Step, Step]] = [
    (Shake("DEALER", identity=b"ada"), Shake("DEALER")),
    (Shake("DEALER", properties=(NAME,)), Shake("DEALER")),
    (
        Shake("DEALER", instead=(Command(b"READY", properties=(TYPE, NAME)),)),
        Shake("DEALER", instead=(Command(b"READY", properties=(TYPE,)),)),
    ),
    (Send((Greeting1(b"ada"), *MESSAGE)), Send((Greeting1(), *MESSAGE))),
    (Send((Greeting2(identity=b"ada"), *MESSAGE), times=3), Send((Greeting2(), *MESSAGE), times=3)),
]


@pytest.mark.parametrize(("named", "unnamed"), NAMED, ids=lambda step: type(step).__name__)
def test_only_the_identity_is_left_out(named: Step, unnamed: Step) -> None:
    attack = Attack((Script((Connect(), named), times=2, label="victim"), Script((Connect(),))), "identities", 7)
    assert anonymous(attack) == Attack(
        (Script((Connect(), unnamed), times=2, label="victim"), Script((Connect(),))), "identities", 7
    )
    assert anonymous(anonymous(attack)) == anonymous(attack)
    assert [names_itself(script) for script in attack.scripts] == [True, False]


HIDDEN: list[tuple[Step, ...]] = [
    (Connect(), Send((Raw(b"\x04\x00ada"), *MESSAGE))),
    (Connect(), Send((Greeting(),)), Send((Frame(b"\x05READY\x08Identity\0\0\0\x03ada", command=True),))),
    (Connect(), Shake("DEALER"), Connect(), Send((Raw(b"GET / HTTP/1.1"),))),
]


@pytest.mark.parametrize("steps", HIDDEN, ids=["greeting", "READY", "the second connection"])
def test_peers_that_may_name_themselves_in_raw_octets_are_left_out(steps: tuple[Step, ...]) -> None:
    honest = Script((Connect(), Shake("DEALER"), Send((Raw(b"\x04\x00ada"),))))
    assert anonymous(Attack((Script(steps), honest))) == Attack((honest,))
    assert names_itself(Script(steps))
    assert not names_itself(honest)


@pytest.mark.parametrize(("named", "unnamed"), NAMED, ids=lambda step: type(step).__name__)
def test_a_round_has_each_identity_once_and_more_of_the_others(named: Step, unnamed: Step) -> None:
    def peers(step: Step) -> int:
        attack = Attack((Script((Connect(), step, Send(MESSAGE))),))
        surface = Surface("tcp://127.0.0.1:1", socket_type="ROUTER")
        repeated = round_of([Trial(attack, surface, (), Observation(), 0.01)])
        return sum(script.times for script in repeated.scripts)

    assert peers(named) == 1
    assert peers(unnamed) > 1
