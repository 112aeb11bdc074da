"""Trials in which some peers were let in and others were not, as invariants see them, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterable

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Violation
from zmqfuzz.script import Attack, Script
from zmqfuzz.trial import ClosedBy, Observation, Reached, Surface, Transcript, Trial


def trial_of(peers: Iterable[tuple[Script, bool]], door: Surface) -> Trial:
    """Peers, and whether each was let in, or taken for whom it said it was."""
    peers = tuple(peers)
    transcripts = [
        Transcript(
            script.label,
            (),
            ClosedBy.OPEN if inside else ClosedBy.FIN,
            1,
            1,
            Reached.TRAFFIC if inside else Reached.GREETING,
            messages=int(inside),
        )
        for script, inside in peers
    ]
    return Trial(Attack(tuple(script for script, _ in peers)), door, tuple(transcripts), Observation(), 1.0)


def told_of(trial: Trial, codes: Iterable[str]) -> list[str]:
    """Which of these invariants are broken."""
    judged = (invariants()[code].judge(trial, Limits()) for code in codes)
    return [violation.code for violation in judged if isinstance(violation, Violation)]
