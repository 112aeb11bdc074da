"""What a parameter may stand for: its default, and what the calls of its function give."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zmqfuzz.audit.scopes import Called, Scope
from zmqfuzz.audit.values import Class, Const, Function, Instance, Value, Values, unsure

if TYPE_CHECKING:
    from zmqfuzz.audit.flow import Flow

__all__ = ["Parameters", "has_decorator"]

_MOST_CANDIDATES = 100
"""Calls by one name in other files that are looked at."""

_MOST_CALLERS = 40
"""Calls of one function whose arguments are followed."""

_TELLING = 8
"""Letters from which on a keyword is taken to mean the same through ``**kwargs``."""

_UNKNOWN: Values = frozenset()


class Parameters:
    """The part of :class:`~zmqfuzz.audit.flow.Flow` that knows parameters."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._named: dict[str, list[Called]] = defaultdict(list)
        self._near: dict[tuple[str, str], list[Called]] = defaultdict(list)
        self._keywords: dict[str, list[tuple[ast.expr, Scope]]] = defaultdict(list)
        for module, index in flow.indexes.items():
            for called in index.calls:
                match called.node.func:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        self._named[name].append(called)
                        self._near[module, name].append(called)
                for word in called.node.keywords:
                    if word.arg and len(word.arg) >= _TELLING:
                        self._keywords[word.arg].append((word.value, called.scope))

    def values(self, function: ast.AST, scope: Scope, name: str) -> Values:
        """The first parameter of a method is its object; another is its default and what calls give."""
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return _UNKNOWN
        owner = scope.parent.node if scope.parent is not None else None
        words = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        method = isinstance(owner, ast.ClassDef) and not has_decorator(function, "staticmethod")
        if method and words and words[0] == name and isinstance(owner, ast.ClassDef):
            return frozenset({Instance(Class(owner, scope.module))})
        outer = scope.parent or scope
        found: set[Value] = set(unsure(self._default(function, outer, name)))
        found |= unsure(self._flow.calls.option_default(function, outer, name))
        position = words.index(name) - method if name in words else None
        if position == 0:
            found |= self._flow.calls.given_to_callback(
                Function(function, scope.module), self._named.get("on_recv", [])
            )
        for called in self._callers(Function(function, scope.module), owner):
            for word in called.node.keywords:
                if word.arg == name:
                    found |= self._flow.values(word.value, called.scope)
            arguments = called.node.args
            at = (
                position + self._flow.calls.names_its_object(called) * method
                if position is not None
                else len(arguments)
            )
            if at < len(arguments) and not _starred(arguments[: at + 1]):
                found |= self._flow.values(arguments[at], called.scope)
        if not any(isinstance(value, Const) for value in found):
            for given, inner in self._keywords.get(name, ())[:_MOST_CALLERS]:
                found |= unsure(frozenset(v for v in self._flow.values(given, inner) if isinstance(v, Const)))
        return frozenset(found)

    def _default(self, function: ast.FunctionDef | ast.AsyncFunctionDef, outer: Scope, name: str) -> Values:
        words = [*function.args.posonlyargs, *function.args.args]
        given = dict(zip(reversed(words), reversed(function.args.defaults), strict=False))
        given |= {a: d for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if d}
        for argument, default in given.items():
            if argument.arg == name:
                return self._flow.values(default, outer)
        return _UNKNOWN

    def _callers(self, function: Function, owner: ast.AST | None) -> Iterator[Called]:
        names = [function.node.name]
        if function.node.name == "__init__" and isinstance(owner, ast.ClassDef):
            of = Class(owner, function.module)
            names += [each.node.name for each in self._flow.family(of)]
        seen = 0
        for name in names:
            near = self._near.get((function.module, name), [])
            far = self._named.get(name, [])[:_MOST_CANDIDATES]
            candidates = [*near, *(called for called in far if called.scope.module != function.module)]
            for called in candidates:
                if seen < _MOST_CALLERS and self._flow.calls.reaches(called, function, owner):
                    seen += 1
                    yield called


def _starred(arguments: list[ast.expr]) -> bool:
    return any(isinstance(argument, ast.Starred) for argument in arguments)


def has_decorator(node: ast.FunctionDef | ast.AsyncFunctionDef, *names: str) -> bool:
    """Whether a decorator of ``node`` ends with one of ``names``."""
    words = [word for word in node.decorator_list if isinstance(word, ast.Name | ast.Attribute)]
    return any(ast.unparse(word).endswith(names) for word in words)
