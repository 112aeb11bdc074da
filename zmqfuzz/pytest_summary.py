"""What the terminal says of reports: the words ``INCONCLUSIVE`` and ``KNOWN``, and the lines at the end of a session.

Contract: plain values only, as they come from the workers of pytest-xdist; nothing of the engine is loaded, but where
a metric was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["summary", "word_of"]

_WORDS = {"inconclusive": ("inconclusive", "I", "INCONCLUSIVE"), "known": ("known", "k", "KNOWN")}
"""To every other tool they are a skip, and an expected failure."""


def word_of(report: Any) -> tuple[str, str, str] | None:
    """What pytest_report_teststatus returns: what could not be tested, and what is known, have words of their own."""
    verdict = _plain(report).get("verdict", "")
    return _WORDS.get(verdict) if report.skipped and hasattr(report, "wasxfail") == (verdict == "known") else None


def _plain(report: object) -> dict[str, Any]:
    plain = getattr(report, "zmqfuzz", None)
    return plain if isinstance(plain, dict) else {}


def summary(reports: Iterable[Any], seed: Callable[[], int]) -> Iterator[str]:
    """What was inconclusive or known, what was observed, and one line that says how it went; nothing without us."""
    ours = [(report, plain) for report in reports if (plain := _plain(report))]
    if not ours:
        return
    for report, plain in ours:
        word = word_of(report)
        if word is not None:
            yield f"{word[2]} {report.nodeid} - {plain['reason']}"
    if any(plain["metrics"] for _, plain in ours):
        from zmqfuzz.campaign.objectives import Extremes

        extremes = Extremes()
        for _, plain in ours:
            for name, seen in plain["metrics"].items():
                extremes.add(name, *seen)
        for line in extremes.told():
            yield f"zmqfuzz: observed: {line}"
    yield _last_line([plain for _, plain in ours], seed())


def _last_line(plains: list[dict[str, Any]], seed: int) -> str:
    verdicts = [plain["verdict"] for plain in plains]
    found, known = ({name for plain in plains for name in plain[key]} for key in ("findings", "known"))
    parts = [f"{verdicts.count('held')} held", f"{len(found)} finding{'' if len(found) == 1 else 's'}"]
    parts += [f"{len(known)} known"] if known else []
    parts.append(f"{verdicts.count('inconclusive')} inconclusive")
    if "error" in verdicts:
        parts.append(f"{verdicts.count('error')} could not run")
    cases = sum(plain["cases"] for plain in plains)
    return f"zmqfuzz: {', '.join(parts)}; {cases:,} cases; seed {seed}"
