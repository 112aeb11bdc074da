"""An audit as text, as plain data for JSON, and as SARIF 2.1.0. Nothing is printed or written here."""

from __future__ import annotations

import hashlib
import textwrap
from collections import Counter
from typing import Any

from zmqfuzz.audit.auditor import Audit, rules
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.listed import Row, at, rows, steady, written
from zmqfuzz.finding import Severity
from zmqfuzz.sarif import LEVELS, log, place

__all__ = ["plain", "sarif", "text", "told"]

_COLUMNS = 100
_SEEN = "confirmed: seen at run time"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


def told(line: Line) -> list[str]:
    """One finding, its place first."""
    what = "  ".join(part for part in (line.socket, line.endpoint) if part)
    where = line.path if str(line.path).startswith("<") else f"{line.path}:{line.line}:{line.column}"
    head = f"{where}  {line.code}  {line.severity.upper()}  {line.certainty}"
    shown = [f"{head}  {what}".rstrip(), *_indented(line.sentence)]
    if line.severity is not Severity.INFO:
        shown += _indented(f"To fix: {line.remedy}")
    if line.evidence and (line.severity is not Severity.INFO or line.evidence != _SEEN):
        shown += _indented(f"Evidence: {line.evidence}")
    return shown


def text(audit: Audit) -> list[str]:
    """The lines for a terminal: each finding with its place first, then what was looked at."""
    shown: list[str] = []
    for line in audit.lines:
        shown += [*told(line), ""]
    levels = Counter(line.severity for line in audit.lines)
    parts = ", ".join(f"{levels[each]} {each}" for each in Severity if levels[each])
    shown += _inventory(audit)
    found = _count(len(audit.lines), "finding") + (f" ({parts})" if parts else "")
    looked = f"{_count(audit.files, 'Python file')}, {audit.concerned:,} with ZeroMQ, {_count(audit.sockets, 'socket')}"
    looked += f", {_count(audit.configs, 'configuration file')}" if audit.configs else ""
    if not audit.files and audit.recorded is not None:
        looked = "what was seen at run time (give PATHS to have sources read, too)"
    shown.append(f"{found} in {looked}")
    if audit.suppressed:
        shown.append(f"  suppressed: {_count(len(audit.suppressed), 'finding')}, each with a reason")
    if audit.untold:
        shown.append(f"  not told by the source: type or endpoint of {_count(audit.untold, 'socket')}")
    shown += [f"  inconclusive: {doubt}" for doubt in audit.doubts]
    return shown


def _inventory(audit: Audit) -> list[str]:
    """The sockets of a run, and what was seen from outside."""
    recorded = audit.recorded
    if recorded is None:
        return []
    listed = rows(recorded)
    versions = {f"{name} {number}" for one in recorded.processes for name, number in one.versions.items()}
    with_zmq = len({one.pid for one in recorded.processes if one.versions} | {one.pid for one in recorded.sockets})
    what = f"{_count(len(recorded.sockets), 'socket')} in {with_zmq:,} process{'es' * (with_zmq != 1)} with pyzmq"
    shown = [f"Seen at run time: {what}" + (f" ({', '.join(sorted(versions))})" if versions else "")]
    inner = [row for row in listed if row.endpoint.startswith("inproc:")]
    for row in [row for row in listed if row not in inner]:
        times = f"  x {row.count:,}" if row.count > 1 else ""
        where = next(iter(row.endpoints)) if len(row.endpoints) == 1 and row.verb == "bind" else row.endpoint
        shown.append(f"  {at(row.place)}  {row.type} {row.verb}  {where}{times}")
        shown += textwrap.wrap(written(row.options), _COLUMNS, initial_indent="      ", subsequent_indent="      ")
        if row.later:
            later = f"set afterwards: {', '.join(sorted(row.later))}"
            shown += textwrap.wrap(later, _COLUMNS, initial_indent="      ", subsequent_indent="        ")
    if inner:
        kinds = ", ".join(sorted({row.type for row in inner}))
        shown.append(f"  and {sum(row.count for row in inner):,} times inproc ({kinds})")
    for each in audit.outside:
        shown += textwrap.wrap(each, _COLUMNS, initial_indent="  ", subsequent_indent="    ")
    return [*shown, ""]


def _indented(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, _COLUMNS, initial_indent="    ", subsequent_indent="    ")


def _line(line: Line) -> dict[str, Any]:
    return {
        "code": line.code,
        "severity": line.severity.value,
        "certainty": line.certainty.value,
        "path": line.path.as_posix(),
        "line": line.line,
        "column": line.column,
        "socket": line.socket or None,
        "endpoint": line.endpoint or None,
        "sentence": line.sentence,
        "remedy": line.remedy,
        "evidence": line.evidence or None,
    }


def plain(audit: Audit) -> dict[str, Any]:
    """The audit as JSON's types; ``format`` changes when a field changes its meaning."""
    return {
        "format": 1,
        "files": audit.files,
        "concerned": audit.concerned,
        "configs": audit.configs,
        "sockets": audit.sockets,
        "untold": audit.untold,
        "findings": [_line(line) for line in audit.lines],
        "suppressed": [{**_line(each.line), "reason": each.reason} for each in audit.suppressed],
        "unreadable": [{"path": each.path.as_posix(), "sentence": each.sentence} for each in audit.unreadable],
        "doubts": list(audit.doubts),
        "sockets_seen": [_row(row) for row in rows(audit.recorded)] if audit.recorded is not None else None,
        "outside": list(audit.outside),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "place": at(row.place),
        "type": row.type,
        "verb": row.verb,
        "endpoint": row.endpoint,
        "endpoints": sorted(row.endpoints),
        "options": row.options,
        "set_afterwards": sorted(row.later),
        "count": row.count,
    }


def _result(line: Line, positions: dict[str, int], seen: Counter[str], reason: str = "") -> dict[str, Any]:
    # Lines above it may come and go: the name of a finding holds what it is about, and how many like it came before.
    named = "\0".join((line.code, line.path.as_posix(), line.socket, steady(line.endpoint), line.sentence))
    seen[named] += 1
    fingerprint = hashlib.sha256(f"{named}\0{seen[named]}".encode()).hexdigest()[:32]
    what = " ".join(part for part in (line.socket, line.endpoint) if part)
    result: dict[str, Any] = {
        "ruleId": line.code,
        "ruleIndex": positions[line.code],
        "level": LEVELS[line.severity][0],
        "message": {"text": f"{what + ': ' if what else ''}{line.sentence} {line.remedy}"},
        "locations": [] if str(line.path).startswith("<") else [place(line.path, line.line, line.column)],
        "partialFingerprints": {"zmqfuzzAudit/v1": fingerprint},
        "properties": {"certainty": line.certainty.value, "severity": line.severity.value}
        | ({"evidence": line.evidence} if line.evidence else {}),
    }
    if reason:
        result["suppressions"] = [{"kind": "inSource", "justification": reason}]
    return result


def sarif(audit: Audit, version: str) -> dict[str, Any]:
    """The audit as a SARIF 2.1.0 log; ``version`` is that of zmqfuzz."""
    known = rules()
    positions = {rule.code: position for position, rule in enumerate(known)}
    seen: Counter[str] = Counter()
    results = [_result(line, positions, seen) for line in audit.lines]
    results += [_result(each.line, positions, seen, each.reason) for each in audit.suppressed]
    notes = [
        {"level": "error", "message": {"text": each.sentence}, "locations": [place(each.path)]}
        for each in audit.unreadable
    ]
    invocation = {"executionSuccessful": True, "toolExecutionNotifications": notes}
    return log(known, results, invocation, version)
