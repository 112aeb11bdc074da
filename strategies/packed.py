"""The same trees as msgpack. Registers nothing.

Contract: what ``read_msgpack`` gives, ``write_msgpack`` writes with the same meaning, in the shortest form. Source: the
msgpack specification (msgpack/spec.md).
"""

from __future__ import annotations

import struct

from zmqfuzz.strategies.documents import DEEPEST, Ext, Members, Node, Odd

__all__ = ["read_msgpack", "write_msgpack"]


_FIXED = {1 << power: bytes([0xD4 + power]) for power in range(5)}
"""How an ext type of 1, 2, 4, 8 or 16 octets begins."""


def write_msgpack(node: Node) -> bytes:
    """msgpack; an integer of more than 64 bits is written as the nearest one."""
    match node:
        case Odd():
            return node.msgpack
        case Ext(code, data):
            kind = bytes([code & 0xFF])
            fixed = _FIXED.get(len(data))
            return (fixed + kind if fixed else _head(len(data), 0, 0, (0xC7, 0xC8, 0xC9)) + kind) + data
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if node else b"\xc2"
        case int():
            return _integer(node)
        case float():
            return b"\xcb" + struct.pack(">d", node)
        case str():
            octets = _encoded(node)
            return _head(len(octets), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + octets
        case bytes():
            return _head(len(node), 0, 0, (0xC4, 0xC5, 0xC6)) + node
        case tuple():
            return _head(len(node), 0x90, 16, (0, 0xDC, 0xDD)) + b"".join(map(write_msgpack, node))
        case Members(pairs):
            items = b"".join([write_msgpack(key) + write_msgpack(value) for key, value in pairs])
            return _head(len(pairs), 0x80, 16, (0, 0xDE, 0xDF)) + items


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # octets that were no UTF-8 when they were read
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _integer(number: int) -> bytes:
    if -32 <= number < 128:
        return struct.pack(">b", number)
    if number >= 0:
        return b"\xcf" + min(number, 2**64 - 1).to_bytes(8, "big")
    return b"\xd3" + max(number, -(2**63)).to_bytes(8, "big", signed=True)


def _head(size: int, fix: int, fewer: int, types: tuple[int, int, int]) -> bytes:
    if size < fewer:
        return bytes([fix | size])
    for kind, width in zip(types, (1, 2, 4), strict=True):
        if kind and size < 1 << 8 * width:
            return bytes([kind]) + size.to_bytes(width, "big")
    raise ValueError("larger than msgpack can say")


def read_msgpack(octets: bytes) -> Node:
    """The tree of a msgpack map or array that fills ``octets``. Raises ValueError for anything else."""
    if not octets or not (0x80 <= octets[0] < 0xA0 or 0xDC <= octets[0] < 0xE0):
        raise ValueError("neither a map nor an array")
    node, end = _read(octets, 0, DEEPEST)
    if end != len(octets):
        raise ValueError("something stands behind it")
    return node


def _read(octets: bytes, at: int, depth: int) -> tuple[Node, int]:
    """The node that begins at ``at``, and where it ends."""
    if at >= len(octets) or depth == 0:
        raise ValueError("cut short, or too deep")
    kind, at = octets[at], at + 1
    if kind < 0x80 or kind >= 0xE0:
        return struct.unpack(">b", bytes([kind]))[0], at
    if kind < 0xA0 or kind in (0xDC, 0xDD, 0xDE, 0xDF):
        count, at = (kind & 15, at) if kind < 0xA0 else _number(octets, at, 2 if kind in (0xDC, 0xDE) else 4)
        return _items(octets, at, count, depth - 1, paired=kind < 0x90 or kind >= 0xDE)
    if kind < 0xC0:
        return _part(octets, at, kind & 31).decode("utf-8", "surrogateescape"), at + (kind & 31)
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if kind in (0xCA, 0xCB):
        width = 4 if kind == 0xCA else 8
        return struct.unpack(">f" if width == 4 else ">d", _part(octets, at, width))[0], at + width
    if 0xCC <= kind <= 0xD3:
        width = 1 << (kind & 3)
        return int.from_bytes(_part(octets, at, width), "big", signed=kind >= 0xD0), at + width
    if 0xC4 <= kind <= 0xC6 or 0xD9 <= kind <= 0xDB:
        size, at = _number(octets, at, 1 << (kind - (0xC4 if kind < 0xD0 else 0xD9)))
        body = _part(octets, at, size)
        return body if kind < 0xD0 else body.decode("utf-8", "surrogateescape"), at + size
    if 0xC7 <= kind <= 0xC9 or 0xD4 <= kind <= 0xD8:
        size, at = _number(octets, at, 1 << (kind - 0xC7)) if kind < 0xD0 else (1 << (kind - 0xD4), at)
        return Ext(_number(octets, at, 1)[0], _part(octets, at + 1, size)), at + size + 1
    raise ValueError("no msgpack")


def _items(octets: bytes, at: int, count: int, depth: int, *, paired: bool) -> tuple[Node, int]:
    nodes: list[Node] = []
    for _ in range(count * 2 if paired else count):
        node, at = _read(octets, at, depth)
        nodes.append(node)
    return Members(tuple(zip(nodes[::2], nodes[1::2], strict=True))) if paired else tuple(nodes), at


def _number(octets: bytes, at: int, width: int) -> tuple[int, int]:
    return int.from_bytes(_part(octets, at, width), "big"), at + width


def _part(octets: bytes, at: int, size: int) -> bytes:
    if at + size > len(octets):
        raise ValueError("cut short")
    return octets[at : at + size]
