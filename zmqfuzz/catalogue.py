"""The catalogues of attack families and invariants, and the decorators that fill them.

Rooms are looked up, not imported: a module in ``zmqfuzz.strategies`` or ``zmqfuzz.invariants``, or an entry point
of group ``zmqfuzz.strategies`` or ``zmqfuzz.invariants``, registers itself when it is first asked for.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from hypothesis.strategies import SearchStrategy

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.drawing import Draw
from zmqfuzz.errors import UsageError
from zmqfuzz.exposure import EXPOSURE, Exposure
from zmqfuzz.finding import Severity, Violation
from zmqfuzz.older import script_at
from zmqfuzz.script import Script, Shake
from zmqfuzz.trial import Examination, Reached, Surface, Trial

__all__ = [
    "Family",
    "Invariant",
    "Metric",
    "Situation",
    "families",
    "invariant",
    "invariants",
    "load_file",
    "metric",
    "metrics",
    "select_families",
    "strategy",
]

T = TypeVar("T")

DECLARED = 4.0
"""Times that a family weighs more which tests what a user has declared."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a strategy may know when it draws: the door, what the target promises, what it may spend.

    ``room``: descriptors that the target may still open, as far as that can be seen.
    ``seeds``: messages like those that the application is used to, as frames; the first ``recorded`` of them
    (None: all) a user has recorded, the others were heard in this run. ``payloads``: a Hypothesis strategy of the
    user's own for such messages, to be drawn with :meth:`~zmqfuzz.drawing.Draw.value`.
    """

    surface: Surface
    limits: Limits
    budget: Budget
    seeds: tuple[tuple[bytes, ...], ...] = ()
    payloads: SearchStrategy[Any] | None = None
    room: int | None = None
    recorded: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """An attack family. ``needs`` is the ZMTP state its attacks must reach to have tested anything.

    ``mechanism``: the only one it attacks (empty: any); ``known``: only where we hold what that one asks for.
    ``many``: its attacks may have as many peers as ``Budget.connections``, not only ``Budget.peers``. ``locked``: only
    doors that are to keep strangers out (:attr:`~zmqfuzz.trial.Surface.lock`). ``weight``: its share of a short run,
    beside 1 of most; the heaviest have the first turns. ``promises``: fields of Limits that it puts to the test; where
    one was declared, it weighs more. ``stays``: its attacks are what is first looked at for what stays behind.
    """

    name: str
    summary: str
    draw: Callable[[Draw, Situation], tuple[Script, ...]]
    needs: Reached
    mechanism: str = ""
    known: bool = False
    many: bool = False
    locked: bool = False
    weight: float = 1.0
    promises: tuple[str, ...] = ()
    stays: bool = False

    def weighs(self, limits: Limits) -> float:
        """Its weight, where these promises were made."""
        declared = any(getattr(limits, name) is not None for name in self.promises)
        return self.weight * (DECLARED if declared else 1.0)

    def applies(self, surface: Surface) -> bool:
        """Whether it has anything to attack at this door."""
        if self.locked and not surface.lock:
            return False
        return self.mechanism in ("", surface.mechanism or "NULL") and (surface.known or not self.known)


LOOKED_AT = ("beside", "stop", "rate", "unread", "intake", "company", "drops", "order", "rest", EXPOSURE)
"""Kinds of what is examined that no attack of a family puts to the test: they are looked at by themselves."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise that is checked.

    ``check`` raises ``violation`` when a Trial (or, where ``examines`` names a kind, an Examination, or an Exposure)
    breaks it.
    ``suspects`` says cheaply whether one Trial is worth an Examination. ``declared`` names the field of Limits
    without which there is no promise to check; ``waits``: that is a time, which attacks wait out. ``tests`` says
    whether a Trial puts it to the test; None: every one does, where there is a process to watch. ``locked``: only doors
    that are to keep strangers out promise it.
    """

    code: str
    name: str
    title: str
    severity: Severity
    doc: str
    violation: type[Violation]
    check: Callable[..., None]
    examines: str = ""
    suspects: Callable[[Trial, Limits], bool] | None = None
    declared: str = ""
    tests: Callable[[Trial, Limits], bool] | None = None
    waits: bool = False
    locked: bool = False

    def applies(self, limits: Limits) -> bool:
        """Whether the promise was made at all."""
        return not self.declared or getattr(limits, self.declared) is not None

    def tested(self, trial: Trial, limits: Limits) -> bool:
        """Whether the trial put the promise to the test: it was made, and could have been seen to be broken."""
        if self.examines in LOOKED_AT or not self.applies(limits):
            return False
        return self.tests(trial, limits) if self.tests is not None else trial.observation.baseline is not None

    def judge(self, seen: Trial | Examination | Exposure, limits: Limits) -> Violation | None:
        """The violation that ``seen`` shows, or None."""
        try:
            self.check(seen, limits)
        except self.violation as violation:
            return violation
        return None


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that is measured of every attack, observed and reported, and never judged. ``unit`` is for people."""

    name: str
    unit: str
    function: Callable[[Trial], float | None]

    def measure(self, trial: Trial) -> float | None:
        """None: this trial does not show it. Raises UsageError: its function fails, or gives no number."""
        try:
            value = self.function(trial)
            return None if value is None else float(value)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise UsageError(
                f"The metric {self.name} cannot be measured ({type(error).__name__}: {error}, "
                f"{frame.filename}:{frame.lineno}); mend it: it returns a number, or None where there is none."
            ) from error


_families: dict[str, Family] = {}
_invariants: dict[str, Invariant] = {}
_metrics: dict[str, Metric] = {}
_loaded: set[str] = set()


def strategy(
    name: str,
    *,
    needs: Reached,
    mechanism: str = "",
    known: bool = False,
    many: bool = False,
    locked: bool = False,
    weight: float = 1.0,
    promises: tuple[str, ...] = (),
    stays: bool = False,
) -> Callable[[Callable[[Draw, Situation], tuple[Script, ...]]], Family]:
    """Register an attack family; the first docstring line is its one-line purpose. The options are Family's fields."""

    def register(function: Callable[[Draw, Situation], tuple[Script, ...]]) -> Family:
        if list(inspect.signature(function).parameters) != ["draw", "situation"]:
            raise TypeError(f"strategy {name!r}: the function must take (draw, situation)")
        if not function.__doc__:
            raise TypeError(f"strategy {name!r}: the docstring's first line is shown to users and is missing")
        if name in _families and _families[name].draw.__module__ != function.__module__:
            raise ValueError(f"strategy {name!r} is registered twice; choose another name")

        @functools.wraps(function)
        def drawn(draw: Draw, situation: Situation) -> tuple[Script, ...]:
            return tuple(_at_door(script, situation.surface) for script in function(draw, situation))

        summary = function.__doc__.strip().splitlines()[0]
        family = Family(name, summary, drawn, needs, mechanism, known, many, locked, weight, promises, stays)
        _families[name] = family
        return family

    return register


def _at_door(script: Script, surface: Surface) -> Script:
    """The script with the mechanism that the door asks for in every handshake that names none, in its own version."""
    if surface.mechanism not in ("PLAIN", "CURVE") or not surface.known:
        return script_at(script, surface)
    steps = tuple(
        replace(step, mechanism=surface.mechanism) if isinstance(step, Shake) and not step.mechanism else step
        for step in script.steps
    )
    return replace(script, steps=steps)


def invariant(
    code: str,
    title: str,
    *,
    severity: Severity,
    examines: str = "",
    suspects: Callable[[Trial, Limits], bool] | None = None,
    declared: str = "",
    tests: Callable[[Trial, Limits], bool] | None = None,
    waits: bool = False,
    locked: bool = False,
) -> Callable[[Callable[[T, Limits, type[Violation]], None]], Invariant]:
    """Register an invariant: ``check(seen, limits, violated)`` raises ``violated(...)`` when it is broken.

    ``violated`` is a class of this invariant's own, because Hypothesis tells bugs apart by class.
    """

    def register(function: Callable[[T, Limits, type[Violation]], None]) -> Invariant:
        if code in _invariants and _invariants[code].check.__module__ != function.__module__:
            raise ValueError(f"invariant code {code} is registered twice; choose another")
        made = type(f"Violation{code}", (Violation,), {"code": code, "title": title, "severity": severity})

        def check(seen: T, limits: Limits) -> None:
            function(seen, limits, made)

        check.__module__ = function.__module__
        name = getattr(function, "__name__", code).replace("_", "-")
        doc = inspect.getdoc(function) or ""
        kept = (examines, suspects, declared, tests, waits, locked)
        entry = Invariant(code, name, title, severity, doc, made, check, *kept)
        _invariants[code] = entry
        return entry

    return register


def metric(name: str, *, unit: str = "") -> Callable[[Callable[[Trial], float | None]], Metric]:
    """Register a metric: ``function(trial)`` returns a number, or None where the trial does not show it."""

    def register(function: Callable[[Trial], float | None]) -> Metric:
        before = _metrics.get(name)
        if before is not None and before.function.__module__ != function.__module__:
            raise ValueError(f"metric {name!r} is registered twice; choose another name")
        _metrics[name] = Metric(name, unit, function)
        return _metrics[name]

    return register


def _load(room: str) -> None:
    if room in _loaded:
        return
    _loaded.add(room)
    package = importlib.import_module(f"zmqfuzz.{room}")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            importlib.import_module(f"zmqfuzz.{room}.{module.name}")
    for point in entry_points(group=f"zmqfuzz.{room}"):
        try:
            point.load()
        except Exception as error:
            raise UsageError(
                f"The plug-in {point.name!r} ({point.value}) cannot be loaded ({type(error).__name__}: {error}); "
                "mend it, or uninstall the package that brings it."
            ) from error


def load_file(file: Path) -> tuple[str, ...]:
    """Register what a Python file of the user's registers; the codes of its invariants. Raises UsageError."""
    before = set(invariants())
    name = f"zmqfuzz_of_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file) if file.suffix == ".py" and file.is_file() else None
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file; give one that registers invariants with @zmqfuzz.invariant.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{file} cannot be loaded ({type(error).__name__}: {error}); mend it.") from error
    codes = tuple(sorted(set(_invariants) - before))
    if not codes:
        raise UsageError(f"{file} registers no invariant that is not there already; see @zmqfuzz.invariant.")
    return codes


def families() -> Mapping[str, Family]:
    """Every attack family, by name."""
    _load("strategies")
    return dict(sorted(_families.items()))


def invariants() -> Mapping[str, Invariant]:
    """Every invariant, by code."""
    _load("invariants")
    return dict(sorted(_invariants.items()))


def metrics() -> Mapping[str, Metric]:
    """Every metric, by name; none is zmqfuzz's own. Modules with invariants may bring some."""
    _load("invariants")
    return dict(sorted(_metrics.items()))


def select_families(only: Iterable[str] = (), exclude: Iterable[str] = ()) -> tuple[Family, ...]:
    """The families named by ``only`` (all, when empty) less ``exclude``. Raises UsageError for an unknown name."""
    known = families()
    for name in (*only, *exclude):
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"There is no attack family {name!r}.{hint} `zmqfuzz list` shows all of them.")
    chosen = tuple(only) or tuple(known)
    return tuple(known[name] for name in dict.fromkeys(chosen) if name not in set(exclude))
