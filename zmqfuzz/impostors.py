"""Servers that have not the key of the one that a client is to talk to, read from what their scripts do. Pure.

Contract: as :mod:`zmqfuzz.strangers`, in the other direction: an impostor is one only by what it plays. It may be
connected to several times, and is an impostor each time: who fell back after a first refusal is told, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.strangers import LISTENS, SHAKES
from zmqfuzz.trial import ClosedBy, Reached, Transcript, Trial
from zmqfuzz.zmtp.wire import Greeting1, Greeting2

__all__ = ["IMPOSTOR", "Meeting", "meetings"]

IMPOSTOR = "impostor"
"""The label of a server without the key."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """An impostor in an attack: ``kind`` in words, what it ``saw``."""

    script: Script
    kind: str
    saw: Transcript

    @property
    def trusted(self) -> bool:
        """Whether the client completed a handshake with it, or sent it a message."""
        shakes = any(isinstance(step, Shake) for step in self.script.steps)
        return self.saw.reached is Reached.TRAFFIC and (self.saw.messages > 0 or shakes)

    @property
    def refused(self) -> bool:
        """Whether the client connected to it, and did not trust it."""
        met = self.saw.reached >= Reached.CONNECTED and self.saw.closed_by is not ClosedBy.REFUSED
        return met and not self.trusted


def meetings(trial: Trial) -> list[Meeting]:
    """The impostors of a trial, at a client that is to talk to a server with the key only."""
    surface = trial.surface
    if surface.side != "connect" or surface.lock != "CURVE":
        return []
    found = ((script, _kind(script), saw) for script, saw in trial.pairs)
    return [Meeting(script, kind, saw) for script, kind, saw in found if kind]


def _kind(script: Script) -> str:
    """Empty: no impostor, or it leaves before anything can be said."""
    steps = script.steps
    waits = [step for step in steps if isinstance(step, Expect) and step.event == "message"]
    connects = sum(isinstance(step, Connect) for step in steps)
    patient = bool(waits) and all(step.within >= LISTENS for step in waits) and len(waits) >= connects > 0
    if script.label != IMPOSTOR or not patient:
        return ""
    shakes = [step for step in steps if isinstance(step, Shake)]
    kinds = {_shaking(shake) for shake in shakes} if shakes else {_speaking(script)}
    return kinds.pop() if len(kinds) == 1 else ""


def _speaking(script: Script) -> str:
    """One that does no handshake of ours, but sends octets: nothing in them is sealed with a key."""
    units = [unit for step in script.steps if isinstance(step, Send) for unit in step.units]
    if any(isinstance(unit, Greeting1) for unit in units):
        return "ZMTP 1.0, which knows no keys"
    if any(isinstance(unit, Greeting2) for unit in units):
        return "ZMTP 2.0, which knows no keys"
    return "no handshake" if units else ""


def _shaking(shake: Shake) -> str:
    if shake.within < SHAKES or shake.instead:
        return ""
    match shake.mechanism:
        case "" | "NULL":
            return "no key"
        case "PLAIN":
            return "PLAIN, which proves no server"
        case "CURVE" if shake.stranger:
            return "another key"
    return ""
