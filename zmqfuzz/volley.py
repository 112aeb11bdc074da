"""Plays many short scripts on one poll loop, some at a time: what a search plays when attacks per second count.

A task of its own for each peer costs ten times as much (``benchmarks/speed.py``).
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from time import perf_counter

from zmqfuzz.endpoints import Place
from zmqfuzz.player import Player
from zmqfuzz.polling import Polling
from zmqfuzz.rehearsal import Rehearsal
from zmqfuzz.script import Script
from zmqfuzz.shaking import Keyring
from zmqfuzz.trial import Transcript
from zmqfuzz.writer import Meter

__all__ = ["RESTING", "Volley", "uncollected"]

TICK = 0.05
"""Seconds after which the loop looks whether it is to stop."""

CALM = 0.02
"""Seconds without a turn after which a script is resting, if the target has said something: it only waits."""

RESTING = 4
"""Scripts that are resting, at most, for each that may be played at a time: they cost nobody anything."""


class Volley:
    """Plays ``scripts`` against ``place``, in order: ``at_once`` at a time, and beside them what is resting.

    A connection that a script leaves open stays open until ``close``.
    """

    def __init__(self, scripts: Sequence[Script], place: Place, meter: Meter, keyring: Keyring, at_once: int) -> None:
        self._polling: Polling[Player] = Polling()
        rehearsal = Rehearsal()
        self._players = [Player(script, place, meter, keyring, rehearsal, self._polling) for script in scripts]
        self._at_once = at_once
        self._due: list[tuple[float, int, Player]] = []  # a heap: who wants a turn when; what is no longer so stays
        self._numbers = count()

    def play(self, seconds: float, go_on: Callable[[], bool]) -> None:
        """Blocks until every script has ended, ``seconds`` are over, or ``go_on`` says no."""
        deadline = perf_counter() + seconds
        waiting = deque(self._players)
        running: set[Player] = set()
        resting: set[Player] = set()
        looked = counted = 0.0
        while waiting or running:
            while waiting and len(running) < min(self._at_once + len(resting), (1 + RESTING) * self._at_once):
                player = waiting.popleft()
                if self._turn(player):
                    running.add(player)
            now = perf_counter()
            if now > counted + CALM:
                counted, resting = now, {player for player in running if player.rests(now - CALM)}
            if now > looked + TICK:
                looked = now
                if now > deadline or not go_on():
                    break
            due = self._due[0][0] if self._due else now
            patience = max(0.0, min(due - now, CALM if waiting else TICK)) if running else 0.0
            for awake, happened in self._polling.wait(patience):
                awake.happened(happened)
                resting.discard(awake)
                if awake not in running:
                    awake.answer()
                elif not self._turn(awake):
                    running.discard(awake)
            now = perf_counter()
            while self._due and self._due[0][0] <= now:
                until, _, player = heappop(self._due)
                if player in running and until == player.until:
                    resting.discard(player)
                    if not self._turn(player):
                        running.discard(player)
        for player in (*running, *waiting):
            player.record.note("out of time: the rest of the script was not played")

    def _turn(self, player: Player) -> bool:
        """Give ``player`` its next turn, and remember when it wants another; False: it has ended."""
        if not player.resume():
            return False
        heappush(self._due, (player.until, next(self._numbers), player))
        return True

    def close(self) -> None:
        """Reset what is open."""
        for player in self._polling.close():
            player.let_go(rst=True)

    def transcripts(self) -> tuple[Transcript, ...]:
        """One of each script, in order."""
        return tuple(player.record.transcript(player.script.label) for player in self._players)


@contextmanager
def uncollected() -> Iterator[None]:
    """Do not look for garbage meanwhile: a volley leaves next to none, and to look through everything takes 0.15 s."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
