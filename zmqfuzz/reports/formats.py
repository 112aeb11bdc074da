"""The formats of a report: what each is called, and how it is made from a stored run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from zmqfuzz.reports.difference import difference
from zmqfuzz.reports.record import FORMAT, Run

__all__ = ["FORMATS", "Format", "make"]


@dataclass(frozen=True, slots=True)
class Format:
    """``ending`` of a file of one's own choice; ``file``: its name in a folder of reports."""

    ending: str
    file: str


FORMATS = {
    "html": Format(".html", "report.html"),
    "junit": Format(".xml", "junit.xml"),
    "sarif": Format(".sarif", "findings.sarif"),
    "json": Format(".json", "report.json"),
    "jsonl": Format(".jsonl", "report.jsonl"),
    "markdown": Format(".md", "summary.md"),
}


def make(name: str, run: Run, before: Run | None) -> str:
    """The whole text of a report; ``before`` is the run to compare with, if there is one."""
    # Each is imported where it is used: a run that writes no report loads none of them.
    match name:
        case "html":
            from zmqfuzz.reports.page import page

            return page(run, difference(run, before))
        case "junit":
            from zmqfuzz.reports.junit import junit

            return junit(run)
        case "sarif":
            from zmqfuzz.reports.findings_sarif import sarif

            return json.dumps(sarif(run), indent=2) + "\n"
        case "markdown":
            from zmqfuzz.reports.summary import summary

            return summary(run, difference(run, before))
        case "jsonl":
            return "".join(f"{json.dumps(line)}\n" for line in _lines(_plain(run, before)))
    return json.dumps(_plain(run, before), indent=1) + "\n"


_EACH = (
    ("found", "found"),
    ("checks", "check"),
    ("cases", "case"),
    ("doubts", "doubt"),
    ("not_covered", "not covered"),
)
"""Lists of a report, and what one of each is called in lines."""


def _lines(plain: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The report for programs that read lines: the run, and then an object for each thing in its lists."""
    outcome = plain["outcome"]
    lists = {name: plain.pop(name) if name in plain else outcome.pop(name) for name, _ in _EACH}
    yield {"event": "run", **plain}
    for name, event in _EACH:
        for one in lists[name]:
            yield {"event": event, **(one if isinstance(one, dict) else {"text": one})}


def _plain(run: Run, before: Run | None) -> dict[str, Any]:
    changed = difference(run, before)
    plain: dict[str, Any] = {"format": FORMAT, **msgspec.to_builtins(run)}
    for one in plain["found"]:
        one["status"] = run.status(one["finding"]["id"])
    if changed is not None:
        plain["before"] = {
            "name": changed.before.name,
            "new": [one.finding.id for one in changed.new],
            "gone": [one.found.finding.id for one in changed.gone],
            "fixed": [one.found.finding.id for one in changed.gone if one.fixed],
            "still": [one.finding.id for one in changed.still],
            "reached": list(changed.reached),
            "missed": list(changed.missed),
            "untested": list(changed.untested),
        }
    return plain
