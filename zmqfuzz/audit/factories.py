"""Functions that make a socket of the type that they are given: each call of one is a socket of its own.

Without this, all sockets of a wrapper such as ``def socket(self, kind)`` would be one socket, of all their types and
endpoints at once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from zmqfuzz.audit.parameters import has_decorator
from zmqfuzz.audit.values import Function, Socket, Value, Values

__all__ = ["Factories", "Site", "argument_of"]


@dataclass(frozen=True, slots=True)
class Site:
    """A call that makes a socket through ``function``, whose own call is ``origin``; ``kind`` is the type it gives."""

    origin: ast.Call
    function: Function
    kind: ast.expr


@dataclass(slots=True)
class Factories:
    """What calls of factories were met."""

    sites: dict[ast.Call, Site] = field(default_factory=dict)
    _inside: dict[tuple[ast.Call, ast.AST], bool] = field(default_factory=dict)

    def through(
        self, node: ast.Call, function: Function, returned: Values, kind_of: Callable[[ast.Call], ast.expr | None]
    ) -> Values:
        """What a call ``node`` of ``function`` gives: sockets of the type that it names are its own."""
        found: set[Value] = set()
        for value in returned:
            if isinstance(value, Socket) and self._is_made_in(value.call, function):
                known = self.sites.get(value.call)
                kind = known.kind if known is not None else kind_of(value.call)
                given = argument_of(node, function, kind.id) if isinstance(kind, ast.Name) else None
                if given is not None and node is not value.call:
                    self.sites[node] = Site(value.call, function, given)
                    found.add(Socket(node))
                    continue
            found.add(value)
        return frozenset(found)

    def _is_made_in(self, call: ast.Call, function: Function) -> bool:
        key = (call, function.node)
        if key not in self._inside:
            self._inside[key] = any(each is call for each in ast.walk(function.node))
        return self._inside[key]


def argument_of(node: ast.Call, function: Function, name: str) -> ast.expr | None:
    """What ``node``, a call of ``function``, gives for its parameter ``name``; None where it gives nothing."""
    for word in node.keywords:
        if word.arg == name:
            return word.value
    arguments = function.node.args
    words = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if name not in words:
        return None
    method = bool(words) and words[0] in ("self", "cls") and not has_decorator(function.node, "staticmethod")
    position = words.index(name) - method
    given = node.args[: position + 1]
    if position < 0 or len(given) <= position or any(isinstance(each, ast.Starred) for each in given):
        return None
    return given[position]
