"""The options and ini options of the pytest plugin, how each is read, and whether any was given.

Contract: loaded in every pytest session of its environment, so it loads nothing heavy.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import parse_duration

__all__ = ["INI", "PROFILES", "READ", "add_options", "chosen"]

T = TypeVar("T")

PROFILES = {"quick": 5.0, "ci": 30.0, "deep": 300.0}
"""Seconds an item has."""

SEVERITIES = ("critical", "high", "medium", "low", "info")
ISOLATIONS = ("case", "test", "session")


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


READ: dict[str, Callable[[Any], Any]] = {
    "profile": one_of(*PROFILES),
    "budget": parse_duration,
    "session_budget": parse_duration,
    "inconclusive": one_of("fail", "warn", "pass"),
    "fail_on": one_of(*SEVERITIES),
    "isolation": one_of(*ISOLATIONS),
    "seed": _whole,
}
"""How each is read, wherever it stands."""

INI = {
    "profile": "quick, ci or deep (--zmqfuzz-profile)",
    "budget": "wall time of one item (--zmqfuzz-budget)",
    "inconclusive": "fail, warn or pass (--zmqfuzz-inconclusive)",
    "baseline": "known findings, relative to rootdir (--zmqfuzz-baseline)",
    "target": "the declared target that the fixture zmq_target is, where there are several",
}

_OWN = (
    "declared",
    "profile",
    "budget",
    "session_budget",
    "seed",
    "inconclusive",
    "fail_on",
    "baseline",
    "replay",
    "store",
)
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
        "--zmqfuzz-baseline",
        metavar="FILE",
        help="findings that are known and accepted in it are expected failures (see `zmqfuzz baseline`)",
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
    for name, text in INI.items():
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
        os.environ.get(f"ZMQFUZZ_{name.upper()}") for name in READ
    )
