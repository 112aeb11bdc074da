"""Whether something adds up when an attack is repeated: a few numbers, cheaply."""

from __future__ import annotations

from itertools import pairwise

__all__ = ["REPEATS", "rises"]

REPEATS = 4
"""Repeats of the cheap look for what stays behind: three steps that must all go up."""

SLOWING = 0.4
"""The last step, as a share of the first, below which growth levels off."""


def rises(values: list[int], step: int) -> bool:
    """Up by ``step`` on average, never down, not slowing: an allocator takes memory in pieces larger than a round's."""
    steps = [later - earlier for earlier, later in pairwise(values)]
    if not steps or min(steps) < 0 or sum(steps) < step * len(steps):
        return False
    return len(steps) < REPEATS - 1 or steps[-1] >= SLOWING * steps[0]
