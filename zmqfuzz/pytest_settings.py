"""What holds for the items of a pytest session: options, ini options, variables, ``pyproject.toml``, and marks.

Contract: what stands nearer wins: ``[tool.zmqfuzz]`` of pyproject.toml, then pytest's ini options, the variables
``ZMQFUZZ_*``, the command line, and the marks of an item. What is wrong is a pytest.UsageError of one sentence. Nothing
is read before an item of ours, or an option, needs it.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import pytest

from zmqfuzz.errors import UsageError
from zmqfuzz.expected import Expected
from zmqfuzz.items import FamilyAttack
from zmqfuzz.quantities import parse_duration
from zmqfuzz.verdicts import Session

__all__ = [
    "PROFILES",
    "SEED_OF_WORKER",
    "Settings",
    "add_options",
    "attack_of",
    "chosen",
    "expectations",
    "for_item",
    "ours",
    "seed_of",
]

T = TypeVar("T")

PROFILES = {"quick": 5.0, "ci": 30.0, "deep": 300.0}
"""Seconds an item has."""

SEVERITIES = ("critical", "high", "medium", "low", "info")
ISOLATIONS = ("case", "test", "session")

SEED_OF_WORKER = "zmqfuzz_seed"

SHORTEST = 0.5
"""Seconds an item has at least, however many share the session's budget."""

_SEED = pytest.StashKey[int]()


def one_of(*words: str) -> Callable[[Any], str]:
    """Reads one of ``words``. Raises UsageError."""

    def read(value: Any) -> str:
        if value not in words:
            raise UsageError(f"{value!r} is not one of {', '.join(words)}.")
        return str(value)

    return read


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UsageError(f"{value!r} is no whole number; give one, such as 7.") from None


_READ: dict[str, Callable[[Any], Any]] = {
    "profile": one_of(*PROFILES),
    "budget": parse_duration,
    "session_budget": parse_duration,
    "inconclusive": one_of("fail", "warn", "pass"),
    "fail_on": one_of(*SEVERITIES),
    "isolation": one_of(*ISOLATIONS),
    "seed": _whole,
}
"""How each is read, wherever it stands."""

_MARK = ("budget", "profile", "isolation", "fail_on", "seed")
"""What the mark zmqfuzz may say of an item."""

_INI = {
    "profile": "quick, ci or deep (--zmqfuzz-profile)",
    "budget": "wall time of one item (--zmqfuzz-budget)",
    "inconclusive": "fail, warn or pass (--zmqfuzz-inconclusive)",
    "target": "the declared target that the fixture zmq_target is, where there are several",
}

_OWN = ("declared", "profile", "budget", "session_budget", "seed", "inconclusive", "fail_on", "replay", "store")
"""Options whose use shows that the session is about us."""


def add_options(parser: pytest.Parser) -> None:
    """The options; all have a default that depends on the profile or the environment."""
    group = parser.getgroup("zmqfuzz", "fuzzing of live ZeroMQ programs (zmqfuzz)")
    group.addoption(
        "--zmqfuzz",
        dest="zmqfuzz_declared",
        action="store_true",
        default=None,
        help="also attack every target declared in pyproject.toml ([tool.zmqfuzz.targets.NAME]); of all that can be "
        "set, the nearest wins: pyproject.toml [tool.zmqfuzz], pytest's ini file, ZMQFUZZ_... in the environment, the "
        "command line, the mark zmqfuzz of an item",
    )
    group.addoption("--zmqfuzz-only", action="store_true", help="run the items of zmqfuzz and no others")
    group.addoption("--zmqfuzz-skip", action="store_true", help="run all items but those of zmqfuzz")
    group.addoption(
        "--zmqfuzz-profile",
        choices=tuple(PROFILES),
        help="quick (5s an item), ci (30s) or deep (5min); default: ci where the variable CI is set, else quick",
    )
    group.addoption(
        "--zmqfuzz-budget",
        metavar="TIME",
        type=_argument(parse_duration),
        help="wall time of one item, such as 30s; default: from the profile",
    )
    group.addoption(
        "--zmqfuzz-session-budget",
        metavar="TIME",
        type=_argument(parse_duration),
        help="wall time of all items together: each has its share of what is left, and no more than its own budget",
    )
    group.addoption(
        "--zmqfuzz-seed",
        metavar="N",
        type=int,
        help="repeat a session's choices; default: the variable ZMQFUZZ_SEED, else random and printed",
    )
    group.addoption(
        "--zmqfuzz-fail-on",
        choices=SEVERITIES,
        help="findings less severe than this are told as warnings; default: low",
    )
    group.addoption(
        "--zmqfuzz-inconclusive",
        choices=("fail", "warn", "pass"),
        help="what becomes of an item that could not be tested; default: warn, in profile ci fail",
    )
    group.addoption(
        "--zmqfuzz-replay",
        metavar="ID|PATH|all",
        action="append",
        help="play recorded findings instead of new attacks, each in the item of its target and family",
    )
    group.addoption(
        "--zmqfuzz-store",
        metavar="DIR",
        help="where findings are kept; default: .zmqfuzz in rootdir",
    )
    for name, text in _INI.items():
        parser.addini(f"zmqfuzz_{name}", text)


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    def parsed(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def chosen(config: pytest.Config) -> bool:
    """Whether the user gave any of our options."""
    return any(config.getoption(f"zmqfuzz_{name}") is not None for name in _OWN) or any(
        os.environ.get(f"ZMQFUZZ_{name.upper()}") for name in _READ
    )


def seed_of(config: pytest.Config) -> int:
    """The session's seed; all workers of pytest-xdist use one. Raises pytest.UsageError."""
    if _SEED not in config.stash:
        worker: Mapping[str, int] = getattr(config, "workerinput", {})
        given = worker.get(SEED_OF_WORKER, _outside(config, "seed"))
        # The shared generator is others' to seed (pytest-randomly).
        config.stash[_SEED] = random.SystemRandom().getrandbits(31) if given is None else int(given)
    return config.stash[_SEED]


def _outside(config: pytest.Config, name: str) -> Any:
    """What the command line, the environment or pytest's ini file says; None: nothing. Raises pytest.UsageError."""
    option = config.getoption(f"zmqfuzz_{name}", None)
    if option is not None:
        return option
    variable = f"ZMQFUZZ_{name.upper()}"
    if text := os.environ.get(variable, "").strip():
        return _read(name, text, f"The variable {variable}")
    if name in _INI and (text := config.getini(f"zmqfuzz_{name}")):
        return _read(name, text, f"The ini option zmqfuzz_{name}")
    return None


def _read(name: str, value: Any, where: str) -> Any:
    try:
        return _READ[name](value)
    except UsageError as error:
        raise pytest.UsageError(f"{where}: {error}") from None


@dataclass(slots=True)
class Settings:
    """What holds for all items of a session, before their marks.

    ``left`` seconds of the session's budget (None: there is none) are for ``items`` that have not been run.
    """

    session: Session
    profile: str
    left: float | None = None
    items: int = 0

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Raises pytest.UsageError: something that is set cannot be read."""
        defaults = _declared(config)

        def setting(name: str) -> Any:
            value = _outside(config, name)
            return defaults.get(name) if value is None else value

        profile = setting("profile") or ("ci" if os.environ.get("CI") else "quick")
        budget, store = setting("budget"), config.getoption("zmqfuzz_store")
        shell = config.invocation_params.dir
        session = Session(
            seconds=PROFILES[profile] if budget is None else budget,
            seed=seed_of(config),
            inconclusive=setting("inconclusive") or _unclear(profile),
            folder=config.rootpath,
            shell=shell,
            store=config.rootpath / ".zmqfuzz" if store is None else shell / store,
            fail_on=setting("fail_on") or "low",
            recorded=tuple(config.getoption("zmqfuzz_replay") or ()),
        )
        return cls(session, profile, _outside(config, "session_budget"))

    def share(self) -> float:
        """Seconds for the next item, of what is left for all."""
        if self.left is None:
            return self.session.seconds
        return min(self.session.seconds, max(SHORTEST, self.left / max(1, self.items)))

    def spent(self, seconds: float) -> None:
        """An item took so long."""
        self.items -= 1
        self.left = None if self.left is None else self.left - seconds


def _unclear(profile: str) -> Literal["fail", "warn"]:
    return "fail" if profile == "ci" else "warn"


def _declared(config: pytest.Config) -> dict[str, Any]:
    """What ``[tool.zmqfuzz]`` says. Raises pytest.UsageError."""
    from zmqfuzz.declared import defaults, find, shown

    try:
        file = find(config.rootpath)
        given = defaults(file) if file is not None else {}
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    where = f"{shown(file)}: tool.zmqfuzz" if file is not None else ""
    return {
        name: _read(name, value, f"{where}.{name.replace('_', '-')}") for name, value in given.items() if name in _READ
    }


def attack_of(item: pytest.Item) -> FamilyAttack | None:
    """The attack that an item is about."""
    own = getattr(item, "attack", None)
    if isinstance(own, FamilyAttack):
        return own
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec is not None else ()
    return next((value for value in values if isinstance(value, FamilyAttack)), None)


def ours(item: pytest.Item) -> bool:
    """Whether it plays attacks: those of a family, or its own on ``zmq_target``."""
    return attack_of(item) is not None or item.get_closest_marker("zmqfuzz") is not None


def for_item(settings: Settings, item: pytest.Item, known: Mapping[int, Expected]) -> Session:
    """The session's decisions, with those of the item's marks. Raises pytest.UsageError."""
    wishes: dict[str, Any] = {}
    for mark in item.iter_markers("zmqfuzz"):
        wishes = {**mark.kwargs, **wishes}
        if mark.args:
            raise pytest.UsageError(f"{item.nodeid}: the mark zmqfuzz takes keywords only, such as budget='30s'.")
    where = f"{item.nodeid}: the mark zmqfuzz"
    for name in wishes:
        if name not in _MARK:
            raise pytest.UsageError(f"{where} has no option {name!r}; there are {', '.join(_MARK)}.")
    values = {name: _read(name, value, f"{where}: {name}") for name, value in wishes.items()}
    more: dict[str, Any] = {name: values[name] for name in ("isolation", "fail_on", "seed") if name in values}
    more["seconds"] = settings.share()
    if "profile" in values:
        more |= {"seconds": PROFILES[values["profile"]], "inconclusive": _unclear(values["profile"])}
    if "budget" in values:
        more["seconds"] = values["budget"]
    marks = [known[id(mark)] for mark in item.iter_markers("zmqfuzz_known") if id(mark) in known]
    return replace(settings.session, known=tuple(marks), **more)


def expectations(items: list[pytest.Item], *, whole: bool) -> dict[int, Expected]:
    """What the marks of the collected items expect, by the identity of the mark. Raises pytest.UsageError.

    ``whole``: this process runs all of them; else a mark that several bear cannot be said to be in vain.
    """
    known: dict[int, Expected] = {}
    for item in items:
        attack = attack_of(item)
        for mark in item.iter_markers("zmqfuzz_known"):
            try:
                entry = known.setdefault(id(mark), Expected.read(mark.args, mark.kwargs))
            except UsageError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from None
            if entry.concerns(attack.family if attack is not None else ""):
                entry.bearers.add(item.nodeid)
    for entry in known.values():
        entry.whole = whole or len(entry.bearers) < 2
    return known
