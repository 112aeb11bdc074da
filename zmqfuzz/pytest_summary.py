"""What the terminal says of reports: the words ``INCONCLUSIVE`` and ``KNOWN``, and the lines at the end of a session.

Contract: plain values only, as they come from the workers of pytest-xdist; nothing of the engine is loaded, but where
a metric was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

__all__ = ["Promised", "summary", "word_of"]

_WORDS = {"inconclusive": ("inconclusive", "I", "INCONCLUSIVE"), "known": ("known", "k", "KNOWN")}
"""To every other tool they are a skip, and an expected failure."""


def word_of(report: Any) -> tuple[str, str, str] | None:
    """What pytest_report_teststatus returns: what could not be tested, and what is known, have words of their own."""
    verdict = _plain(report).get("verdict", "")
    return _WORDS.get(verdict) if report.skipped and hasattr(report, "wasxfail") == (verdict == "known") else None


def _plain(report: object) -> dict[str, Any]:
    plain = getattr(report, "zmqfuzz", None)
    return plain if isinstance(plain, dict) else {}


class Promised:
    """The promises of each target that no item has put to the test; a plugin of the session's main process.

    A promise whose own item ran (``oversized-frame`` for ``max_frame``) is a matter of that item. Of the others nobody
    would hear: where all items of a target had their turn, the session is inconclusive about them; where some were
    chosen, that is only told. ``unclear`` says what becomes of what is inconclusive.
    """

    def __init__(self, unclear: Callable[[], str]) -> None:
        self._unclear = unclear
        self._covers: dict[str, list[dict[str, Any]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what an item says of it; also what comes from a worker."""
        for cover in _plain(report).get("covers", ()):
            self._covers.setdefault(cover["target"], []).append(cover)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Where what is inconclusive fails, the session has failed."""
        unclear = any(whole for whole, *_ in self.untested())
        if unclear and session.exitstatus == pytest.ExitCode.OK and self._unclear() == "fail":
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def untested(self) -> Iterator[tuple[bool, str, str]]:
        """Whether all items had their turn, the target's name, and its promises."""
        for covers in self._covers.values():
            made, tested, answers = (
                {name for cover in covers for name in cover[key]} for key in ("made", "tested", "answers")
            )
            whole = {cover["whole"] for cover in covers} - {0}
            families = {cover["family"] for cover in covers if cover["whole"]}
            if missing := sorted(made - tested - answers):
                yield bool(whole) and len(families) >= max(whole), covers[0]["name"], ", ".join(missing)


def summary(
    reports: Iterable[Any], seed: Callable[[], int], untested: Iterable[tuple[bool, str, str]]
) -> Iterator[str]:
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
    unclear = 0
    for whole, name, promises in untested:
        unclear += whole
        if whole:
            yield f"{_WORDS['inconclusive'][2]} {name} - it promises {promises}, and no item put that to the test"
        else:
            yield f"zmqfuzz: not put to the test: {promises} of {name}"
    yield _last_line([plain for _, plain in ours], seed(), unclear)


def _last_line(plains: list[dict[str, Any]], seed: int, unclear: int) -> str:
    verdicts = [plain["verdict"] for plain in plains]
    found, known = ({name for plain in plains for name in plain[key]} for key in ("findings", "known"))
    parts = [f"{verdicts.count('held')} held", f"{len(found)} finding{'' if len(found) == 1 else 's'}"]
    parts += [f"{len(known)} known"] if known else []
    parts.append(f"{verdicts.count('inconclusive') + unclear} inconclusive")
    if "error" in verdicts:
        parts.append(f"{verdicts.count('error')} could not run")
    cases = sum(plain["cases"] for plain in plains)
    return f"zmqfuzz: {', '.join(parts)}; {cases:,} cases; seed {seed}"
