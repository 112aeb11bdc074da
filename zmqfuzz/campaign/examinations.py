"""Which examination answers the question of an invariant: by the kind that it names."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from zmqfuzz.backlogger import Backlogger
from zmqfuzz.companion import Companion
from zmqfuzz.examiner import Examiner
from zmqfuzz.follower import Follower
from zmqfuzz.harness import Harness
from zmqfuzz.rater import Rater
from zmqfuzz.script import Attack
from zmqfuzz.stopper import Stopper
from zmqfuzz.trial import Examination

__all__ = ["SINGLY", "Examine", "examinations"]

SINGLY = ("stop", "rate", "unread", "intake", "company", "drops", "order", "rest")
"""Kinds of which one trial of several can be judged by itself."""


class Examine(Protocol):
    """An examination of an attack at a door, on so many fresh processes."""

    def __call__(self, attack: Attack, key: str, /, *, times: int) -> Awaitable[Examination]:
        """Examine."""


def examinations(harness: Harness, examiner: Examiner) -> dict[str, Examine]:
    """The examinations by kind that need nothing but the attack."""
    backlogger, follower = Backlogger(harness), Follower(harness)
    return {
        "beside": examiner.beside,
        "workers": examiner.workers,
        "rest": examiner.rest,
        "stop": Stopper(harness).examine,
        "rate": Rater(harness).examine,
        "unread": backlogger.examine_unread,
        "intake": backlogger.examine_intake,
        "company": Companion(harness).examine,
        "drops": follower.examine_drops,
        "order": follower.examine_order,
    }
