"""Messages changed frame by frame, and octets changed without knowing what they mean. Registers nothing itself."""

from __future__ import annotations

import re

from zmqfuzz.drawing import Draw
from zmqfuzz.strategies.compressed import bomb, opened
from zmqfuzz.strategies.documents import Node, read_json, write_json
from zmqfuzz.strategies.packed import read_msgpack, write_msgpack
from zmqfuzz.strategies.pieces import BOUNDARIES, body
from zmqfuzz.strategies.structures import mutated, with_leaf
from zmqfuzz.strategies.texts import NUMBERS, as_octets, as_text, is_text, number_like, with_word, words_changed

__all__ = ["LARGEST", "changed", "octets_changed", "with_value"]

LARGEST = 512 * 1024
"""Octets of a frame after it was changed."""

_STRUCTURED = 64 * 1024
"""Octets of a frame up to which its structure is looked at."""

_PARTS = (2, 3, 50, 1000)
"""Parts of a message that should have fewer."""


_TREES = ((read_json, write_json), (read_msgpack, write_msgpack))


def _bit(draw: Draw, octets: bytes) -> bytes:
    at = draw.integer(0, len(octets) * 8 - 1)
    return octets[: at // 8] + bytes([octets[at // 8] ^ 1 << at % 8]) + octets[at // 8 + 1 :]


def _without(draw: Draw, octets: bytes) -> bytes:
    start = draw.integer(0, len(octets) - 1)
    return octets[:start] + octets[start + draw.choice((1, 2, 4, len(octets))) :]


def _repeated(draw: Draw, octets: bytes) -> bytes:
    start = draw.integer(0, len(octets) - 1)
    part = octets[start : start + draw.choice((1, 4, len(octets)))]
    times = min(draw.choice((2, 16, 1000, 100_000)), LARGEST // len(part))
    return octets[:start] + part * times + octets[start + len(part) :]


def _overwritten(draw: Draw, octets: bytes) -> bytes:
    """A number of 1 to 8 octets, of either byte order, at a boundary: lengths, counts and offsets are such."""
    width = draw.choice((1, 2, 4, 8))
    number = draw.choice(NUMBERS) % (1 << 8 * width)
    start = draw.integer(0, max(0, len(octets) - width))
    return octets[:start] + number.to_bytes(width, draw.choice(("big", "little"))) + octets[start + width :]


def _renumbered(draw: Draw, octets: bytes) -> bytes:
    """A decimal number in a text, replaced by one at a boundary."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", octets[:4096]))
    if not found:
        return _inserted(draw, octets)
    match = found[draw.integer(0, len(found) - 1)]
    return octets[: match.start()] + as_octets(number_like(draw, match[0].decode())) + octets[match.end() :]


def _inserted(draw: Draw, octets: bytes) -> bytes:
    start = draw.integer(0, len(octets))
    return octets[:start] + draw.choice((b"\0", b" ", b"\r\n", b"\xff", b'"', draw.binary(1, 9))) + octets[start:]


def octets_changed(draw: Draw, octets: bytes) -> bytes:
    """``octets`` with one change that knows nothing of their meaning; at most LARGEST of them."""
    if not octets:
        return body(draw)
    kind = draw.integer(0, 6)
    if kind == 6:
        return body(draw)
    change = (_bit, _without, _overwritten, _renumbered, _inserted, _repeated)[kind]
    return change(draw, octets[:LARGEST])[:LARGEST]


def _frame_changed(draw: Draw, octets: bytes) -> bytes:
    """One change, by structure where the frame has one that is known, and sometimes where it has not."""
    if len(octets) > _STRUCTURED or draw.choice((False, False, False, True)):
        return octets_changed(draw, octets)
    for read, write in _TREES:
        try:
            node: Node = read(octets)
        except ValueError:
            continue
        return write(mutated(draw, node))[:LARGEST]
    if (within := opened(octets)) is not None:
        inner, pack = within
        return bomb(draw, pack) if draw.boolean() else pack(_frame_changed(draw, inner))[:LARGEST]
    return as_octets(words_changed(draw, as_text(octets))) if is_text(octets) else octets_changed(draw, octets)


def with_value(draw: Draw, octets: bytes, value: bytes) -> bytes:
    """``octets`` with ``value`` in the place of one value in them: a leaf, a word, or all; what else is there stays."""
    for read, write in _TREES:
        try:
            node: Node = read(octets) if len(octets) <= _STRUCTURED else None
        except ValueError:
            continue
        return write(with_leaf(draw, node, lambda old: _as(old, value)))
    if (within := opened(octets)) is not None:
        return within[1](with_value(draw, within[0], value))
    if is_text(octets) and draw.choice((True, True, False)):
        return as_octets(with_word(draw, as_text(octets), value.decode("latin-1")))
    return value


def _as(old: Node, value: bytes) -> Node:
    """``value`` as a node of the kind that stood there, as far as it can be one."""
    if isinstance(old, int) and not isinstance(old, bool) and value.isdigit():
        return int(value)
    return value.decode() if value.isascii() else value


def changed(draw: Draw, message: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """``message`` (one frame or more) with one thing changed: in a frame, in how many there are, or in their order."""
    place = draw.integer(0, len(message) - 1)
    kind = draw.choice((0, 0, 0, 0, 1, 2, 3, 4, 5, 6))
    if kind == 0:
        return (*message[:place], _frame_changed(draw, message[place]), *message[place + 1 :])
    if kind == 1:
        return message[:place] + message[place + 1 :] or (b"",)
    if kind == 2:
        return (*message[:place], draw.choice((b"", body(draw))), *message[place:])
    if kind == 3:
        times = max(2, min(draw.choice(_PARTS), LARGEST // (len(message[place]) + 1)))
        return message[:place] + message[place : place + 1] * times + message[place + 1 :]
    if kind == 4:
        other = draw.integer(0, len(message) - 1)
        frames = list(message)
        frames[place], frames[other] = frames[other], frames[place]
        return tuple(frames) if place != other else (*message, b"")
    if kind == 5:
        octets = message[place]
        cut = draw.choice((len(octets) // 2, *(size for size in BOUNDARIES if size < len(octets))))
        return (*message[:place], octets[:cut], octets[cut:], *message[place + 1 :])
    return (b"".join(message),)
