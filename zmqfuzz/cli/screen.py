"""Shows a run as it goes: one line for each thing that matters, and a live line where there is a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.status import Status

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import MIB, Limits
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.events import Calibrated, Ended, Event, Found, Outcome, Sliced, Suspected, Unconfirmed, doubted
from zmqfuzz.campaign.reach import summary as reach_line
from zmqfuzz.campaign.reach import table
from zmqfuzz.campaign.report import failure_message, of_library, printable
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Verdict
from zmqfuzz.trial import Trial

__all__ = ["Screen"]

_PULSE = 15.0
"""Seconds between two progress lines where there is no terminal to rewrite a line on."""


class Screen:
    """Consumes the events of a run: prints, and saves each finding the moment it is there."""

    def __init__(self, spec: Spec, corpus: Corpus, *, seconds: float, reach: bool = False) -> None:
        self._reach = reach
        self._spec = spec
        self._corpus = corpus
        self._console = Console(highlight=False, soft_wrap=True, markup=False)
        self._status: Status | None = None
        self._seconds = seconds
        self._started = self._pulse = time.monotonic()
        self._cases = 0
        self._rss = 0
        self._doing = "starting the target"

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._status = self._console.status("starting the target")
            self._status.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Calibrated(surface, level, ok):
                told = {
                    "application": "answers an honest client",
                    "user": "your probe is content",
                    "reading": "takes messages, and answers none that we know",
                    "handshake": "shakes hands",
                    "not asked": "needs a key or a password, so no honest client asked",
                }
                said = told.get(level, level) if ok else "does NOT serve an honest client"
                kind = surface.socket_type or "type not announced"
                self.say(f"door  {surface.address}  ZMTP {surface.version} {surface.mechanism} {kind}: {said}")
            case Sliced():
                self._cases, self._rss = event.total, event.rss
                self._doing = f"{event.family} on {event.surface.key}"
            case Suspected():
                self._doing = f"{event.code} on {event.surface.key}: minimising and confirming"
                self.say(f"?     {event.code}  {event.family}: {event.sentence}")
            case Unconfirmed():
                self.say(f"      {event.reason}")
            case Found(finding, trial):
                self._found(finding, trial)
            case Ended(outcome):
                self._ended(outcome)
        self._show()

    def _found(self, finding: Finding, trial: Trial) -> None:
        try:
            self._corpus.save(finding, self._spec.to_plain(), trial)
            unsaved = ""
        except UsageError as error:  # what was found is told all the same, and the run goes on
            unsaved = f"  Not saved: {printable(str(error))}"
        self.say("")
        self.say(failure_message(finding, trial, folder=self._corpus.findings / finding.id))
        if unsaved:
            self.say(unsaved)

    def _show(self) -> None:
        now = time.monotonic()
        left = max(0.0, self._seconds - (now - self._started))
        memory = f", target {self._rss / MIB:.0f} MiB" if self._rss else ""
        text = f"{self._cases:,} attacks, {left:.0f} s left{memory}: {printable(self._doing)}"
        if self._status is not None:
            self._status.update(text)
        elif now - self._pulse > _PULSE:
            self._pulse = now
            self.say(f"...   {text}")

    def say(self, text: str) -> None:
        """Print a line, which is printable already."""
        self._console.print(text)

    def _ended(self, outcome: Outcome) -> None:
        if self._status is not None:
            self._status.stop()
        reached = (*table(outcome.reach.rows()), *outcome.reach.impossible()) if self._reach else ()
        for line in (*reached, *summary(outcome, self._spec.limits)):
            self.say(printable(line))
        try:
            self._corpus.save_reach(outcome.reach.to_plain())
        except UsageError as error:  # a run that found nothing needs no folder to write in
            self.say(f"  the reach map was not saved: {printable(str(error))}")


def summary(outcome: Outcome, limits: Limits) -> list[str]:
    """The last lines of a run: what held, what did not, what was seen without a promise, what was not tested."""
    lines = [""]
    broken = doubted(outcome.doubts) | {finding.code for finding in outcome.findings}
    held = [code for code, count in sorted(outcome.checks.items()) if count and code not in broken]
    cases = sum(outcome.cases.values())
    doors = ", ".join(surface.key for surface in outcome.surfaces)
    attacks = f"{cases:,} attack{'s' * (cases != 1)}"
    lines.append(
        f"{outcome.verdict.value.upper()}: {attacks} on {doors or 'no door'} in {outcome.seconds:.0f} s,"
        f" {outcome.starts} starts, seed {outcome.seed}"
    )
    theirs = [finding for finding in outcome.findings if of_library(finding)]
    for finding in outcome.findings:
        whose = " (libzmq itself)" if finding in theirs else ""
        lines.append(f"  {finding.id}  {finding.severity.upper():8}  {finding.title}{whose}")
    if theirs:
        which = "All of this is" if len(theirs) == len(outcome.findings) else f"{len(theirs)} of these are"
        lines.append(
            f"  {which} libzmq's own: a socket with no program behind it does the same, and no change of this program's"
            " code alone closes it; what is accepted goes into a baseline (zmqfuzz baseline update)"
        )
    lines.append(f"  {reach_line(outcome.reach.rows())}")
    if held:
        where = "held" if outcome.verdict is not Verdict.INCONCLUSIVE else "held where it was tested"
        lines.append(f"  {where}: {', '.join(f'{code} {invariants()[code].name}' for code in held)}")
    if observed := outcome.envelope.observed(limits):
        lines.append(f"  observed: {', '.join(observed)}")
    lines += [f"  inconclusive: {doubt}" for doubt in dict.fromkeys(outcome.doubts)]
    lines += [f"  not covered: {line}" for line in dict.fromkeys(outcome.not_covered)]
    return [printable(line) for line in lines]
