"""Attacks made larger or smaller, and the honest traffic an attack is compared with. Pure functions over plain data."""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Step
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Fill, Frame, Unit, body_bytes, encode, peer_type

__all__ = ["control_of", "is_honest_frame", "planned", "scaled"]

_SMALLEST_CONTROL = 64
_LARGEST_CONTROL = 64 * 1024
_MOST_CONTROL = 400_000


def planned(attack: Attack) -> int:
    """Octets that the attack sends when the target takes all of them."""
    return sum(script.times * sum(_octets(step) for step in script.steps) for script in attack.scripts)


def _octets(step: Step) -> int:
    return step.times * sum(_size(unit) for unit in step.units) if isinstance(step, Send) else 0


def _size(unit: Unit) -> int:
    if isinstance(unit, Frame):
        size = unit.body.size if isinstance(unit.body, Fill) else len(unit.body)
        return size + (9 if size > 255 else 2)
    return len(encode(unit))


def scaled(attack: Attack, factor: float) -> Attack:
    """The same attack with about ``factor`` times the octets: its largest Send is repeated, or its body grows.

    A frame that announces more than it brings grows in its body, because repeating it would change its meaning.
    """
    sizes = [
        (script.times * _octets(step), number, place)
        for number, script in enumerate(attack.scripts)
        for place, step in enumerate(script.steps)
    ]
    if not sizes or max(sizes)[0] == 0:
        return attack
    _, number, place = max(sizes)
    script = attack.scripts[number]
    step = script.steps[place]
    assert isinstance(step, Send)
    steps = (*script.steps[:place], _scaled_send(step, factor), *script.steps[place + 1 :])
    scripts = (*attack.scripts[:number], replace(script, steps=steps), *attack.scripts[number + 1 :])
    return replace(attack, scripts=scripts)


def _scaled_send(step: Send, factor: float) -> Send:
    last = step.units[-1]
    partial = isinstance(last, Frame) and isinstance(last.body, Fill) and (last.declared_size or 0) > last.body.size
    if step.times == 1 and partial and isinstance(last, Frame) and isinstance(last.body, Fill):
        size = min(round(last.body.size * factor), (last.declared_size or 1) - 1)
        return replace(step, units=(*step.units[:-1], replace(last, body=replace(last.body, size=size))))
    return replace(step, times=max(1, round(step.times * factor)))


def control_of(attack: Attack, surface: Surface, sent: int) -> Attack:
    """Honest traffic of the same volume: one well-behaved peer sends ``sent`` octets as complete messages.

    The messages are as large as the attack's commonest frame, within 64 octets and 64 KiB.
    """
    kind = peer_type(surface.socket_type)[0]
    body = Fill(min(max(_commonest(attack), _SMALLEST_CONTROL), _LARGEST_CONTROL))
    parts: tuple[Unit, ...] = (Frame(b"", more=True), Frame(body)) if kind == "REQ" else (Frame(body),)
    times = max(1, min(sent // sum(_size(part) for part in parts), _MOST_CONTROL))
    steps = (Connect(), Shake("DEALER" if kind == "REQ" else kind), Send(parts, times=times))
    return Attack((Script(steps, label="honest"),), strategy="control")


def _commonest(attack: Attack) -> int:
    weights: dict[int, int] = {}
    for script in attack.scripts:
        for step in script.steps:
            if isinstance(step, Send):
                for unit in step.units:
                    if isinstance(unit, Frame):
                        size = _size(unit)
                        weights[size] = weights.get(size, 0) + size * step.times * script.times
    return max(weights, key=lambda size: weights[size], default=256)


def is_honest_frame(unit: Unit) -> bool:
    """Whether a frame says the truth about itself and breaks no rule."""
    if not isinstance(unit, Frame) or unit.reserved or unit.command:
        return False
    return unit.declared_size is None or unit.declared_size == len(body_bytes(unit.body))
