"""Our own minimiser: works on an attack's structure, so it does not matter how the attack was drawn.

Peers first, then steps, waits and bytes: each candidate is simpler than the attack it comes from, and the first that
still fails becomes the attack.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import fields, replace
from typing import TypeVar

from zmqfuzz.scale import hastened
from zmqfuzz.script import Attack, Connect, Expect, ReadOn, Script, Send, Shake, Step, Wait
from zmqfuzz.zmtp.wire import Command, CurveCommand, Fill, Frame, Raw, Unit, curve_size

__all__ = ["minimise", "minimise_history", "weight"]

T = TypeVar("T")


def weight(attack: Attack) -> tuple[int, int, int]:
    """How large an attack is: peers, steps, octets and repeats. Smaller is simpler."""
    peers = sum(script.times for script in attack.scripts)
    steps = sum(len(script.steps) for script in attack.scripts)
    sends = [step for script in attack.scripts for step in script.steps if isinstance(step, Send)]
    return peers, steps, sum(step.times * len(step.units) + sum(_octets(unit) for unit in step.units) for step in sends)


def _octets(unit: Unit) -> int:
    match unit:
        case Frame(body) | Raw(body):
            return body.size if isinstance(body, Fill) else len(body)
        case Command():
            return len(unit.body())
        case CurveCommand():
            return curve_size(unit)
        case _:
            return 64


async def minimise(
    attack: Attack, fails: Callable[[Attack], Awaitable[bool]], seconds: float, *, keep_volume: bool = False
) -> Attack:
    """The simplest attack found within ``seconds`` for which ``fails`` is still true.

    ``keep_volume`` leaves repeats and body sizes alone: for findings about how much is held, the amount is the point.
    """
    deadline = time.monotonic() + seconds
    refused: set[Attack] = set()
    improved = True
    quick = hastened(attack)  # first of all: whatever is tried then takes less time
    if quick != attack:
        attack = quick if await fails(quick) else attack
        refused |= {quick} - {attack}
    while improved:
        improved = False
        for candidate in _simpler(attack, keep_volume=keep_volume):
            if time.monotonic() > deadline:
                return attack
            if candidate in refused or candidate == attack:
                continue
            if await fails(candidate):
                attack = candidate
                improved = True
                break
            refused.add(candidate)
    return attack


async def minimise_history(
    history: tuple[T, ...], fails: Callable[[tuple[T, ...]], Awaitable[bool]], seconds: float
) -> tuple[T, ...]:
    """Delta debugging over what was played before: the shortest part of ``history`` that still fails."""
    deadline = time.monotonic() + seconds
    size = max(1, len(history) // 2)
    while history:
        for start in range(0, len(history), size):
            shorter = history[:start] + history[start + size :]
            if time.monotonic() > deadline:
                return history
            if await fails(shorter):
                history = shorter
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
        size = min(size, max(1, len(history)))
    return history


def _simpler(attack: Attack, *, keep_volume: bool) -> Iterator[Attack]:
    scripts = attack.scripts
    for size in _sizes(len(scripts)) if len(scripts) > 1 else ():
        for first in range(0, len(scripts), size):
            yield replace(attack, scripts=scripts[:first] + scripts[first + size :])
    for number, script in enumerate(scripts):
        for simpler in _simpler_script(script, keep_volume=keep_volume):
            yield replace(attack, scripts=(*scripts[:number], simpler, *scripts[number + 1 :]))


def _simpler_script(script: Script, *, keep_volume: bool) -> Iterator[Script]:
    for times in _smaller(script.times, 1):
        if keep_volume:  # fewer peers, each sending more: the volume stays
            steps = tuple(_times(step, script.times / times) for step in script.steps)
            yield replace(script, times=times, steps=steps)
        yield replace(script, times=times)
    for first, last in _pieces(script):
        yield replace(script, steps=script.steps[:first] + script.steps[last:])
    for number, step in enumerate(script.steps):
        for simpler in _simpler_step(step, keep_volume=keep_volume):
            yield replace(script, steps=(*script.steps[:number], simpler, *script.steps[number + 1 :]))


def _pieces(script: Script) -> Iterator[tuple[int, int]]:
    """Runs of steps to be left out, the last first: halves, quarters, then each alone; never the Connect."""
    begin = int(bool(script.steps) and isinstance(script.steps[0], Connect))
    count = len(script.steps) - begin
    for size in _sizes(count):
        for first in reversed(range(begin, len(script.steps), size)):
            yield first, min(first + size, len(script.steps))


def _sizes(count: int) -> list[int]:
    """Of what is left out of ``count``: a half, a quarter, one."""
    return sorted({(count + 1) // 2, (count + 3) // 4, 1} if count else (), reverse=True)


def _times(step: Step, factor: float) -> Step:
    return replace(step, times=round(step.times * factor)) if isinstance(step, Send) and step.times > 1 else step


def _simpler_step(step: Step, *, keep_volume: bool) -> Iterator[Step]:
    match step:
        case Send():
            if step.chunk is not None:
                yield replace(step, chunk=None)
            if step.every:
                yield replace(step, every=0.0)
            if step.fresh:
                yield replace(step, fresh=b"")
            for number in range(len(step.units)) if len(step.units) > 1 else ():
                times = step.times * (2 if keep_volume and step.times > 1 else 1)
                yield replace(step, units=step.units[:number] + step.units[number + 1 :], times=times)
            if not keep_volume:
                for times in _smaller(step.times, 1):
                    yield replace(step, times=times)
            for number, unit in enumerate(step.units):
                for simpler in _simpler_unit(unit, keep_volume=keep_volume):
                    yield replace(step, units=(*step.units[:number], simpler, *step.units[number + 1 :]))
        case Shake():
            if step.identity or step.properties:
                yield replace(step, identity=b"", properties=())
            if step.username:
                yield replace(step, username=b"")
            if step.password:
                yield replace(step, password=b"")
            if step.version != (3, 1):
                yield replace(step, version=(3, 1))
            for fewer in (step.instead[:-1], ()) if step.instead else ():
                yield replace(step, instead=fewer, honest=step.honest if fewer else 0)
            for number, unit in enumerate(step.instead):
                for simpler in _simpler_unit(unit, keep_volume=keep_volume):
                    yield replace(step, instead=(*step.instead[:number], simpler, *step.instead[number + 1 :]))
        case Connect() | ReadOn():
            yield type(step)()
        case Expect():
            if step.within > 0.1 and step.event != "close":
                yield replace(step, within=0.1)
        case Wait():
            if step.seconds > 0.001:
                yield replace(step, seconds=step.seconds / 4)
        case _:
            pass


def _simpler_unit(unit: Unit, *, keep_volume: bool) -> Iterator[Unit]:
    match unit:
        case Frame():
            if unit.reserved:
                yield replace(unit, reserved=0)
            if unit.long is not None:
                yield replace(unit, long=None)
            if unit.command:
                yield replace(unit, command=False)
            if unit.declared_size is not None and not keep_volume:
                yield replace(unit, declared_size=None)
            if unit.more and not keep_volume:
                yield replace(unit, more=False)
            if not keep_volume:
                if isinstance(unit.body, Fill):
                    for size in _smaller(unit.body.size, 0):
                        yield replace(unit, body=Fill(size, unit.body.byte))
                else:
                    for octets in _shorter(unit.body):
                        yield replace(unit, body=octets)
        case Raw(data) if isinstance(data, bytes):
            for octets in _shorter(data):
                yield Raw(octets)
        case Command():
            if unit.name_size is not None:
                yield replace(unit, name_size=None)
            if unit.more:
                yield replace(unit, more=False)
            for number in range(len(unit.properties)):
                yield replace(unit, properties=unit.properties[:number] + unit.properties[number + 1 :])
            for octets in _shorter(unit.data):
                yield replace(unit, data=octets)
        case CurveCommand():
            honest = CurveCommand(unit.name)
            for item in fields(unit):
                if getattr(unit, item.name) != getattr(honest, item.name) and not (keep_volume and item.name == "body"):
                    yield replace(unit, **{item.name: getattr(honest, item.name)})
            if isinstance(unit.body, bytes) and not keep_volume:
                for octets in _shorter(unit.body):
                    yield replace(unit, body=octets)
        case _:
            pass


def _smaller(value: int, least: int) -> Iterator[int]:
    if value > least:
        yield least
    if value // 2 > least:
        yield value // 2
    if value - 1 > least:
        yield value - 1


def _shorter(octets: bytes) -> Iterator[bytes]:
    if octets:
        yield b""
        for size in (1, len(octets) // 2, len(octets) - 1):
            if 0 < size < len(octets):
                yield octets[:size]
        if len(octets) > 1:
            yield octets[1:]
