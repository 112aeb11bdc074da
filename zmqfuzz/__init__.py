"""zmqfuzz: fault injection and fuzzing for programs that bind or connect ZeroMQ sockets.

The public names are loaded when they are first used (PEP 562): importing this package costs next to nothing, as
every pytest session of an environment where it is installed does.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zmqfuzz.budget import Limits
    from zmqfuzz.catalogue import invariant, metric, strategy
    from zmqfuzz.errors import (
        NothingSelected,
        TargetDidNotStart,
        TargetError,
        TargetVanished,
        UsageError,
        ZmqfuzzError,
    )
    from zmqfuzz.finding import Finding, Measure, Severity, Verdict, Violation
    from zmqfuzz.items import FamilyAttack
    from zmqfuzz.machine import ZmtpMachine
    from zmqfuzz.suite import SuiteTarget, target
    from zmqfuzz.verdicts import AttackFailed

__version__ = "0.1.0"

__all__ = [
    "AttackFailed",
    "FamilyAttack",
    "Finding",
    "Limits",
    "Measure",
    "NothingSelected",
    "Severity",
    "SuiteTarget",
    "TargetDidNotStart",
    "TargetError",
    "TargetVanished",
    "UsageError",
    "Verdict",
    "Violation",
    "ZmqfuzzError",
    "ZmtpMachine",
    "__version__",
    "invariant",
    "metric",
    "strategy",
    "target",
]

_ROOMS = {
    "budget": ("Limits",),
    "catalogue": ("invariant", "metric", "strategy"),
    "errors": ("NothingSelected", "TargetDidNotStart", "TargetError", "TargetVanished", "UsageError", "ZmqfuzzError"),
    "finding": ("Finding", "Measure", "Severity", "Verdict", "Violation"),
    "items": ("FamilyAttack",),
    "machine": ("ZmtpMachine",),
    "suite": ("SuiteTarget", "target"),
    "verdicts": ("AttackFailed",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'zmqfuzz' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"zmqfuzz.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """A package whose public names win over submodules: importing ``zmqfuzz.target`` must not hide ``target()``."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
