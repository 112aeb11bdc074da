"""A run as SARIF 2.1.0 for code scanning: a result for each finding, where in the program's source as far as known.

A fingerprint is made of what names the finding on every machine. What is accepted is suppressed, what is inconclusive
is a notification of the tool.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmqfuzz import __version__
from zmqfuzz.audit.auditor import sockets
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Severity
from zmqfuzz.reports.hostile import shown
from zmqfuzz.reports.record import Finding, Found, Run
from zmqfuzz.sarif import LEVELS, Described, log, place

__all__ = ["place_of", "sarif", "scripts"]

_INTERPRETERS = re.compile(r"(python|pypy)[\d.]*$")
_TRACED = ("ZF101", "ZF102")
"""Invariants whose findings a traceback in the output is about: the process died, or a worker of it."""

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass(frozen=True, slots=True)
class _Unknown:
    """An invariant of a package that is not installed here."""

    code: str
    title: str
    severity: Severity
    doc: str = ""


def sarif(run: Run) -> dict[str, Any]:
    """The whole log."""
    known = invariants()
    foreign = {
        one.finding.code: _Unknown(one.finding.code, shown(one.finding.title), one.finding.severity)
        for one in run.found
        if one.finding.code not in known
    }
    rules: list[Described] = [*known.values(), *foreign.values()]
    positions = {rule.code: number for number, rule in enumerate(rules)}
    notes = [(text, "warning") for text in run.outcome.doubts] + [(text, "note") for text in run.outcome.not_covered]
    if run.outcome.error:
        notes.insert(0, (run.outcome.error, "error"))
    invocation: dict[str, Any] = {
        "executionSuccessful": not run.outcome.error,
        "toolExecutionNotifications": [{"level": level, "message": {"text": shown(text)}} for text, level in notes],
    }
    if run.outcome.gate is not None:
        invocation["exitCode"] = run.outcome.gate.code
        invocation["exitCodeDescription"] = run.outcome.gate.sentence
    results = [_result(run, one, positions[one.finding.code]) for one in run.found]
    return log(rules, results, invocation, __version__)


def _result(run: Run, found: Found, position: int) -> dict[str, Any]:
    finding = found.finding
    named = "\0".join((finding.id, finding.code, finding.target, finding.door, finding.signature))
    numbers = [f"{name} {seen}" + (f" (limit {limit})" if limit else "") for name, seen, limit in finding.measures]
    text = f"{finding.title}. {finding.sentence} {finding.advice}".strip()
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": position,
        "level": LEVELS[finding.severity][0],
        "message": {"text": shown(f"{text}\n\n{'; '.join(numbers)}\nReplay: zmqfuzz replay {finding.id}")},
        "partialFingerprints": {"zmqfuzzFinding/v1": hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:32]},
        "properties": {"id": finding.id, "severity": finding.severity.value, "family": shown(found.family)},
    }
    physical = place_of(run, finding)
    logical = {"fullyQualifiedName": shown(f"{finding.target}::{finding.door}"), "kind": "resource"}
    location = {"logicalLocations": [logical]}
    result["locations"] = [(place(*physical) | location) if physical is not None else location]
    gate = run.outcome.gate
    if gate is not None and finding.id in gate.known:
        reason = shown(gate.known[finding.id])
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": reason}]
    return result


def place_of(run: Run, finding: Finding) -> tuple[Path, int] | None:
    """Where in the program's source: the innermost of its own lines in a traceback; else the line that
    was seen to open the socket; else where the script that was started makes it, as far as the audit sees that; else
    its first line.

    A file counts when it is below the current folder. None: nothing is known, as of a binary.
    """
    description = run.started.description
    folder = Path(str(description.get("cwd") or "."))
    for name, line in reversed(_FRAME.findall(finding.log_tail) if finding.code in _TRACED else []):
        if (file := _ours(folder / name)) is not None:
            return file, int(line[:9])
    file_name, _, number = finding.source.rpartition(":")
    if file_name and number.isdecimal() and (file := _ours(Path(file_name))) is not None:
        return file, int(number[:9])
    command = description.get("command")
    for candidate in scripts(command if isinstance(command, Sequence) and not isinstance(command, str) else ()):
        if (file := _ours(folder / candidate)) is not None:
            return file, _made(file, finding)
    return None


def _made(file: Path, finding: Finding) -> int:
    """The line where ``file`` makes the socket; 1 where that is not known."""
    wanted, connects = finding.surface.get("socket_type"), finding.surface.get("side") == "connect"
    made = sockets(file) if file.suffix == ".py" else ()
    typed = [one for one in made if wanted in one.types]
    sided = [one for one in typed if (one.connected if connects else one.bound)]
    return next((one.line for one in (*sided, *typed)), 1)


def scripts(command: Sequence[Any]) -> Iterator[str]:
    """Paths that the source of ``command`` may have: the script, or what ``-m`` names."""
    words = [word for word in command if isinstance(word, str)]
    for number, word in enumerate(words):
        if word == "-m" and number + 1 < len(words):
            module = words[number + 1].replace(".", "/")
            yield from (f"{start}{module}{end}" for start in ("", "src/") for end in (".py", "/__main__.py"))
            return
        if not word.startswith("-") and not _INTERPRETERS.search(word):
            yield word
            return


def _ours(file: Path) -> Path | None:
    """The file, when it is one below the current folder; no environment and no library in it."""
    try:
        inside = file.resolve().relative_to(Path.cwd().resolve())
        is_file = file.is_file()
    except (OSError, ValueError):
        return None
    return inside if is_file and "site-packages" not in inside.parts else None
