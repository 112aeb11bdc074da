"""Examinations of what was only suspected: how much it is, whether it holds, and the simplest attack that shows it."""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.budget import MIB
from zmqfuzz.campaign.confirmed import Confirmed
from zmqfuzz.campaign.examinations import SINGLY, examinations
from zmqfuzz.campaign.judging import left_behind
from zmqfuzz.campaign.minimise import minimise
from zmqfuzz.campaign.naming import shape
from zmqfuzz.catalogue import Invariant
from zmqfuzz.examiner import COUNTED, Examiner, forgot, growth
from zmqfuzz.harness import Harness
from zmqfuzz.scale import hastened
from zmqfuzz.script import Attack
from zmqfuzz.trial import Trial

__all__ = ["CONFIRMATIONS", "Examining"]

CONFIRMATIONS = 3
"""Fresh processes on which a violation must show again; it is reported when at least two of them show it."""


LEAST = 128 * 1024
"""Octets left behind by two rounds, below which what an allocator keeps may be all."""


class Examining:
    """Examines attacks with the harness of a run. ``leaking``: by door, what an examination saw leave much behind."""

    def __init__(self, harness: Harness, seconds: float) -> None:
        """``seconds`` for making an attack smaller."""
        self._harness = harness
        self._examiner = Examiner(harness, patience=max(6.0, 1.5 * seconds))
        self._examinations = examinations(harness, self._examiner)
        self._seconds = seconds
        self._simplified: set[tuple[str, str]] = set()
        self.leaking: dict[str, Trial] = {}

    async def examine(
        self, entry: Invariant, attack: Attack, key: str, seen: Trial | None, *, times: int = CONFIRMATIONS
    ) -> Confirmed:
        """Run the examination that ``entry`` asks for, on ``times`` fresh processes, and judge it."""
        examine = self._examinations.get(entry.examines)
        if examine is not None:
            examination = await examine(attack, key, times=times)
        elif entry.examines == "held":
            examination = await self._examiner.held(attack, key, seen, times=times)
            if growth(examination.rounds) > MIB and key not in self.leaking:
                self.leaking[key] = examination.rounds[-1]
        else:
            examination = await self._examiner.rounds(attack, key, entry.code)
        self._harness.tap(examination, self._harness.starts)
        count = 1 if entry.examines == "rounds" else len(examination.trials)
        if examination.doubts:
            return Confirmed(0, 0, doubts=examination.doubts)
        violation = entry.judge(examination, self._harness.limits)
        if violation is None and entry.examines in SINGLY:
            alone = [replace(examination, trials=(trial,)) for trial in examination.trials]
            return Confirmed(sum(entry.judge(one, self._harness.limits) is not None for one in alone), count)
        if violation is None:
            return Confirmed(0, max(count, 1), forgotten=entry.examines == "rounds" and forgot(examination.trials))
        control = examination.controls[0] if examination.controls else None
        shown = examination.trials[0]
        grown = growth(examination.trials)
        return Confirmed(count, count, violation, shown, growth=grown, control=control, evidence=(examination,))

    async def _amount(self, attack: Attack, entry: Invariant, key: str) -> int:
        """What the attack holds, or leaves behind, on a fresh process; 1 or 0 where an honest client is not served."""
        if entry.examines == "beside" and entry.suspects is not None:
            seen = await self._examiner.beside(attack, key, times=1, control=False)
            return int(entry.suspects(seen.trials[-1], self._harness.limits))
        if entry.examines == "rounds":
            return await self._examiner.left(attack, key, entry.code)
        if entry.examines == "workers":
            return left_behind(entry, (await self._examiner.workers(attack, key, times=1, control=False)).trials[-1])
        trials = await self._harness.fresh_trials((attack,), key)
        return left_behind(entry, trials[-1]) if trials else 0

    async def _plainly(self, attack: Attack, entry: Invariant, key: str) -> tuple[Attack, int]:
        """What plainly stays behind of an attack, or of it without its pauses: more rounds fit into the same time.

        0 where that may be what an allocator keeps: it wants an examination before it is made smaller.
        """
        quick = hastened(attack)
        if quick != attack and entry.code not in COUNTED and (amount := await self._amount(quick, entry, key)) >= LEAST:
            return quick, amount
        amount = await self._amount(attack, entry, key)
        return attack, amount if amount >= (1 if entry.code in COUNTED else LEAST) else 0

    async def _smaller(self, attack: Attack, amount: int, entry: Invariant, key: str, seconds: float) -> Attack:
        """The simplest attack found that still holds most of the ``amount`` that ``attack`` does.

        Of what is counted one by one, one is enough; of memory that stays behind, what rounds can make larger again.
        """
        share, floor = (0.2, LEAST) if entry.code == "ZF204" else (0.6, 1)
        least = 1.0 if entry.code in COUNTED else max(floor, share * amount)

        async def still(simpler: Attack) -> bool:
            return await self._amount(simpler, entry, key) >= least

        again = (entry.code, shape(attack)) in self._simplified  # at another door: it needs less care
        self._simplified.add((entry.code, shape(attack)))
        part = seconds / 3 if again or entry.examines == "beside" else seconds
        return await minimise(attack, still, part, keep_volume=entry.code in ("ZF203", "ZF204"))
