"""Finds the ZMTP doors among the places where a program listens, and says when no more are to be expected.

Contract: looks and connects, never sends an application message; raises nothing of its own. Sockets open one after
another at a program's start, so the search ends when the set has been stable for a while and the program at rest, or
at once when the doors of the last start are all back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from zmqfuzz.endpoints import parse
from zmqfuzz.targets.identify import identify
from zmqfuzz.trial import Surface

__all__ = ["Found", "by_address", "find", "number"]

_STABLE = 0.4  # seconds without a new listener; a pyzmq program opens its sockets within milliseconds
_BUSY = 2.0  # seconds without a new listener, of a program that has not come to rest since; some are never idle
_ANSWER_WITHIN = 1.0  # seconds a listener has to greet
_ASK_AGAIN = 0.5  # seconds until a silent listener is asked again
_REFUSED_AGAIN = 0.02
_PAUSE_MIN, _PAUSE_MAX = 0.005, 0.05  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Found:
    """The doors, numbered; and the places that listen but did not greet, refused, or were not there."""

    surfaces: tuple[Surface, ...]
    others: tuple[str, ...] = ()


def _place(surface: Surface) -> tuple[str, int, str]:
    where = parse(surface.address)
    return (where.transport, where.port, where.host or where.path)


def by_address(surfaces: list[Surface]) -> list[Surface]:
    """Sorted by address, tcp by port."""
    return sorted(surfaces, key=_place)


def number(surfaces: list[Surface], socket_type: str = "") -> tuple[Surface, ...]:
    """Number the doors of one kind in the order given; ``socket_type``, if given, replaces theirs."""
    seen: Counter[str] = Counter()
    numbered: list[Surface] = []
    for surface in surfaces:
        kind = replace(surface, socket_type=socket_type or surface.socket_type, index=0)
        numbered.append(replace(kind, index=seen[kind.key]))
        seen[kind.key] += 1
    return tuple(numbered)


class _Search:
    def __init__(self) -> None:
        self.known: dict[str, Surface | None] = {}
        self.asking: set[str] = set()
        self.ask_at: dict[str, float] = {}

    async def ask(self, address: str) -> None:
        """Identify one place; a refusal is no answer."""
        pause = _ASK_AGAIN
        try:
            self.known[address] = await identify(address, _ANSWER_WITHIN)
        except OSError:
            pause = _REFUSED_AGAIN
        self.ask_at[address] = trio.current_time() + pause
        self.asking.discard(address)

    def due(self, address: str) -> bool:
        """Whether to ask (again): not yet a door, not being asked, not asked a moment ago."""
        return (
            self.known.get(address) is None
            and address not in self.asking
            and trio.current_time() >= self.ask_at.get(address, float("-inf"))
        )

    def doors(self, addresses: tuple[str, ...]) -> list[Surface]:
        """Those that turned out to be doors."""
        return [door for address in addresses if (door := self.known.get(address)) is not None]


async def find(
    look: Callable[[], tuple[str, ...]],
    *,
    ended: Callable[[], bool],
    within: float,
    only: tuple[str, ...] = (),
    expected: frozenset[str] = frozenset(),
    socket_type: str = "",
    busy: Callable[[], bool] = lambda: False,
) -> Found:
    """Look until the doors are known, ``ended()`` says that the program is gone, or ``within`` seconds are over.

    ``look`` gives the places where the program listens, in an order that is the same at every start. With ``only``,
    these and no others are asked, and all must be doors. ``expected``: keys of the doors of an earlier start.
    ``busy`` says whether the program is at work: one that still starts may open more.
    """
    search = _Search()
    addresses: tuple[str, ...] = ()
    stable_since = worked_at = trio.current_time()
    pause = _PAUSE_MIN
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(within):
            while not ended():
                now = only or look()
                if set(now) != set(addresses):
                    addresses, stable_since = now, trio.current_time()
                if not expected and not only and busy():
                    worked_at = trio.current_time()
                for address in filter(search.due, addresses):
                    search.asking.add(address)
                    nursery.start_soon(search.ask, address)
                doors = search.doors(addresses)
                if only:
                    if len(doors) == len(addresses):
                        break
                elif doors:
                    if expected and {door.key for door in number(doors, socket_type)} == expected:
                        break
                    heard = all(address in search.ask_at for address in addresses)
                    calm = trio.current_time() - max(stable_since, worked_at)
                    if heard and (calm >= _STABLE or trio.current_time() - stable_since >= _BUSY):
                        break
                await trio.sleep(pause)
                pause = min(pause * 1.5, _PAUSE_MAX)
        nursery.cancel_scope.cancel()
    doors = search.doors(addresses)
    met = {door.address for door in doors}
    return Found(number(doors, socket_type), tuple(address for address in addresses if address not in met))
