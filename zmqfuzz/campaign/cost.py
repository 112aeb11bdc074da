"""What an attack costs whoever plays it, and how bad a finding is for that. Pure.

An invariant's severity is that of a breach that a stranger can cause from the network. It is a step less bad where the
attack, as small as it could be made, needs what only a user of the target has, or a place on its machine. Volume and
the number of connections do not count: they cost a stranger next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.campaign.text import count, quantity
from zmqfuzz.finding import Severity
from zmqfuzz.script import Attack, Shake
from zmqfuzz.trial import Surface

__all__ = ["Cost", "cost_of", "weighed"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Connections, octets and seconds; ``secrets``: mechanisms whose credentials are needed; ``local``: only users of
    the target's machine get there."""

    connections: int
    octets: int
    seconds: float
    secrets: tuple[str, ...] = ()
    local: bool = False

    def __str__(self) -> str:
        keys = f"{' and '.join(self.secrets)} credentials" if self.secrets else "no key"
        where = ", on its machine" if self.local else ""
        return f"{count(self.connections, 'connection')}, {keys}{where}, {quantity(self.octets)}, {self.seconds:.1f} s"


def cost_of(attack: Attack, surface: Surface, octets: int, seconds: float) -> Cost:
    """Of an attack that sent so many octets in so many seconds."""
    shakes = [step for script in attack.scripts for step in script.steps if isinstance(step, Shake)]
    known = [step.mechanism for step in shakes if not step.stranger]
    return Cost(
        sum(max(1, script.times) for script in attack.scripts),
        octets,
        seconds,
        tuple(dict.fromkeys(mechanism for mechanism in known if mechanism not in ("", "NULL"))),
        surface.address.startswith("ipc://"),
    )


def weighed(severity: Severity, cost: Cost, *, lock: bool = False) -> tuple[Severity, str]:
    """The severity of a finding, and why it is less than that of its invariant (empty: it is not).

    ``lock``: the invariant is about the lock itself, and whoever has its key is meant.
    """
    reasons = []
    if cost.secrets and not lock:
        reasons.append(f"only who has {' and '.join(cost.secrets)} credentials can do it")
    if cost.local:
        reasons.append("only who is on its machine can do it")
    order = list(Severity)
    lowest = max(severity.rank, Severity.LOW.rank)
    weighed_ = order[min(severity.rank + len(reasons), lowest)]
    return weighed_, f"{weighed_.value} instead of {severity.value}: {' and '.join(reasons)}" if reasons else ""
