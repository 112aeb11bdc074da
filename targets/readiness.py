"""When a started command counts as ready, where a greeting from its doors does not tell.

``handshake`` waits for nothing here: the search for doors does. ``log:REGEX`` waits until its output matches,
``file:PATH`` until that exists, ``sleep:SECONDS`` for that long.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

import trio

from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import parse_duration

__all__ = ["Readiness", "parse_readiness"]

_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Readiness:
    """One condition; ``kind`` is ``handshake``, ``log``, ``file`` or ``sleep``."""

    kind: str
    argument: str = ""

    def __str__(self) -> str:
        return f"--ready {self.kind}:{self.argument}" if self.argument else f"--ready {self.kind}"

    async def reached(self, log: Callable[[], bytes], *, ended: Callable[[], bool], within: float) -> bool:
        """Wait for it. False when ``ended()`` comes first or ``within`` seconds pass."""
        since = trio.current_time()
        with trio.move_on_after(within):
            while not self._holds(log, trio.current_time() - since):
                if ended():
                    return False
                await trio.sleep(_PAUSE)
            return True
        return False

    def _holds(self, log: Callable[[], bytes], waited: float) -> bool:
        match self.kind:
            case "log":
                return re.search(os.fsencode(self.argument), log(), re.MULTILINE) is not None
            case "file":
                return os.path.exists(self.argument)
            case "sleep":
                return waited >= parse_duration(self.argument)
            case _:
                return True


def parse_readiness(text: str) -> Readiness:
    """Read ``handshake``, ``log:REGEX``, ``file:PATH`` or ``sleep:SECONDS``. Raises UsageError."""
    kind, _, argument = text.partition(":")
    if text == "handshake":
        return Readiness("handshake")
    if kind not in ("log", "file", "sleep") or not argument:
        raise UsageError(f"{text!r} is no readiness; write handshake, log:REGEX, file:PATH or sleep:SECONDS.")
    if kind == "sleep":
        parse_duration(argument)
    if kind == "log":
        try:
            re.compile(os.fsencode(argument))
        except re.error as error:
            raise UsageError(f"{argument!r} is not a regular expression ({error}); correct --ready.") from None
    return Readiness(kind, argument)
