"""Examinations: the series of trials, on processes started for them, that one trial cannot replace."""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.budget import MIB
from zmqfuzz.harness import REST, ROUND_SETTLE, Harness, Standing
from zmqfuzz.scale import control_of, planned, scaled
from zmqfuzz.script import Attack
from zmqfuzz.trial import Examination, Trial

__all__ = ["Examiner"]

ROUNDS = 6
"""Rounds of an examination for leaks: one to warm up, five to judge."""

LAST_SETTLE = 14.0
"""Seconds that descriptors may take to come back after the last round; half of it without any change is the end."""

GROWTH_AIM = 96 * MIB
"""Growth, in octets, beyond which a larger attack would show nothing more."""


class Examiner:
    """Examines attacks with the harness of a run."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def held(self, attack: Attack, key: str, seen: Trial | None, *, times: int = 3) -> Examination:
        """One large attack on each of ``times`` fresh processes, beside honest traffic of the same volume.

        ``seen`` says how much the attack holds as it is, and so how much larger it must be to tell; None: as it is.
        """
        large = attack if seen is None else self._enlarged(attack, seen)
        async with self._harness.examined() as standing:
            surface = await self._harness.warm(standing, key)
            calm = await self._play(standing, control_of(large, surface, planned(large)), key)
            if not standing.usable:
                return Examination(
                    "held", (), (calm,), doubts=("the target did not survive honest traffic of this volume",)
                )
        trials: list[Trial] = []
        after: tuple[Trial, ...] = ()
        for _ in range(times):
            async with self._harness.examined() as standing:
                await self._harness.warm(standing, key)
                trials.append(await self._play(standing, large, key))
                if not after and standing.usable:
                    after = tuple([await self._play(standing, large, key) for _ in range(3)])
        capped = any(trial.observation.killed_at_cap for trial in (*trials, *after))
        doubts = ("the target passed the hard cap and was killed; --mem-cap allows it more",) if capped else ()
        return Examination("held", tuple(trials), (calm,), after, doubts)

    async def _play(self, standing: Standing, attack: Attack, key: str) -> Trial:
        return await self._harness.play(standing, attack, key, ask=False, rest=True, settle=ROUND_SETTLE)

    def _enlarged(self, attack: Attack, seen: Trial) -> Attack:
        baseline, held = seen.observation.baseline, seen.observation.held
        if baseline is None or held is None or not seen.sent:
            return attack
        growth = max(held.rss - baseline.rss, 1)
        return scaled(attack, max(1.0, min(self._harness.budget.examine_bytes / seen.sent, GROWTH_AIM / growth)))

    async def rounds(self, attack: Attack, key: str) -> Examination:
        """The same attack again and again on one fresh process, all peers gone between two rounds."""
        trials, doubts = [], []
        async with self._harness.examined() as standing:
            await self._harness.warm(standing, key)
            await standing.observer.learn_rest()
            before = standing.observer.sample()
            for _ in range(ROUNDS):
                trials.append(await self._play(standing, attack, key))
                if standing.restless:
                    doubts.append(f"the target was still at work {REST:g} s after a round")
                if not standing.usable:
                    doubts.append("the target did not survive the rounds")
                if doubts:
                    break
            settled = trials[-1].observation.settled
            if before is not None and settled is not None and settled.descriptors > before.descriptors and not doubts:
                trials[-1] = await self._given_time(standing, trials[-1], before.descriptors)
        return Examination("rounds", tuple(trials), doubts=tuple(doubts))

    async def _given_time(self, standing: Standing, last: Trial, descriptors: int) -> Trial:
        """The last round again, looked at later: a program may take its time to let go of peers that have gone."""
        await standing.observer.descriptors_back(descriptors, LAST_SETTLE, unmoved=LAST_SETTLE / 2)
        later = replace(last.observation, settled=standing.observer.sample(), close_wait=standing.observer.close_wait())
        return replace(last, observation=later)
