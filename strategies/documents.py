"""JSON as a tree of plain data, with room for what is wrong in it. Registers nothing.

Contract: what ``read_json`` gives, ``write_json`` writes with the same meaning (RFC 8259). An :class:`Odd` value is
written as it stands, whether that is valid or not. :mod:`~zmqfuzz.strategies.packed` writes the same trees as msgpack.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["DEEPEST", "Ext", "Members", "Node", "Odd", "read_json", "write_json"]

DEEPEST = 64
"""Levels of a message that is read; what is deeper is left to mutations that know nothing of its structure."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A value that is written as these octets, whatever they are."""

    json: bytes
    msgpack: bytes


@dataclass(frozen=True, slots=True)
class Ext:
    """A value of an application's own type, which only msgpack has; null in JSON."""

    code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Members:
    """An object or map, in its order; a key may stand there twice."""

    pairs: tuple[tuple[Node, Node], ...] = ()


Node: TypeAlias = "bool | int | float | str | bytes | tuple[Node, ...] | Members | Ext | Odd | None"


def read_json(octets: bytes) -> Node:
    """The tree of a JSON object or array. Raises ValueError for anything else."""
    try:
        plain = json.loads(octets, object_pairs_hook=lambda pairs: Members(tuple(pairs)))
        if not isinstance(plain, list | Members):
            raise ValueError("neither an object nor an array")
        return _frozen(plain, DEEPEST)
    except RecursionError:
        raise ValueError("too deep") from None


def _frozen(plain: object, depth: int) -> Node:
    if depth == 0:
        raise ValueError("too deep")
    match plain:
        case list():
            return tuple([_frozen(item, depth - 1) for item in plain])
        case Members(pairs):
            return Members(tuple([(key, _frozen(value, depth - 1)) for key, value in pairs]))
        case None | bool() | int() | float() | str():
            return plain
    raise ValueError("no JSON")


def write_json(node: Node) -> bytes:
    """JSON in ASCII; octets are written as a text of the same characters."""
    match node:
        case Odd():
            return node.json
        case Ext():
            return b"null"
        case Members(pairs):
            return b"{" + b", ".join([_key(key) + b": " + write_json(value) for key, value in pairs]) + b"}"
        case tuple():
            return b"[" + b", ".join([write_json(item) for item in node]) + b"]"
        case bytes():
            return json.dumps(node.decode("latin-1")).encode()
        case _:
            return json.dumps(node).encode()


def _key(key: Node) -> bytes:
    text = write_json(key)
    return text if isinstance(key, str | bytes | Odd) else json.dumps(text.decode("ascii", "replace")).encode()
