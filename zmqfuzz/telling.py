"""Asks what a program has said of messages that it dropped: its output, or a command of the user's.

Contract: judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from zmqfuzz.dropping import LOG, NUMBER, Said, promised
from zmqfuzz.printed import printed
from zmqfuzz.target import Running

__all__ = ["AT_ONCE", "Teller", "Told"]

LOOK, AGAIN = 0.02, 0.2
AT_ONCE = 0.01
"""The patience of who asks once."""

STOPS = 3.0
"""Seconds in which a program that is told to stop says what it has not said before."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a program had said of drops; ``wrote``: and how many octets of output."""

    wrote: int = 0
    said: Said | None = None
    number: int | None = None

    @property
    def already(self) -> int:
        """How often it had said so, where it names no number."""
        return self.said.places if self.said is not None and self.said.number is None else 0


class Teller:
    """``drops``: how it is to say so; empty: it is not."""

    def __init__(self, drops: str) -> None:
        self._way, self._by = promised(drops)

    async def said(self, running: Running) -> Told:
        """What the program has said of drops so far."""
        if self._way == NUMBER:
            return Told(number=await printed(self._by, NUMBER))
        text, wrote = running.wrote()
        return Told(wrote, Said.of(self._by, text) if self._way == LOG and text is not None else None)

    async def grown(self, running: Running, before: Told, patience: float) -> int | None:
        """By how much that has grown, after ``patience`` seconds at most, or when the program was told to stop."""
        until = trio.current_time() + patience
        grown = await self._more(running, before)
        while grown == 0 and self._way in (LOG, NUMBER) and trio.current_time() < until:
            await trio.sleep(AGAIN)
            grown = await self._more(running, before)
        if grown == 0 and self._way == LOG and patience > AT_ONCE and running.exit() is None and running.stop():
            until = trio.current_time() + STOPS
            while running.exit() is None and trio.current_time() < until:
                await trio.sleep(LOOK)
            grown = await self._more(running, before)
        return grown

    async def _more(self, running: Running, before: Told) -> int | None:
        if self._way == NUMBER:
            now = await printed(self._by, NUMBER)
            return None if now is None or before.number is None else max(0, now - before.number)
        if self._way != LOG:
            return 0
        text, _ = running.wrote(before.wrote)
        if text is None or before.said is None:
            return None
        now_said = Said.of(self._by, text)
        if now_said.number is None:
            return now_said.places
        return max(0, now_said.number - (before.said.number or 0))
