"""Metrics of the user's own over many attacks: the least, the most, and what was played when it was the most.

Contract: an observation, never a verdict; and no attack is chosen for it (see :mod:`zmqfuzz.campaign.guidance`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zmqfuzz.catalogue import metrics
from zmqfuzz.trial import Trial

__all__ = ["Extremes"]


@dataclass(slots=True)
class Extremes:
    """``seen``: of each metric that was measured, by name, the least, the most, and the strategy of that attack."""

    seen: dict[str, tuple[float, float, str]] = field(default_factory=dict)

    def note(self, trial: Trial) -> None:
        """Measure one trial. Raises UsageError: a metric cannot be measured."""
        for name, metric in metrics().items():
            value = metric.measure(trial)
            if value is not None:
                self.add(name, value, value, trial.attack.strategy)

    def add(self, name: str, least: float, most: float, strategy: str) -> None:
        """What was measured elsewhere, too."""
        before = self.seen.get(name, (least, most, strategy))
        self.seen[name] = min(least, before[0]), *max((before[1], before[2]), (most, strategy), key=lambda one: one[0])

    def told(self) -> Iterator[str]:
        """Each in a few words."""
        units = {name: metric.unit for name, metric in metrics().items()}
        for name, (least, most, strategy) in sorted(self.seen.items()):
            unit = f" {units[name]}" if units.get(name) else ""
            after = f" (most: {strategy})" if strategy and most > least else ""
            yield f"{name} {least:g}{f' to {most:g}' if most > least else ''}{unit}{after}"
