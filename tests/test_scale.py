"""Attacks made larger and smaller: the octets that are planned, and the honest traffic beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zmqfuzz.budget import MIB, Budget, Limits
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.scale import control_of, is_honest_frame, planned, round_of, scaled
from zmqfuzz.script import Attack, Close, Connect, Script, Send, Shake, Wait
from zmqfuzz.trial import Observation, Surface, Trial
from zmqfuzz.zmtp.wire import SOCKET_TYPES, Command, Fill, Frame, Greeting, Raw, Unit, encode

SURFACES = [Surface("tcp://127.0.0.1:1", kind) for kind in SOCKET_TYPES]


def drawn(per_family: int) -> list[Attack]:
    situation = Situation(SURFACES[0], Limits(max_frame=65536), Budget())
    return [
        Attack(family.draw(RandomDraw(seed), situation), family.name, seed)
        for family in families().values()
        for seed in range(per_family)
    ]


def one(*units: Unit, times: int = 1, peers: int = 1) -> Attack:
    return Attack((Script((Connect(), Shake("DEALER"), Send(units, times)), peers),))


def octets(attack: Attack) -> int:
    """What the Sends hold, counted the long way."""
    return sum(
        script.times * step.times * sum(len(encode(unit)) for unit in step.units)
        for script in attack.scripts
        for step in script.steps
        if isinstance(step, Send)
    )


def frames(attack: Attack) -> int:
    sends = [(script, step) for script in attack.scripts for step in script.steps if isinstance(step, Send)]
    return sum(script.times * step.times * len(step.units) for script, step in sends)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65536])
def test_planned_counts_what_an_honest_attack_sends(size: int) -> None:
    attack = one(Frame(Fill(size), more=True), Raw(b"abc"), Greeting(), Command(b"PING", b"xx"), times=3, peers=2)
    assert planned(attack) == octets(attack)


def test_planned_is_within_a_header_for_every_frame() -> None:
    for attack in drawn(100):
        assert abs(planned(attack) - octets(attack)) <= 7 * frames(attack)


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 3.0, 1000.0])
def test_scaled_has_about_so_many_times_the_octets(factor: float) -> None:
    attack = one(Frame(Fill(100), more=True), times=1000)
    assert planned(scaled(attack, factor)) == pytest.approx(factor * planned(attack), rel=0.01)


def test_scaled_repeats_the_largest_send_of_each_script_and_leaves_the_rest() -> None:
    small, large = Send((Raw(b"x"),), 5), Send((Raw(Fill(1000)),), 4)
    before = Attack((Script((Connect(), small, Wait(1))), Script((Connect(), small, large, Close()), 3)), "flood", 7)
    first, second = before.scripts
    repeated = replace(first, steps=(Connect(), replace(small, times=50), Wait(1)))
    larger = replace(second, steps=(Connect(), small, replace(large, times=40), Close()))
    assert scaled(before, 10) == replace(before, scripts=(repeated, larger))
    assert scaled(before, 0.0001).scripts[1].steps[2] == replace(large, times=1)


def test_a_frame_that_announces_more_grows_in_its_body_up_to_what_it_announces() -> None:
    attack = one(Frame(Fill(1000), declared_size=1 << 30))
    (step,) = [step for step in scaled(attack, 100).scripts[0].steps if isinstance(step, Send)]
    assert step == Send((Frame(Fill(100_000), declared_size=1 << 30),))
    (step,) = [step for step in scaled(attack, 1e9).scripts[0].steps if isinstance(step, Send)]
    assert step.units == (Frame(Fill((1 << 30) - 1), declared_size=1 << 30),), "never complete"


@pytest.mark.parametrize("head", [b"\x09SUBSCRIBEA", b"\x05READY\x01P" + (1000).to_bytes(4, "big")])
def test_a_frame_completed_by_the_next_unit_grows_and_stays_whole(head: bytes) -> None:
    attack = one(Frame(b""), Frame(head, command=True, declared_size=len(head) + 1000), Raw(Fill(1000)), times=3)
    (step,) = [step for step in scaled(attack, 50).scripts[0].steps if isinstance(step, Send)]
    first, frame, rest = step.units
    longer = head[:-4] + (50_000).to_bytes(4, "big") if b"READY" in head else head
    assert (first, step.times) == (Frame(b""), 3)
    assert frame == Frame(longer, command=True, declared_size=len(head) + 50_000)
    assert rest == Raw(Fill(50_000))
    assert scaled(attack, 1.0) == attack


def test_without_octets_there_is_nothing_to_scale() -> None:
    for attack in (Attack(()), Attack((Script((Connect(), Wait(1))),)), one(Raw(b""), times=9)):
        assert scaled(attack, 100) == attack


@pytest.mark.parametrize("declared", [65536, 65535, 0])
def test_growing_never_makes_smaller(declared: int) -> None:
    attack = one(Frame(Fill(65536), declared_size=declared))
    assert scaled(attack, 1.0) == attack
    assert planned(scaled(attack, 4.0)) >= planned(attack)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.socket_type)
def test_the_control_is_honest_traffic_of_the_same_volume(surface: Surface) -> None:
    for attack in drawn(20):
        volume = planned(attack)
        control = control_of(attack, surface, volume)
        (script,) = control.scripts
        (send,) = [step for step in script.steps if isinstance(step, Send)]
        assert control.strategy == "control"
        assert script.times == 1
        assert all(is_honest_frame(unit) for unit in send.units)
        assert [unit.more for unit in send.units if isinstance(unit, Frame)] == [True] * (len(send.units) - 1) + [False]
        one_message = planned(replace(control, scripts=(replace(script, steps=(replace(send, times=1),)),)))
        assert 64 <= one_message <= 64 * 1024 + 16
        assert planned(control) <= max(volume, one_message)
        if send.times < 400_000:
            assert volume - planned(control) < one_message


def test_the_messages_of_the_control_are_as_large_as_the_commonest_frame() -> None:
    attack = one(Frame(Fill(5)), Frame(Fill(1000), more=True), times=1000)
    (script,) = control_of(attack, SURFACES[3], MIB).scripts
    (send,) = [step for step in script.steps if isinstance(step, Send)]
    assert [unit.body.size for unit in send.units if isinstance(unit, Frame) and isinstance(unit.body, Fill)] == [1009]


@pytest.mark.parametrize(
    ("unit", "honest"),
    [
        (Frame(b"x"), True),
        (Frame(Fill(300), more=True, long=True), True),
        (Frame(b"x", declared_size=1), True),
        (Frame(b"x", declared_size=2), False),
        (Frame(b"x", reserved=8), False),
        (Frame(b"x", command=True), False),
        (Command(b"PING"), False),
        (Raw(b"\0\1x"), False),
    ],
)
def test_what_an_honest_frame_is(unit: Unit, honest: bool) -> None:
    assert is_honest_frame(unit) is honest


def test_one_peer_with_an_identity_stays_one_in_a_round() -> None:
    def after(attack: Attack) -> Attack:
        return round_of([Trial(attack, SURFACES[0], (), Observation(), 0.01)])

    nameless = one(Frame(b"abc"))
    named = Attack(
        (
            replace(
                nameless.scripts[0], steps=(Connect(), Shake("DEALER", identity=b"a"), *nameless.scripts[0].steps[2:])
            ),
        )
    )
    assert after(nameless).scripts[0].times > 1
    assert after(named).scripts[0].times == 1
    assert octets(after(named)) > octets(named)
