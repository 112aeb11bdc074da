"""How a program says that it drops messages for a reader that is behind: what is promised, what was said. Pure.

At a high-water mark PUB and XPUB drop silently, ROUTER does unless ROUTER_MANDATORY is set, and all others hold back
their program (zmq_socket(3)); what a program throws away that is held back, it knows of. So drops can be told: by
XPUB_NODROP, by ROUTER_MANDATORY, or by EAGAIN.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from zmqfuzz.errors import UsageError

__all__ = ["DROPS", "LOG", "NEVER", "NUMBER", "Said", "parse_drops", "promised", "rooted"]

DROPS = "drops"
"""Instead of the name of a family."""

NEVER, LOG, NUMBER = "never", "log", "counter"
"""Ways to promise it: nothing is dropped; a line of its output; a number that a command prints."""

_WANTED = "write log:REGEX, counter:CMD or never, for example 'log:dropped'."


def parse_drops(value: object) -> str:
    """``log:REGEX``, ``counter:CMD`` or ``never``, as it was written. Raises UsageError."""
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not a way to tell of drops; {_WANTED}")
    way, said = promised(value)
    if way == NEVER and not said:
        return value
    if way not in (LOG, NUMBER) or not said.strip():
        raise UsageError(f"{value!r} is not a way to tell of drops; {_WANTED}")
    if way == NUMBER:
        try:
            shlex.split(said)
        except ValueError as error:
            raise UsageError(f"{said!r} cannot be read as a command ({error}); close its quotes.") from None
        return value
    try:
        groups = re.compile(said).groups
    except re.error as error:
        raise UsageError(f"{said!r} is no regular expression ({error}); correct it.") from None
    if groups > 1:
        raise UsageError(f"{said!r} has {groups} groups; write one, around the number, or none; others as (?:...).")
    return value


def promised(drops: str) -> tuple[str, str]:
    """The way, and the regular expression or command."""
    way, _, said = drops.partition(":")
    return way, said


def rooted(drops: str, root: Callable[[str], str]) -> str:
    """The same, where a command is what ``root`` makes of it."""
    way, said = promised(drops)
    return f"{way}:{root(said)}" if way == NUMBER else drops


@dataclass(frozen=True, slots=True)
class Said:
    """What an output says of drops: in so many places, with this number last where one was asked for."""

    places: int
    number: int | None

    @classmethod
    def of(cls, pattern: str, text: str) -> Said:
        """Count in ``text``; a number is what the group of the pattern holds."""
        found = list(re.finditer(pattern, text, re.MULTILINE))
        numbers = [int(digits[0]) for one in found if one.re.groups and (digits := re.search(r"\d+", one[1] or ""))]
        return cls(len(found), max(numbers, default=None))
