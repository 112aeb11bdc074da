"""What stored runs say about a program whose sources or sockets are audited: the newest of each target that is it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zmqfuzz.audit.joined import Proof, Shown
from zmqfuzz.errors import UsageError
from zmqfuzz.reports.findings_sarif import scripts
from zmqfuzz.reports.record import Found, Run
from zmqfuzz.reports.shelf import Shelf, read_run

__all__ = ["shown_by_runs"]

_MOST = 200
"""Stored runs that are looked at, the newest first."""


def shown_by_runs(store: Path, target: str, paths: Sequence[Path]) -> Shown:
    """What attacks on the target showed; empty ``target``: on each whose script lies at or below one of ``paths``.

    A run that was broken off says nothing.
    """
    shelf, found = Shelf(store), dict[str, Run]()
    for name in reversed(shelf.names()[-_MOST:]):
        try:
            run = read_run(shelf.folder(name))
        except UsageError:
            continue
        mine = run.started.target == target if target else _is_among(run, paths)
        if mine and run.outcome.complete:
            found.setdefault(run.started.target, run)
    runs = list(found.values())
    kinds = [door.socket_type.upper() for run in runs for door in run.doors]
    return Shown(
        tuple(_proof(one.finding.code, one.finding.id, one.finding.surface, one.finding.source) for one in _all(runs)),
        tuple(
            (one.code, one.count) for run in runs for one in run.outcome.checks if one.result == "held" and one.count
        ),
        ", ".join(f"run {run.name}" for run in runs),
        kinds=frozenset(kinds) if all(kinds) else frozenset(),
    )


def _all(runs: Sequence[Run]) -> list[Found]:
    return [one for run in runs for one in run.found]


def _proof(code: str, name: str, surface: dict[str, object], source: str) -> Proof:
    return Proof(code, name, str(surface.get("socket_type", "")).upper(), source.rpartition(":")[0])


def _is_among(run: Run, paths: Sequence[Path]) -> bool:
    """Whether the program that was started is one of the files, or below one of the folders."""
    command = run.started.description.get("command")
    folder = Path(str(run.started.description.get("cwd") or "."))
    words = command if isinstance(command, Sequence) and not isinstance(command, str) else ()
    for script in scripts(words):
        try:
            file = (folder / script).resolve()
            if file.is_file() and any(file.is_relative_to(path.resolve()) for path in paths):
                return True
        except (OSError, ValueError):
            continue
    return False
