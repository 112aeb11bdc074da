"""Attacks made larger or smaller, and the honest traffic an attack is compared with. Pure functions over plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from zmqfuzz.anonymous import names_itself
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Step, Wait
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.measure import announced_size, body_size, unit_size
from zmqfuzz.zmtp.wire import Fill, Frame, Raw, Unit, peer_type

__all__ = [
    "as_many",
    "busier",
    "control_of",
    "fewer",
    "hastened",
    "is_honest_frame",
    "planned",
    "round_of",
    "scaled",
    "units",
]

_SMALLEST_CONTROL = 64
_LARGEST_CONTROL = 64 * 1024
_MOST_CONTROL = 400_000

_ANSWERED = 2.0
"""Seconds that an honest peer waits for its answers before it leaves."""

_ROUND_SIZE = 4 << 20
_ROUND_WRITES = 20_000
"""Some hundred thousand a second is what an application in Python works off."""

_ROUND_PEERS = 24
_MOST_PEERS = 256
"""Peers of several attacks that are one round; of attacks that are many already one is enough."""

_ROUND_VISITS = 384
"""Connections of peers that come more than once, in a round."""


def planned(attack: Attack) -> int:
    """Octets that the attack sends when the target takes all of them."""
    return sum(script.times * sum(_octets(step) for step in script.steps) for script in attack.scripts)


def units(attack: Attack) -> int:
    """Frames, commands and pieces that the attack sends when the target takes all of them."""
    return sum(
        script.times * step.times * len(step.units)
        for script in attack.scripts
        for step in script.steps
        if isinstance(step, Send)
    )


def fewer(attack: Attack, most: int) -> Attack | None:
    """The same attack with hardly more than ``most`` units, each Send repeated less often; None: it has more steps."""
    share = most / max(units(attack), 1)
    if share >= 1:
        return attack
    scripts = tuple(
        replace(
            script,
            steps=tuple(
                replace(step, times=max(1, int(step.times * share))) if isinstance(step, Send) else step
                for step in script.steps
            ),
        )
        for script in attack.scripts
    )
    found = replace(attack, scripts=scripts)
    return found if units(found) <= 2 * most else None


def hastened(attack: Attack) -> Attack:
    """The same attack without its pauses, between steps and within them; an answer is waited for as long as before."""
    return replace(attack, scripts=tuple(map(_hastened_script, attack.scripts)))


def _hastened_script(script: Script) -> Script:
    steps = (replace(step, every=0.0) if isinstance(step, Send) else step for step in script.steps)
    return replace(script, steps=tuple(step for step in steps if not isinstance(step, Wait)))


def _octets(step: Step) -> int:
    return step.octets if isinstance(step, Send) else 0


def scaled(attack: Attack, factor: float) -> Attack:
    """The same attack with about ``factor`` times the octets: the largest Send of each script is repeated, or grows.

    A frame that announces more than it brings grows in its body, because repeating it would change its meaning; so
    does one whose body is completed by the unit behind it, because the same again may not be kept again (a topic).
    """
    return replace(attack, scripts=tuple(_scaled_script(script, factor) for script in attack.scripts))


def _scaled_script(script: Script, factor: float) -> Script:
    place = max(range(len(script.steps)), key=lambda place: _octets(script.steps[place]), default=0)
    step = script.steps[place] if script.steps else None
    if not isinstance(step, Send) or not _octets(step):
        return script
    return replace(script, steps=(*script.steps[:place], _scaled_send(step, factor), *script.steps[place + 1 :]))


def busier(attack: Attack, factor: float, visits: int = 1024) -> Attack:
    """As :func:`scaled`, but peers that connect more than once come oftener instead, at most ``visits`` times."""
    return replace(attack, scripts=tuple(_busier(script, factor, visits) for script in attack.scripts))


def _busier(script: Script, factor: float, most: int) -> Script:
    visits = sum(isinstance(step, Connect) for step in script.steps)
    if visits < 2:
        return _scaled_script(script, factor)
    return replace(script, steps=script.steps * max(1, min(round(factor), most // (visits * script.times))))


def _scaled_send(step: Send, factor: float) -> Send:
    match step.units:
        case (*before, Frame(Fill() as body, declared_size=int(declared)) as last) if (
            step.times == 1 and declared > body.size
        ):
            grown = replace(body, size=min(round(body.size * factor), declared - 1))
            return replace(step, units=(*before, replace(last, body=grown)))
        case (*before, Frame(bytes(begun), declared_size=int(declared)) as last, Raw(Fill() as rest)) if (
            0 < rest.size == declared - len(begun)
        ):
            size = max(1, round(rest.size * factor))
            if begun.endswith(rest.size.to_bytes(4, "big")):  # the length of a property's value, which is the rest
                begun = begun[:-4] + size.to_bytes(4, "big")
            whole = replace(last, body=begun, declared_size=len(begun) + size), Raw(replace(rest, size=size))
            return replace(step, units=(*before, *whole))
    return replace(step, times=max(1, round(step.times * factor)))


def round_of(trials: Sequence[Trial]) -> Attack:
    """The attacks of ``trials`` at once, in the size of a round that is to be repeated: about 4 MiB in half a second.

    Large enough that what stays behind shows above a program's own drift. Where the target allows more peers, they
    are more as well as busier: a peer whose connection is closed early leaves its share behind all the same. One peer
    with an identity stays one: two would be another attack (libzmq issue 4503).
    """
    peers = list(accumulate(sum(script.times for script in trial.attack.scripts) for trial in trials))
    trials = [trial for trial, so_far in zip(trials, peers, strict=True) if so_far <= _MOST_PEERS] or trials[:1]
    parts = [_part(trial, len(trials)) for trial in trials]
    names = sorted({trial.attack.strategy for trial in trials})
    return Attack(tuple(script for part in parts for script in part.scripts), "+".join(names), trials[0].attack.seed)


def _part(trial: Trial, share: int) -> Attack:
    attack = trial.attack
    size = max(planned(attack), 1)
    writes = max(1, sum(script.times * _writes(step) for script in attack.scripts for step in script.steps))
    factor = min(_ROUND_SIZE / size, _ROUND_WRITES / writes)
    if writes > _ROUND_WRITES / 10:  # the time of a small attack is that of its waits
        factor = min(factor, max(0.5 / trial.seconds, 1.0 / 16))
    factor /= share
    if trial.surface.side == "bind" and not any(map(_alone, attack.scripts)):
        peers = sum(script.times for script in attack.scripts)
        more = int(max(1, min(_ROUND_PEERS // (share * peers), factor)))
        attack = replace(attack, scripts=tuple(replace(part, times=part.times * more) for part in attack.scripts))
        factor /= more
    return busier(attack, factor, _ROUND_VISITS // share)


def _alone(script: Script) -> bool:
    return script.times == 1 and names_itself(script)


def _writes(step: Step) -> int:
    """Units of a step, or pieces where it is sent in pieces: what an application in Python needs time for."""
    if not isinstance(step, Send):
        return 0
    return max(step.times * len(step.units), _octets(step) // step.chunk if step.chunk else 0)


def control_of(attack: Attack, surface: Surface, sent: int) -> Attack:
    """Honest traffic of the same volume: one well-behaved peer sends ``sent`` octets as complete messages.

    The messages are as large as the attack's commonest frame, within 64 octets and 64 KiB.
    """
    kind = peer_type(surface.socket_type)[0]
    body = Fill(min(max(_commonest(attack), _SMALLEST_CONTROL), _LARGEST_CONTROL))
    parts: tuple[Unit, ...] = (Frame(b"", more=True), Frame(body)) if kind == "REQ" else (Frame(body),)
    times = max(1, min(sent // sum(unit_size(part) for part in parts), _MOST_CONTROL))
    shake = Shake("DEALER" if kind == "REQ" else kind, mechanism=surface.mechanism)
    steps = (Connect(), shake, Send(parts, times=times))
    return Attack((Script(steps, label="honest"),), strategy="control")


def as_many(attack: Attack, surface: Surface, kind: str, parts: Sequence[bytes]) -> Attack:
    """An honest peer that sends as many messages as the attack has units, each one that is answered, as ``parts`` of a
    peer of type ``kind``; where none is known, as much as the attack."""
    if not parts or kind not in ("REQ", "DEALER"):
        return control_of(attack, surface, planned(attack))
    frames = (b"", *parts) if kind == "REQ" else tuple(parts)  # RFC 28: an empty delimiter
    asked = tuple(Frame(frame, more=place < len(frames)) for place, frame in enumerate(frames, 1))
    times = max(1, min(units(attack), _MOST_CONTROL))
    steps = (Connect(), Shake("DEALER", mechanism=surface.mechanism), Send(asked, times=times), Wait(_ANSWERED))
    return Attack((Script(steps, label="honest"),), strategy="control")


def _commonest(attack: Attack) -> int:
    weights: dict[int, int] = {}
    for script in attack.scripts:
        for step in script.steps:
            if isinstance(step, Send):
                for unit in step.units:
                    if isinstance(unit, Frame):
                        size = unit_size(unit)
                        weights[size] = weights.get(size, 0) + size * step.times * script.times
    return max(weights, key=lambda size: weights[size], default=256)


def is_honest_frame(unit: Unit) -> bool:
    """Whether a frame says the truth about itself and breaks no rule."""
    if not isinstance(unit, Frame) or unit.reserved or unit.command:
        return False
    return announced_size(unit) == body_size(unit)
