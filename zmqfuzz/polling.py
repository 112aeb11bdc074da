"""Which connections a poll loop listens to, and whose they are (epoll(7), edge-triggered: each change is told once)."""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["ENDS", "FAILED", "HEARS", "READABLE", "WRITABLE", "WRITES", "Polling"]

HEARS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
"""Tell what arrives, also when that is there already, and the end."""

WRITES = HEARS | select.EPOLLOUT
"""Tell also when the connection has opened, or takes octets again."""

FAILED = select.EPOLLERR
ENDS = select.EPOLLRDHUP | select.EPOLLHUP | FAILED
WRITABLE = select.EPOLLOUT | FAILED
READABLE = ~select.EPOLLOUT

T = TypeVar("T")


class Polling(Generic[T]):
    """Descriptors, and whose each of them is."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._whose: dict[int, T] = {}

    def listen(self, number: int, whose: T, events: int) -> None:
        """Tell ``events`` of descriptor ``number`` from now on."""
        change = self._poll.modify if number in self._whose else self._poll.register
        self._whose[number] = whose
        change(number, events)

    def forget(self, number: int) -> None:
        """The descriptor is about to be closed."""
        self._whose.pop(number, None)

    def wait(self, seconds: float) -> Iterator[tuple[T, int]]:
        """What happens within ``seconds``; not to those that were forgotten meanwhile."""
        for number, events in self._poll.poll(seconds):
            if (whose := self._whose.get(number)) is not None:
                yield whose, events

    def close(self) -> list[T]:
        """Tell nothing any more; whose descriptors are still open."""
        self._poll.close()
        return list(self._whose.values())
