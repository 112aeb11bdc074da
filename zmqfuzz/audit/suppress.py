"""``# zmqfuzz: ignore[ZF601] reason``: findings that somebody has looked at, with the reason beside the code.

The comment is on a line of the finding's statement head, or alone on the lines above it. Without a reason it
suppresses nothing, and is told (ZF690); one that names a code for which there is nothing to suppress, too (ZF691).
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

from zmqfuzz.audit.lines import Certainty, Line, Rule
from zmqfuzz.audit.sources import Source
from zmqfuzz.finding import Severity

__all__ = ["NOTES", "NO_USE", "Suppressed", "suppress"]

_COMMENT = re.compile(r"#\s*zmqfuzz:\s*ignore\b(?:\[([^\]]*)\])?[\s:.,-]*(.*)$", re.IGNORECASE)

NO_REASON = Rule(
    "ZF690",
    "A finding is suppressed without a reason",
    Severity.LOW,
    "``# zmqfuzz: ignore[CODE]`` without a reason, or without a code.\n\n"
    "Why: whoever reads it later cannot tell whether it still holds; so it suppresses nothing.\n"
    "To fix: write the reason after the bracket.",
)

NO_USE = Rule(
    "ZF691",
    "A suppression suppresses nothing",
    Severity.INFO,
    "``# zmqfuzz: ignore[CODE] reason`` where there is no finding of that code.\n\n"
    "Why: it would hide the next one.\nTo fix: remove it.",
)

NOTES = (NO_REASON, NO_USE)
"""What is told of suppressions themselves."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that is not counted, and why not."""

    line: Line
    reason: str


@dataclass(slots=True)
class _Comment:
    row: int
    column: int
    codes: frozenset[str]
    reason: str
    covers: range
    used: bool = False


def _comments(source: Source) -> list[_Comment]:
    if "zmqfuzz" not in source.text:
        return []
    rows = source.text.splitlines()
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        match = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if match is None:
            continue
        row, column = token.start
        last = row
        if not rows[row - 1][:column].strip():  # alone: for the next line that is not a comment
            last = row + 1
            while last <= len(rows) and rows[last - 1].lstrip().startswith("#"):
                last += 1
        codes = frozenset(code.strip().upper() for code in (match[1] or "").split(",") if code.strip())
        found.append(_Comment(row, column + 1, codes, match[2].strip(), range(row, last + 1)))
    return found


def suppress(source: Source, lines: Iterable[Line]) -> tuple[list[Line], list[Suppressed]]:
    """The lines of one file that count, what is told of its comments included; and those that do not."""
    comments = _comments(source)
    kept: list[Line] = []
    suppressed: list[Suppressed] = []
    for line in lines:
        spanned = range(line.line, line.end_line + 1)
        for comment in comments:
            covered = line.line in comment.covers or (comment.row in spanned and len(comment.covers) == 1)
            if line.code in comment.codes and covered:
                comment.used = True
                if comment.reason:
                    suppressed.append(Suppressed(line, comment.reason))
                    break
        else:
            kept.append(line)
    for comment in comments:
        if not comment.reason or not comment.codes:
            sentence = "The suppression gives no reason." if comment.codes else "The suppression names no code."
            kept.append(_note(source, NO_REASON, comment, sentence, "Write ignore[CODE] and the reason after it."))
        elif not comment.used:
            sentence = f"There is nothing of {', '.join(sorted(comment.codes))} here to suppress."
            kept.append(_note(source, NO_USE, comment, sentence, "Remove the comment."))
    return kept, suppressed


def _note(source: Source, rule: Rule, comment: _Comment, sentence: str, remedy: str) -> Line:
    row = comment.row
    return Line(rule.code, rule.severity, Certainty.SURE, source.path, row, comment.column, row, sentence, remedy)
