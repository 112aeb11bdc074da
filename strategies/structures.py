"""What applications say to each other, and one thing wrong in it, by structure. Registers nothing itself.

Contract: a mutated document is read by a JSON or msgpack parser up to the one place that was changed.
"""

from __future__ import annotations

from collections.abc import Callable

from zmqfuzz.drawing import Draw
from zmqfuzz.strategies.documents import Ext, Members, Node, Odd, write_json
from zmqfuzz.strategies.texts import NUMBERS, like

__all__ = ["DOCUMENTS", "mutated", "with_leaf"]

_DEPTHS = (100, 1000, 2000, 20_000, 100_000)
"""Levels: under, around and far over the recursion that common parsers allow."""

_LARGEST = 300_000
"""Octets that a value repeated may have."""

_ODDS = (
    Odd(b"1e400", b"\xcb\x7f\xf0" + bytes(6)),
    Odd(b"NaN", b"\xcb\x7f\xf8" + bytes(6)),
    Odd(b"-Infinity", b"\xca\xff\x80\0\0"),
    Odd(b"-0", b"\xcb\x80" + bytes(7)),
    Odd(b"9" * 5000, b"\xcf" + b"\xff" * 8),
    Odd(b"1e-9999", b"\xca\0\0\0\1"),
    Odd(b'"\\ud800"', b"\xa3\xed\xa0\x80"),
    Odd(b'"\xff\xfe"', b"\xa2\xff\xfe"),
    Odd(b'"', b"\xdb\xff\xff\xff\xff"),
    Odd(b'"\\', b"\xd9\xff"),
    Odd(b"[", b"\xdd\xff\xff\xff\xff"),
    Odd(b"[1,]", b"\xdc\xff\xff"),
    Odd(b"{", b"\xdf\xff\xff\xff\xff"),
    Odd(b'{"a"}', b"\xde\xff\xff"),
    Odd(b"{'a': 1}", b"\x81\xc0\xc0"),
    Odd(b"{1: 1}", b"\x82\x91\1\1\x80\1"),
    Odd(b"tru", b"\xc1"),
    Odd(b"0x10", b"\xc6\xff\xff\xff\xff"),
    Odd(b"//", b"\xc7\0\xff"),
    Odd(b"", b"\xc9\xff\xff\xff\xff\1"),
    Odd(b"\xef\xbb\xbf{}", b"\xd6\xff\xff\xff\xff\xff"),
    Odd(b"[]]", b"\xd8\x05" + bytes(16)),
)
"""Numbers that are none or too large, texts that are none, sizes announced and not there, types that do not exist, keys
that cannot be keys: in JSON, and the like in msgpack (lengths that lie, ext types with a wrong size)."""

_KEYS = ("", "id", "type", "__class__", "__proto__", "constructor", "a" * 1000, "\ud800")


def _object(**members: Node) -> Members:
    return Members(tuple(members.items()))


DOCUMENTS: tuple[Node, ...] = (
    _object(id=1, method="ping", params=()),
    _object(cmd="get", key="a"),
    _object(type="message", topic="news", data=_object(text="hello", number=1.5)),
    (0, 1, "ping", ()),
    _object(header=_object(id="1", version=1), content=_object(items=(1, 2, 3), more=False)),
    (_object(id="1", v=3), "ping", ("a", None)),
    _object(op="put", args=(1, "a", -1.5), timeout=1000, reply=True),
    (),
    Members(),
)
"""Requests, calls and events in the forms that applications commonly give them."""


def _deep(draw: Draw) -> Odd:
    depth = draw.choice(_DEPTHS)
    if draw.boolean():
        return Odd(b'{"a":' * depth + b"1" + b"}" * depth, b"\x81\xa1a" * depth + b"\xc0")
    return Odd(b"[" * depth + b"]" * depth, b"\x91" * depth + b"\xc0")


def _times(draw: Draw, node: Node) -> int:
    """How often ``node`` is repeated: around a msgpack head's limit, or very often where it is small."""
    return max(2, min(draw.choice((2, 15, 16, 5000)), _LARGEST // len(write_json(node) + b" ")))


def _alike(draw: Draw, node: float | str | Ext) -> Node:
    """Another value of the same type: what a program that looks at types takes, and may divide by."""
    if isinstance(node, str):
        return like(draw, node)
    if isinstance(node, Ext):
        data = node.data
        others = (data[:-1], data + b"\0", b"", b"\xff" * len(data), bytes(len(data)), b"\x7f" + b"\xff" * 7)
        return (
            Ext(node.code, draw.choice(others)) if draw.choice((True, True, False)) else Ext(draw.integer(0, 255), data)
        )
    return draw.choice((0, 0, -node, node + 1, draw.choice(NUMBERS), draw.choice(NUMBERS)))


def _other(draw: Draw, node: Node) -> Node:
    """Another value in the place of ``node``: of the same or another type, at a boundary, or none at all."""
    if isinstance(node, int | float | str | Ext) and not isinstance(node, bool) and draw.boolean():
        return _alike(draw, node)
    kind = draw.integer(0, 8)
    if kind == 0:
        return draw.choice((None, True, 0, "", (), Members(), -1, 1.5, b"\xff"))
    if kind == 1:
        return draw.choice(NUMBERS)
    if kind == 2:
        return like(draw, node if isinstance(node, str) else "a")
    if kind == 3:
        return draw.choice(_ODDS)
    if kind == 4:
        return (node,)
    if kind == 5:
        return Members((("a", node),))
    if kind == 6:
        return str(node) if isinstance(node, int | float) else 1
    return _deep(draw) if kind == 7 else (node,) * _times(draw, node)


def _in_object(draw: Draw, node: Members) -> Node:
    pairs = node.pairs
    place = draw.integer(0, len(pairs) - 1)
    key, value = pairs[place]
    kind = draw.integer(0, 5)
    if kind == 0:
        return Members(pairs[:place] + pairs[place + 1 :])
    if kind == 1:
        return Members((*pairs, (key, _other(draw, value))))
    if kind == 2:
        return Members((*pairs, (draw.choice(_KEYS), _other(draw, value))))
    if kind == 3:
        other = _other(draw, key) if draw.boolean() else draw.choice(_KEYS)
        return Members((*pairs[:place], (other, value), *pairs[place + 1 :]))
    if kind == 4:
        return Members((*pairs, *((f"k{number}", value) for number in range(_times(draw, value)))))
    return tuple(value for _, value in pairs)


def _in_array(draw: Draw, node: tuple[Node, ...]) -> Node:
    place = draw.integer(0, len(node) - 1)
    kind = draw.integer(0, 3)
    if kind == 0:
        return node[:place] + node[place + 1 :]
    if kind == 1:
        return (*node, _other(draw, node[place]))
    if kind == 2:
        return node[:place] + node[place : place + 1] * _times(draw, node[place]) + node[place + 1 :]
    return Members(tuple((str(number), item) for number, item in enumerate(node)))


def mutated(draw: Draw, node: Node) -> Node:
    """The tree with one node changed, however deep it lies."""
    if isinstance(node, Members) and node.pairs:
        if draw.choice((False, False, True)):
            return _in_object(draw, node)
        if draw.choice((True, True, True, False)):
            place = draw.integer(0, len(node.pairs) - 1)
            key, value = node.pairs[place]
            return Members((*node.pairs[:place], (key, mutated(draw, value)), *node.pairs[place + 1 :]))
    elif isinstance(node, tuple) and node:
        if draw.choice((False, False, True)):
            return _in_array(draw, node)
        if draw.choice((True, True, True, False)):
            place = draw.integer(0, len(node) - 1)
            return (*node[:place], mutated(draw, node[place]), *node[place + 1 :])
    return _other(draw, node)


def with_leaf(draw: Draw, node: Node, make: Callable[[Node], Node]) -> Node:
    """The tree with what ``make`` gives in the place of one value that holds no others; all else is as it was."""
    if isinstance(node, Members) and node.pairs:
        place = draw.integer(0, len(node.pairs) - 1)
        key, value = node.pairs[place]
        return Members((*node.pairs[:place], (key, with_leaf(draw, value, make)), *node.pairs[place + 1 :]))
    if isinstance(node, tuple) and node:
        place = draw.integer(0, len(node) - 1)
        return (*node[:place], with_leaf(draw, node[place], make), *node[place + 1 :])
    return make(node)
