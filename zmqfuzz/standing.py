"""One started target and what is known of it: the state that its attacks share."""

from __future__ import annotations

import re

import trio

from zmqfuzz.collecting import Collector
from zmqfuzz.observer import Observer, Quiet
from zmqfuzz.script import Attack
from zmqfuzz.target import Running

__all__ = ["Standing"]


MOST_HISTORY = 200
MOST_PLAYED = 1500
"""Attacks before the last one that a finding may need, and scripts of all of them together."""


_ERROR = re.compile(
    r"^(?:Traceback \(most recent call last\):|Exception in thread \S|(?:thread '[^'\n]*' .*panicked at)|panic: "
    r"|Unhandled exception|(?:Uncaught|Unhandled)\w* |#<Thread:\S+ .*terminated with exception"
    r"|[A-Za-z_][\w.]*(?:Error|Exception): )",
    re.MULTILINE,
)
"""How runtimes begin to tell of an error that nothing has caught, or that was logged with its traceback: Python, the
JVM, Rust, Go, .NET, Node, Ruby."""

GIVEN_BACK, STEADY = 0.2, 2.0
"""Seconds after a collection until a Java virtual machine begins to give memory back (OpenJDK
``g1UncommitRegionTask.hpp``: 100 ms), and that this may take."""


class Standing:
    """One running process of the target, with what watches it and what was played against it."""

    def __init__(self, running: Running, hard_cap: int, quiet: Quiet | None = None) -> None:
        self.running = running
        self.observer = Observer(running, hard_cap, quiet)
        self.collector = Collector(running.pids) if running.can_kill else None
        self.history: list[Attack] = []
        self.spoiled = False
        self.restless = False
        self.probed_at = 0.0
        self.looked = ""
        self.answered = False  # an honest client, since the last attack

    def complains(self) -> bool:
        """Whether it has written of an error, since this was asked last."""
        last, self.looked = self.looked, self.running.log_tail()
        return self.looked != last and self.complained()

    def complained(self) -> bool:
        """Whether what it wrote last tells of an error."""
        return _ERROR.search(self.running.log_tail()) is not None

    @property
    def usable(self) -> bool:
        """Whether another attack on this process would mean anything."""
        return not self.spoiled and self.running.exit() is None

    async def collect(self, *, wanted: bool = True) -> None:
        """Let what is no longer in use be given up, where that waits for being asked."""
        if wanted and self.collector is not None and self.running.exit() is None:
            await trio.to_thread.run_sync(self.collector.collect)
            if self.collector.machines:
                await trio.sleep(GIVEN_BACK)
                await self.observer.steady(STEADY)

    @property
    def uncollected(self) -> bool:
        """Whether what is resident may be no longer in use, and could not be given up."""
        return self.collector is not None and self.collector.failed

    def close(self) -> None:
        """Remove what the processes left of being asked; to be called when they have ended."""
        if self.collector is not None:
            self.collector.close()

    def recent(self) -> tuple[Attack, ...]:
        """The last attacks that were played against it, in order."""
        scripts, count = 0, 0
        for attack in reversed(self.history[-MOST_HISTORY:]):
            scripts += len(attack.scripts)
            if scripts > MOST_PLAYED and count:
                break
            count += 1
        return tuple(self.history[len(self.history) - count :])
