"""One attack family against one target: what an item of a pytest session runs.

Contract: importing this module loads nothing of the engine; an attack does when it runs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zmqfuzz.errors import NothingSelected, UsageError, ZmqfuzzError
from zmqfuzz.verdicts import AttackFailed, Cover, Result, Session, again, in_a_suite, judged, lines_printable, told

if TYPE_CHECKING:
    from zmqfuzz.assembly import Spec
    from zmqfuzz.campaign.corpus import Corpus
    from zmqfuzz.campaign.events import Event, Outcome
    from zmqfuzz.finding import Finding
    from zmqfuzz.harness import Harness
    from zmqfuzz.trial import Trial

__all__ = ["PLACE", "Described", "FamilyAttack"]


PLACE = "{endpoint}"
"""In ``connect=`` what :meth:`FamilyAttack.run` is given, in ``bind=`` a free endpoint."""

Metrics = Mapping[str, tuple[float, float, str]]

_DOUBTFUL = "{} was seen in some replays only, or could not be examined"


class Described(Protocol):
    """A target as an item sees it: what messages there are for it, and the engine's description of it."""

    @property
    def word(self) -> str:
        """The same for the same program and promises, in each process of a session."""

    @property
    def material(self) -> Mapping[str, Any]:
        """``seeds``, a path or None, and ``payloads``, a Hypothesis strategy or None."""

    def spec(self, folder: Path) -> Spec:
        """For the engine; ``folder`` is where relative paths begin."""


class FamilyAttack:
    """One attack family against one target: what a test's ``attack`` argument is.

    The family may be ``shutdown``: how the target ends when it is told to stop (:mod:`zmqfuzz.stopping`); ``rate``:
    what it takes of floods (:mod:`zmqfuzz.rating`); and ``exposure``: what it shows without an attack
    (:mod:`zmqfuzz.exposure`). ``whole``: it is one of so many for the target; 0: some were chosen.
    """

    def __init__(self, target: Described, family: str, whole: int = 0) -> None:
        self.target = target
        self.family = family
        self._whole = whole
        self.result: Result | None = None
        self._session: Session | None = None
        self._nodeid = self._option = ""
        self._here: tuple[str | None, int | None] = None, None

    def __repr__(self) -> str:
        return f"<attack {self.family}>"

    def begin(self, session: Session, nodeid: str, option: str = "") -> None:
        """Called by the plugin before each run of the item; pytest has it only where ``option`` is given."""
        self.result = None
        self._session = session
        self._nodeid = nodeid
        self._option = option

    def run(
        self,
        *,
        cases: int | None = None,
        stop_after: int | None = None,
        endpoint: str | None = None,
        pid: int | None = None,
    ) -> None:
        """Play attacks of this family for the budget of the item (``--zmqfuzz-budget``), and check what must hold.

        ``cases`` and ``stop_after`` end it sooner: after so many attacks, so many findings. ``endpoint`` and ``pid``
        say where the program is that a fixture has started, for a target with ``connect="{endpoint}"``. Raises
        AttackFailed; what is inconclusive skips, fails or passes as ``--zmqfuzz-inconclusive`` says.
        """
        __tracebackhide__ = True
        session = self._session
        if session is None:
            raise UsageError("attack.run() works inside its own test item; run the suite without -p no:zmqfuzz.")
        found = _Found(session.store)
        self._here = endpoint, pid
        try:
            if session.recorded:
                return self._replay(session, found)
            outcome = self._campaign(session, cases, stop_after, found)
        except NothingSelected as error:
            import pytest

            self.result = Result("skipped", covers=found.covers)
            pytest.skip(f"{self.family}: {lines_printable(str(error))}")
        except ZmqfuzzError as error:
            text = lines_printable(in_a_suite(str(error), declared=bool(self._option)))
            if os.strerror(errno.EADDRINUSE) in text and "PYTEST_XDIST_WORKER" in os.environ:
                text += "\n  Each worker of pytest-xdist starts a copy: give {endpoint} a place in the command."
            messages = found.messages
            self.result = Result("error", tuple(messages), reason=text)
            hints = [again(session, self._nodeid, messages, self._option)] if messages else []
            parts = [*messages.values(), f"zmqfuzz: {text}", *hints]
            raise AttackFailed("\n\n".join(parts) + "\n", ", ".join([*messages, text.split("\n")[0]])) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt("zmqfuzz stopped the target; findings so far are saved") from None
        said = (in_a_suite(doubt, declared=bool(self._option)) for doubt in dict.fromkeys(outcome.doubts))
        doubts = list(map(lines_printable, said))
        played = sum(outcome.cases.values())
        if not doubts and not played and not outcome.findings:
            doubts = ["not one attack was played"]
        self._end(session, found, outcome.envelope.metrics.seen, doubts=doubts, cases=played)

    def _end(self, session: Session, found: _Found, metrics: Metrics, **more: Any) -> None:
        __tracebackhide__ = True
        findings, texts = list(found.findings.values()), found.messages
        ending = judged(session, self._nodeid, self.family, findings, texts, option=self._option, **more)
        ending = ending.noting(metrics, *found.covers)
        self.result = ending.result
        ending.act()

    def _spec(self, session: Session) -> Spec:
        """The target, where it is now. Raises UsageError."""
        from zmqfuzz.seeds import honest

        spec = replace(self.target.spec(session.folder), asks=honest(self._seeds(session)))
        endpoint, pid = self._here
        later = not spec.command and any(PLACE in one for one in spec.connect)
        if later and endpoint is None:
            raise UsageError(f'Where is it? For connect="{PLACE}" write attack.run(endpoint=..., pid=...).')
        if not later and (endpoint, pid) != (None, None):
            raise UsageError(f'attack.run(endpoint=, pid=) is for zmqfuzz.target(connect="{PLACE}").')
        if not later:
            return spec
        return replace(spec, connect=tuple(one.replace(PLACE, endpoint or "") for one in spec.connect), pid=pid)

    def _seeds(self, session: Session) -> tuple[tuple[bytes, ...], ...]:
        """The recorded messages of the target. Raises UsageError."""
        from zmqfuzz.seeds import read_seeds

        recorded = self.target.material["seeds"]
        return read_seeds(session.folder / recorded) if recorded is not None else ()

    def _campaign(self, session: Session, cases: int | None, stop_after: int | None, found: _Found) -> Outcome:
        """Fills ``found`` as findings come: an error at the end must not cost them."""
        __tracebackhide__ = True
        from zmqfuzz.backlog import BACKLOG
        from zmqfuzz.campaign.claims import answered_for, exercised
        from zmqfuzz.campaign.events import Found, Plan
        from zmqfuzz.campaign.runner import Campaign
        from zmqfuzz.catalogue import invariants, select_families
        from zmqfuzz.company import COMPANY
        from zmqfuzz.dropping import DROPS
        from zmqfuzz.exposure import EXPOSURE
        from zmqfuzz.rating import RATING
        from zmqfuzz.stopping import STOPPING
        from zmqfuzz.threaded import in_a_thread

        spec = self._spec(session)

        def tell(event: Event) -> None:
            if isinstance(event, Found):
                found.take(event.finding, event.trial, spec)

        ending, exposed = (self.family == name for name in (STOPPING, EXPOSURE))
        looks = {RATING, BACKLOG, COMPANY, DROPS}
        seconds, material = session.seconds, self.target.material
        chosen = () if self.family in (STOPPING, EXPOSURE, *looks) else select_families([self.family])
        minimise = min(12.0, max(2.0, seconds / 2))
        plan = Plan(
            chosen,
            seconds,
            seed=session.seed,
            stop_after=stop_after,
            cases=cases,
            minimise_seconds=minimise,
            shrinking=True,
            seeds=self._seeds(session),
            payloads=material["payloads"],
            stop="always" if ending else "never",
            exposure="always" if exposed else "never",
            looks=frozenset({self.family} & looks),
            late=session.late,
            isolated=session.isolation == "case",
        )

        async def campaign() -> Outcome:
            async with spec.harness() as harness:
                name = harness.target.name
                made = {one.declared for one in invariants().values() if one.declared and one.applies(spec.limits)}
                answers = made & (answered_for(chosen, plan.asked) or set())
                cover = Cover(self.target.word, name, (), self.family, self._whole, tuple(made), tuple(answers))
                found.covers = (cover,)
                outcome = await Campaign(harness, plan, tell).run()
                found.covers = (replace(cover, tested=tuple(exercised(outcome))),)
                outcome.doubts += await self._look_for_known(session, harness, found, spec)
                return outcome

        return in_a_thread(campaign)

    async def _look_for_known(self, session: Session, harness: Harness, found: _Found, spec: Spec) -> list[str]:
        """What is expected here and was not drawn in the time is still there, where a recording of it says so.

        Where several items expect it, a recording is played only in that of the family that made it. Returns doubts.
        """
        doubts = []
        for entry in session.known:
            if not entry.concerns(self.family) or any(map(entry.fits, found.findings.values())):
                continue
            for finding in found.stored(harness.target.name):
                here = finding.attack.strategy == self.family or len(entry.bearers) < 2
                if not here or not entry.fits(finding):
                    continue
                if still := await found.replay(harness, finding, spec):
                    break
                doubts += [_DOUBTFUL.format(finding.id)] if still is None else []
        return doubts

    def _replay(self, session: Session, found: _Found) -> None:
        """Play only what was recorded of this item."""
        __tracebackhide__ = True
        import pytest

        from zmqfuzz.threaded import in_a_thread

        spec = self._spec(session)
        recorded = found.recorded(session.recorded, spec.target().name, self.family)
        if not recorded:
            pytest.skip(f"nothing of {self.family} is recorded for this target in {session.store.name}")

        async def play() -> list[str]:
            async with spec.harness() as harness:
                return [finding.id for finding in recorded if await found.replay(harness, finding, spec) is None]

        doubtful = in_a_thread(play)
        self._end(session, found, {}, doubts=list(map(_DOUBTFUL.format, doubtful)), cases=len(recorded), searched=False)


class _Found:
    """What an item has found so far, by ID, each saved at once, and the message for it; what it put to the test."""

    def __init__(self, store: Path) -> None:
        self.covers: tuple[Cover, ...] = ()
        self.findings: dict[str, Finding] = {}
        self.messages: dict[str, str] = {}
        self._store = store

    @property
    def _corpus(self) -> Corpus:
        from zmqfuzz.campaign.corpus import Corpus

        return Corpus(self._store)

    def take(self, finding: Finding, trial: Trial | None, spec: Spec, *, save: bool = True) -> None:
        """Keep a finding."""
        text = told(self._store, finding, trial, spec if save else None)
        self.findings[finding.id] = finding
        self.messages[finding.id] = text

    def stored(self, target: str) -> list[Finding]:
        """All that is kept of ``target``. Raises UsageError."""
        corpus = self._corpus
        return [finding for finding, _ in map(corpus.load, corpus.ids()) if finding.target == target]

    def recorded(self, wanted: Sequence[str], target: str, family: str) -> list[Finding]:
        """The findings among ``wanted`` (IDs, paths, ``all``) that were made in ``target`` by ``family``.

        One that is named, and that no family made (a test of its own, a file), fits every family. Raises UsageError.
        """
        named = [self._corpus.load(word)[0] for word in wanted if word != "all"]
        fitting = [one for one in named if one.target in (target, "") and one.attack.strategy in (family, "")]
        if "all" in wanted:
            fitting += [one for one in self.stored(target) if one.attack.strategy == family]
        return list({one.id: one for one in fitting}.values())

    async def replay(self, harness: Harness, finding: Finding, spec: Spec) -> bool | None:
        """Whether it is still there, and then kept; None: that cannot be said. Raises ZmqfuzzError."""
        from zmqfuzz.assembly import replayed

        confirmed = (await replayed(harness, finding)).confirmed
        if confirmed.holds:
            self.take(finding, confirmed.trial, spec, save=False)
            return True
        return None if confirmed.shown or not confirmed.tried else False
