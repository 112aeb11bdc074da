"""The grammar of the families as Hypothesis strategies, for a user's own ``@given``. Registers nothing itself.

Contract: what is drawn is plain data (:mod:`zmqfuzz.script`, :mod:`zmqfuzz.zmtp.wire`), equal to itself in every
session, so that shrinking, ``@example`` and the example database work. What is drawn depends on the arguments alone,
never on a target that runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from hypothesis import find, settings
from hypothesis import strategies as st

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Family, Situation, select_families
from zmqfuzz.drawing import HypothesisDraw
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Attack, Expect, Script, Send, Step
from zmqfuzz.strategies.malformed import odd_frame
from zmqfuzz.strategies.pieces import ending, message, odd_greeting, opening
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import SOCKET_TYPES, Frame, Greeting, Unit

__all__ = ["attacks", "frames", "greetings", "messages", "scripts"]

Words = str | Iterable[str]

MECHANISMS = ("NULL", "PLAIN", "CURVE")


class _Source:
    """What ``@st.composite`` gives, as :class:`~zmqfuzz.drawing.HypothesisDraw` wants it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw


def _drawing(draw: st.DrawFn) -> HypothesisDraw:
    return HypothesisDraw(_Source(draw))


def attacks(
    *,
    families: Words = (),
    exclude: Words = (),
    socket_type: str = "ROUTER",
    mechanism: str = "NULL",
    connects: bool = False,
    max_frame: int | None = None,
    payloads: st.SearchStrategy[Any] | None = None,
) -> st.SearchStrategy[Attack]:
    """Attacks of ``families`` (default: all that fit, less ``exclude``), as ``zmqfuzz run`` draws them.

    ``socket_type`` and ``mechanism`` are the target's: what its socket is, and what it asks its peers for. With
    ``connects`` the target connects to us. ``max_frame`` (octets) is what it promises, for ``oversized-frame``;
    ``payloads`` as in :func:`zmqfuzz.target`. Raises UsageError.
    """
    surface = _surface(socket_type, mechanism, connects)
    chosen = [family for family in select_families(_words(families), _words(exclude)) if family.applies(surface)]
    if not chosen:
        raise UsageError(f"None of these families attacks {surface.socket_type} sockets that ask for {mechanism}.")
    return _attacks(chosen, Situation(surface, Limits(max_frame=max_frame), Budget(), payloads=payloads))


@st.composite
def _attacks(draw: st.DrawFn, families: list[Family], situation: Situation) -> Attack:
    family = draw(st.sampled_from(families))
    return Attack(family.draw(_drawing(draw), situation), strategy=family.name)


def scripts(
    *,
    socket_type: str = "ROUTER",
    mechanism: str = "NULL",
    connects: bool = False,
    messages: st.SearchStrategy[bytes | Iterable[bytes]] | None = None,
    odd: st.SearchStrategy[Unit | tuple[Unit, ...]] | None = None,
) -> st.SearchStrategy[Script]:
    """One peer: an honest handshake, then honest ``messages`` and ``odd`` units in any order, then one way to leave.

    ``messages``: ``bytes`` (one frame) or lists of them; default: :func:`messages`. To a REP or REQ they are sent with
    the empty delimiter in front that it asks for (RFC 28), unless they begin with one. ``odd``: default
    :func:`frames`; ``st.nothing()`` for none. The rest as for :func:`attacks`.
    """
    surface = _surface(socket_type, mechanism, connects)
    enveloped = surface.socket_type in ("REP", "REQ")
    honest = _honest() if messages is None else messages.map(lambda parts: _framed(parts, enveloped))
    strange = (frames() if odd is None else odd).map(lambda units: units if isinstance(units, tuple) else (units,))
    return _scripts(Situation(surface, Limits(), Budget()), honest | strange)


@st.composite
def _scripts(draw: st.DrawFn, situation: Situation, sent: st.SearchStrategy[tuple[Unit, ...]]) -> Script:
    choices = _drawing(draw)
    steps: list[Step] = list(opening(choices, situation))
    for units in draw(st.lists(sent, min_size=1, max_size=8)):
        steps += [Send((*units,)), Expect("message", within=0.005)]  # its own tuple, which is shown as it is
    return Script((*steps, *ending(choices, situation)))


@st.composite
def frames(draw: st.DrawFn) -> Unit:
    """A frame or command that may lie about its size, have reserved bits, or not end what it begins."""
    return odd_frame(_drawing(draw))


def messages() -> st.SearchStrategy[tuple[Unit, ...]]:
    """A complete message of honest frames: 1 to 6 parts, or an empty delimiter (RFC 28) and a body."""
    return _honest()


@st.composite
def _honest(draw: st.DrawFn) -> tuple[Unit, ...]:
    return message(_drawing(draw))


@st.composite
def greetings(draw: st.DrawFn) -> Unit:
    """The greeting of an honest peer, or one of ZMTP 1.0 to 3.1 with fields that no honest peer sends."""
    choices = _drawing(draw)
    return odd_greeting(choices) if choices.boolean() else Greeting()


@functools.cache
def warm_up() -> None:
    """Draw once, so that a test does not pay for it: Hypothesis first reads the constants of all local modules.

    With many of them, on a busy machine, that was 31 s, which its health check took for slow strategies (too_slow).
    """
    find(st.integers(), lambda number: True, settings=settings(max_examples=1, database=None))


def _framed(parts: bytes | Iterable[bytes], enveloped: bool) -> tuple[Unit, ...]:
    bodies = (parts,) if isinstance(parts, bytes) else tuple(parts)
    if enveloped and bodies[:1] != (b"",):
        bodies = (b"", *bodies)
    return tuple(Frame(body, more=place < len(bodies)) for place, body in enumerate(bodies, 1))


def _words(value: Words) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _surface(socket_type: str, mechanism: str, connects: bool) -> Surface:
    kind, lock = socket_type.upper(), mechanism.upper()
    if kind not in SOCKET_TYPES:
        raise UsageError(f"There is no socket type {socket_type!r}; there are {', '.join(SOCKET_TYPES)}.")
    if lock not in MECHANISMS:
        raise UsageError(f"There is no mechanism {mechanism!r} to attack; there are {', '.join(MECHANISMS)}.")
    return Surface("tcp://127.0.0.1:1", kind, lock, side="connect" if connects else "bind")
