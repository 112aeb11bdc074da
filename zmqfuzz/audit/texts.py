"""Texts put together from parts of which not all are known: f-strings, ``%``, ``.format``, ``+``."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import product

from zmqfuzz.audit.values import HOLE, Const, Value, Values

__all__ = ["arithmetic", "formatted", "joined", "percent", "texts"]

_MOST = 8
"""Values of one expression that are followed; what has more is not told by the source."""

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}!:]*)[^{}]*\}")
_PERCENT = re.compile(r"%(?:%|(?:\(([^)]*)\))?[-+ #0-9.*]*[a-zA-Z])")

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.BitOr: operator.or_,
}


def texts(values: Iterable[Value]) -> list[Const]:
    """The values as texts: numbers written out, octets as Latin-1, all else a hole. Unknown is one hole."""
    found: dict[Const, None] = {}
    for value in values:
        match value:
            case Const(str() as text, sure):
                found[Const(text, sure)] = None
            case Const(bytes() as octets, sure):
                found[Const(octets.decode("latin-1"), sure)] = None
            case Const(bool() | None):
                found[Const(HOLE)] = None
            case Const(number, sure):
                found[Const(str(number), sure)] = None
            case _:
                found[Const(HOLE)] = None
    return sorted(found, key=lambda one: (str(one.value), one.sure))[:_MOST] or [Const(HOLE)]


def _first(values: Values) -> list[Value]:
    """A few of the values, the same ones at each run: constants first, in order."""
    constants = sorted((one for one in values if isinstance(one, Const)), key=lambda one: (str(one.value), one.sure))
    return [*constants, *(one for one in values if not isinstance(one, Const))][:_MOST]


def joined(parts: Sequence[Iterable[Value]]) -> Values:
    """The parts one after another, in all their combinations."""
    combined = []
    for choice in product(*(texts(part)[:4] for part in parts[:32])):
        combined.append(Const("".join(str(text.value) for text in choice), all(text.sure for text in choice)))
        if len(combined) == 2 * _MOST:
            break
    return frozenset(combined)


def _filled(pieces: Sequence[str | Iterable[Value]]) -> Values:
    return joined([[Const(piece)] if isinstance(piece, str) else piece for piece in pieces])


def percent(template: Values, arguments: Sequence[Values]) -> Values:
    """``template % arguments``."""
    found: set[Value] = set()
    for text in texts(template):
        pieces: list[str | Iterable[Value]] = []
        end = taken = 0
        for match in _PERCENT.finditer(str(text.value)):
            pieces.append(str(text.value)[end : match.start()])
            end = match.end()
            if match[0] == "%%":
                pieces.append("%")
            else:
                pieces.append(arguments[taken] if taken < len(arguments) and not match[1] else frozenset())
                taken += 1
        pieces.append(str(text.value)[end:])
        found |= _filled(pieces)
    return frozenset(found)


def formatted(template: Values, arguments: Sequence[Values], words: dict[str, Values]) -> Values:
    """``template.format(*arguments, **words)``."""
    found: set[Value] = set()
    for text in texts(template):
        pieces: list[str | Iterable[Value]] = []
        end = taken = 0
        for match in _FIELD.finditer(str(text.value)):
            pieces.append(str(text.value)[end : match.start()])
            end = match.end()
            name = match[1]
            if name is None:
                pieces.append(match[0][0])
            elif name == "" or name.isdecimal():
                place = int(name) if name else taken
                taken += 1
                pieces.append(arguments[place] if place < len(arguments) else frozenset())
            else:
                pieces.append(words.get(name, frozenset()))
        pieces.append(str(text.value)[end:])
        found |= _filled(pieces)
    return frozenset(found)


def arithmetic(sign: type[ast.operator], left: Values, right: Values) -> Values:
    """Whole numbers and texts under ``+ - * // ** << |``; small ones only."""
    found: set[Value] = set()
    for one, other in product(_first(left), _first(right)):
        match one, other:
            case Const(int() as a, sure), Const(int() as b, too):
                big = sign in (ast.Pow, ast.LShift) and not (0 <= b <= 64 and abs(a) <= 1 << 32)
                if sign in _OPERATORS and not big and not (sign is ast.FloorDiv and b == 0):
                    found.add(Const(_OPERATORS[sign](a, b), sure and too))
            case Const(bytes() as head, sure), Const(bytes() as tail, too) if sign is ast.Add:
                found.add(Const(head + tail, sure and too))
            case (Const(str()), _) | (_, Const(str())) if sign is ast.Add:
                found |= joined([[one], [other]])
    if not found and sign is ast.Add:
        known = [value for value in (*left, *right) if isinstance(value, Const) and isinstance(value.value, str)]
        found |= joined([left, right]) if known else set()
    return frozenset(found)
