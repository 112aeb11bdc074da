"""Records a run as it goes. What cannot be written is said once, and kept in memory: a report can still be made."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from zmqfuzz import __version__
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.events import Ended, Event, Found, Plan, Sliced
from zmqfuzz.campaign.keeper import Keeper
from zmqfuzz.campaign.text import printable
from zmqfuzz.finding import Verdict
from zmqfuzz.reports.journal import Journal
from zmqfuzz.reports.record import FORMAT, Gate, Run, build
from zmqfuzz.reports.shelf import EVENTS, OUTCOME, TRIALS, new_folder, write_whole
from zmqfuzz.reports.telling import outcome_to_plain, tell
from zmqfuzz.trial import Examination, Trial

__all__ = ["Recorder"]


class Recorder:
    """Consumes the events of one run.

    ``description`` is the target as plain data, without secrets; ``policy`` is what decides the exit code
    (``fail_on``, ``inconclusive``), and the ``words`` of the command line; ``say`` takes a sentence for the user.
    ``whole``: all could be written so far. ``limits`` are the target's; ``secrets`` are octets that are stored nowhere.
    """

    def __init__(
        self,
        store: Path,
        target: str,
        description: Mapping[str, Any],
        plan: Plan,
        policy: Mapping[str, Any],
        say: Callable[[str], None],
        *,
        limits: Limits | None = None,
        secrets: Sequence[bytes] = (),
    ) -> None:
        self.folder: Path | None = None
        self._trials: Journal | None = None
        self._keeper = Keeper(self._packed, limits or Limits(), secrets=secrets)
        self._plan = plan
        self._store = store
        self._say = say
        self._events: list[dict[str, Any]] = []
        self._outcome: dict[str, Any] | None = None
        self._journal: Journal | None = None
        self._began = self._last = time.monotonic()
        self.whole = True
        try:
            self.folder = new_folder(store, target)
            self._journal = Journal(self.folder / EVENTS)
            self._trials = Journal(self.folder / TRIALS)
        except OSError as error:
            self._failed(error)
        self._write(
            {
                "event": "started",
                "format": FORMAT,
                "target": target,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "seed": plan.seed,
                "seconds": plan.seconds,
                "families": [family.name for family in plan.families],
                "versions": {
                    "zmqfuzz": __version__,
                    "python": platform.python_version(),
                    "libzmq": zmq.zmq_version(),
                    "system": f"{platform.system()} {platform.release()}",
                },
                "description": dict(description),
                **policy,
            }
        )

    def tell(self, event: Event, observed: tuple[str, ...] = ()) -> None:
        """Take one event; ``observed``: see :func:`outcome_to_plain`, used with the last one."""
        plain = tell(event, self._store)
        if isinstance(event, Found):
            self._keeper.evidence(event.finding.id, event.evidence)
        if isinstance(event, Sliced):
            plain["took"] = round(time.monotonic() - self._last, 3)
        if isinstance(event, Ended):
            self._outcome = outcome_to_plain(event.outcome, self._plan.families, observed)
        self._write(plain)

    def saw(self, seen: Trial | Examination, start: int) -> None:
        """Something was seen on the target's start of this number: some of it is kept, to be judged again."""
        self._keeper.take(seen, start)

    def _packed(self, text: str, found: bool) -> None:
        if self._trials is not None and (error := self._trials.write({"event": "trials", "z": text})) is not None:
            self._failed(error)

    def _write(self, plain: dict[str, Any]) -> None:
        self._last = time.monotonic()
        plain["at"] = round(self._last - self._began, 3)
        self._events.append(plain)
        if self._journal is not None and (error := self._journal.write(plain)) is not None:
            self._failed(error)

    def finish(self, gate: Gate | None, error: str = "") -> Run:
        """The run is over; ``error``: the sentence with which it failed."""
        ids = [event["finding"]["id"] for event in self._events if event["event"] == "found"]
        verdict = (Verdict.VIOLATED if ids else Verdict.INCONCLUSIVE).value
        outcome: dict[str, Any] = {"verdict": verdict, "findings": ids, **(self._outcome or {})}
        outcome |= {"error": error, "complete": True}
        if gate is not None:
            outcome["gate"] = {name: getattr(gate, name) for name in Gate.__slots__}
        self._keeper.flush()
        for journal in (self._journal, self._trials):
            if journal is not None:
                journal.close()
        self._journal = self._trials = None
        if self.folder is not None:
            try:
                write_whole(self.folder / OUTCOME, json.dumps(outcome, indent=1) + "\n")
            except OSError as problem:
                self._failed(problem)
        return build(self.folder.name if self.folder else "not stored", self._events, outcome, ())

    def _failed(self, error: OSError) -> None:
        if self.whole:
            self.whole = False
            where = f" ({printable(str(error.filename))})" if error.filename else ""
            self._say(f"the run is not stored: {error.strerror or error}{where}; free what is missing for the next one")
