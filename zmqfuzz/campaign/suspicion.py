"""What one trial cannot tell: memory that may be held, and what may stay behind. Cheap looks before dear ones."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from zmqfuzz.campaign.attribution import by_design, share_names
from zmqfuzz.campaign.events import Event, Suspected, Unconfirmed
from zmqfuzz.campaign.judging import judge_trial, left_behind
from zmqfuzz.campaign.known import HELD, Known, Lane
from zmqfuzz.campaign.naming import shape
from zmqfuzz.campaign.picks import Picks
from zmqfuzz.campaign.repeating import Repeats
from zmqfuzz.campaign.search import Catch
from zmqfuzz.campaign.silence import Silence, unserved
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.campaign.wear import Wear
from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack
from zmqfuzz.trial import Trial

__all__ = ["DEAF", "LEFT_BEHIND", "Suspicions"]

MOST_WORKERS = 16
"""Times an attack is played, at most, that seems to have ended a worker without a word: once for each thread."""

MANY = 16
"""Descriptors left behind, by one attack or by all since a process started, that are looked at before anything else."""

LOOK_SECONDS = 15.0
"""Time for one look, which is short unless the target is slow."""


HELD_TOGETHER = 64 * (1 << 20)
"""Octets that a volley must hold for one of its attacks to be suspected."""

KEPT_OF_ONE = 64 * 1024
"""Octets that may be kept of a connection that is gone, by what serves the next one."""

DEAF = "ZF102"
"""Where nobody is served any more, a worker that is gone is no news."""

_WORDS = {
    "held": ("looks as if it holds memory", "it levels off, or honest traffic holds as much"),
    "workers": ("a thread is gone", "it came back, said nothing of an error, or went beside honest peers too"),
}
"""Of what is examined at once: why, and what it came to where nothing was shown."""

LEFT_BEHIND = ("ZF205", "ZF204", "ZF208")
"""What an attack may leave behind, in the order in which it is looked for."""


class Suspicions:
    """Remembers, for each door, what deserves a closer look, and has that look."""

    def __init__(
        self,
        harness: Harness,
        triage: Triage,
        known: Known,
        seed: int,
        tell: Callable[[Event], None],
        *,
        look_every: float,
        design_last: bool = False,
    ) -> None:
        """``design_last``: what libzmq holds on purpose is examined when it is asked for (:meth:`look_held`)."""
        self._design_last = design_last
        self._harness = harness
        self._triage = triage
        self._known = known
        self._tell = tell
        self._random = random.Random(seed)
        self._wear = Wear(harness)
        self._many = MANY
        self._every = look_every
        self._began = time.monotonic()
        self._looked: dict[str, float] = {}
        self._named: dict[str, tuple[Lane, Trial]] = {}
        self._held: dict[str, tuple[Lane, Trial]] = {}
        self._picks = Picks(self._random)
        self._silence = Silence(self._random)
        self._repeats = Repeats(harness, known, self._judged)

    async def look(self, lane: Lane, attack: Attack, trial: Trial) -> Violation | None:
        """Examine at once what looks held; remember for the end of the slice what looks left behind."""
        self.pick(lane, trial)
        self._wear.count(trial)
        for entry in invariants().values():
            if entry.suspects is None or not entry.suspects(trial, self._harness.limits):
                continue
            if entry.examines == "rounds":
                known = lane.leak.get(entry.code)
                if (entry.code != "ZF204" or self._wear.grew(trial)) and left_behind(entry, trial) > left_behind(
                    entry, known
                ):
                    lane.leak[entry.code] = trial
                continue
            if entry.examines == "beside":
                if (catch := self._beside(lane, trial)) is not None:
                    return catch.violation
                continue
            if self._known.knows_shape(lane, entry, attack) or self._known.below_floor(lane, entry, trial):
                continue
            if entry.examines == "workers":
                if self._known.here(lane, DEAF) or not self._wear.lost(trial):
                    continue
                if (catch := self._judged(lane, await self._asked(lane, Attack(())))) is not None:
                    return catch.violation  # it was the only worker
            if self._design_last and by_design(entry.code, shape(attack)):
                _, most = self._held.get(lane.surface.key, (lane, None))
                if left_behind(entry, trial) > left_behind(entry, most):
                    self._held[lane.surface.key] = lane, trial
                continue
            if (violation := await self._examined(lane, entry, trial)) is not None:
                return violation
        return None

    async def _examined(self, lane: Lane, entry: Invariant, trial: Trial) -> Violation | None:
        sentence, cleared = _WORDS[entry.examines]
        self._tell(Suspected(lane.surface, lane.family.name, entry.code, f"{sentence}; examining"))
        confirmed = await self._triage.examine(entry, trial.attack, lane.surface.key, trial, times=1)
        if confirmed.violation is None:
            self._known.clear(lane, entry.code, trial)
            self._tell(Unconfirmed(lane.surface, lane.family.name, entry.code, f"examined: {cleared}"))
            if entry.examines == "workers":
                return await self._worn_out(lane, trial)
        return confirmed.violation

    async def look_held(self) -> list[tuple[Lane, Catch]]:
        """What is held on purpose, for each door; to be asked for when all else is done: it takes long."""
        caught = []
        entry = invariants()[HELD]
        for lane, trial in self._held.values():
            if not self._known.knows_shape(lane, entry, trial.attack):
                violation = await self._examined(lane, entry, trial)
                caught += [(lane, Catch(violation, trial.attack, trial, trial.attack))] if violation else []
        self._held.clear()
        return caught

    async def _worn_out(self, lane: Lane, trial: Trial) -> Violation | None:
        """A thread that ended without a word is nobody's business, until all have: does enough of it make it deaf?"""
        lost = left_behind(invariants()["ZF104"], trial)
        baseline = trial.observation.baseline
        if lost <= 0 or baseline is None:
            return None
        times = min(MOST_WORKERS, baseline.threads // lost)
        trials = await self._harness.fresh_trials((trial.attack,) * times, lane.surface.key)
        catch = self._judged(lane, trials[-1]) if trials else None
        return catch.violation if catch is not None else None

    def pick(self, lane: Lane, trial: Trial) -> None:
        """Take this attack, by chance, for the next look at what stays behind."""
        self._picks.pick(lane, trial)

    def suspects(self, lane: Lane, trial: Trial) -> bool:
        """Whether many attacks together left something that one of them alone would be examined for.

        Not memory that stays: a process grows with the number of its connections, once. Nor what is held a little of
        for each of many.
        """
        self._wear.count(trial)
        for entry in invariants().values():
            if entry.suspects is None or entry.code == "ZF204" or not entry.suspects(trial, self._harness.limits):
                continue
            waits = lane.surface.key in self._held
            if entry.examines == "held" and (waits or trial.held_growth < HELD_TOGETHER):
                continue
            if entry.examines == "workers" and not self._wear.lost(trial):
                continue
            if not (self._known.here(lane, entry.code) or self._known.below_floor(lane, entry, trial)):
                return True
        return False

    async def end_of_slice(self, lane: Lane, left: float, *, only_ask: bool = False) -> Catch | None:
        """Is an honest client still served; for ``left`` seconds: does what was left behind add up when repeated?

        ``only_ask``: what was left behind is looked at later (``look_at``).
        """
        beside = self._silence.next(lane.surface)
        catch = None
        if beside.scripts or not (await self._harness.standing()).answered:
            trial = await self._asked(lane, beside)
            catch = self._judged(lane, trial) or self._beside(lane, trial)
        self._picks.end_of_slice(lane)
        if catch is None and not only_ask:
            for code in LEFT_BEHIND:
                catch = catch or await self.look_at(lane, time.monotonic() + left, code)
        if catch is None and not only_ask and self._overdue(lane):
            catch = await self.look_back(lane)
        return catch

    async def _asked(self, lane: Lane, attack: Attack) -> Trial:
        return await self._harness.trial(attack, lane.surface.key, ask=True)

    def left(self, lane: Lane, code: str) -> int:
        """What the attack left behind that left most at this lane, in the unit of ``code``: more is looked at first.

        Less what allocators keep of connections: many leave much at first, and take long to be examined.
        """
        trial = lane.leak.get(code)
        kept = KEPT_OF_ONE * len(trial.transcripts) if trial is not None and code == "ZF204" else 0
        return left_behind(invariants()[code], trial) - kept

    async def look_at(self, lane: Lane, deadline: float, code: str) -> Catch | None:
        """Until ``deadline``: does the attack that left most behind, as ``code`` means it, leave more each time?"""
        if code == "ZF204" and (trial := self._triage.leaking.pop(lane.surface.key, None)) is not None:
            lane.leak.setdefault(code, trial)
        suspect = lane.leak.pop(code, None)
        if suspect is None or self._known.here(lane, code):
            return None
        if code == "ZF204" and time.monotonic() > deadline:
            return None
        if code != "ZF204":  # descriptors say more than memory does: no honest program keeps them for peers gone
            deadline = max(deadline, time.monotonic() + LOOK_SECONDS)
        if code != "ZF204" or not share_names(lane.surface, suspect.attack):
            return await self._repeats.look(lane, [suspect], deadline)
        catch = await self._repeats.look(lane, [suspect], deadline, anonymously=True)
        if catch is None:
            self._named[lane.surface.key] = lane, suspect
        return catch

    async def look_soon(self, lane: Lane) -> Catch | None:
        """Does an attack that left MANY descriptors behind leave more each time? It would soon end the process."""
        suspect, entry = lane.leak.get("ZF205"), invariants()["ZF205"]
        if suspect is None or self._known.here(lane, "ZF205"):
            return None
        if left_behind(entry, suspect) < MANY and self._wear.kept < self._many:
            return None
        self._many *= 2
        self._harness.renew()  # the process that runs may have few left
        return await self.look_at(lane, time.monotonic() + LOOK_SECONDS, "ZF205")

    async def look_named(self, deadline: float) -> list[tuple[Lane, Catch]]:
        """Until ``deadline``: what only peers with identities leave behind at each door: the library's, as a rule.

        To be asked for when all else is done: it takes as long, and hides what the application keeps.
        """
        caught = []
        for lane, suspect in self._named.values():
            if time.monotonic() < deadline and not self._known.here(lane, "ZF204"):
                catch = await self._repeats.look(lane, [suspect], deadline)
                caught += [(lane, catch)] if catch is not None else []
        self._named.clear()
        return caught

    def _overdue(self, lane: Lane) -> bool:
        return time.monotonic() - self._looked.setdefault(lane.surface.key, self._began) > self._every

    def _beside(self, lane: Lane, trial: Trial) -> Catch | None:
        """Was an honest client not served beside it, and is that not known?"""
        seen = unserved(trial, self._harness.limits, self._known.cleared)
        if seen is None or self._known.here(lane, seen[0].code):
            return None
        return Catch(seen[1], trial.attack, trial, trial.attack)

    def to_look_at(self, lane: Lane) -> bool:
        """Whether there are attacks at this door that were not repeated yet."""
        return self._picks.wait(lane)

    async def look_back(self, lane: Lane, *, named: bool = False) -> Catch | None:
        """Do attacks of the last slices at this door, some together, leave something behind when repeated?

        ``named``: with the identities that their peers have (:meth:`look_named`).
        """
        picked = self._picks.take(lane)
        self._looked[lane.surface.key] = time.monotonic()
        deadline = time.monotonic() + LOOK_SECONDS
        if not picked:
            return None
        alone = len(picked) == 1 and not share_names(lane.surface, picked[0].attack)  # nothing to leave out of it
        return await self._repeats.look(lane, picked, deadline, anonymously=not (named or alone))

    def _judged(self, lane: Lane, trial: Trial) -> Catch | None:
        violation = judge_trial(trial, self._harness)
        if violation is None or self._known.knows(lane, violation, trial.attack, trial):
            return None
        return Catch(violation, trial.attack, trial, trial.attack)
