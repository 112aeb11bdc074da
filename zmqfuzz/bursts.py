"""A client that asks several questions at once and looks at the order in which their answers come.

Contract: standard library and pyzmq only, as it runs in the process of :mod:`zmqfuzz.bystanding`. Judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

__all__ = ["AT_ONCE", "Burster", "Flight"]

AT_ONCE = 8
"""Questions at once: far below any high-water mark."""

REST = 0.02
"""Seconds between two bursts."""


@dataclass(slots=True)
class Flight:
    """What became of the bursts of one phase: of ``whole`` ones all was answered, of ``swapped`` ones out of order."""

    bursts: int = 0
    whole: int = 0
    swapped: int = 0

    def plain(self) -> dict[str, int]:
        """For JSON."""
        return {name: getattr(self, name) for name in ("bursts", "whole", "swapped")}


class Burster:
    """One client; ``frames`` makes a question of a token. Seconds: how long it waits for answers, and between bursts.

    Where answers are missing it goes, and comes again.
    """

    def __init__(
        self,
        make: Callable[[], zmq.Socket[bytes]],
        prefix: bytes,
        frames: Callable[[bytes], list[bytes]],
        patience: float,
        *,
        at_once: int = AT_ONCE,
        rest: float = REST,
    ) -> None:
        self._make = make
        self._prefix = prefix
        self._frames = frames
        self._patience = patience
        self._at_once = at_once
        self._rest = rest
        self._number = 0
        self._since = 0.0
        self._open: set[int] = set()
        self._latest = 0
        self._overtaken = False
        self.sock = make()

    @property
    def waits(self) -> bool:
        """Whether answers are missing."""
        return bool(self._open)

    def go_on(self, flight: Flight, more: bool) -> None:
        """Give up, or ask ``more``, where it is time."""
        waited = time.monotonic() - self._since
        if self._open and waited > self._patience:
            self._open.clear()
            self.sock.close(linger=0)
            self.sock = self._make()
        elif not self._open and more and waited > self._rest:
            self._ask(flight)

    def _ask(self, flight: Flight) -> None:
        flight.bursts += 1
        self._overtaken, self._latest, self._since = False, 0, time.monotonic()
        for _ in range(self._at_once):
            self._number += 1
            try:
                self.sock.send_multipart(self._frames(self._prefix + b"%08x" % self._number), zmq.NOBLOCK)
            except zmq.Again:
                continue
            self._open.add(self._number)

    def take(self, flight: Flight) -> None:
        """One message that has come."""
        data = b"\0".join(self.sock.recv_multipart())
        place = data.find(self._prefix) + len(self._prefix)
        try:
            number = int(data[place : place + 8], 16)
        except ValueError:
            return
        if number not in self._open:
            return
        self._open.remove(number)
        self._overtaken |= number < self._latest
        self._latest = max(number, self._latest)
        if not self._open:
            flight.whole += 1
            flight.swapped += self._overtaken
            self._since = time.monotonic()
