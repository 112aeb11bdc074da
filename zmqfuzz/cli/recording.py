"""Plays a run, shown, recorded and judged: what `run` and `demo` have in common, and `campaign` in part."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import click
from hypothesis.configuration import set_hypothesis_home_dir

from zmqfuzz.assembly import Interrupted, Spec, check
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.events import Ended, Event, Outcome, Plan
from zmqfuzz.campaign.report import printable
from zmqfuzz.cli.exits import without_secrets
from zmqfuzz.cli.reporting import format_of, write_report
from zmqfuzz.cli.screen import Screen
from zmqfuzz.errors import UsageError, ZmqfuzzError
from zmqfuzz.finding import Verdict
from zmqfuzz.reports.baseline import Accepted, read_baseline, write_baseline
from zmqfuzz.reports.gate import Shown, accept, decide, in_force
from zmqfuzz.reports.record import Gate
from zmqfuzz.reports.recorder import Recorder

__all__ = ["Policy", "judged", "play"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides the exit code, and what is written beside the stored run.

    ``update``: what is found is accepted. ``reports``: files by whose endings the formats are known, or folders.
    """

    fail_on: str = "low"
    inconclusive: str = "fail"
    baseline: Path | None = None
    update: bool = False
    reports: tuple[Path, ...] = ()

    def accepted(self) -> tuple[Accepted, ...]:
        """The entries of the baseline. Raises UsageError, also for what else cannot be done at the end."""
        for report in self.reports:
            format_of(report)
        if self.update and self.baseline is None:
            raise UsageError("--baseline-update needs the file: add --baseline FILE.")
        return read_baseline(self.baseline, missing_ok=self.update) if self.baseline is not None else ()


def play(spec: Spec, plan: Plan, corpus: Corpus, policy: Policy, *, reach: bool = False) -> tuple[Outcome, int]:
    """The outcome and the exit code. Raises ZmqfuzzError and Interrupted, when that has been recorded."""
    accepted = policy.accepted()
    target = spec.target().name
    store = corpus.findings.parent
    plan = replace(plan, accepted=frozenset(in_force(accepted, target, date.today())))
    set_hypothesis_home_dir(store / "hypothesis")  # not into the user's folder
    with Screen(spec, corpus, seconds=plan.seconds, reach=reach) as screen:
        told = {"fail_on": policy.fail_on, "inconclusive": policy.inconclusive, "words": without_secrets(sys.argv[1:])}
        recorder = Recorder(
            store,
            target,
            spec.to_plain(),
            plan,
            told,
            lambda said: screen.say(f"  {said}"),
            limits=spec.limits,
            secrets=spec.credentials.secrets,
        )

        def tell(event: Event) -> None:
            observed = event.outcome.envelope.observed(spec.limits) if isinstance(event, Ended) else ()
            recorder.tell(event, tuple(observed))
            screen.tell(event)

        gate = Gate(70, "zmqfuzz itself failed")
        error = gate.sentence
        try:
            outcome = check(spec, plan, tell, tap=recorder.saw)
            gate, error = _judged(outcome, accepted, target, policy), ""
        except Interrupted:
            gate = Gate(130, error := "the run was interrupted")
            raise
        except ZmqfuzzError as problem:
            gate = Gate(problem.exit_code, error := str(problem))
            raise
        finally:
            run = recorder.finish(gate, error)
            written = all([write_report(run, report, store) for report in policy.reports])
        for line in gate.lines:
            screen.say(printable(f"  baseline: {line}"))
        if policy.baseline is not None:
            screen.say(printable(f"  gate: {gate.sentence} (exit code {gate.code})"))
        if recorder.whole:
            screen.say(printable(f"  stored: {recorder.folder}"))
    return outcome, gate.code or (0 if written else UsageError.exit_code)


def _judged(outcome: Outcome, accepted: tuple[Accepted, ...], target: str, policy: Policy) -> Gate:
    unclear = outcome.verdict is Verdict.INCONCLUSIVE
    doubts = outcome.doubts or (["not one attack was played"] if unclear else [])
    return judged(outcome.findings, doubts, accepted, target, policy)


def judged(
    findings: Sequence[Shown], doubts: Sequence[str], accepted: tuple[Accepted, ...], target: str, policy: Policy
) -> Gate:
    """The gate's word on ``findings``; where the policy says so they are accepted first."""
    today = date.today()
    if policy.update and policy.baseline is not None:
        accepted = accept(accepted, findings, today)
        try:
            write_baseline(policy.baseline, accepted)
        except UsageError as error:
            click.echo(f"zmqfuzz: {printable(str(error))}", err=True)
            sys.stderr.flush()
    return decide(
        findings,
        doubts,
        accepted,
        target=target,
        fail_on=policy.fail_on,
        inconclusive=policy.inconclusive,
        today=today,
    )
