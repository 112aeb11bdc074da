"""A campaign as it goes: slices are given out, followed and kept, until its time is over or it is worth no more.

Nothing is played in this process, so it may be killed at any moment: see :mod:`zmqfuzz.overnight.ledger`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from zmqfuzz.campaign.again import waiting_from_plain
from zmqfuzz.campaign.events import Waiting
from zmqfuzz.errors import TargetError, UsageError, ZmqfuzzError
from zmqfuzz.finding import Finding
from zmqfuzz.overnight.crew import Crew, Slice
from zmqfuzz.overnight.ledger import Ledger
from zmqfuzz.overnight.task import Task
from zmqfuzz.reports.telling import retold

__all__ = ["Conductor", "End", "Ends"]

POLL = 0.2
STATUS_EVERY = 5.0

SHORTEST = 4.0
"""Seconds, or a part of a slice: what is left of the time is not worth another slice."""

LEAST_HUNG, HUNG = 900.0, 4.0
"""Seconds, and times a slice, after which a worker that has written nothing is taken for one that hangs."""

FAILURES = 3
"""Slices that fail one after the other, after which the campaign is given up."""

FIRST_PLAYED = 3
"""Corpus entries that a slice plays first, for each door and family at most."""

TURN = 5.0
"""Seconds that a family has at each door in a slice; where there is less for all, some are played in the next one."""

LOOKS_EVERY = 8
"""Slices of which one looks at each door by itself: a fifth of its time, and the same each time."""

REPLAYS = 0.25
"""Share of the time for replaying what is known."""


class End(StrEnum):
    """Why a campaign has stopped."""

    TIME = "its time is over"
    PLATEAU = "nothing new was seen for as long as --until-plateau says"
    FINDINGS = "as many new findings as were asked for"
    CASES = "as many attacks as were asked for"
    INTERRUPTED = "interrupted"
    FAILED = "it failed"


@dataclass(frozen=True, slots=True)
class Ends:
    """When to stop, in seconds of the campaign and in counts; None: not for this."""

    seconds: float
    plateau: float | None = None
    findings: int | None = None
    cases: int | None = None
    slice: float = 300.0


class Conductor:
    """Gives out slices like ``task`` and shows what comes of them: ``show`` is called after each look.

    ``shard``: number and count of the machines that divide the seeds of a campaign between them. ``accepted``: finding
    IDs that do not count as new.
    """

    def __init__(
        self,
        ledger: Ledger,
        crew: Crew,
        task: Task,
        ends: Ends,
        *,
        known: tuple[Finding, ...] = (),
        shard: tuple[int, int] = (1, 1),
        accepted: frozenset[str] = frozenset(),
        show: Callable[[Conductor], None],
        say: Callable[[str], None],
    ) -> None:
        self.ledger, self.crew, self.ends = ledger, crew, ends
        self.tally = ledger.tally
        self.working: dict[int, tuple[Slice, Task]] = {}
        self._heard: dict[int, float] = {}
        self.paused = self.at_once = False
        self.stopping: End | None = None
        self.failure: ZmqfuzzError | None = None
        self._task, self._accepted, self._shard = task, accepted, shard
        self._show, self._say = show, say
        self._replays = list(known)
        self._failures = self._attacking = 0
        self._settled = False
        self._base = self._before = 0.0
        self._status_at = 0.0
        self._corpus, self._corpus_at = self.ledger.pool.entries(), 0.0

    # asked from outside

    def interrupt(self) -> None:
        """Ctrl-C: every worker ends with the attack that it plays; asked twice, at once."""
        self.at_once = self.stopping is End.INTERRUPTED
        self.stopping = End.INTERRUPTED
        self.crew.halt(True)

    def pause(self) -> None:
        """Let the attacks that are played come to their end and play no more, or go on."""
        self.paused = not self.paused
        self.crew.halt(self.paused or self.stopping is not None)

    @property
    def new(self) -> list[str]:
        """IDs of findings that nobody knew when the campaign, or this part of it, began."""
        return [one.id for one in self.tally.found.values() if one.state == "new" and one.id not in self._accepted]

    def status(self, state: str = "running") -> dict[str, Any]:
        """What status.json says: facts only."""
        tally = self.tally
        return {
            "name": self.ledger.folder.name,
            "state": "paused" if self.paused else state,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "pid": os.getpid(),
            "elapsed": round(tally.elapsed, 1),
            "spent": round(tally.leg, 1),
            "seconds": self.ends.seconds,
            "workers": self.crew.seats,
            "working": len(self.working),
            "died": tally.died,
            "slices": tally.slices_over,
            "cases": tally.total,
            "cells": len(tally.cells),
            "starts": tally.starts,
            "findings": {one.id: one.state for one in tally.found.values()},
            "unconfirmed": sorted(tally.unconfirmed),
            "corpus": self.ledger.pool.count(),
            "seconds_since_new_behaviour": round(tally.elapsed - tally.last_cell, 1),
        }

    # the loop

    def run(self) -> End:
        """Until the end. Raises OSError (what was kept is whole), UsageError, and what a first slice failed with."""
        for said in (*self.ledger.said, *self.ledger.recover(), *self._said()):
            self._say(said)
        self._base, self._before = time.monotonic(), self.tally.elapsed
        if self.tally.leg_over:
            self.ledger.write("leg", seconds=self.ends.seconds, seed=self._task.seed)
        else:
            self.ledger.write("resumed")
        for finding in self._replays:
            self._keep(finding)
        self._replays = [one for one in self._replays if self.tally.found[one.id].state == "unclear"]
        while self._look():
            pass
        self.ledger.write("stopped", why=str(self.stopping))
        if self.stopping is not End.INTERRUPTED:
            self.ledger.write("over", why=str(self.stopping))
        self.ledger.keep()
        self.ledger.status(self.status("stopped"))
        if self.failure is not None:
            raise self.failure
        assert self.stopping is not None
        return self.stopping

    def _look(self) -> bool:
        """Once: carry over, give out. False: all is over."""
        futures = [future for future, _ in self.working.values()]
        if futures:
            wait(futures, timeout=POLL, return_when="FIRST_COMPLETED")
        elif self.paused and self.stopping is None:
            time.sleep(POLL)
        now = time.monotonic()
        if self.paused:
            self._base, self._before = now, self.tally.elapsed
        self.tally.elapsed = self._before + now - self._base
        for seat, (future, task) in list(self.working.items()):
            if future.done():
                del self.working[seat]
                self._over(future, task)
            elif self.crew.follows:
                for _ in self.ledger.follow(task.number):
                    self._heard[seat] = now
                if now - self._heard[seat] > max(LEAST_HUNG, HUNG * self.ends.slice):
                    self._say(f"the worker of slice {task.number} says nothing any more, and is replaced")
                    self.crew.kill(seat)
        self._stop_soon()
        for seat in range(self.crew.seats):
            if seat not in self.working and self.stopping is None and not self.paused:
                self._give(seat)
        if now - self._status_at >= STATUS_EVERY:
            self._status_at = now
            self.ledger.status(self.status())
        self._show(self)
        return not self.at_once and (bool(self.working) or self.stopping is None)

    def _stop_soon(self) -> None:
        ends, tally = self.ends, self.tally
        if self.stopping is not None:
            return
        if ends.findings is not None and len(self.new) >= ends.findings:
            self.stopping = End.FINDINGS
            self.crew.halt(True)
        elif ends.cases is not None and tally.leg_cases >= ends.cases:
            self.stopping = End.CASES  # slices that go on come to their end
        elif ends.plateau is not None and tally.elapsed - tally.last_cell >= ends.plateau:
            self.stopping = End.PLATEAU
        elif self._left() <= 0 and not self.working and (self._settled or not tally.waiting):
            self.stopping = End.TIME

    def _left(self) -> float:
        """Seconds for slices that begin now; a slice began in any case."""
        left = self.ends.seconds - self.tally.leg
        least = min(SHORTEST, self.ends.slice / 3)
        return left if left > least or (not self.tally.leg_cases and not self.working and left > 0) else 0.0

    def _give(self, seat: int) -> None:
        left = self._left()
        if self._replays and self.tally.leg < REPLAYS * self.ends.seconds:
            finding = self._replays.pop(0)
            times = 10 if 0 < finding.confirmed < finding.tried else 3
            self._begin(seat, replace(self._task, finding=finding, times=times, seconds=0.0))
            return
        if left <= 0:
            if self.tally.waiting and not self._settled and not self.working:
                self._settled = True  # what was caught last is not left in doubt for want of a slice
                self._begin(seat, replace(self._task, seconds=self.ends.slice, settle=True))
            return
        cases = None if self.ends.cases is None else max(1, self.ends.cases - self.tally.leg_cases) // self.crew.seats
        looks = self._task.looks if self._attacking % LOOKS_EVERY == 0 else frozenset[str]()
        self._attacking += 1
        most, seconds = max(1, cases) if cases is not None else None, min(self.ends.slice, left)
        self._begin(seat, replace(self._task, seconds=seconds, cases=most, looks=looks))

    def _begin(self, seat: int, task: Task) -> None:
        number = self.tally.slices + 1
        index, count = self._shard
        seed = random.Random(f"{self._task.seed} {(number - 1) * count + index}").getrandbits(31)
        task = replace(
            task,
            number=number,
            seed=seed,
            known=frozenset(self.tally.known),
            cells=frozenset(self.tally.cells),
            best=dict(self.tally.best),
            families=self._turn(task),
            corpus=self._played_first(seed),
            again=self._waiting() if task.finding is None else (),
            file=str(self.ledger.file(number)) if self.crew.follows else "",
        )
        what = {"replay": task.finding.id} if task.finding is not None else {"seconds": round(task.seconds, 1)}
        self.ledger.write("slice-began", slice=number, worker=seat + 1, seed=seed, **what)
        self.working[seat] = self.crew.submit(seat, task), task
        self._heard[seat] = time.monotonic()

    def _turn(self, task: Task) -> tuple[str, ...]:
        """The families of a slice: all, or those that had the fewest turns so far."""
        doors = sum(door["ok"] for door in self.tally.doors.values())
        most = max(1, int(task.seconds / (TURN * max(1, doors))))
        if task.finding is not None or not doors or most >= len(task.families):
            return task.families
        return tuple(sorted(task.families, key=lambda name: self.tally.turns[name])[:most])

    def _waiting(self) -> tuple[Waiting, ...]:
        read = map(waiting_from_plain, self.tally.waiting)
        return tuple(one for one in read if one is not None)

    def _played_first(self, seed: int) -> tuple[tuple[str, Any], ...]:
        """Some entries of the corpus, others in each slice."""
        if time.monotonic() - self._corpus_at > 60.0:
            self._corpus, self._corpus_at = self.ledger.pool.entries(), time.monotonic()
            for said in self._said():
                self._say(said)
        entries = list(self._corpus)
        random.Random(seed).shuffle(entries)
        counts: dict[tuple[str, str], int] = {}
        chosen = []
        for entry in entries:
            key = entry.door, entry.attack.strategy
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= FIRST_PLAYED:
                chosen.append((entry.door, entry.attack))
        return tuple(chosen)

    def _said(self) -> list[str]:
        said, self.ledger.pool.said = self.ledger.pool.said, []
        return said

    def _keep(self, finding: Finding) -> None:
        if finding.id not in self.tally.found:
            plain = retold(finding, self.ledger.store / "findings" / finding.id)
            self.ledger.write("kept", **{key: value for key, value in plain.items() if key != "event"})

    def _over(self, future: Slice, task: Task) -> None:
        """A slice has come to an end, or its worker."""
        try:
            for record in future.result():
                self.ledger.carry(task.number, record)
        except (BrokenExecutor, CancelledError) as error:
            died = isinstance(error, BrokenExecutor)
            self.ledger.over(task.number, died=died)
            if died and self.stopping is None:
                self._say(f"a worker died in slice {task.number}: what it had recorded is kept, and another takes over")
                self._failed(UsageError("Workers of the campaign die one after the other; see what kills them."))
            return
        except OSError as error:
            self.ledger.over(task.number, died=True)
            raise error
        last = self._last(task.number)
        self.ledger.over(task.number, died=False, **({"error": last["error"]} if "error" in last else {}))
        if "error" not in last:
            self._failures = 0
            return
        kind = {4: TargetError, 2: UsageError}.get(last.get("exit_code", 70), ZmqfuzzError)
        error_ = kind(last["error"])
        error_.exit_code = last.get("exit_code", 70)
        if task.finding is not None:
            self._say(f"{task.finding.id} could not be replayed: {last['error']}")
        elif not self.tally.total or error_.exit_code in (2, 5):
            self.failure, self.stopping = error_, End.FAILED
            self.crew.halt(True)
        else:
            self._say(f"slice {task.number}: {last['error']}")
            self._failed(error_)

    def _failed(self, error: ZmqfuzzError) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self.failure, self.stopping = error, End.FAILED
            self.crew.halt(True)

    def _last(self, number: int) -> Mapping[str, Any]:
        """The closing record of a slice."""
        for _ in self.ledger.follow(number):
            pass
        return self.tally.closed.pop(number, {})
