"""What the first messages of a peer said, where its script wants that kept: also where the wire shows it sealed."""

from __future__ import annotations

import hashlib

from zmqfuzz.script import Expect, Script
from zmqfuzz.zmtp.wire import Frame, body_bytes

__all__ = ["Answers"]

MOST, LONGEST = 4, 256
"""Messages that are kept, and octets of each."""

_READ = 256 * 1024
"""Octets of a message that are looked at."""


class Answers:
    """Of a message that is too long its beginning and a digest are kept; a zero octet stands between frames."""

    def __init__(self, script: Script) -> None:
        self._wanted = any(isinstance(step, Expect) and step.keep for step in script.steps)
        self._said = bytearray()
        self.kept: list[bytes] = []

    @property
    def open(self) -> bool:
        """Whether another message is wanted."""
        return self._wanted and len(self.kept) < MOST

    def take(self, frame: Frame) -> None:
        """A frame has come; the last one completes a message."""
        if len(self._said) < _READ:
            self._said += body_bytes(frame.body) + (b"\0" if frame.more else b"")
        if frame.more:
            return
        said = bytes(self._said)
        digest = hashlib.blake2b(said, digest_size=16).digest() if len(said) > LONGEST else b""
        self.kept.append(said[:LONGEST] + digest)
        self._said.clear()
