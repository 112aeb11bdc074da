"""Attacks are drawn and played within a wall-time budget, on a live target: by Hypothesis, which shrinks, or fast.

Traps that are minded here, all measured: with a variable ``CI`` in the environment Hypothesis turns derandomised
and forgets its database, so a time budget repeats the same cases: settings are explicit and the seed is ours. Bugs
are told apart by exception class and place: each invariant raises a class of its own. Shrinking runs up to 300 s:
ours ends by a BaseException that Hypothesis lets through. Its printer may have been replaced by another plugin:
nothing of what it prints is used.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import hypothesis
import trio
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from zmqfuzz.campaign.minimise import weight
from zmqfuzz.campaign.volleys import Magazine
from zmqfuzz.catalogue import Family, Situation
from zmqfuzz.drawing import HypothesisDraw
from zmqfuzz.finding import Violation
from zmqfuzz.script import Attack
from zmqfuzz.trial import Trial

__all__ = ["Catch", "Test", "search", "search_fast"]


@dataclass(frozen=True, slots=True)
class Catch:
    """An attack that broke an invariant, and how it was first drawn."""

    violation: Violation
    attack: Attack
    trial: Trial
    original: Attack


class _Spent(BaseException):
    """The budget is over; not an Exception, so that Hypothesis does not take it for a failing example."""


class _Run:
    """One Hypothesis run: the state its test function needs between examples."""

    def __init__(self, family: Family, situation: Situation, seed: int, seconds: float, shrink: float) -> None:
        self.family = family
        self.situation = situation
        self.seed = seed
        self.deadline = time.monotonic() + seconds
        self.shrink = shrink
        self.catch: Catch | None = None
        self.cases = 0

    def attack(self, data: st.DataObject) -> Attack:
        if self.cases and time.monotonic() > self.deadline:
            raise _Spent
        scripts = self.family.draw(HypothesisDraw(data), self.situation)
        self.cases += 1
        return Attack(scripts, strategy=self.family.name, seed=self.seed)

    def caught(self, violation: Violation, attack: Attack, trial: Trial) -> None:
        if self.catch is None:
            self.catch = Catch(violation, attack, trial, attack)
            self.deadline = time.monotonic() + self.shrink
        elif weight(attack) <= weight(self.catch.attack):
            self.catch = Catch(violation, attack, trial, self.catch.original)


FIRST_ALONE = 1
"""Attacks that are played one by one at first; later only those that do not fit into a volley."""

ALONE_SHARE = 0.3
"""Share of a slice for FIRST_ALONE: on a busy machine one attack takes as long as many of them together."""

Test = Callable[[Attack, Violation | None], Awaitable[tuple[Violation | None, Trial]]]
"""Plays an attack and judges it. The second argument is the violation being shrunk, None while searching."""


Screen = Callable[[tuple[Attack, ...]], Awaitable[Catch | None]]
"""Plays attacks together, and looks into what that shows."""


async def search_fast(
    magazine: Magazine, test: Test, screen: Screen | None, *, seconds: float, most: int = 100_000
) -> tuple[Catch | None, int]:
    """Play attacks for ``seconds`` (at least one), until one is caught: one by one, and many together.

    While some wait to be played alone, half of the time is theirs. Returns what was caught, and how many attacks were
    played. Errors of ``test`` and ``screen`` pass.
    """
    began = time.monotonic()
    cases, alone, together = 0, 0.0, 0.0
    while cases < most and (not cases or time.monotonic() < began + seconds):
        started = time.monotonic()
        first = cases < FIRST_ALONE and (not cases or started < began + ALONE_SHARE * seconds)
        if screen is not None and not first and (together <= alone or not magazine.waiting):
            attacks = magazine.volley()
            if not attacks:
                screen = None
                continue
            fired = time.monotonic()
            catch = await screen(attacks)
            magazine.took(time.monotonic() - fired)
            together += time.monotonic() - started
            cases += len(attacks)
            if catch is not None:
                return catch, cases
            continue
        attack = magazine.next()
        cases += 1
        violation, trial = await test(attack, None)
        alone += time.monotonic() - started
        if violation is not None:
            return Catch(violation, attack, trial, attack), cases
    return None, cases


async def search(
    family: Family, situation: Situation, test: Test, *, seed: int, seconds: float, shrink: float, most: int = 100_000
) -> tuple[Catch | None, int]:
    """Draw and play attacks of ``family`` for ``seconds`` (at least one); then shrink for ``shrink`` seconds.

    Returns what was caught, and how many attacks were played. Errors of ``test`` other than a Violation pass.
    """
    run = _Run(family, situation, seed, seconds, shrink)
    failure: list[BaseException] = []

    def body(data: st.DataObject) -> None:
        attack = run.attack(data)
        known = run.catch.violation if run.catch is not None else None
        try:
            violation, trial = trio.from_thread.run(test, attack, known)
        except Exception as error:  # an error of ours or of the target's start: not an example for Hypothesis
            if run.catch is None:  # what was caught is worth more than the end of shrinking it
                failure.append(error)
            raise _Spent from error
        if violation is None:
            return
        run.caught(violation, attack, trial)
        raise violation

    def hunt() -> None:
        test_function = settings(
            max_examples=most,
            deadline=None,
            database=None,
            derandomize=False,
            phases=(Phase.generate, Phase.shrink),
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )(given(st.data())(body))
        try:
            hypothesis.seed(seed)(test_function)()
        except (_Spent, Violation, hypothesis.errors.HypothesisException, ExceptionGroup):
            pass  # what matters was noted in ``run``; a Flaky verdict is settled by confirmation on fresh processes

    await trio.to_thread.run_sync(hunt)
    if failure:
        raise failure[0]
    return run.catch, run.cases
