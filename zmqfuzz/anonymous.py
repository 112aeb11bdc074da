"""An attack without its identities: libzmq keeps what a second peer sends under one that is taken (issues 3731, 4503).

What is left behind without any is not that.
"""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Step
from zmqfuzz.zmtp.wire import Command, Frame, Greeting1, Greeting2, Property, Raw, Unit

__all__ = ["anonymous", "names_itself"]


def anonymous(attack: Attack) -> Attack:
    """The same attack by peers that do not say who they are; without those that may say so in raw octets."""
    scripts = tuple(_unnamed(script) for script in attack.scripts if not _may_hide(script))
    return replace(attack, scripts=scripts)


def names_itself(script: Script) -> bool:
    """Whether a peer of this script announces an identity, or may do so in raw octets."""
    return _unnamed(script) != script or _may_hide(script)


def _may_hide(script: Script) -> bool:
    """Whether octets that are no greeting and no command are sent before the identity is known.

    They may be read as one: by ZMTP 1.0 the first octet is a length (RFC 13), and READY may come in pieces.
    """
    known = False
    for step in script.steps:
        match step:
            case Connect():
                known = False
            case Shake():
                known = True
            case Send():
                for unit in step.units:
                    if not known and isinstance(unit, Raw | Frame):
                        return True
                    known = known or isinstance(unit, Greeting1 | Greeting2 | Command)
    return False


def _unnamed(script: Script) -> Script:
    return replace(script, steps=tuple(map(_unnamed_step, script.steps)))


def _unnamed_step(step: Step) -> Step:
    match step:
        case Shake():
            others, instead = _others(step.properties), tuple(map(_unnamed_unit, step.instead))
            return replace(step, identity=b"", properties=others, instead=instead)
        case Send():
            return replace(step, units=tuple(map(_unnamed_unit, step.units)))
        case _:
            return step


def _unnamed_unit(unit: Unit) -> Unit:
    match unit:
        case Greeting1() | Greeting2():
            return replace(unit, identity=b"")
        case Command():
            return replace(unit, properties=_others(unit.properties))
        case _:
            return unit


def _others(properties: tuple[Property, ...]) -> tuple[Property, ...]:
    return tuple(entry for entry in properties if entry.name.lower() != b"identity")
