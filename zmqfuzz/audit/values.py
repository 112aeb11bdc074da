"""What an expression may stand for, as plain data: constants, texts with holes, outside names, sockets, keys.

A set of values is what simple data flow could find out. The empty set is *unknown*: never "nothing".
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

__all__ = [
    "HOLE",
    "Arguments",
    "Class",
    "Const",
    "Context",
    "Function",
    "Instance",
    "Key",
    "KeyPair",
    "Module",
    "Outside",
    "Received",
    "Socket",
    "Value",
    "Values",
    "shown",
    "unsure",
]

HOLE = "\ue000"
"""A part of a text that the source does not tell, in a private character that no endpoint holds."""


@dataclass(frozen=True, slots=True)
class Const:
    """A constant. ``sure`` is false for defaults, which whoever starts the program may change."""

    value: str | bytes | int | float | bool | None
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Outside:
    """Something of a package that is not audited, by its full name: ``zmq.ROUTER``, ``pickle.loads``."""

    name: str


@dataclass(frozen=True, slots=True)
class Module:
    """A module among the audited files."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method among the audited files; ``module`` is the name of its module."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    module: str


@dataclass(frozen=True, slots=True)
class Class:
    """A class among the audited files."""

    node: ast.ClassDef
    module: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of such a class."""

    of: Class


@dataclass(frozen=True, slots=True)
class Context:
    """A ZeroMQ context, by the call that made it; ``None`` is the one of ``Context.instance()``."""

    call: ast.Call | None


@dataclass(frozen=True, slots=True)
class Socket:
    """A ZeroMQ socket, by the call that made it."""

    call: ast.Call


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What ``zmq.curve_keypair()`` and ``zmq.auth.load_certificate()`` return: the public key, then the secret one."""

    call: ast.Call


@dataclass(frozen=True, slots=True)
class Key:
    """One half of a pair."""

    secret: bool
    call: ast.Call


@dataclass(frozen=True, slots=True)
class Received:
    """What a socket received, or what was made of it; ``parts``: the whole list of a message's parts."""

    socket: Socket
    parts: bool = False


@dataclass(frozen=True, slots=True)
class Arguments:
    """What ``parse_args()`` returns, in this module."""

    module: str


Value = Const | Outside | Module | Function | Class | Instance | Context | Socket | KeyPair | Key | Received | Arguments
Values = frozenset[Value]


def shown(text: str) -> str:
    """A text for people, its holes as ``{...}``."""
    return text.replace(HOLE, "{...}")


def unsure(values: Values) -> Values:
    """The same, its constants as defaults."""
    return frozenset(Const(one.value, sure=False) if isinstance(one, Const) else one for one in values)
