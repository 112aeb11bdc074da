"""Examinations: the series of trials, on processes started for them, that one trial cannot replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from zmqfuzz.budget import LEAK_FLOOR, MIB, SURE_ROUNDS
from zmqfuzz.harness import Harness
from zmqfuzz.holding import idle_peers, spreads
from zmqfuzz.observer import Observer
from zmqfuzz.scale import as_many, busier, control_of, fewer, planned, scaled, units
from zmqfuzz.script import Attack
from zmqfuzz.settling import REST, ROUND_SETTLE
from zmqfuzz.standing import Standing
from zmqfuzz.trial import ClosedBy, Examination, Sample, Trial, settled_samples

__all__ = ["COUNTED", "ROUNDS", "Examiner", "forgot", "growth", "stayed"]

ROUNDS = 6
"""Rounds of an examination for leaks: one to warm up, five to judge."""

MOST_ROUNDS = 30

AT_WORK = f"the target was still at work {REST:g} s after a round"
MADE_SMALLER, MADE_LARGER = 2, 2
"""The doubt of rounds that are too large; and how often they are begun anew with fewer messages, or with more where
they leave too little behind: how long a larger round takes shows only when it is played."""

COUNTED = ("ZF205", "ZF208")
"""What is counted one by one, descriptors and connections, and needs no large rounds to be told from noise."""

FORGETTING, LATER = 15.0, 3
"""Seconds after which a program may have forgotten some of what it keeps for a time, and rounds that use that again.
With the time of the rounds before them, what is kept for half a minute is seen to be let go of."""

LAST_SETTLE = 12.0
UNMOVED = 2.5
"""Seconds that descriptors may take to come back after the last round, and without any change until that is the end."""

ROUND_GROWTH = 3 * MIB // 4
"""Octets that a round must leave behind to tell a leak from an allocator that takes memory a MiB at a time."""

ROUND_SECONDS = 4.0
LARGEST_ROUND = 64 * MIB

PATIENCE = (1.5, 2.0, 3.5)
"""Seconds that an honest client waits beside the attack, on each process: a queue that is worked off in the end is
done in one of them, and not just when the peers go."""

WINDOW, RESTED = 1.0, 6.0
"""Seconds of one look at a target with nobody connected; and that it may take to work off what it was sent."""

WORKED, LONGEST = 3.0, 30.0
"""Seconds of a processor that it may use for that, and until it has had them on a machine that others work on, too."""

GROWTH_AIM = 96 * MIB
"""Growth, in octets, beyond which a larger attack would show nothing more."""


class Examiner:
    """Examines attacks with the harness of a run."""

    def __init__(self, harness: Harness, *, patience: float = 20.0) -> None:
        """``patience``: how long rounds go on, in seconds, where each leaves little, but something, behind."""
        self._harness = harness
        self._patience = patience

    async def held(self, attack: Attack, key: str, seen: Trial | None, *, times: int = 3) -> Examination:
        """One large attack on each of ``times`` fresh processes, beside honest traffic of the same volume.

        ``seen`` says how much the attack holds as it is, and so how much larger it must be to tell; None: as it is.
        """
        large = attack if seen is None else self._enlarged(attack, seen)
        trials: list[Trial] = []
        after: tuple[Trial, ...] = ()
        for _ in range(times):
            async with self._harness.examined() as standing:
                await self._harness.warm(standing, key)
                trials.append(await self._play(standing, large, key))
                if times == 1 and not self._holds(trials[-1]):
                    return Examination("held", tuple(trials))
                if times > 1 and not after and standing.usable:
                    after = tuple([await self._play(standing, large, key) for _ in range(3)])
        async with self._harness.examined() as standing:
            surface = await self._harness.warm(standing, key)
            calm = await self._play(standing, control_of(large, surface, planned(large)), key)
            doubts: tuple[str, ...] = ()
            if not standing.usable:
                doubts = ("the target did not survive honest traffic of this volume",)
        if any(trial.observation.killed_at_cap for trial in (*trials, *after)):
            doubts += ("the target passed the hard cap and was killed; --mem-cap allows it more",)
        return Examination("held", tuple(trials), (calm,), after, doubts)

    def _holds(self, trial: Trial) -> bool:
        """Whether there is anything to compare with honest traffic: else one process has said enough."""
        grown = trial.held_growth > self._harness.limits.held_per_byte * trial.sent
        return trial.observation.killed_at_cap or grown

    async def _play(self, standing: Standing, attack: Attack, key: str) -> Trial:
        return await self._harness.play(standing, attack, key, ask=False, rest=True, settle=ROUND_SETTLE)

    def _enlarged(self, attack: Attack, seen: Trial) -> Attack:
        baseline, held = seen.observation.baseline, seen.observation.held
        if baseline is None or held is None or not seen.sent:
            return attack
        growth = max(held.rss - baseline.rss, 1)
        return scaled(attack, max(1.0, min(self._harness.budget.examine_bytes / seen.sent, GROWTH_AIM / growth)))

    async def beside(self, attack: Attack, key: str, *, times: int = 3, control: bool = True) -> Examination:
        """The attack on each of ``times`` fresh processes, an honest client beside it, until one is served.

        Without ``control`` nothing is said of honest peers in the attackers' place.
        """
        trials: list[Trial] = []
        calm: tuple[Trial, ...] = ()
        for number in range(times):
            async with self._harness.examined() as standing:
                surface = await self._harness.warm(standing, key)
                trials.append(await self._watched(standing, attack, key, PATIENCE[number % len(PATIENCE)]))
                seen = trials[-1].observation.beside
                if seen is None:
                    return Examination("beside", tuple(trials), doubts=("the target was still at work",))
                if seen.during.share >= self._harness.limits.beside:
                    return Examination("beside", tuple(trials))
        if control:
            count = 0 if spreads(surface) else _left_open(trials[-1])
            async with self._harness.examined() as standing:
                await self._harness.warm(standing, key)
                calm = (await self._watched(standing, idle_peers(surface, count), key, PATIENCE[0]),)
        return Examination("beside", tuple(trials), calm)

    async def _watched(self, standing: Standing, attack: Attack, key: str, patience: float) -> Trial:
        return await self._harness.play(standing, attack, key, ask=False, beside=patience)

    async def workers(self, attack: Attack, key: str, *, times: int = 3, control: bool = True) -> Examination:
        """The attack on each of ``times`` fresh processes, whose threads are then given time to come back.

        It ends with the first process that has as many as before. Without ``control`` nothing is said of a process
        that only honest peers connect to.
        """
        trials: list[Trial] = []
        for number in range(times):
            trials.append(await self._threads(attack, key, PATIENCE[number % len(PATIENCE)], rest=control))
            before, after = trials[-1].observation.baseline, trials[-1].observation.settled
            if before is None or after is None or after.threads >= before.threads:
                return Examination("workers", tuple(trials))
        calm: tuple[Trial, ...] = ()
        if control:
            calm = (await self._threads(idle_peers(trials[-1].surface, 1), key, PATIENCE[times - 1], rest=True),)
        return Examination("workers", tuple(trials), calm)

    async def _threads(self, attack: Attack, key: str, patience: float, *, rest: bool) -> Trial:
        """A trial on a fresh process, between the least threads before it and what they are ``patience`` later.

        ``rest``: when it has worked off what it was sent.
        """
        async with self._harness.examined() as standing:
            await self._harness.warm(standing, key)
            await standing.observer.learn_rest()
            before = min(standing.observer.series, key=lambda sample: sample.threads, default=None)
            trial = await self._harness.play(standing, attack, key, ask=None, rest=rest)
            after = trial.observation.settled
            deadline = trio.current_time() + patience
            while before and after and after.threads < before.threads and trio.current_time() < deadline:
                await trio.sleep(0.05)
                after = standing.observer.sample()
            said = standing.running.log_tail()
        return replace(trial, observation=replace(trial.observation, baseline=before, settled=after, log_tail=said))

    async def rest(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """How busy each of ``times`` fresh processes is before the attack, and long after it; as after honest peers."""
        trials: list[Trial] = []
        for _ in range(times):
            trials.append(await self._rested(attack, key))
            if await_rest(trials[-1]):
                return Examination("rest", tuple(trials))
        surface, exchange = trials[-1].surface, self._harness.asking.exchange(key)
        calm = await self._rested(as_many(attack, surface, *exchange), key)
        return Examination("rest", tuple(trials), (calm,))

    async def _rested(self, attack: Attack, key: str) -> Trial:
        async with self._harness.examined() as standing:
            await self._harness.warm(standing, key)
            observer = standing.observer
            await observer.idle(RESTED)
            rests = [await observer.rest(WINDOW)]
            trial = await self._harness.play(standing, attack, key, ask=None)
            if standing.running.exit() is None and not await self._worked_off(observer):
                rests += [await observer.rest(WINDOW) for _ in range(2)]
        return replace(trial, observation=replace(trial.observation, rests=tuple(rests)))

    async def _worked_off(self, observer: Observer) -> bool:
        """Whether it rests; also where it had no processor to go on for long enough, and nothing can be said."""
        began, first = trio.current_time(), observer.sample()
        resting = await observer.idle(RESTED)
        while not resting and (now := observer.sample()) and first and now.cpu - first.cpu < WORKED:
            if trio.current_time() - began > LONGEST:
                return True
            resting = await observer.idle(WINDOW)
        return resting

    async def rounds(self, attack: Attack, key: str, code: str, *, least: int = ROUNDS) -> Examination:
        """The same attack again and again on one fresh process, all peers gone between two rounds.

        ``code``: the invariant whose measure is looked at. Of descriptors and connections ``least`` rounds say all,
        and where those are ROUNDS, fewer that nothing stays; memory has more where what stays behind may add up.
        Rounds that the target cannot work off in time are begun anew with a quarter of the messages.
        """
        examination = await self._rounds(attack, key, code, least)
        for _ in range(MADE_SMALLER):
            last = examination.trials[-1].attack
            smaller = fewer(last, units(last) // 4) if AT_WORK in examination.doubts else None
            if smaller is None or smaller == last:
                break
            examination = await self._rounds(smaller, key, code, least, enlarge=0)
        return examination

    async def _rounds(
        self, attack: Attack, key: str, code: str, least: int, *, enlarge: int = MADE_LARGER
    ) -> Examination:
        trials: list[Trial] = []
        doubts: list[str] = []
        async with self._harness.examined() as standing:
            await self._harness.warm(standing, key)
            await standing.observer.learn_rest()
            await standing.collect()
            before = standing.observer.sample()
            deadline = trio.current_time() + self._patience
            while (
                (len(trials) < least and not (code in COUNTED and least <= ROUNDS and _none_stays(trials)))
                or (code not in COUNTED and len(trials) < SURE_ROUNDS and _on_course(trials))
                or (code not in COUNTED and _may_add_up(trials) and trio.current_time() < deadline)
            ):
                trials.append(await self._play(standing, attack, key))
                if code not in COUNTED and len(trials) == 3 and enlarge and (factor := _too_small(trials)) > 1.5:
                    attack, trials, enlarge = busier(attack, factor), [], enlarge - 1
                    continue
                if standing.restless:
                    doubts.append(AT_WORK)
                if not standing.usable:
                    doubts.append("the target did not survive the rounds")
                if doubts:
                    break
            if standing.uncollected and not doubts and trials[-1].observation.exit is None:
                doubts.append("its Java virtual machine could not be asked to collect its garbage first")
            if code not in COUNTED and not doubts and _passed_floor(trials):
                await trio.sleep(FORGETTING)
                trials += [await self._play(standing, attack, key) for _ in range(LATER) if standing.usable]
            settled = trials[-1].observation.settled
            if before is not None and settled is not None and settled.descriptors > before.descriptors and not doubts:
                trials[-1] = await self._given_time(standing, trials[-1], before.descriptors)
        return Examination("rounds", tuple(trials), doubts=tuple(doubts))

    async def left(self, attack: Attack, key: str, code: str) -> int:
        """What rounds after the first leave behind on a fresh process: one round in descriptors, two in octets.

        Of descriptors not those that an honest client, asked between two rounds, leaves behind as well.
        """
        count = 2 if code in COUNTED else 3
        async with self._harness.examined() as standing:
            await self._harness.warm(standing, key)
            trials = [await self._play(standing, attack, key) for _ in range(count) if standing.usable]
        first, last = trials[0].observation, trials[-1].observation
        before, abandoned = (last.baseline, 0) if code == "ZF205" else (first.settled, first.abandoned)
        if before is None or last.settled is None or len(trials) < count:
            return 0
        return stayed(code, last.settled, last.abandoned) - stayed(code, before, abandoned)

    async def _given_time(self, standing: Standing, last: Trial, descriptors: int) -> Trial:
        """The last round again, looked at later: a program may take its time to let go of peers that have gone."""
        await standing.observer.descriptors_back(descriptors, LAST_SETTLE, unmoved=UNMOVED)
        later = replace(last.observation, settled=standing.observer.sample(), abandoned=standing.observer.abandoned())
        return replace(last, observation=later)


def await_rest(trial: Trial) -> bool:
    """Whether it came to rest after the attack, so that it was not looked at any longer."""
    return len(trial.observation.rests) < 2


def _left_open(trial: Trial) -> int:
    return sum(transcript.closed_by is ClosedBy.OPEN for transcript in trial.transcripts)


def stayed(code: str, settled: Sample, abandoned: int) -> int:
    """What a settled target keeps, in the unit of the invariant ``code``: connections, descriptors, or octets."""
    if code == "ZF208":
        return abandoned
    return settled.descriptors - abandoned if code == "ZF205" else settled.rss


def growth(trials: Sequence[Trial]) -> float:
    """Octets of resident memory that each of the later rounds left behind; 0 when that could not be seen.

    The first half, or two rounds of fewer than six, warm up.
    """
    rss = [sample.rss for sample in settled_samples(trials)]
    first = len(rss) // 2 if len(rss) > 5 else 1
    return (rss[-1] - rss[first]) / (len(rss) - 1 - first) if len(rss) > 2 else 0.0


def _too_small(trials: list[Trial]) -> float:
    """How many times larger the rounds should be to tell; 1 where nothing seems to stay or they take long already."""
    first, last = trials[0].observation.settled, trials[-1].observation.settled
    if first is None or last is None or last.descriptors > first.descriptors:
        return 1.0
    growth = (last.rss - first.rss) / (len(trials) - 1)
    if growth <= 32 * 1024:
        return 1.0
    most = min(ROUND_SECONDS / max(trials[-1].seconds, 0.05), LARGEST_ROUND / max(trials[-1].sent, 1), 16.0)
    return min(ROUND_GROWTH / growth, most)


def _none_stays(trials: list[Trial]) -> bool:
    """Whether three rounds after the first have left no descriptor behind."""
    counts = [sample.descriptors for sample in settled_samples(trials[1:])]
    return len(counts) > 2 and max(counts) <= counts[0]


def _on_course(trials: list[Trial]) -> bool:
    """Whether memory grows so fast that it will pass the floor of a leak, or nearly so, unless it levels off."""
    rss = [sample.rss for sample in settled_samples(trials[1:])]
    return len(rss) > 1 and 2 * (rss[-1] - rss[0]) * (SURE_ROUNDS - 2) >= LEAK_FLOOR * (len(rss) - 1)


def _passed_floor(trials: list[Trial]) -> bool:
    """Whether so much has stayed that it may be told as a leak."""
    rss = [sample.rss for sample in settled_samples(trials[1:])]
    return len(rss) >= SURE_ROUNDS - 1 and rss[-1] - rss[0] >= LEAK_FLOOR


def forgot(trials: Sequence[Trial]) -> bool:
    """Whether rounds after a pause left no more behind than was there before it, and those before it had."""
    before, last = list(trials[:-LATER]), trials[-1].observation.settled
    if not _passed_floor(before) or last is None:
        return False
    stood = before[-1].observation.settled
    return stood is not None and last.rss <= stood.rss


def _may_add_up(trials: list[Trial]) -> bool:
    """Whether memory has grown all the time, and more rounds would tell drift from a leak."""
    rss = [sample.rss for sample in settled_samples(trials[1:])]
    if len(rss) < 3 or len(trials) >= MOST_ROUNDS or rss[-1] - rss[0] >= LEAK_FLOOR:
        return False
    return rss[-1] - rss[len(rss) // 2] >= 0.3 * (rss[-1] - rss[0]) > 16 * 1024 * len(rss)
