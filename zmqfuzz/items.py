"""One attack family against one target: what an item of a pytest session runs, and how it ends.

Contract: importing this module loads nothing of the engine; an attack does when it runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from zmqfuzz.errors import UsageError, ZmqfuzzError

if TYPE_CHECKING:
    from zmqfuzz.assembly import Spec
    from zmqfuzz.campaign.events import Event, Outcome

__all__ = ["AttackFailed", "Described", "FamilyAttack", "Result", "Session"]


class Described(Protocol):
    """A target as an item sees it: what messages there are for it, and the engine's description of it."""

    @property
    def material(self) -> Mapping[str, Any]:
        """``seeds``, a path or None, and ``payloads``, a Hypothesis strategy or None."""

    def spec(self, folder: Path) -> Spec:
        """For the engine; ``folder`` is where relative paths begin."""


class AttackFailed(AssertionError):
    """An item failed; the message is complete, printable, and needs no traceback. ``summary`` is one line of it."""

    def __init__(self, text: str, summary: str) -> None:
        super().__init__(text)
        self.summary = summary


@dataclass(frozen=True, slots=True)
class Session:
    """What the pytest session has decided for all of its items.

    ``folder`` is where relative paths begin (rootdir), ``shell`` where the user typed the command.
    """

    seconds: float
    seed: int
    inconclusive: Literal["fail", "warn", "pass"]
    folder: Path
    shell: Path
    store: Path


@dataclass(frozen=True, slots=True)
class Result:
    """How an item ended, small and plain enough to travel between pytest-xdist's processes."""

    verdict: str
    findings: tuple[str, ...] = ()
    cases: int = 0
    reason: str = ""


class FamilyAttack:
    """One attack family against one target: what a test's ``attack`` argument is.

    The family may be ``shutdown``: how the target ends when it is told to stop (:mod:`zmqfuzz.stopping`).
    """

    def __init__(self, target: Described, family: str) -> None:
        self.target = target
        self.family = family
        self.result: Result | None = None
        self._session: Session | None = None
        self._nodeid = self._option = ""

    def __repr__(self) -> str:
        return f"<attack {self.family}>"

    def begin(self, session: Session, nodeid: str, option: str = "") -> None:
        """Called by the plugin before each run of the item; pytest has it only where ``option`` is given."""
        self.result = None
        self._session = session
        self._nodeid = nodeid
        self._option = option

    def run(self, *, cases: int | None = None, stop_after: int | None = None) -> None:
        """Play attacks of this family for the budget of the item (``--zmqfuzz-budget``), and check what must hold.

        ``cases`` and ``stop_after`` end it sooner: after so many attacks, so many findings. Raises AttackFailed;
        what is inconclusive skips, fails or passes as ``--zmqfuzz-inconclusive`` says.
        """
        __tracebackhide__ = True
        session = self._session
        if session is None:
            raise UsageError("attack.run() works inside its own test item; run the suite without -p no:zmqfuzz.")
        messages: dict[str, str] = {}
        try:
            outcome = self._campaign(session, cases, stop_after, messages)
        except ZmqfuzzError as error:
            text = _lines_printable(str(error))
            self.result = Result("error", tuple(messages), reason=text)
            parts = [*messages.values(), f"zmqfuzz: {text}"] + ([self._again(session, messages)] if messages else [])
            raise AttackFailed("\n\n".join(parts) + "\n", ", ".join([*messages, text.split("\n")[0]])) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt("zmqfuzz stopped the target; findings so far are saved") from None
        self._judge(session, outcome, messages)

    def _campaign(
        self, session: Session, cases: int | None, stop_after: int | None, messages: dict[str, str]
    ) -> Outcome:
        """Fills ``messages`` as findings come, by ID: an error at the end must not cost them."""
        __tracebackhide__ = True
        from zmqfuzz.campaign.corpus import Corpus
        from zmqfuzz.campaign.events import Found, Plan
        from zmqfuzz.campaign.report import failure_message
        from zmqfuzz.campaign.runner import Campaign
        from zmqfuzz.catalogue import select_families
        from zmqfuzz.seeds import read_seeds
        from zmqfuzz.stopping import STOPPING
        from zmqfuzz.threaded import in_a_thread

        spec = self.target.spec(session.folder)
        corpus = Corpus(session.store)

        def tell(event: Event) -> None:
            if not isinstance(event, Found):
                return
            folder = corpus.findings / event.finding.id
            text = failure_message(event.finding, event.trial, folder=folder).rstrip("\n")
            try:
                corpus.save(event.finding, spec.to_plain(), event.trial)
            except ZmqfuzzError as error:  # a full disk must not cost the finding
                text += f"\n  Not saved: {_lines_printable(str(error))}"
            messages[event.finding.id] = text

        ending = self.family == STOPPING
        seconds, material = session.seconds, self.target.material
        chosen = () if ending else select_families([self.family])
        minimise = min(12.0, max(2.0, seconds / 2))
        plan = Plan(
            chosen,
            seconds,
            seed=session.seed,
            stop_after=stop_after,
            cases=cases,
            minimise_seconds=minimise,
            shrinking=True,
            seeds=read_seeds(session.folder / material["seeds"]) if material["seeds"] is not None else (),
            payloads=material["payloads"],
            stop="always" if ending else "never",
        )

        async def campaign() -> Outcome:
            async with spec.harness() as harness:
                return await Campaign(harness, plan, tell).run()

        return in_a_thread(campaign)

    def _judge(self, session: Session, outcome: Outcome, messages: Mapping[str, str]) -> None:
        __tracebackhide__ = True
        import pytest

        from zmqfuzz.campaign.report import summary_line
        from zmqfuzz.finding import Verdict

        doubts = [_lines_printable(doubt) for doubt in dict.fromkeys(outcome.doubts)]
        reason = "; ".join(doubts) or "not one attack was played"
        unclear = outcome.verdict is Verdict.INCONCLUSIVE
        self.result = Result(
            outcome.verdict.value, tuple(messages), sum(outcome.cases.values()), reason if unclear else ""
        )
        if outcome.findings:
            more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
            notes = "\n".join(f"  Also inconclusive: {doubt}" for doubt in doubts)
            parts = [*messages.values(), notes, self._again(session, messages)]
            raise AttackFailed("\n\n".join(filter(None, parts)) + "\n", summary_line(outcome.findings[0]) + more)
        if unclear and session.inconclusive == "fail":
            text = "\n".join(["INCONCLUSIVE", *[f"  {line}" for line in doubts or [reason]], ""])
            raise AttackFailed(f"{text}\n{self._again(session, ())}\n", f"INCONCLUSIVE: {reason}")
        if unclear and session.inconclusive == "warn":
            pytest.skip(reason)

    def _again(self, session: Session, ids: Iterable[str]) -> str:
        """How to see it again: each finding alone, and this whole item."""
        store = f" --store {shlex.quote(str(session.store))}" if session.store != session.shell / ".zmqfuzz" else ""
        quoted = shlex.quote(self._nodeid) if set(self._nodeid) & set('"$`\\!') else f'"{self._nodeid}"'
        lines = [f"    zmqfuzz replay {name}{store}" for name in ids]
        option = f" {self._option}" if self._option else ""
        lines.append(f"    pytest {quoted}{option} --zmqfuzz-seed {session.seed} --zmqfuzz-budget {session.seconds:g}s")
        return "\n".join(["  See it again", *map(_lines_printable, lines)])


def _lines_printable(text: str) -> str:
    """``text`` with its line breaks, and nothing else that could act on a terminal or break an XML file."""
    from zmqfuzz.campaign.report import printable

    return "\n".join(printable(line) for line in text.rstrip().split("\n"))
