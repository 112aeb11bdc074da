"""What the peers of one attack tell each other, and the bell that wakes a peer that waits. No socket, no octets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import trio

from zmqfuzz.script import Script, Signal

__all__ = ["Bell", "Signals"]


class Bell:
    """Wakes who waits for ``rung``; take that event first, then look whether there is anything to wait for."""

    def __init__(self) -> None:
        self.rung = trio.Event()

    def ring(self) -> None:
        """Something has changed."""
        self.rung.set()
        self.rung = trio.Event()


class Signals:
    """The signals of one attack: which were given, and which nobody is left to give."""

    def __init__(self, scripts: Iterable[Script], outside: Iterable[str] = ()) -> None:
        """``outside``: names that somebody who plays no script will signal."""
        scripts = list(scripts)
        self._left = Counter(name for script in scripts for name in _names(script))
        self._left.update(outside)
        self._playing = len(scripts)
        self._waiting: Counter[str] = Counter()
        self._given: set[str] = set()
        self._bells: list[Bell] = []

    def wakes(self, bell: Bell) -> None:
        """Ring ``bell`` whenever something changes here."""
        self._bells.append(bell)

    def give(self, name: str) -> None:
        """``name`` is signalled; once is enough."""
        if name not in self._given:
            self._given.add(name)
            self._ring()

    def given(self, name: str) -> bool:
        """Whether ``name`` was signalled."""
        return name in self._given

    def hopeless(self, name: str) -> bool:
        """Whether ``name`` was not signalled, and every peer that would have has ended its script."""
        return name not in self._given and self._left[name] <= 0

    def waits(self, name: str) -> None:
        """A peer waits for ``name``."""
        self._waiting[name] += 1
        self._ring()

    def resting(self, name: str) -> bool:
        """Whether every peer has ended its script, or has come to where it waits for ``name``."""
        return self._waiting[name] >= self._playing

    def leave(self, script: Script) -> None:
        """A peer that played ``script`` has ended it."""
        self._left.subtract(_names(script))
        self._playing -= 1
        self._ring()

    def _ring(self) -> None:
        for bell in self._bells:
            bell.ring()


def _names(script: Script) -> set[str]:
    return {step.name for step in script.steps if isinstance(step, Signal)}
