"""Who a peer of an attack is to a door that is to keep strangers out, read from what its script does. Pure.

Contract: a script is a stranger only by what it plays, so that no simpler form of it, made by a minimiser or by hand,
is taken for one when it has become an honest peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.credentials import NEAR
from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import ClosedBy, Reached, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import CurveCommand, Greeting1, Greeting2

__all__ = [
    "FIRST",
    "FORGER",
    "LISTENS",
    "NO_PASSWORD",
    "SHAKES",
    "STRANGER",
    "Visit",
    "forgeries",
    "speaking",
    "visits",
    "was_there",
    "welcomed",
]

STRANGER, FIRST, FORGER = "stranger", "first stranger", "forger"
"""The labels of strangers, of the one that comes before others have done something, and of one that has the key and
sends what only somebody would who has recorded or guessed it."""

NO_PASSWORD = b"zmqfuzz: this is not the password"
"""What a stranger gives where a password is asked for."""

SHAKES, LISTENS = 0.7, 0.3
"""Seconds that a stranger waits for its handshake, and then for a message: who leaves sooner has tested nothing."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A stranger in an attack: ``kind`` in words, what it ``saw``; ``first``: it came before the others."""

    script: Script
    kind: str
    saw: Transcript
    first: bool = False
    asked: bool = False

    @property
    def let_in(self) -> bool:
        """Whether its handshake was completed, or a message came back; only the latter, of one that has ``asked``."""
        if self.asked:
            return self.saw.messages > 0
        return welcomed(self.script, self.saw)

    @property
    def refused(self) -> bool:
        """Whether it was there, and was not let in."""
        return was_there(self.saw) and not self.let_in


def welcomed(script: Script, saw: Transcript) -> bool:
    """Whether a handshake of this peer was completed, or a message came to it."""
    shakes = any(isinstance(step, Shake) for step in script.steps)
    return saw.reached is Reached.TRAFFIC and (saw.messages > 0 or shakes)


def was_there(saw: Transcript) -> bool:
    """Whether the peer was connected, and its connection not refused."""
    return saw.reached >= Reached.CONNECTED and saw.closed_by is not ClosedBy.REFUSED


def visits(trial: Trial) -> list[Visit]:
    """The strangers of a trial, at a door that is to keep them out."""
    surface = trial.surface
    if not surface.lock or surface.side != "bind":
        return []
    found = []
    for script, saw in trial.pairs:
        kind = _kind(script, surface)
        if kind:
            found.append(Visit(script, kind, saw, script.label == FIRST))
    return found


def forgeries(trial: Trial) -> list[Visit]:
    """The forgers of a trial, at a door that asks for CURVE: what they send is to be refused whoever they are."""
    surface = trial.surface
    if surface.side != "bind" or surface.lock != "CURVE" or surface.mechanism != "CURVE":
        return []
    found = []
    for script, saw in trial.pairs:
        if script.label != FORGER or not _waits(script):
            continue
        shakes = [step for step in script.steps if isinstance(step, Shake)]
        if not shakes:
            continue
        if kind := _forged_handshake(shakes[0]):
            found.append(Visit(script, kind, saw))
        elif surface.socket_type in ("REP", "ROUTER") and _reuses(script):
            found.append(Visit(script, "a nonce that was used before", saw, asked=True))
    return found


def _forged_handshake(shake: Shake) -> str:
    """What is forged in an otherwise honest handshake; empty: nothing."""
    for unit in shake.instead if shake.mechanism == "CURVE" else ():
        if isinstance(unit, CurveCommand) and unit.name == b"HELLO" and unit.box in ("random", "foreign", "open"):
            return "a HELLO that does not open"
        if isinstance(unit, CurveCommand) and unit.name == b"INITIATE" and unit.cookie in ("random", "zero"):
            return "a cookie that was not given"
    return ""


def _reuses(script: Script) -> bool:
    """Whether all that it sends behind an honest handshake has the nonce of INITIATE, or one before it (RFC 26)."""
    shakes = [step for step in script.steps if isinstance(step, Shake)]
    units = [unit for step in script.steps if isinstance(step, Send) for unit in step.units]
    used = all(isinstance(unit, CurveCommand) and unit.nonce in ("repeat", "lower") for unit in units)
    return bool(units) and used and shakes[0].mechanism == "CURVE" and not shakes[0].instead


def _kind(script: Script, surface: Surface) -> str:
    """Empty: no stranger, or nothing can be said."""
    if script.label not in (STRANGER, FIRST) or not _waits(script):
        return ""
    shakes = [step for step in script.steps if isinstance(step, Shake)]
    return _shaking(shakes[0], surface) if shakes else speaking(script, "a message without a handshake")


def _waits(script: Script) -> bool:
    """Whether it connects once, shakes hands at most once, and then waits long enough for a message."""
    shakes = [step for step in script.steps if isinstance(step, Shake)]
    waits = [step for step in script.steps if isinstance(step, Expect) and step.event == "message"]
    once = sum(isinstance(step, Connect) for step in script.steps) == 1 and len(shakes) <= 1
    return once and bool(waits) and waits[-1].within >= LISTENS and all(step.within >= SHAKES for step in shakes)


def speaking(script: Script, otherwise: str) -> str:
    """One that does no handshake of ours, but sends octets: nothing in them is sealed with a key.

    ``otherwise``: what it is called where they are of no older version. Empty: it sends nothing.
    """
    units = [unit for step in script.steps if isinstance(step, Send) for unit in step.units]
    if any(isinstance(unit, Greeting1) for unit in units):
        return "ZMTP 1.0, which knows no keys"
    if any(isinstance(unit, Greeting2) for unit in units):
        return "ZMTP 2.0, which knows no keys"
    return otherwise if units else ""


def _shaking(shake: Shake, surface: Surface) -> str:
    match shake.mechanism:
        case "" | "NULL":
            return "no key" if surface.lock == "CURVE" else "no password"
        case "PLAIN" if surface.lock == "CURVE":
            return "a password instead of a key"
        case "PLAIN" if shake.stranger and shake.known_name and shake.near in NEAR and shake.password == NO_PASSWORD:
            return "a password that is nearly right"
        case "PLAIN" if shake.stranger and shake.password == NO_PASSWORD:
            return "a wrong password" if shake.known_name else "an unknown name"
        case "PLAIN" if shake.stranger and not (shake.known_name or shake.username or shake.password):
            return "an unknown name"
        case "CURVE" if surface.lock == "CURVE" and _unproven(shake):
            return "no proof that the key is its own"
        case "CURVE" if surface.lock == "CURVE" and shake.stranger and surface.listed:
            return "an unknown key"
    return ""


def _unproven(shake: Shake) -> bool:
    """Whether the vouch, by which RFC 26 has a client prove its long-term key, is none."""
    said = (unit for unit in shake.instead if isinstance(unit, CurveCommand) and not unit.replay)
    return any(unit.name == b"INITIATE" and unit.vouch in ("zero", "random", "foreign") for unit in said)
