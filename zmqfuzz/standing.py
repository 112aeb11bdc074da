"""One started target and what is known of it: the state that its attacks share."""

from __future__ import annotations

from zmqfuzz.observer import Observer
from zmqfuzz.script import Attack
from zmqfuzz.target import Running

__all__ = ["Standing"]


class Standing:
    """One running process of the target, with what watches it and what was played against it."""

    def __init__(self, running: Running, hard_cap: int) -> None:
        self.running = running
        self.observer = Observer(running, hard_cap)
        self.history: list[Attack] = []
        self.spoiled = False
        self.restless = False
        self.probed_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether another attack on this process would mean anything."""
        return not self.spoiled and self.running.exit() is None
