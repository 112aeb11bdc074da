"""Two purses that are never one object: what the attack may spend, and what the target may use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zmqfuzz.errors import UsageError

__all__ = ["LEAK_FLOOR", "MIB", "Budget", "Limits", "parse_duration", "parse_size"]

MIB = 1 << 20

LEAK_FLOOR = 3 * MIB
"""Octets that must stay behind over the rounds of an examination; an allocator's retention drifts by less (2 MiB over
20,000 openings measured on libzmq 4.3.5) and levels off."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an attack may spend: wall seconds for a trial, peers at once, octets on the wire.

    ``connections``: peers at once that do little but hold one, in attacks that are about their number; more than the
    1024 descriptors that Linux gives a program unless told otherwise (getrlimit(2)).
    """

    trial_seconds: float = 20.0
    peers: int = 64
    examine_bytes: int = 64 * MIB
    connections: int = 1200


@dataclass(frozen=True, slots=True)
class Limits:
    """What the target promises. ``None``: not declared, so not judged.

    ``max_frame``, ``max_message``, ``memory`` in octets; ``memory`` bounds the resident set of the whole process
    tree. ``held_per_byte`` is judged without a declaration: no program means to keep what one stranger sends,
    in step with what is sent, where the same volume of honest traffic is not kept. ``recover`` is how long, in
    seconds, the target may take to serve again after an attack. ``hard_cap`` is not a promise: above it the
    target is killed to protect the machine. ``beside`` is the share of what an honest client gets alone that it must
    get beside connections that others hold open and silent.
    """

    max_frame: int | None = None
    max_message: int | None = None
    memory: int | None = None
    held_per_byte: float = 0.5
    descriptors: int = 2
    recover: float = 5.0
    beside: float = 0.7
    hard_cap: int = 2048 * MIB


_SIZES = {"": 1, "b": 1, "k": 1000, "kb": 1000, "kib": 1 << 10, "m": 10**6, "mb": 10**6, "mib": 1 << 20}
_SIZES |= {"g": 10**9, "gb": 10**9, "gib": 1 << 30}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}


def _quantity(text: str, units: dict[str, int] | dict[str, float], example: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].lower() not in units:
        known = ", ".join(unit for unit in units if unit)
        raise UsageError(f"{text!r} is not a quantity; write a number and a unit ({known}), for example {example}.")
    return float(match[1]) * units[match[2].lower()]


def parse_size(text: str) -> int:
    """Octets from ``1MiB``, ``64k``, ``1000``. Raises UsageError."""
    return int(_quantity(text, _SIZES, "1MiB"))


def parse_duration(text: str) -> float:
    """Seconds from ``500ms``, ``60s``, ``5m``, ``1.5``. Raises UsageError."""
    return _quantity(text, _SECONDS, "60s")
