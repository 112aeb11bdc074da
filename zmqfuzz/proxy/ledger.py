"""Tagged messages, so that what is delivered can be held against what was sent. Pure.

Contract: a message is delivered as it was sent or not at all; one that was changed, invented, delivered twice or out of
its order is told. What was lost is counted, and no fault by itself: whether a pattern may lose is for others to say.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

__all__ = ["Ledger"]


@dataclass(slots=True)
class Ledger:
    """One sender's messages to one receiver. ``name`` goes into each of them."""

    name: str = "a"
    sent: list[bytes] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)

    def next(self, size: int = 64) -> bytes:
        """The next message, of ``size`` octets at least, no two alike; it counts as sent."""
        head = f"{self.name}:{len(self.sent)}:".encode()
        blocks = (hashlib.sha256(head + bytes([block % 256])).digest() for block in range(size // 32 + 1))
        message = head + b"".join(blocks)[: max(8, size - len(head))]
        self.sent.append(message)
        return message

    def take(self, message: bytes) -> None:
        """``message`` was delivered."""
        self.delivered.append(message)

    @property
    def altered(self) -> list[bytes]:
        """What was delivered and never sent."""
        return [message for message in self.delivered if message not in self.sent]

    @property
    def repeated(self) -> list[bytes]:
        """What was delivered again."""
        return [message for place, message in enumerate(self.delivered) if message in self.delivered[:place]]

    @property
    def misplaced(self) -> list[bytes]:
        """What was delivered after something that was sent later."""
        places = [self.sent.index(message) for message in self.delivered if message in self.sent]
        return [self.sent[place] for turn, place in enumerate(places) if any(place < other for other in places[:turn])]

    @property
    def lost(self) -> list[bytes]:
        """What was sent and not delivered, so far."""
        return [message for message in self.sent if message not in self.delivered]

    @property
    def wrong(self) -> str:
        """What is wrong with what was delivered, in words; empty where nothing is."""
        found = {"altered": self.altered, "delivered twice": self.repeated, "out of order": self.misplaced}
        return ", ".join(f"{len(messages)} {how}" for how, messages in found.items() if messages)
