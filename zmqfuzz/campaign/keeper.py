"""Keeps some of what a run sees, within a bound, so that it can be judged again by other invariants.

Kept are the trials and examinations behind each finding; the first trials of each way in which an attack of a family
at a door can end, and of all others the first, second, fourth, eighth ...; the first examinations of each kind.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zmqfuzz.budget import MIB, Limits
from zmqfuzz.campaign.judging import broken
from zmqfuzz.campaign.stored import Seen, octets_of, seen_from_plain, seen_to_plain, without
from zmqfuzz.errors import UsageError
from zmqfuzz.trial import Examination, Trial

__all__ = ["MOST", "Keeper", "Kept", "unpacked"]

MOST = 16 * MIB
"""Octets that one run may write. What is drawn may take half of it: findings come late."""

LARGEST = 8 * MIB
"""Octets of one record before it is packed; what is larger is not kept."""

MANY = 128
"""Peers of a trial beyond which it is not kept, unless it is behind a finding: a volley is many attacks."""

FIRST = 2
"""Trials of one way to end, and examinations of one kind, that are kept in any case."""

BATCH = 64 * 1024
"""Octets that are packed together: the texts of several records are much alike."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One record. ``process``: which start of the target it was seen on, and in a campaign of which slice.

    ``shown``: the codes of invariants that it broke as they were then. ``finding``: the ID that it is behind.
    """

    seen: Seen
    door: str
    family: str
    process: str
    shown: tuple[str, ...] = ()
    finding: str = ""


class Keeper:
    """``put`` takes packed texts, and whether they are behind a finding; ``secrets`` are octets that are not in them.

    ``run`` tells processes of several parts of a campaign apart.
    """

    def __init__(
        self,
        put: Callable[[str, bool], None],
        limits: Limits,
        *,
        most: int = MOST,
        secrets: Sequence[bytes] = (),
        run: str = "",
    ) -> None:
        self._put = put
        self._limits = limits
        self._most = most
        self._secrets = tuple(secrets)
        self._run = run
        self._written = 0
        self._waiting: list[str] = []
        self._counts = Counter[tuple[str, str]]()
        self._ways = Counter[tuple[object, ...]]()

    def take(self, seen: Trial | Examination, start: int) -> None:
        """Something was seen on the target's start of this number; keep it if it is worth it."""
        if self._written > self._most // 2:
            return
        if isinstance(seen, Examination):
            if seen.trials and self._first(_place(seen), "examination", seen.kind):
                self._keep(seen, str(start))
            return
        if len(seen.transcripts) > MANY:
            return
        place = _place(seen)
        self._counts[place] += 1
        number = self._counts[place]
        if self._first(place, *_way(seen)) or not number & (number - 1):
            self._keep(seen, str(start))

    def evidence(self, finding: str, seen: Iterable[Seen]) -> None:
        """What a finding was confirmed with, on as many processes as it is things."""
        self.flush()
        for number, one in enumerate(seen, 1):
            self._keep(one, f"{finding}-{number}", finding)
        self.flush(found=True)

    def _first(self, *way: object) -> bool:
        self._ways[way] += 1
        return self._ways[way] <= FIRST

    def _keep(self, seen: Seen, process: str, finding: str = "") -> None:
        if octets_of(seen) > LARGEST:
            return
        door, family = _place(seen)
        record: dict[str, Any] = {"door": door, "family": family, "process": self._run + process}
        record["shown"] = [violation.code for violation in broken(seen, self._limits)]
        if finding:
            record["finding"] = finding
        record["seen"] = seen_to_plain(without(seen, self._secrets))
        self._waiting.append(json.dumps(record, separators=(",", ":")))
        if not finding and sum(map(len, self._waiting)) > BATCH:
            self.flush()

    def flush(self, *, found: bool = False) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        octets = zlib.compress("\n".join(self._waiting).encode("ascii"), 6)
        self._waiting.clear()
        text = base64.b64encode(octets).decode()
        if self._written + len(text) <= self._most:
            self._written += len(text)
            self._put(text, found)


def _place(seen: Seen) -> tuple[str, str]:
    """Door and family."""
    if isinstance(seen, Trial):
        return seen.surface.key, seen.attack.strategy
    if isinstance(seen, Examination):
        return _place(seen.trials[0]) if seen.trials else ("", "")
    return (seen.surfaces[0].key if seen.surfaces else ""), seen.kind


def _way(trial: Trial) -> tuple[object, ...]:
    """How it ended, as far as that is seen at a glance."""
    seen = trial.observation
    served = seen.probes[-1].ok if seen.probes else None
    ended = (seen.exit, seen.killed_at_cap, seen.executed, seen.abandoned > 0, served, seen.beside is not None)
    return (*ended, trial.reached, frozenset(one.closed_by for one in trial.transcripts))


def unpacked(text: str) -> Iterator[Kept]:
    """The records of one packed text. Raises UsageError."""
    try:
        lines = zlib.decompress(base64.b64decode(text, validate=True)).decode("ascii").split("\n")
        for line in lines:
            plain = json.loads(line)
            yield Kept(
                seen_from_plain(plain["seen"]),
                str(plain["door"]),
                str(plain["family"]),
                str(plain["process"]),
                tuple(map(str, plain["shown"])),
                str(plain.get("finding", "")),
            )
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"what is stored of trials cannot be read ({error})") from None
