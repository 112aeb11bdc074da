"""Servers that have not the key of the one that a client is to talk to, read from what their scripts do. Pure.

Contract: as :mod:`zmqfuzz.strangers`, in the other direction: an impostor is one only by what it plays. It may be
connected to several times, and is an impostor each time: who fell back after a first refusal is told, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.script import Connect, Expect, Script, Shake
from zmqfuzz.strangers import LISTENS, SHAKES, speaking, was_there, welcomed
from zmqfuzz.trial import Transcript, Trial

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
        return welcomed(self.script, self.saw)

    @property
    def refused(self) -> bool:
        """Whether the client connected to it, and did not trust it."""
        return was_there(self.saw) and not self.trusted


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
    kinds = {_shaking(shake) for shake in shakes} if shakes else {speaking(script, "no handshake")}
    return kinds.pop() if len(kinds) == 1 else ""


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
