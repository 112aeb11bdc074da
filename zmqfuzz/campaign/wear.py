"""What the process that runs now has lost or kept since it was started: threads, descriptors, memory. Plays nothing."""

from __future__ import annotations

from zmqfuzz.harness import Harness
from zmqfuzz.trial import Trial

__all__ = ["STEP", "Wear"]

WARM_UP = 8
"""Attacks after which a process has allocated what it needs to work at all."""

STEP = 64 * 1024
"""Octets by which memory must grow with a repeat, on average, to be worth an examination."""


class Wear:
    """Compares trials with the first, or all, of the same process."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._peak = (0, 0)
        self._fewest = (0, 0)
        self._first = (0, 0)
        self.kept = 0
        """Descriptors more than before its first attack, connections without a peer apart."""

    def count(self, trial: Trial) -> None:
        """Note what the trial has left behind."""
        baseline, settled = trial.observation.baseline, trial.observation.settled
        if baseline is None or settled is None:
            return
        starts, first = self._first
        if starts != self._harness.starts:
            first = baseline.descriptors
        self._first = (self._harness.starts, first)
        self.kept = settled.descriptors - trial.observation.abandoned - first

    def lost(self, trial: Trial) -> bool:
        """Whether the process has fewer threads than it ever had before: not some that came with another attack."""
        starts, fewest = self._fewest
        baseline, settled = trial.observation.baseline, trial.observation.settled
        if baseline is None or settled is None:
            return False
        if starts != self._harness.starts:
            fewest = baseline.threads
        self._fewest = (self._harness.starts, min(fewest, baseline.threads, settled.threads))
        return settled.threads < min(fewest, baseline.threads)

    def grew(self, trial: Trial) -> bool:
        """Whether it left more memory behind than this process had ever kept; its first attacks only warm it up."""
        starts, peak = self._peak
        settled = trial.observation.settled
        now = settled.rss if settled is not None else 0
        if starts != self._harness.starts:
            peak = 0
        self._peak = (self._harness.starts, max(peak, now))
        return len(self._harness.last_history) >= WARM_UP and now - peak > 2 * STEP
