"""What is kept for a time is no leak: the rounds after a pause say so."""

from __future__ import annotations

import pytest

from zmqfuzz.budget import MIB, Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.examiner import forgot
from zmqfuzz.script import Attack
from zmqfuzz.trial import Examination, Observation, Sample, Surface, Trial

ROUNDS = range(2, 14)


def settled(rss: float) -> Trial:
    sample = Sample(1.0, 4, int(rss * MIB), 0, 10, 2, 0.1)
    return Trial(Attack(()), Surface("tcp://127.0.0.1:1", "REP"), (), Observation(sample, settled=sample), 1.0)


@pytest.mark.parametrize(
    ("after", "leaks", "forgotten"),
    [
        ((), True, False),
        ((14, 15, 16), True, False),
        ((13, 13, 12.9), False, True),  # what was let go of is used again
        ((4, 5, 6), False, True),  # or was given back
    ],
)
def test_rounds_after_a_pause_tell_what_is_kept_for_a_time(
    after: tuple[float, ...], leaks: bool, forgotten: bool
) -> None:
    trials = tuple(settled(rss) for rss in (*ROUNDS, *after))
    told = invariants()["ZF204"].judge(Examination("rounds", trials), Limits())
    assert (told is not None) is leaks
    assert forgot(trials) is forgotten
