"""Whether what connects to us answers a recorded message: a worker that still connects may have stopped working.

Contract: what it says by itself is no answer, such as that it is ready, or alive. Judges nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from zmqfuzz.seeds import Message
from zmqfuzz.trial import SILENT, ProbeResult, Surface

__all__ = ["Answering"]

_TYPES = ("DEALER", "REP", "ROUTER", "PAIR")
"""Of what connects, the types that may answer a message that they did not ask for."""

ALONE, ANSWERED = 1.5, 1.5
"""Seconds in which what it says by itself is heard; and that an answer may take."""

TIMES = 3
"""Answers in a row, each on a connection of its own, before one is relied on."""

IN_FRONT, LONGEST = 64, 30.0
"""Messages of an attack that it may work off before it answers; and the seconds that are waited for that, at most."""

PATIENT = 1.0
"""Seconds of a question that is not just a first look."""


class Converse(Protocol):
    """Accept one connection, say ``message``, and hear what is said ``within`` seconds, until that is ``enough``.

    And the seconds from the handshake to the last of it; None: no handshake was completed.
    """

    def __call__(
        self, surface: Surface, within: float, message: Message, enough: Callable[[Message], bool]
    ) -> Awaitable[tuple[list[Message], float] | None]: ...


class Answering:
    """Learns at each door which of the messages ``asks`` is answered, and asks it from then on."""

    def __init__(self, asks: Sequence[Message], converse: Converse) -> None:
        self._asks = asks
        self._converse = converse
        self._asked: dict[str, tuple[Message, float]] = {}
        self._alone: defaultdict[str, set[Message]] = defaultdict(set)

    def knows(self, surface: Surface) -> bool:
        """Whether something is answered at this door."""
        return surface.key in self._asked

    async def learn(self, surface: Surface) -> float | None:
        """Seconds that an answer usually takes; None where none of the messages is answered."""
        if not self._asks or surface.socket_type.upper() not in _TYPES:
            return None
        for _ in range(2):
            heard = await self._converse(surface, ALONE, (), lambda _: False)
            self._alone[surface.key].update(heard[0] if heard is not None else ())
        for message in self._asks:
            bare = message[1:] if message[0] == b"" and len(message) > 1 else message
            forms = ((b"", *bare),) if surface.socket_type.upper() == "REP" else (message, (b"", *bare))
            for form in dict.fromkeys(forms):
                if (usual := await self._relied_on(surface, form)) is not None:
                    self._asked[surface.key] = form, usual
                    return usual
        return None

    async def _relied_on(self, surface: Surface, message: Message) -> float | None:
        usual = 0.0
        for _ in range(TIMES):
            answered, seconds = await self._answers(surface, ANSWERED, message)
            if not answered:
                return None
            usual = max(usual, seconds)
        return usual

    async def _answers(self, surface: Surface, within: float, message: Message) -> tuple[bool | None, float]:
        """Whether something came that it does not say by itself, after so many seconds; None: no handshake, either."""
        alone = self._alone[surface.key]
        heard = await self._converse(surface, within, message, lambda answer: answer not in alone)
        return (None, 0.0) if heard is None else (any(answer not in alone for answer in heard[0]), heard[1])

    async def ask(self, surface: Surface, within: float) -> ProbeResult:
        """Say what it answered before; what it was sent by an attack it may work off first, each at its own pace."""
        message, usual = self._asked[surface.key]
        longer = min(within + IN_FRONT * usual, max(within, LONGEST)) if within >= PATIENT else within
        came, started = False, trio.current_time()
        while (left := (longer if came else within) - (trio.current_time() - started)) > 0:
            answered, _ = await self._answers(surface, left, message)
            if answered:
                return ProbeResult("application", True, trio.current_time() - started, "came back")
            came |= answered is not None
        within = longer if came else within
        said, level = ("came back, and gave no answer", SILENT) if came else ("did not come back", "application")
        return ProbeResult(level, False, trio.current_time() - started, f"{said} within {within:.1f} s")
