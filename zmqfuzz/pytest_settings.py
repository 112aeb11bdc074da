"""What holds for the items of a pytest session: options, ini options, variables, ``pyproject.toml``, and marks.

Contract: what stands nearer wins: ``[tool.zmqfuzz]`` of pyproject.toml, then pytest's ini options, the variables
``ZMQFUZZ_*``, the command line, and the marks of an item. What is wrong is a pytest.UsageError of one sentence. Nothing
is read before an item of ours, or an option, needs it.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from zmqfuzz.errors import UsageError
from zmqfuzz.expected import Expected
from zmqfuzz.items import FamilyAttack
from zmqfuzz.pytest_options import INI, PROFILES, READ
from zmqfuzz.verdicts import Session

__all__ = [
    "SEED_OF_WORKER",
    "Settings",
    "attack_of",
    "expectations",
    "for_item",
    "ours",
    "seed_of",
]

SEED_OF_WORKER = "zmqfuzz_seed"

SHORTEST = 0.5
"""Seconds an item has at least, however many share the session's budget."""

_SEED = pytest.StashKey[int]()


_MARK = ("budget", "profile", "isolation", "fail_on", "seed")
"""What the mark zmqfuzz may say of an item."""


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
    if name in INI and (text := config.getini(f"zmqfuzz_{name}")):
        return _read(name, text, f"The ini option zmqfuzz_{name}")
    return None


def _read(name: str, value: Any, where: str) -> Any:
    try:
        return READ[name](value)
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
            accepted=_accepted(config),
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
        name: _read(name, value, f"{where}.{name.replace('_', '-')}") for name, value in given.items() if name in READ
    }


def _accepted(config: pytest.Config) -> tuple[Expected, ...]:
    """What the baseline accepts. Raises pytest.UsageError."""
    from zmqfuzz.declared import defaults, find

    shell, root = config.invocation_params.dir, config.rootpath
    option, variable = config.getoption("zmqfuzz_baseline"), os.environ.get("ZMQFUZZ_BASELINE", "").strip()
    declared = find(root)
    table = defaults(declared).get("baseline") if declared is not None else None
    if option or variable:
        file = shell / (option or variable)
    elif ini := config.getini("zmqfuzz_baseline"):
        file = root / ini
    elif declared is not None and isinstance(table, str) and (declared.parent / table).exists():
        file = declared.parent / table  # one that is not there yet is made by the first `zmqfuzz baseline update`
    else:
        return ()
    from zmqfuzz.reports.baseline import read_baseline

    try:
        entries = read_baseline(file)
    except UsageError as error:
        raise pytest.UsageError(str(error).replace("correct --baseline", "correct --zmqfuzz-baseline")) from None
    return tuple(
        Expected(
            entry.id,
            entry.reason,
            entry.until,
            match=rf"\A{re.escape(entry.signature)}\Z" if entry.signature else "",
            strict=False,
            target=entry.target,
        )
        for entry in entries
    )


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
    if settings.left is not None:
        more["late"] = 0.0  # who bounds all items together wants to have done with them
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
