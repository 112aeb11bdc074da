"""Units in words: each lie of a CURVE command is told, an honest one is not; simpler ones are found."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import trio

from zmqfuzz.campaign.decode import decode_attack, describe_attack
from zmqfuzz.campaign.minimise import minimise
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.campaign.units import unit_text
from zmqfuzz.script import Attack, Connect, Script, Send, Shake
from zmqfuzz.zmtp.wire import CURVE_WORDS, CurveCommand, Fill, Frame, Property

OTHERS: dict[str, Any] = {
    "spelling": b"hello",
    "body": Fill(5),
    "flags": 4,
    "properties": (Property(b"Identity", b"x"),),
    "version": (2, 0),
    "padding": 1,
    "flip_inside": 7,
    "flip": 9,
    "size": 199,
    "more": True,
    "command": False,
    "reserved": 8,
}


def _only(field: str, word: str) -> dict[str, Any]:
    return {field: word}


LIES = [CurveCommand(b"HELLO", **{name: value}) for name, value in OTHERS.items()] + [
    replace(CurveCommand(b"HELLO"), **_only(field, word)) for field, words in CURVE_WORDS.items() for word in words[1:]
]


def test_an_honest_command_is_told_by_its_name() -> None:
    assert unit_text(CurveCommand(b"HELLO")) == "CURVE HELLO"


@pytest.mark.parametrize("lie", LIES, ids=unit_text)
def test_each_lie_is_told_in_words_of_its_own(lie: CurveCommand) -> None:
    assert unit_text(lie).startswith("CURVE HELLO, ")
    assert [unit_text(other) for other in LIES].count(unit_text(lie)) == 1


def test_every_field_is_among_these() -> None:
    assert {item.name for item in fields(CurveCommand)} == {"name", *OTHERS, *CURVE_WORDS}


def test_a_dishonest_handshake_is_told_step_by_step() -> None:
    lie = CurveCommand(b"INITIATE", cookie="another")
    attack = Attack((Script((Connect(), Shake("REQ", mechanism="CURVE", honest=1, instead=(lie,)))),))
    text = "\n".join(decode_attack(attack))
    assert "greeting 3.1 CURVE, 1 honest command, as REQ then:" in text
    assert "CURVE INITIATE, another connection's cookie" in text
    assert "handshake" in cannot_play(attack)


@pytest.mark.parametrize("stranger", [False, True])
def test_who_has_the_keys_is_called_authenticated(stranger: bool) -> None:
    shake = Shake("REQ", mechanism="CURVE", stranger=stranger)
    text = describe_attack(Attack((Script((Connect(), shake, Send((Frame(b"x"),)))),)))
    assert text.startswith("1 unauthenticated" if stranger else "1 authenticated")


@pytest.mark.parametrize("guilty", [{"flip": 3}, {"nonce": "last"}, {"size": 9}, {"more": True}])
def test_the_lie_that_matters_is_what_is_left(guilty: dict[str, Any]) -> None:
    name, value = next(iter(guilty.items()))
    loud = CurveCommand(
        b"MESSAGE", body=b"payload", flags=3, nonce="last", box="sealed", flip=3, size=9, more=True, reserved=8
    )
    attack = Attack((Script((Connect(), Shake("REQ", mechanism="CURVE", instead=(loud, loud)), Send((loud,)))),))

    async def fails(simpler: Attack) -> bool:
        units = [unit for step in simpler.scripts[0].steps if isinstance(step, Send) for unit in step.units]
        return any(getattr(unit, name, None) == value for unit in units)

    async def work() -> Attack:
        return await minimise(attack, fails, 30)

    (script,) = trio.run(work).scripts
    assert script.steps == (Connect(), Send((replace(CurveCommand(b"MESSAGE"), **guilty),)))
