"""A run as JUnit XML: a test case for each family at each door, one for the run itself.

Contract: a finding that counts is a ``failure`` with the whole message, one that is accepted is ``skipped``; what is
inconclusive is an ``error`` where it fails the run, else ``skipped``; a target that did not start is an ``error``.
"""

from __future__ import annotations

from xml.etree import ElementTree as Tree

from zmqfuzz.reports.hostile import shown
from zmqfuzz.reports.record import Case, Found, Run

__all__ = ["junit"]

WHOLE = "the run"


def junit(run: Run) -> str:
    """The document, with its declaration."""
    outcome = run.outcome
    suite = Tree.Element("testsuite", name=shown(f"zmqfuzz {run.started.target}"))
    counts = dict.fromkeys(("failures", "errors", "skipped", "passed"), 0)
    played = {(case.door, case.family): case for case in outcome.cases}
    for found in run.found:
        played.setdefault((found.door, found.family), Case(found.door, found.family, 0))
    rows = [(case, [one for one in run.found if (one.door, one.family) == key]) for key, case in sorted(played.items())]
    for case, shown_there in rows:
        counts[_case(suite, run, case, shown_there)] += 1
    counts[_whole(suite, run)] += 1
    counts.pop("passed")
    figures = {"tests": len(rows) + 1, **counts}
    for name, value in figures.items():
        suite.set(name, str(value))
    suite.set("time", f"{outcome.seconds:.3f}")
    if run.started.time:
        suite.set("timestamp", run.started.time)
    figures.pop("skipped")  # the schema knows it of a suite only
    whole = Tree.Element("testsuites", {name: str(value) for name, value in figures.items()})
    whole.append(suite)
    Tree.indent(whole)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Tree.tostring(whole, encoding="unicode") + "\n"


def _case(suite: Tree.Element, run: Run, case: Case, found: list[Found]) -> str:
    """Append one test case; which of the counts it belongs to."""
    name = shown(case.family or "unknown family")
    node = _node(suite, f"zmqfuzz.{run.started.target}.{case.door}", name, case.seconds)
    counting = [one for one in found if run.status(one.finding.id) != "known"]
    if counting:
        first = counting[0].finding
        text = "\n".join(one.text for one in counting)
        _child(node, "failure", f"{first.code} {first.title} ({first.id})", first.code, text)
        return "failures"
    if found:
        known = run.outcome.gate.known if run.outcome.gate is not None else {}
        reasons = "; ".join(f"{one.finding.id} is accepted: {known.get(one.finding.id, '')}" for one in found)
        _child(node, "skipped", reasons)
        return "skipped"
    if not case.tested:
        return _unclear(run, node, f"never got to {case.needs}, only to {case.reached}, in {case.cases:,} attacks")
    _text(node, "system-out", f"{case.cases:,} attacks, got to {case.reached}")
    return "passed"


def _whole(suite: Tree.Element, run: Run) -> str:
    outcome = run.outcome
    node = _node(suite, f"zmqfuzz.{run.started.target}", WHOLE, 0.0)
    covered = "".join(f"not covered: {line}\n" for line in outcome.not_covered)
    how = "passed"
    if outcome.error:
        _child(node, "error", outcome.error, "error", outcome.error)
        how = "errors"
    elif outcome.doubts:
        how = _unclear(run, node, "; ".join(outcome.doubts))
    if covered:
        _text(node, "system-out", covered)
    return how


def _unclear(run: Run, node: Tree.Element, reason: str) -> str:
    if run.started.inconclusive == "pass":
        _child(node, "skipped", f"INCONCLUSIVE: {reason}")
        return "skipped"
    _child(node, "error", f"INCONCLUSIVE: {reason}", "inconclusive", reason)
    return "errors"


def _node(suite: Tree.Element, where: str, name: str, seconds: float) -> Tree.Element:
    return Tree.SubElement(suite, "testcase", classname=shown(where), name=name, time=f"{seconds:.3f}")


def _child(node: Tree.Element, tag: str, message: str, kind: str = "", text: str = "") -> None:
    child = Tree.SubElement(node, tag, message=" ".join(shown(message).split()))
    if kind:
        child.set("type", kind)
    if text:
        child.text = shown(text)


def _text(node: Tree.Element, tag: str, text: str) -> None:
    Tree.SubElement(node, tag).text = shown(text)
