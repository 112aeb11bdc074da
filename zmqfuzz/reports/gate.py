"""The gate: what a run and a baseline amount to as an exit code, and one sentence why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Protocol

from zmqfuzz.campaign.text import count
from zmqfuzz.finding import Severity
from zmqfuzz.reports.baseline import Accepted
from zmqfuzz.reports.record import Gate

__all__ = ["Shown", "accept", "decide", "in_force"]

UNSAID = "accepted by --baseline-update; say why"
ACCEPTED_FOR = timedelta(days=90)


class Shown(Protocol):
    """Of a finding, what the gate looks at."""

    @property
    def id(self) -> str:
        """``ZF203-5whe``."""

    @property
    def code(self) -> str:
        """``ZF203``."""

    @property
    def severity(self) -> Severity:
        """How bad."""

    @property
    def signature(self) -> str:
        """The way of failing."""

    @property
    def target(self) -> str:
        """What it was found in."""


def in_force(baseline: Iterable[Accepted], target: str, today: date) -> dict[str, Accepted]:
    """The entries, by ID, that are about ``target`` and whose date has not passed."""
    return {entry.id: entry for entry in baseline if entry.target in ("", target) and not entry.expired(today)}


def decide(
    findings: Sequence[Shown],
    doubts: Sequence[str],
    baseline: Iterable[Accepted],
    *,
    target: str,
    fail_on: str = "low",
    inconclusive: str = "fail",
    today: date,
) -> Gate:
    """The gate's decision; 1 (a finding that counts) wins over 3 (``doubts``).

    A known finding is one that the baseline accepts today, with the way of failing that it was accepted for.
    """
    entries = {entry.id: entry for entry in baseline if entry.target in ("", target)}
    worst = Severity(fail_on).rank
    new, expired, known, lines = [], [], {}, []
    for finding in findings:
        entry = entries.get(finding.id)
        if entry is None:
            new.append(finding)
        elif entry.signature and entry.signature != finding.signature:
            new.append(finding)
            lines.append(
                f"{finding.id} fails in another way than the one that was accepted ({entry.signature!a}): it is new"
            )
        elif entry.expired(today):
            expired.append(finding)
            lines.append(
                f"{finding.id} was accepted until {entry.until}, and that has passed ({entry.reason}):"
                " fix it, or give it a new date"
            )
        else:
            known[finding.id] = entry.reason
            lines.append(f"{finding.id} is known and accepted until {entry.until}: {entry.reason}")
    unseen = [name for name in entries if name not in {finding.id for finding in findings}]
    lines += [
        f"{name} is accepted, and was not found: if `zmqfuzz replay {name}` says FIXED, remove it with"
        f" `zmqfuzz baseline prune {name}`"
        for name in unseen
    ]
    counting = [finding for finding in (*new, *expired) if finding.severity.rank <= worst]
    code, sentence = _decision(counting, [*new, *expired], known, doubts, fail_on, inconclusive)
    return Gate(
        code,
        sentence,
        tuple(finding.id for finding in new),
        known,
        tuple(finding.id for finding in expired),
        tuple(unseen),
        tuple(lines),
    )


def _decision(
    counting: Sequence[Shown],
    others: Sequence[Shown],
    known: dict[str, str],
    doubts: Sequence[str],
    fail_on: str,
    inconclusive: str,
) -> tuple[int, str]:
    if counting:
        above = "" if fail_on == "low" else f" of severity {fail_on} or worse"
        return 1, f"{count(len(counting), 'finding')}{above} {'are' if len(counting) > 1 else 'is'} not accepted"
    if doubts and inconclusive == "fail":
        return 3, "what is inconclusive is not passed"
    said = []
    if doubts:
        said.append("what is inconclusive passes, as --inconclusive says")
    if others:
        said.append(f"no finding is of severity {fail_on} or worse")
    if known:
        said.append("all findings are known" if not others else f"{len(known)} are known")
    return 0, "; ".join(said) or "every invariant that was exercised held"


def accept(entries: Iterable[Accepted], findings: Iterable[Shown], today: date) -> tuple[Accepted, ...]:
    """The baseline after an update: what was found is accepted for 90 days, what was known was last seen today.

    One whose way of failing has changed, or whose date has passed, is accepted anew, with its reason.
    """
    wanted = {entry.id: entry for entry in entries}
    for finding in findings:
        before = wanted.get(finding.id)
        entry = before or Accepted(finding.id, finding.code, UNSAID, today + ACCEPTED_FOR, first_seen=today)
        if entry.expired(today) or (entry.signature and entry.signature != finding.signature):
            entry = replace(entry, until=today + ACCEPTED_FOR)
        target = entry.target if before is not None else finding.target
        wanted[finding.id] = replace(entry, signature=finding.signature, target=target, last_seen=today)
    return tuple(wanted.values())
