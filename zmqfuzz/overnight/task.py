"""One slice of a campaign: a function of plain values, the same in a process here and on another machine.

What it sees goes line by line into a file, or where there is none it is returned. It writes nowhere else: findings and
corpus entries travel in the lines, and who reads them keeps them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any, Literal

import trio
from hypothesis.configuration import set_hypothesis_home_dir

from zmqfuzz.assembly import Spec, replayed
from zmqfuzz.budget import MIB
from zmqfuzz.campaign.again import waiting_to_plain
from zmqfuzz.campaign.corpus import contents
from zmqfuzz.campaign.events import Ended, Event, Found, Plan, Sliced, Waiting
from zmqfuzz.campaign.keeper import Keeper
from zmqfuzz.campaign.novelty import Novelty
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.catalogue import select_families
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.finding import Finding
from zmqfuzz.harness import Harness
from zmqfuzz.overnight.entries import entry_lines
from zmqfuzz.overnight.lines import Lines
from zmqfuzz.rating import RATING
from zmqfuzz.reports.telling import outcome_to_plain, tell
from zmqfuzz.script import Attack
from zmqfuzz.trial import Trial

__all__ = ["Task", "enter", "play"]

Way = tuple[str, str, str]
"""Of failing: door, code and signature."""

KEPT = 2 * MIB
"""Octets of trials that a slice keeps at most, half of them behind findings."""

COUNTED = 0.5
"""Seconds between two records of how many attacks were played."""

CLEAN_UP = 10.0
"""Seconds that an orphaned worker may take for it."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to play: the engine for ``seconds``, or, where it is given, ``finding`` again on fresh processes.

    ``known``, ``cells`` and ``best``: what needs not be found again. ``corpus``: attacks to play first, by door.
    ``again`` and ``settle`` as in :class:`Plan`.
    ``file``: where its lines go; empty: they are returned. ``store``: where findings will be, for people.
    """

    number: int
    spec: Spec
    families: tuple[str, ...] = ()
    seed: int = 0
    seconds: float = 60.0
    stop: Literal["never", "promised", "always"] = "promised"
    exposure: Literal["never", "promised", "always"] = "promised"
    looks: frozenset[str] = frozenset({RATING})
    cases: int | None = None
    seeds: tuple[tuple[bytes, ...], ...] = ()
    known: frozenset[Way] = frozenset()
    cells: frozenset[str] = frozenset()
    best: Mapping[str, float] = field(default_factory=dict)
    corpus: tuple[tuple[str, Attack], ...] = ()
    again: tuple[Waiting, ...] = ()
    settle: bool = False
    finding: Finding | None = None
    times: int = 3
    file: str = ""
    store: str = ".zmqfuzz"

    def plan(self) -> Plan:
        """For the engine."""
        return Plan(
            families=tuple(select_families(list(self.families), [])) if self.families else (),
            seconds=self.seconds,
            seed=self.seed,
            cases=self.cases,
            minimise_seconds=min(12.0, max(2.0, self.seconds / 5)),
            seeds=self.seeds,
            stop=self.stop,
            exposure=self.exposure,
            looks=self.looks,
            known=self.known,
            corpus=self.corpus,
            again=self.again,
            settle=self.settle,
        )


_halt: Flag | None = None
"""Set: all slices of this process end with the attack that is being played."""


def enter(halt: Flag) -> None:
    """A worker process begins: it heeds ``halt`` instead of the terminal's Ctrl-C, and ends with its parent."""
    global _halt
    _halt = halt
    signal.signal(signal.SIGINT, lambda number, frame: None)  # ignored, but not by what is started from here
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    """Once the parent is gone: end the slice, which cleans up, and then this process, which SIGTERM then ends."""
    parent = parent_process()
    if parent is None:
        return
    connection.wait([parent.sentinel])
    for _ in range(int(CLEAN_UP / 0.25)):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.25)
    os.kill(os.getpid(), signal.SIGKILL)  # wardens kill what is left of the targets


class _Pen:
    """Writes the records of a slice into its file, or keeps them."""

    def __init__(self, file: str) -> None:
        self.kept: list[dict[str, Any]] = []
        self._lines = Lines(Path(file), patience=30.0) if file else None
        self._began = self._last = time.monotonic()

    def write(self, record: dict[str, Any]) -> None:
        now = time.monotonic()
        record["at"] = round(now - self._began, 3)
        if record["event"] not in ("learned", "played", "trials"):
            record["took"] = round(now - self._last, 3)
            self._last = now
        if self._lines is None:
            self.kept.append(record)
        else:
            self._lines.append(record)

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()


class _Played:
    """Counts attacks and starts of the target, and writes them down as it goes."""

    def __init__(self, pen: _Pen, harness: Harness) -> None:
        self._pen, self._harness = pen, harness
        self._counts = Counter[tuple[str, str]]()
        self._starts = 0
        self._written = time.monotonic()

    def note(self, trial: Trial) -> None:
        self._counts[(trial.surface.key, trial.attack.strategy)] += 1
        if time.monotonic() - self._written > COUNTED:
            self.flush()

    def flush(self) -> None:
        if not self._counts:
            return
        starts, self._starts = self._harness.starts - self._starts, self._harness.starts
        cases = [[door, family, count] for (door, family), count in self._counts.items()]
        self._counts.clear()
        self._written = time.monotonic()
        self._pen.write({"event": "played", "cases": cases, "starts": starts})


def play(task: Task) -> list[dict[str, Any]]:
    """Play a slice; its records, where there is no file for them.

    The last record is ``ended`` (or ``replayed``), with ``error`` and ``exit_code`` where something went wrong. Raises
    OSError: the file cannot be written.
    """
    pen = _Pen(task.file)
    failed: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        folder = str(Path(task.store) / "hypothesis") if task.file else tempfile.mkdtemp(prefix="zmqfuzz-")
        if not task.file:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        set_hypothesis_home_dir(folder)  # not into the user's folder
        try:
            trio.run(_guarded, task, pen)
        except BaseException as error:
            cause = _single(error)
            if isinstance(cause, OSError) and cause.filename == task.file:
                raise cause from None
            if isinstance(cause, ZmqfuzzError):
                failed = {"error": str(cause), "exit_code": cause.exit_code}
            elif isinstance(cause, Exception):
                failed = {
                    "error": f"zmqfuzz itself failed ({cause!r})",
                    "exit_code": 70,
                    "trace": traceback.format_exc(),
                }
            else:
                raise
    try:
        pen.write({"event": "closed", **failed})
    finally:
        pen.close()
    return pen.kept


def _single(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _guarded(task: Task, pen: _Pen) -> None:
    """Until the end, SIGTERM, or the end of an attack after ``_halt``."""
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()
        cancel = functools.partial(token.run_sync_soon, scope.cancel, idempotent=True)
        with _told_to_stop(cancel):
            await _work(task, pen, scope)
    if scope.cancelled_caught:
        pen.write({"event": "stopped"})


@contextlib.contextmanager
def _told_to_stop(cancel: Callable[[], None]) -> Any:
    """SIGTERM cancels, where signals can be had: a cluster's workers play in a thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _work(task: Task, pen: _Pen, scope: trio.CancelScope) -> None:
    def between() -> None:
        if _halt is not None and _halt.is_set():
            scope.cancel()

    async with task.spec.harness() as harness:
        harness.between = between
        played = _Played(pen, harness)
        if task.finding is not None:
            await _again(task, task.finding, pen, harness)
            return
        plan, novelty = task.plan(), Novelty(task.cells, task.best)
        keeper = _keeper(task, pen)
        harness.tap = keeper.take

        def told(event: Event) -> None:
            played.flush()
            if isinstance(event, Found):
                keeper.evidence(event.finding.id, event.evidence)
            pen.write(_record(event, task, plan))
            if isinstance(event, Sliced):
                between()

        def watch(trial: Trial, alone: bool) -> None:
            played.note(trial)
            learned = novelty.note(trial, alone=alone)
            if learned is not None:
                found = {"door": learned.surface.key, "cells": [*learned.cells], "best": dict(learned.best)}
                pen.write({"event": "learned", **found, **entry_lines(learned)})

        try:
            await Campaign(harness, plan, told, watch).run()
        finally:
            played.flush()
            keeper.flush()


def _keeper(task: Task, pen: _Pen) -> Keeper:
    """What a slice keeps of its trials, to be judged again."""

    def put(text: str, found: bool) -> None:
        pen.write({"event": "trials", "found": found, "z": text})

    return Keeper(put, task.spec.limits, most=KEPT, secrets=task.spec.credentials.secrets, run=f"{task.number}.")


def _record(event: Event, task: Task, plan: Plan) -> dict[str, Any]:
    plain = tell(event, Path(task.store))
    if isinstance(event, Found):
        plain["files"] = contents(event.finding, task.spec.to_plain(), event.trial)
    if isinstance(event, Ended):
        outcome = event.outcome
        plain["outcome"] = outcome_to_plain(outcome, plan.families, outcome.envelope.observed(task.spec.limits))
        plain["seen"] = [list(texts) for texts in outcome.seen]
        plain["known"] = sorted(outcome.known)
        plain["waiting"] = [waiting_to_plain(one) for one in outcome.waiting]
    return plain


async def _again(task: Task, finding: Finding, pen: _Pen, harness: Harness) -> None:
    result = await replayed(harness, finding, task.times)
    confirmed = result.confirmed
    sentence = confirmed.violation.sentence if confirmed.violation is not None else ""
    pen.write(
        {
            "event": "replayed",
            "finding": finding.id,
            "shown": confirmed.shown,
            "tried": confirmed.tried,
            "holds": confirmed.holds,
            "sentence": sentence,
            "doubts": list(confirmed.doubts),
        }
    )
