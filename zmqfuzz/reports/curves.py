"""Curves as SVG, drawn here: they need no script, no network, and are escaped by the XML library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

from zmqfuzz.budget import MIB
from zmqfuzz.reports.hostile import shown

__all__ = ["Curve", "answers", "chart", "descriptors", "memory", "rounds", "whole_run"]

WIDTH, HEIGHT = 900, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 36, 34
_ROWS = 2
_NEAR = 28
"""Rows of the words of marks that stand close together, and how near that is."""

Point = tuple[float, float]
Sampled = Sequence[tuple[float, int, int, int, int]]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in rising order of their first number; ``kind`` is the CSS class: ``attack`` or ``control``.

    ``dots``: they are shown each by itself; ``lost`` are those that are shown as missing.
    """

    kind: str
    points: tuple[Point, ...]
    dots: bool = False
    lost: frozenset[Point] = frozenset()


def memory(series: Sampled, control: Sampled, marks: Sequence[tuple[float, str]], limit: int | None = None) -> str:
    """Resident memory of the attacked process, honest traffic beside it in grey; ``limit`` in octets."""
    curves = [Curve("control", _column(control, 2, MIB)), Curve("attack", _column(series, 2, MIB))]
    return chart(curves, _short(marks), "resident memory", "MiB", limit=limit / MIB if limit else None)


def descriptors(series: Sampled, control: Sampled, marks: Sequence[tuple[float, str]]) -> str:
    """Open descriptors of the attacked process, likewise; empty where they did not change."""
    if len({sample[4] for sample in series}) < 2:
        return ""
    curves = [Curve("control", _column(control, 4)), Curve("attack", _column(series, 4))]
    return chart(curves, _short(marks), "open descriptors", "")


Answers = Sequence[tuple[float, float, bool]]


def answers(asked: Answers, calm: Answers, marks: Sequence[tuple[float, str]]) -> str:
    """How long an honest client waited for an answer, by when it asked; empty where nobody was asked twice."""
    curves = [
        Curve(kind, tuple(sorted((at, 1000 * took) for at, took, _ in those)), dots=True, lost=_lost(those))
        for kind, those in (("control", calm), ("attack", asked))
    ]
    return chart(curves, _short(marks), "an honest client waits for its answer", "ms", least=0.0)


def _lost(those: Answers) -> frozenset[Point]:
    return frozenset((at, 1000 * took) for at, took, came in those if not came)


def rounds(after: Sequence[tuple[int, int, int]]) -> str:
    """What was there after each round of the same attack, all peers gone: of memory and descriptors what has grown."""
    columns = (("resident memory", 0, MIB, "MiB"), ("open descriptors", 1, 1, ""))
    drawn = ""
    for title, column, unit, unit_ in columns:
        points = tuple((float(number), row[column] / unit) for number, row in enumerate(after, 1))
        if len({y for _, y in points}) > 1:
            curve = Curve("attack", points)
            drawn += chart([curve], [], f"{title} after each round, all peers gone", unit_, across="round")
    return drawn


def whole_run(samples: Sequence[tuple[float, int]]) -> str:
    """Resident memory of the target after each slice of the run."""
    points = tuple((at, octets / MIB) for at, octets in samples)
    return chart([Curve("attack", points)], [], "resident memory after each slice", "MiB")


def _short(marks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """With the number of a step alone, and the last word of all else."""
    return [(at, words.split()[-1] if words else "") for at, words in marks]


def _column(samples: Sampled, number: int, unit: int = 1) -> tuple[Point, ...]:
    return tuple((sample[0], sample[number] / unit) for sample in samples)


def chart(
    curves: Sequence[Curve],
    marks: Sequence[tuple[float, str]],
    title: str,
    unit: str,
    *,
    limit: float | None = None,
    least: float | None = None,
    across: str = "s",
) -> str:
    """The ``<svg>`` element; empty: there is nothing to draw.

    ``limit`` is a dashed line, ``least`` a value that is shown in any case; ``across``: what is counted from left to
    right, seconds or another word.
    """
    drawn = [curve for curve in curves if len(curve.points) > 1 or (curve.dots and curve.points)]
    if not drawn:
        return ""
    points = [point for curve in drawn for point in curve.points if all(map(math.isfinite, point))]
    right = max([x for x, _ in points] + [at for at, _ in marks] + [1e-3])
    heights = [y for _, y in points] + [value for value in (limit, least) if value is not None]
    low, high, step = _range(min(heights), max(heights), 0.25 if unit else 1.0)

    def place(x: float) -> float:
        return round(_LEFT + min(max(x / right, 0.0), 1.0) * (WIDTH - _LEFT - _RIGHT), 1)

    def up(y: float) -> float:
        return round(HEIGHT - _BOTTOM - (y - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    svg = Tree.Element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
    Tree.SubElement(svg, "title").text = shown(title)
    _axes(svg, place, up, (low, high, step), right, f"{title}, {unit}" if unit else title, across)
    if limit is not None:
        at = {"x1": f"{_LEFT}", "x2": f"{WIDTH - _RIGHT}", "y1": f"{up(limit)}", "y2": f"{up(limit)}"}
        Tree.SubElement(svg, "line", {"class": "limit", **at})
        _text(svg, WIDTH - _RIGHT, up(limit) - 4, "limit", "end", "limit")
    for number, (at_, word) in enumerate(marks):
        _mark(svg, place(at_), word, [place(other) for other, _ in marks[:number]])
    for curve in drawn:
        finite = [(x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y)]
        if curve.dots:
            for point in finite:
                _dot(svg, place(point[0]), up(point[1]), curve.kind, lost=point in curve.lost)
        else:
            line = " ".join(f"{place(x)},{up(y)}" for x, y in finite)
            Tree.SubElement(svg, "polyline", {"class": curve.kind, "points": line})
    return Tree.tostring(svg, encoding="unicode")


def _range(low: float, high: float, least: float) -> tuple[float, float, float]:
    """Round bounds around both, and the distance of the lines between them, which is ``least`` or more."""
    spread = max(high - low, 4 * least)
    magnitude = 10 ** math.floor(math.log10(spread / 4))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= spread / 4)
    bottom = math.floor(low / step) * step
    top = math.ceil(high / step) * step
    return bottom, top if top > bottom else bottom + step, step


def _dot(svg: Tree.Element, x: float, y: float, kind: str, *, lost: bool) -> None:
    """A circle, or a cross where no answer came."""
    if lost:
        cross = f"M{x - 4},{y - 4}L{x + 4},{y + 4}M{x - 4},{y + 4}L{x + 4},{y - 4}"
        Tree.SubElement(svg, "path", {"class": f"lost {kind}", "d": cross})
    else:
        Tree.SubElement(svg, "circle", {"class": kind, "cx": f"{x}", "cy": f"{y}", "r": "3.5"})


def _axes(
    svg: Tree.Element,
    place: Callable[[float], float],
    up: Callable[[float], float],
    bounds: tuple[float, float, float],
    right: float,
    title: str,
    across: str,
) -> None:
    low, high, step = bounds
    _text(svg, 0, 14, title, "start", "name")
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        y = up(value)
        Tree.SubElement(
            svg, "line", {"class": "grid", "x1": f"{_LEFT}", "x2": f"{WIDTH - _RIGHT}", "y1": f"{y}", "y2": f"{y}"}
        )
        _text(svg, _LEFT - 8, y + 4, f"{value:,.10g}", "end")
    first, last, width = _range(0.0, right, 0.001 if across == "s" else 1.0)
    for number in range(round((last - first) / width) + 1):
        at = first + number * width
        if at <= right * 1.001:
            words = f"{at:,.10g} s" if across == "s" else f"{across} {at:g}" if number else ""
            _text(svg, place(at), HEIGHT - _BOTTOM + 18, words, "middle" if number else "start")


def _mark(svg: Tree.Element, x: float, word: str, before: Sequence[float]) -> None:
    close = sum(abs(other - x) < _NEAR for other in before)
    y = _TOP - 4 + 12 * min(close, _ROWS)
    top, bottom = f"{_TOP}", f"{HEIGHT - _BOTTOM}"
    Tree.SubElement(svg, "line", {"class": "mark", "x1": f"{x}", "x2": f"{x}", "y1": top, "y2": bottom})
    if close <= _ROWS:
        last = x > WIDTH - _RIGHT - _NEAR
        _text(svg, x - 3 if last else x + 3, y, word, "end" if last else "start", "number")


def _text(svg: Tree.Element, x: float, y: float, text: str, anchor: str, kind: str = "tick") -> None:
    at = {"x": f"{x}", "y": f"{y}", "text-anchor": anchor, "class": kind}
    Tree.SubElement(svg, "text", at).text = shown(text)
