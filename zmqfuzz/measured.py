"""What examinations with a clock of their own have measured, as plain data: numbers, no judgement."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Kept"]


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
