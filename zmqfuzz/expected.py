"""Findings that a suite expects: ``@pytest.mark.zmqfuzz_known("ZF203", reason=..., until="2027-01-31")``.

Contract: one mark is one :class:`Expected`, shared by all items that bear it, so that it can be said whether *none* of
them showed it. Plain values; nothing of the engine is loaded.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from zmqfuzz.errors import UsageError

__all__ = ["Expected"]

_CODE = re.compile(r"[A-Z]{2,}\d+(-[a-z2-7]{4})?")
_KEYS = ("match", "reason", "until", "families", "strict")


class _Named(Protocol):
    """What of a finding tells it from others."""

    @property
    def id(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def target(self) -> str: ...


@dataclass(eq=False, slots=True)
class Expected:
    """A finding that is known and may stay ``until`` a day (that day included), for a ``reason``.

    ``code`` is an invariant's, or a finding's whole ID. ``match``: a regular expression that its ID or its signature
    must hold somewhere; another way of failing is another finding. ``families``: the items it is expected in (empty:
    any). ``strict``: not to find it is a failure.
    ``target``: the only one it is expected of (empty: any).
    ``bearers`` are the items that bear the mark, ``played`` those that have ended; ``whole``: all of them run here.
    """

    code: str
    reason: str
    until: datetime.date
    match: str = ""
    families: tuple[str, ...] = ()
    strict: bool = True
    target: str = ""
    bearers: set[str] = field(default_factory=set)
    played: set[str] = field(default_factory=set)
    seen: bool = False
    whole: bool = True

    @classmethod
    def read(cls, args: Sequence[object], kwargs: Mapping[str, Any]) -> Expected:
        """From the arguments of a mark. Raises UsageError."""
        say = 'write zmqfuzz_known("ZF203", reason="...", until="2027-01-31")'
        if len(args) != 1 or not isinstance(args[0], str) or not _CODE.fullmatch(args[0]):
            raise UsageError(f"zmqfuzz_known needs the code or the ID of one finding; {say}.")
        for key in kwargs:
            if key not in _KEYS:
                raise UsageError(f"zmqfuzz_known has no option {key!r}; there are {', '.join(_KEYS)}.")
        for key in ("reason", "until"):
            if not kwargs.get(key):
                raise UsageError(f"zmqfuzz_known({args[0]!r}) needs {key}=; {say}.")
        until, families, match = kwargs["until"], kwargs.get("families", ()), kwargs.get("match", "")
        try:
            last = until if isinstance(until, datetime.date) else datetime.date.fromisoformat(until)
        except (TypeError, ValueError):
            raise UsageError(f"zmqfuzz_known({args[0]!r}): until={until!r} is no date such as '2027-01-31'.") from None
        try:
            re.compile(match)
        except (TypeError, re.error) as error:
            raise UsageError(f"zmqfuzz_known({args[0]!r}): match={match!r} is no pattern ({error}).") from None
        names = (families,) if isinstance(families, str) else tuple(families)
        return cls(args[0], str(kwargs["reason"]), last, match, names, bool(kwargs.get("strict", True)))

    def concerns(self, family: str) -> bool:
        """Whether it is expected in items of ``family`` (empty: an item that is none's)."""
        return not self.families or family in self.families

    def fits(self, finding: _Named) -> bool:
        """Whether this finding is the one."""
        if self.code not in (finding.code, finding.id) or self.target not in ("", finding.target):
            return False
        return not self.match or any(re.search(self.match, text) for text in (finding.id, finding.signature))

    @property
    def over(self) -> bool:
        """Whether its time has passed."""
        return datetime.date.today() > self.until

    def ended(self, nodeid: str, *, seen: bool) -> bool:
        """An item that bears it has ended; whether it was the last one, and none has shown it."""
        self.seen |= seen
        self.played.add(nodeid)
        return self.strict and self.whole and not self.seen and self.played >= self.bearers

    def __str__(self) -> str:
        like = f" ({self.match})" if self.match and self.strict else ""
        return f"{self.code}{like}, known until {self.until}: {self.reason}"

    @property
    def expired(self) -> str:
        """A sentence for a finding whose time has passed."""
        return f"It was known until {self.until} ({self.reason}). Mend it, or decide anew and set another date."

    @property
    def gone(self) -> str:
        """A sentence for when it was not found."""
        where = "" if len(self.bearers) < 2 else f" by any of the {len(self.bearers)} items that expect it"
        return (
            f"{self.code} was expected ({self.reason}) and not found{where}. If it is mended, remove the mark "
            "zmqfuzz_known; if it is only rare, give the item more time, or the mark strict=False."
        )
