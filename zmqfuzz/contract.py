"""What a target can be promised to do: one table, from which the ways to declare a promise are made.

Contract: each promise is a field of :class:`~zmqfuzz.budget.Limits`. A row here makes it an option of ``zmqfuzz run``,
a keyword of ``zmqfuzz.target()`` and a key of ``[tool.zmqfuzz.targets.NAME.limits]``, read by one parser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zmqfuzz.binds import parse_expose
from zmqfuzz.budget import Limits
from zmqfuzz.dropping import parse_drops
from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import parse_count, parse_duration, parse_rate, parse_share, parse_size

__all__ = ["PROMISES", "Promise", "checked", "read_limits"]


@dataclass(frozen=True, slots=True)
class Promise:
    """``name`` is the field of Limits, ``read`` its parser, ``metavar`` and ``help`` what ``--help`` shows.

    ``option`` is the long option without its dashes, and the key in pyproject.toml, where that is not the name.
    ``many``: the option may be given several times, and the key is a list.
    """

    name: str
    read: Callable[[Any], int | float | str | tuple[str, ...]]
    metavar: str
    help: str
    option: str = ""
    many: bool = False

    @property
    def key(self) -> str:
        """As it is written on a command line and in pyproject.toml."""
        return self.option or self.name.replace("_", "-")


PROMISES = (
    Promise(
        "max_frame",
        parse_size,
        "SIZE",
        "Promise: larger frames are refused (MAXMSGSIZE), at the exact octet, as 64KiB.",
    ),
    Promise("max_message", parse_size, "SIZE", "Promise: larger messages are refused, all parts together."),
    Promise("memory", parse_size, "SIZE", "Promise: resident memory stays below this."),
    Promise("rate", parse_rate, "RATE", "Promise: of all peers together it takes no more messages, such as 200/s."),
    Promise("burst", parse_count, "COUNT", "Of --rate: so many at once beyond it. [default: 2 seconds' worth]"),
    Promise("held_per_byte", parse_share, "NUMBER", "Octets held per octet sent. [default: 0.5]"),
    Promise("descriptors", parse_count, "COUNT", "Descriptors that may stay behind. [default: 2]"),
    Promise("recover", parse_duration, "TIME", "Time to serve again after an attack. [default: 5s]"),
    Promise("beside", parse_share, "NUMBER", "Share of its service kept beside connections held open. [default: 0.7]"),
    Promise(
        "handshake_within",
        parse_duration,
        "TIME",
        "Promise: a peer that stalls in the handshake is cut within this (HANDSHAKE_IVL).",
    ),
    Promise(
        "hung_within",
        parse_duration,
        "TIME",
        "Promise: a peer that has stopped answering is cut within this (HEARTBEAT_IVL + HEARTBEAT_TIMEOUT).",
    ),
    Promise(
        "vanished_within",
        parse_duration,
        "TIME",
        "Promise: a peer that has vanished is let go of within this (heartbeats or TCP keepalive).",
    ),
    Promise("linger", parse_duration, "TIME", "Promise: told to stop, it ends within this and a grace (LINGER)."),
    Promise("delivers", parse_share, "NUMBER", "Promise: told to stop, it delivers this share of what it accepted."),
    Promise(
        "bystander_within",
        parse_duration,
        "TIME",
        "Promise: beside an attack 99 of 100 answers to honest clients come within this.",
    ),
    Promise(
        "bystander_loss",
        parse_share,
        "NUMBER",
        "Promise: beside an attack no larger share of honest questions stays without an answer (0: none).",
    ),
    Promise(
        "overheard",
        parse_count,
        "COUNT",
        "Promise: no more messages with what one client said come to others, whatever these ask (0: none).",
    ),
    Promise(
        "drops",
        parse_drops,
        "HOW",
        "Promise: what it drops for a slow reader is told: log:REGEX, counter:CMD (its number grows); or never.",
    ),
    Promise(
        "expose",
        parse_expose,
        "EP",
        "Promise: it listens only here, as tcp://127.0.0.1:* or ipc:///run/app/*; may be repeated.",
        many=True,
    ),
    Promise("hard_cap", parse_size, "SIZE", "Kill the target above this. [default: 2GiB]", option="mem-cap"),
)


def read_limits(given: Mapping[str, object], spelt: Callable[[Promise], str]) -> Limits:
    """Limits from texts and numbers by field name; None: not declared. ``spelt`` names a promise in errors.

    Raises UsageError, which begins with that name.
    """
    values: dict[str, Any] = {}
    for promise in PROMISES:
        value = given.get(promise.name)
        if value is None:
            continue
        try:
            values[promise.name] = promise.read(value)
        except UsageError as error:
            raise UsageError(f"{spelt(promise)}: {error}") from None
    return checked(Limits(**values), spelt)


def checked(limits: Limits, spelt: Callable[[Promise], str] = lambda promise: f"--{promise.key}") -> Limits:
    """The limits, if they go together. Raises UsageError."""
    if limits.burst is not None and limits.rate is None:
        burst, rate = (spelt(promise) for name in ("burst", "rate") for promise in PROMISES if promise.name == name)
        raise UsageError(f"{burst}: it says by how much a rate may be passed; declare {rate}, too.")
    return limits
