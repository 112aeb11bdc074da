"""In which order families have their turns at the doors of a target."""

from __future__ import annotations

from collections import Counter

from zmqfuzz.budget import Limits
from zmqfuzz.campaign.known import Lane
from zmqfuzz.catalogue import Family

__all__ = ["in_order"]


def in_order(lanes: list[Lane], limits: Limits) -> list[Lane]:
    """First a stranger at a lock; each family at one door of a kind before it is played at another that is alike.

    Of these, the heaviest first: should time run out, it is less of a loss.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    places: dict[int, int] = {}
    for lane in lanes:
        kind = lane.family.name, lane.surface.socket_type, lane.surface.mechanism
        places[id(lane)] = seen[kind]
        seen[kind] += 1
    return sorted(lanes, key=lambda lane: (places[id(lane)], *_rank(lane.family, limits)))


def _rank(family: Family, limits: Limits) -> tuple[bool, float]:
    return family.known or not family.mechanism, -family.weighs(limits)
