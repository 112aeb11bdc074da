"""Whether something adds up when an attack is repeated: a few numbers, cheaply, before anything is examined."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

from zmqfuzz.anonymous import anonymous
from zmqfuzz.campaign.judging import left_behind
from zmqfuzz.campaign.known import Known, Lane
from zmqfuzz.campaign.search import Catch
from zmqfuzz.campaign.wear import STEP
from zmqfuzz.catalogue import invariants
from zmqfuzz.examiner import stayed
from zmqfuzz.harness import Harness
from zmqfuzz.scale import busier, round_of
from zmqfuzz.trial import Trial

__all__ = ["REPEATS", "Repeats"]

FEW = 4
"""Descriptors left behind by each round that need no larger one, nor a fourth, to be examined."""

LARGEST_ROUND = 32 * (1 << 20)
"""Octets sent in one round, at most."""

ROUND_GROWTH = 3 * (1 << 19)
ROUND_SECONDS = 1.0
"""What a round of an examination for leaks should leave behind, in octets, where it takes no longer than this."""

REPEATS = 4
"""Repeats of the cheap look for what stays behind: three steps that must all go up."""

SLOWING = 0.4
"""The last step, as a share of the first, below which growth levels off."""


class Repeats:
    """Repeats attacks on the process that runs. ``judge``: what one trial shows that is not known yet."""

    def __init__(self, harness: Harness, known: Known, judge: Callable[[Lane, Trial], Catch | None]) -> None:
        self._harness = harness
        self._known = known
        self._judge = judge

    async def look(
        self, lane: Lane, suspects: list[Trial], deadline: float, *, anonymously: bool = False
    ) -> Catch | None:
        """A cheap look on the process that runs: does repeating the attacks leave more behind each time?

        ``anonymously``: by peers without an identity, or not at all where there is none to leave out of one attack.
        """
        few = len(suspects) > 1 or left_behind(invariants()["ZF205"], suspects[0]) < FEW
        attack = round_of(suspects) if few else suspects[0].attack
        if anonymously:
            named, attack = attack, anonymous(attack)
            if not attack.scripts or (attack == named and len(suspects) == 1):
                return None
        memory: list[int] = []
        descriptors: list[int] = []
        waiting: list[int] = []
        seconds = 1.0
        for _ in range(REPEATS):
            trial = await self._harness.trial(attack, lane.surface.key, rest=True)
            catch, seconds = self._judge(lane, trial), trial.seconds
            settled = trial.observation.settled
            if catch is None and trial.observation.exit is not None and len(suspects) > 1:
                return await self._halved(lane, suspects, deadline, anonymously=anonymously)
            if catch is not None or settled is None or trial.observation.exit is not None:
                return catch
            memory.append(settled.rss)
            waiting.append(trial.observation.abandoned)
            descriptors.append(stayed("ZF205", settled, trial.observation.abandoned))
            if len(memory) > 1 and _rises(descriptors, FEW):
                break  # plain enough to be examined
            standing = await self._harness.standing()
            if standing.restless or time.monotonic() > deadline:  # to wait again would cost as much
                standing.restless = False
                return None
            if len(memory) == REPEATS - 1 and not (
                memory[-1] - memory[0] > STEP // 4 or _rises(descriptors, 1) or _rises(waiting, 1)
            ):
                return None
        growth = max(memory[-1] - memory[0], 1) / (len(memory) - 1)
        most = min(ROUND_SECONDS / seconds, LARGEST_ROUND / max(trial.sent, 1))
        larger = busier(attack, max(1.0, min(ROUND_GROWTH / growth, most)))
        for code, more, fit in (
            ("ZF205", _rises(descriptors, 1), attack),
            ("ZF208", _rises(waiting, 1), attack),
            (
                "ZF204",
                len(memory) == REPEATS and _rises(memory, STEP, small=4 * STEP) and not _rises(waiting, 1),
                larger,
            ),
        ):
            entry = invariants()[code]
            if more and self._known.may_examine(lane) and not self._known.knows_shape(lane, entry, fit):
                sentence = "something stays behind each time the attack is repeated; examining"
                return Catch(entry.violation(sentence), fit, trial, attack)
        return None

    async def _halved(self, lane: Lane, suspects: list[Trial], deadline: float, *, anonymously: bool) -> Catch | None:
        """Look again without what one of them is known for: the process did not survive all of them together."""
        middle = len(suspects) // 2
        for part in (suspects[:middle], suspects[middle:]):
            if time.monotonic() < deadline:
                catch = await self.look(lane, part, deadline, anonymously=anonymously)
                if catch is not None:
                    return catch
        return None


def _rises(values: list[int], step: int, *, small: int = 0) -> bool:
    """Up by ``step`` on average, never down, not slowing: an allocator takes memory in pieces larger than a round's.

    Whether a first step that is ``small`` is followed by smaller ones is left to chance, and to an examination.
    """
    steps = [later - earlier for earlier, later in pairwise(values)]
    if not steps or min(steps) < 0 or sum(steps) < step * len(steps):
        return False
    return len(steps) < REPEATS - 1 or steps[0] <= small or steps[-1] >= SLOWING * steps[0]
