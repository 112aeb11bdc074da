"""Requests made of the words that a program says itself: a field that it misses, a command that it names.

Registers nothing itself.
"""

from __future__ import annotations

import functools
import re

from zmqfuzz.drawing import Draw
from zmqfuzz.strategies.documents import Members, Node, write_json
from zmqfuzz.strategies.packed import write_msgpack
from zmqfuzz.strategies.texts import is_text

__all__ = ["guessed", "vocabulary"]

Message = tuple[bytes, ...]

_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_-]{1,23}")

_MOST = 64
"""Words that are remembered."""

_OURS = (b"zmqfuzz", b"PLACEHOLDER", b"mkdir", b"proc", b"canary", b"__import__", b"os")
"""What an echo of our own messages says."""

_VALUES: tuple[Node, ...] = ("a", 1, 0, 1.5, True, "1", (), Members(), None, ("a",))


@functools.lru_cache(maxsize=64)
def vocabulary(heard: tuple[Message, ...]) -> tuple[str, ...]:
    """The words in the texts that a program was heard to say, in their order."""
    words = dict.fromkeys(
        word[0].decode()
        for message in heard
        for frame in message
        if is_text(frame)
        for word in _WORD.finditer(frame[:4096])
        if word[0] not in _OURS
    )
    return tuple(words)[:_MOST]


def guessed(draw: Draw, words: tuple[str, ...]) -> Message:
    """A document with one to four of the words as its keys, or a command: a word in front of others."""
    kind = draw.integer(0, 4)
    if kind < 3:
        keys = [draw.choice(words) for _ in range(draw.integer(1, 4))]
        pairs = tuple((key, draw.choice((*_VALUES, draw.choice(words)))) for key in dict.fromkeys(keys))
        return (write_msgpack(Members(pairs)) if kind == 2 else write_json(Members(pairs)),)
    said = [draw.choice((draw.choice(words), "1", "a")) for _ in range(draw.integer(0, 3))]
    command = [word.encode() for word in (draw.choice(words), *said)]
    return tuple(command) if kind == 3 else (b" ".join(command),)
