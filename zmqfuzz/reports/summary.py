"""A run as Markdown, for the summary of a CI step: the verdict first, findings, what was not tested."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from zmqfuzz.campaign.reach import summary as reach_line
from zmqfuzz.campaign.text import count
from zmqfuzz.reports.causes import causes
from zmqfuzz.reports.difference import Difference
from zmqfuzz.reports.difference import lines as differences
from zmqfuzz.reports.hostile import fenced, markdown, shown
from zmqfuzz.reports.record import Run

__all__ = ["summary"]

MOST = 20
"""Lines of a list; GitHub cuts a summary at 1 MiB."""


def summary(run: Run, changed: Difference | None) -> str:
    """The text, ending with a line break."""
    outcome, started = run.outcome, run.started
    gate = outcome.gate
    decided = f", exit code {gate.code}: {markdown(gate.sentence)}" if gate is not None else ""
    played = sum(case.cases for case in outcome.cases)
    lines = [
        f"## zmqfuzz: {markdown(started.target)}: {outcome.verdict}{decided}",
        "",
        f"{count(played, 'attack')} on {count(len(run.doors), 'door')} in {outcome.seconds:.0f} s,"
        f" seed {started.seed}, {markdown(reach_line(run.rows)) if run.rows else 'no reach map'}.",
        "",
    ]
    if outcome.error:
        lines += [f"**The run failed:** {markdown(outcome.error)}", ""]
    if run.found:
        lines += ["| findings | severity | what | where | status |", "|---|---|---|---|---|"]
        for cause in causes(run.found):
            names = "<br>".join(markdown(one.finding.id) for one in cause.found)
            what = f"{markdown(cause.title)}<br>{markdown(cause.found[0].finding.sentence)}"
            doors = "<br>".join(markdown(door) for door in cause.doors)
            status = "<br>".join(run.status(one.finding.id) for one in cause.found)
            lines.append(f"| {names} | {cause.severity.value} | {what} | {doors} | {status} |")
        lines.append("")
    if gate is not None:
        lines += _list("Baseline", gate.lines)
    if changed is not None:
        lines += _list("Since the run before", list(differences(run, changed)))
    lines += _list("Inconclusive", outcome.doubts) + _list("Not covered", outcome.not_covered)
    for one in run.found[:MOST]:
        lines += [
            "<details><summary>" + escape(shown(one.finding.id)) + "</summary>",
            "",
            fenced(one.text),
            "",
            "</details>",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _list(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"- and {len(items) - MOST} more"] if len(items) > MOST else []
    return [f"**{title}**", "", *[f"- {markdown(item)}" for item in items[:MOST]], *more, ""]
