"""What tells one way of failing from another: the signature of a finding, free of seeds, times and addresses.

And the finding that bears it: whoever confirms a violation, its name is made here.
"""

from __future__ import annotations

import re

from zmqfuzz.campaign.attribution import LIBRARY_CRASHES, LIBRARY_SAYS, owner_of
from zmqfuzz.campaign.cost import cost_of, weighed
from zmqfuzz.campaign.decode import describe_attack
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Finding, Violation, finding_id
from zmqfuzz.lastwords import place
from zmqfuzz.script import Attack, Send
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.measure import announced_size, body_size
from zmqfuzz.zmtp.wire import Frame

__all__ = ["ANYWHERE", "SHAPED", "finding_of", "shape", "signature_of", "way_of"]

SHAPED = ("ZF203", "ZF206")
"""Invariants whose findings differ by what the attack is made of: parts of a message, or one announced frame, are held
for different reasons. What is left behind says nothing of the kind."""


ANYWHERE = ""
"""The place of all doors together."""

_PLACE = re.compile(r": [^:]+\.\w+:\S+$")
"""At the end of a signature: file and function."""


def shape(attack: Attack) -> str:
    """What the attack's largest Send is made of, in a word or two: tells findings about volume apart."""
    largest: Send | None = None
    for script in attack.scripts:
        for step in script.steps:
            if isinstance(step, Send) and (largest is None or step.octets > largest.octets):
                largest = step
    if largest is None:
        return "no octets"
    words = set()
    for unit in largest.units:
        if not isinstance(unit, Frame):
            words.add(type(unit).__name__.lower())
        elif announced_size(unit) > body_size(unit):
            words.add("frame announced larger")
        elif unit.more:
            words.add("frame MORE")
        else:
            words.add("frame")
    return " + ".join(sorted(words))


def signature_of(violation: Violation, attack: Attack, log: str) -> str:
    """What tells this way of failing from another one with the same code; free of seeds, times and addresses."""
    parts = [violation.signature]
    if violation.code in SHAPED:
        parts.append(shape(attack))
    where = place(log)
    by_library = LIBRARY_SAYS in violation.signature or LIBRARY_CRASHES in violation.signature
    if where and violation.code == "ZF101" and not by_library:  # that is another thread's place
        parts.append(where)
    return ": ".join(parts)


def way_of(door: str, code: str, signature: str) -> tuple[str, str, str]:
    """What names a way of failing. Where the signature says at which place the program ends, it is one bug at whichever
    door it is met (ANYWHERE)."""
    named = code == "ZF101" and (LIBRARY_SAYS in signature or _PLACE.search(signature) is not None)
    return (ANYWHERE if named else door), code, signature


def finding_of(
    violation: Violation,
    trial: Trial,
    target: str,
    *,
    attack: Attack | None = None,
    original: Attack | None = None,
    surface: Surface | None = None,
    confirmed: int = 1,
    tried: int = 1,
    control: str = "",
    bare: bool | None = False,
    library: bool = True,
    history: tuple[Attack, ...] = (),
    notes: tuple[str, ...] = (),
    opened: tuple[str, str] = ("", ""),
) -> Finding:
    """What ``trial`` of ``target`` showed, as a finding.

    ``attack`` and ``surface`` are the trial's, ``original`` the attack, where they are not given; ``control`` in words,
    where no measure of that name says it; ``bare`` and ``library`` as in
    :func:`~zmqfuzz.campaign.attribution.owner_of`;
    ``opened``: the finding's ``source`` and ``opened``.
    """
    attack, surface, log = attack or trial.attack, surface or trial.surface, trial.observation.log_tail
    signature = signature_of(violation, attack, log)
    measured = next((measure.observed for measure in violation.measures if measure.name == "control"), "")
    door = way_of(surface.key, violation.code, signature)[0]
    entry = invariants().get(violation.code)
    cost = cost_of(attack, surface, trial.sent, trial.seconds)
    severity, why = weighed(violation.severity, cost, lock=entry is not None and entry.locked)
    return Finding(
        id=finding_id(violation.code, target, *((door,) if door else ()), signature),
        code=violation.code,
        title=violation.title,
        severity=severity,
        sentence=f"{violation.sentence} Attack: {describe_attack(attack)}.",
        signature=signature,
        measures=tuple(measure for measure in violation.measures if measure.name != "control"),
        surface=surface,
        attack=attack,
        original=original or attack,
        target=target,
        confirmed=confirmed,
        tried=tried,
        owner=owner_of(violation, signature, bare=bare, library=library),
        advice=violation.advice,
        control=control or measured,
        history=history,
        log_tail=log,
        seconds=trial.seconds,
        sent=trial.sent,
        notes=(*notes, why) if why else notes,
        source=opened[0],
        opened=opened[1],
    )
