"""What examinations with a clock of their own have measured, as plain data: numbers, no judgement."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Company", "Kept", "Span"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Resident memory that a target gained while messages waited in it: ``grown`` octets in ``seconds``, of which
    ``lately`` in the last third of that time.

    ``size``: octets of one message on the wire. ``worked``: seconds that it went on with what it had taken when the
    last of it was; None: that was not looked at.
    """

    size: float
    grown: int
    lately: int
    seconds: float
    worked: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """What two honest clients got of what they ``asked``, one question at a time each, in ``seconds``.

    ``lost``: not answered in two seconds; ``twice``: answers to what was answered; ``foreign``: with what belongs to
    another; ``other``: with nothing of the question, where answers have that. ``p50`` and ``p99``: seconds that an
    answer took, one that never came as two; ``machine``: the latter of an echo that nothing attacks.
    """

    asked: int
    got: int
    lost: int
    twice: int
    foreign: int
    other: int
    seconds: float
    p50: float
    p99: float
    machine: float


@dataclass(frozen=True, slots=True)
class Company:
    """Two honest clients ``alone``, ``during`` an attack, and ``after`` it.

    ``carries``: how answers tell whose they are (empty: they do not). ``private``: before, nothing came to who had not
    asked, and one answer to who had. ``strays``: messages to the attackers with what belongs to an honest client.
    """

    carries: str
    private: bool
    alone: Span
    during: Span
    after: Span
    strays: int
