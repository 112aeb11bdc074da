"""Plays many short scripts on one poll loop, some at a time: what a search plays when attacks per second count.

A task of its own for each peer costs ten times as much (``benchmarks/speed.py``).
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter

from zmqfuzz.endpoints import Place
from zmqfuzz.player import EVENTS, Player
from zmqfuzz.script import Script
from zmqfuzz.shaking import Keyring
from zmqfuzz.trial import Transcript
from zmqfuzz.writer import Meter

__all__ = ["Volley"]

TICK = 0.05
"""Seconds after which the loop looks whether it is to stop."""


class Volley:
    """Plays ``scripts`` against ``place``, ``at_once`` at a time, in order.

    A connection that a script leaves open stays open until ``close``.
    """

    def __init__(self, scripts: Sequence[Script], place: Place, meter: Meter, keyring: Keyring, at_once: int) -> None:
        self._poll = select.epoll()
        self._open: dict[int, Player] = {}
        self._players = [Player(script, place, meter, keyring, self._watch) for script in scripts]
        self._at_once = at_once

    def play(self, seconds: float, go_on: Callable[[], bool]) -> None:
        """Blocks until every script has ended, ``seconds`` are over, or ``go_on`` says no."""
        deadline = perf_counter() + seconds
        waiting = deque(self._players)
        running: set[Player] = set()
        looked = 0.0
        due = inf  # nobody wants a turn before; looked up anew only then, as that takes longer than a turn
        while waiting or running:
            while waiting and len(running) < self._at_once:
                player = waiting.popleft()
                if player.resume():
                    running.add(player)
                    due = min(due, player.until)
            now = perf_counter()
            if now > looked + TICK:
                looked = now
                if now > deadline or not go_on():
                    break
            patience = max(0.0, min(due - now, TICK)) if running else 0.0
            for number, happened in self._poll.poll(patience):
                if (awake := self._open.get(number)) is None:
                    continue
                awake.happened(happened)
                if awake not in running:
                    awake.answer()
                elif awake.resume():
                    due = min(due, awake.until)
                else:
                    running.discard(awake)
            now = perf_counter()
            if now >= due:
                for player in [player for player in running if player.until <= now]:
                    if not player.resume():
                        running.discard(player)
                due = min((player.until for player in running), default=inf)
        for player in (*running, *waiting):
            player.record.note("out of time: the rest of the script was not played")

    def _watch(self, number: int, player: Player | None) -> None:
        if player is None:
            self._open.pop(number, None)
        else:
            self._open[number] = player
            self._poll.register(number, EVENTS)

    def close(self) -> None:
        """Reset what is open."""
        for player in list(self._open.values()):
            player.let_go(rst=True)
        self._poll.close()

    def transcripts(self) -> tuple[Transcript, ...]:
        """One of each script, in order."""
        return tuple(player.record.transcript(player.script.label) for player in self._players)
