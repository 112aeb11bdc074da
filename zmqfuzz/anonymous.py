"""An attack without its identities: libzmq keeps what a second peer sends under one that is taken (issues 3731, 4503).

What is left behind without any is not that.
"""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.script import Attack, Script, Send, Shake, Step
from zmqfuzz.zmtp.wire import Command, Greeting1, Greeting2, Property, Unit

__all__ = ["anonymous", "names_itself"]


def anonymous(attack: Attack) -> Attack:
    """The same attack by peers that do not say who they are; a name inside raw octets is left as it is."""
    return replace(attack, scripts=tuple(map(_script, attack.scripts)))


def names_itself(script: Script) -> bool:
    """Whether a peer of this script announces an identity."""
    return _script(script) != script


def _script(script: Script) -> Script:
    return replace(script, steps=tuple(map(_step, script.steps)))


def _step(step: Step) -> Step:
    match step:
        case Shake():
            return replace(
                step, identity=b"", properties=_others(step.properties), instead=tuple(map(_unit, step.instead))
            )
        case Send():
            return replace(step, units=tuple(map(_unit, step.units)))
        case _:
            return step


def _unit(unit: Unit) -> Unit:
    match unit:
        case Greeting1() | Greeting2():
            return replace(unit, identity=b"")
        case Command():
            return replace(unit, properties=_others(unit.properties))
        case _:
            return unit


def _others(properties: tuple[Property, ...]) -> tuple[Property, ...]:
    return tuple(entry for entry in properties if entry.name.lower() != b"identity")
