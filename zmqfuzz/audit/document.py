"""The inventory of a program's sockets as Markdown that is kept in its repository, and what has drifted from it.

Contract: the same program gives the same text: no times, ports of the kernel's choice, process ids, counts or line
numbers, which other lines move.
"""

from __future__ import annotations

import difflib
import re

from zmqfuzz.audit.auditor import Audit, rules
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.listed import Row, at, rows
from zmqfuzz.audit.setting import DEFAULTS
from zmqfuzz.opened import Place, Value

__all__ = ["differences", "document"]

_HEAD = """# Sockets

Written by `zmqfuzz audit --write`; `zmqfuzz audit --check` fails where the program opens others, or with other options.
"""

_REASONS = {
    "MAXMSGSIZE": ("bounds one frame, in octets; -1: no limit", "a frame of any size fills the memory", "ZF603"),
    "SNDHWM": ("messages that wait for each peer; 0: no limit", "a slow reader fills the memory", "ZF605"),
    "RCVHWM": ("messages of each peer that wait to be read; 0: no limit", "a fast writer fills the memory", "ZF605"),
    "LINGER": ("milliseconds that the end waits for unsent messages; -1: for ever", "the end hangs", "ZF606"),
    "HANDSHAKE_IVL": ("milliseconds for a handshake; 0: no limit", "silent strangers hold descriptors", "ZF607"),
    "HEARTBEAT_IVL": ("milliseconds between PINGs; 0: none", "dead peers stay", "ZF609"),
    "HEARTBEAT_TIMEOUT": ("milliseconds for an answer to a PING; -1: HEARTBEAT_IVL", "dead peers stay", "ZF609"),
    "TCP_KEEPALIVE": ("1: the kernel asks after silent hosts; -1: its default", "vanished hosts stay", "ZF609"),
    "ROUTER_HANDOVER": ("1: an identity is given to whoever claims it last", "messages go to a stranger", "ZF610"),
    "MECHANISM": ("whom it lets in", "strangers are let in, or messages are read on the way", "ZF601"),
    "CONFLATE": ("1: only the last message is kept", "parts of messages are lost", "ZF625"),
}
"""Of an option: what it is for, the threat where it is wrong, and the rule that looks at it."""


def document(audit: Audit) -> str:
    """The whole text; needs an audit with a run."""
    lines = [_HEAD]
    seen: set[str] = set()
    for row in rows(audit.recorded) if audit.recorded is not None else []:
        part = _socket(row, audit)
        if (whole := "\n".join(part)) not in seen:
            seen.add(whole)
            lines += part
    titles = {rule.code: rule.title for rule in rules()}
    codes = sorted({line.code for line in audit.lines} | {one.line.code for one in audit.suppressed})
    if codes:
        lines += ["## Rules", "", *(f"- {code}: {_safe(titles.get(code, ''))}" for code in codes), ""]
    return "\n".join(lines)


def _socket(row: Row, audit: Audit) -> list[str]:
    mine = [line for line in audit.lines if _about(line, row)]
    accepted = [(one.line, one.reason) for one in audit.suppressed if _about(one.line, row)]
    lines = [
        f"## {_safe(row.type)} {row.verb} `{_safe(row.endpoint)}`, {_safe(_where(row.place))}",
        "",
        "| option | value | reason | threat | evidence |",
        "|---|---|---|---|---|",
    ]
    for name, value in row.options.items():
        reason, threat, code = _REASONS.get(name, ("set by the program", "", ""))
        usual = " (default)" if name in DEFAULTS and DEFAULTS[name] == value else ""
        lines.append(
            f"| {name} | {_shown(value)}{usual} | {reason} | {threat} | {_evidence(code, name, mine, accepted)} |"
        )
    for later in sorted(row.later):
        lines.append(f"| {_safe(re.sub(r':[0-9]+[)]$', ')', later))} | | set afterwards | | |")
    tabled = {code for name in row.options for *_, code in (_REASONS.get(name, ("", "", "")),)}
    others = [line for line in mine if line.code not in tabled | {"ZF647"}]
    said = dict.fromkeys(f"- {line.code} {line.severity}: {_steady(line.sentence)}" for line in others)
    return [*lines, "", *said, ""] if said else [*lines, ""]


def _steady(sentence: str) -> str:
    """A sentence without line numbers, which other lines move."""
    return _safe(re.sub(r" \((?:the other end: )?line \d+[^)]*\)", "", sentence))


def _about(line: Line, row: Row) -> bool:
    """Whether a line is about the sockets of this row: by its place and type, or by type and endpoint."""
    if line.socket and row.type not in line.socket.split(" or "):
        return False  # two sockets of one line of the source
    if row.place is not None and line.line == row.place.line and at(row.place) == f"{line.path}:{line.line}":
        return True
    return line.socket == row.type and line.endpoint in (row.endpoint, *row.endpoints)


def _where(place: Place | None) -> str:
    """The file and the function."""
    file = at(place).rpartition(":")[0] or "no line of the program"
    return f"{file} in {place.function}" if place is not None and place.function != "<module>" else file


def _evidence(code: str, name: str, mine: list[Line], accepted: list[tuple[Line, str]]) -> str:
    other = {"SNDHWM": "RCVHWM", "RCVHWM": "SNDHWM"}.get(name, "")

    def concerns(line: Line) -> bool:
        return line.code == code and (not other or name in line.sentence or other not in line.sentence)

    said = [f"{line.code} {line.severity}: {line.evidence or 'not probed'}" for line in mine if concerns(line)]
    said += [f"{line.code} accepted: {reason}" for line, reason in accepted if concerns(line)]
    return _safe("; ".join(dict.fromkeys(said)))


def _shown(value: Value) -> str:
    return _safe(str(value)) or "(empty)"


def _safe(text: str) -> str:
    """In one cell of a table, whatever the program said."""
    plain = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return plain.replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def differences(before: str, now: str) -> list[str]:
    """The lines that differ, as a diff shows them; none where nothing has drifted."""
    diff = difflib.unified_diff(before.splitlines(), now.splitlines(), "kept", "seen", n=0, lineterm="")
    return [line for line in diff if not line.startswith(("---", "+++", "@@"))]
