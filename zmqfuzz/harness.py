"""One attack, one door, one Trial.

The harness keeps one process of the target running, replaces it when it is gone or no longer to be trusted, and
never judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import trio

from zmqfuzz.acquaint import acquaint
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.canary import Canary
from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import connect
from zmqfuzz.errors import TargetDidNotStart, TargetVanished
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.peer import Dial
from zmqfuzz.probe import UNASKED, Prober, UserProbe
from zmqfuzz.script import Attack
from zmqfuzz.seeds import Heard
from zmqfuzz.standing import Standing
from zmqfuzz.target import Running, Target
from zmqfuzz.trial import Observation, ProbeResult, Sample, Surface, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role

__all__ = ["REST", "ROUND_SETTLE", "Harness", "Reference"]

SETTLE = 0.3
"""Seconds a trial waits for the target's descriptors to come back before it is written down as it is."""

ROUND_SETTLE = 1.0
"""The same for a round of an examination, once the target is at rest again."""

ROUND_UNMOVED = 0.3
"""Of a target at rest: what has not moved for so long stays."""

REST = 8.0
"""Seconds an examination waits for the target to have worked off what it was sent."""

MOST_HISTORY = 200
"""Attacks before the last one that a finding may need."""

QUICK_PROBE = 0.02
PROBE_EVERY = 0.5
PROBE_SHARE = 10
"""A probe that takes longer than QUICK_PROBE seconds is asked every PROBE_EVERY seconds, and every PROBE_SHARE times
what it usually takes."""


Reference = Callable[[Surface, str], Target | None]
"""Makes a bare socket like the one behind a door, from the shared library at a path; None: that is not possible."""


class Harness:
    """Plays attacks against one target. All methods belong to one trio task."""

    def __init__(
        self,
        target: Target,
        *,
        limits: Limits | None = None,
        budget: Budget | None = None,
        probe: UserProbe = None,
        credentials: Credentials | None = None,
        listeners: Listeners | None = None,
        start_within: float = 20.0,
        reference: Reference | None = None,
    ) -> None:
        self.target = target
        self.limits = limits or Limits()
        self.budget = budget or Budget()
        self.starts = 0
        self.trials = 0
        self.last_history: tuple[Attack, ...] = ()
        self.reference = reference
        self._user_probe = probe
        self.credentials = credentials or Credentials()
        self._met_doors: dict[str, Surface] = {}
        self._probers: dict[str, Prober] = {}
        self.heard: defaultdict[str, Heard] = defaultdict(Heard)
        self._canary = Canary()
        self._listeners = listeners
        self._start_within = start_within
        self._stack = AsyncExitStack()
        self._standing: Standing | None = None

    async def __aenter__(self) -> Harness:
        if self._listeners is not None:
            await self._listeners.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._canary.close()
        await self._stop()
        for prober in self._probers.values():
            prober.close()
        if self._listeners is not None:
            self._listeners.close()

    # processes

    async def standing(self) -> Standing:
        """The process that runs now; a new one where the old one is gone or spoiled."""
        if self._standing is not None and not self._standing.usable:
            if not self.target.restartable:
                return self._same(self._standing)
            await self._stop()
        if self._standing is None:
            self._standing = await self._stack.enter_async_context(self._fresh())
        return self._standing

    def _same(self, standing: Standing) -> Standing:
        """An attached process cannot be replaced: it goes on as it is, or has ended."""
        if standing.running.exit() is not None:
            raise TargetVanished(f"{self.target.name} has ended and was not started by zmqfuzz; start it again.")
        return standing

    async def _stop(self) -> None:
        self._standing = None
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def _fresh(self) -> AsyncIterator[Standing]:
        if self._listeners is not None:
            await self._listeners.drop_pending()
        async with self.target.run() as running:
            self.starts += 1
            if self._listeners is not None:
                await self._met(self._listeners, running)
            standing = Standing(running, self.limits.hard_cap)
            for surface in running.surfaces:
                if surface.key not in self._met_doors:
                    self._met_doors[surface.key] = await acquaint(surface, self.credentials)
            try:
                yield standing
            finally:
                standing.observer.close()
                self._canary.clear()

    async def _met(self, listeners: Listeners, running: Running) -> None:
        """Wait until the target has connected to us everywhere. Raises TargetDidNotStart."""

        async def watch(scope: trio.CancelScope) -> None:
            while running.exit() is None:
                await trio.sleep(0.05)
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, nursery.cancel_scope)
            await listeners.learn(self._start_within)
            nursery.cancel_scope.cancel()
        said = f" It said last:\n{running.log_tail().strip()[-1000:] or '(nothing)'}"
        if running.exit() is not None:
            raise TargetDidNotStart(f"{self.target.name} ended before it connected to us; correct what it says.{said}")
        if not listeners.surfaces:
            raise TargetDidNotStart(
                f"{self.target.name} did not connect within {self._start_within:g} s; does it connect to the --bind "
                f"endpoint, and from the start? --start-within gives it longer.{said}"
            )

    @asynccontextmanager
    async def examined(self) -> AsyncIterator[Standing]:
        """A process for an examination: a fresh one where that is possible. It is the only one while it runs."""
        if self.target.restartable:
            await self._stop()
            async with self._fresh() as standing:
                yield standing
        else:
            yield await self.standing()

    def surfaces(self, standing: Standing) -> tuple[Surface, ...]:
        """The doors of a process."""
        if self._listeners is not None:
            return self._listeners.surfaces
        return tuple(
            replace(self._met_doors[surface.key], address=surface.address) for surface in standing.running.surfaces
        )

    def surface(self, standing: Standing, key: str) -> Surface:
        """The door called ``key`` in this process. Raises TargetVanished."""
        for surface in self.surfaces(standing):
            if surface.key == key:
                return surface
        raise TargetVanished(f"{self.target.name}: the door {key} was not there after a restart.")

    # asking

    async def calibrate(self, key: str) -> ProbeResult:
        """Learn how an honest client is answered at this door, before anything is attacked."""
        surface = self.surface(await self.standing(), key)
        if self._listeners is not None:
            return await self._listeners.calibrate(surface, self.heard[key])
        return await trio.to_thread.run_sync(self._prober(key).calibrate, surface)

    def _prober(self, key: str) -> Prober:
        if key not in self._probers:
            self._probers[key] = Prober(self._user_probe, self.credentials, self.heard[key])
        return self._probers[key]

    async def _ask(self, surface: Surface, within: float) -> ProbeResult:
        if self._listeners is not None:
            return await self._listeners.ask(surface, within)
        return await trio.to_thread.run_sync(self._prober(surface.key).ask, surface, within)

    def _due(self, standing: Standing, key: str) -> bool:
        prober = self._probers.get(key)
        usual = prober.usual if prober is not None else 0.0
        every = 0.0 if prober is not None and usual < QUICK_PROBE else max(PROBE_EVERY, PROBE_SHARE * usual)
        return trio.current_time() - standing.probed_at >= every

    async def _served(self, standing: Standing, surface: Surface, recover: float) -> tuple[ProbeResult, ...]:
        """Ask, patiently: a first short question, and where it fails a long one while the process lives."""
        standing.probed_at = trio.current_time()
        first = await self._ask(surface, 0.5)
        if first.level == UNASKED:
            return ()
        if first.ok or standing.running.exit() is not None:
            return (first,)
        return (await self._ask(surface, recover),)

    # playing

    async def trial(self, attack: Attack, key: str, *, ask: bool = False, rest: bool = False) -> Trial:
        """Play one attack on the process that runs now. ``ask``: probe in any case, not only when it is due.

        ``rest``: wait until the target has worked off what it was sent before it is looked at.
        """
        settle = ROUND_SETTLE if rest else SETTLE
        return await self.play(await self.standing(), attack, key, ask=ask, rest=rest, settle=settle)

    async def fresh_trials(
        self, attacks: tuple[Attack, ...], key: str, *, recover: float | None = None
    ) -> tuple[Trial, ...]:
        """Play ``attacks`` in order on one fresh process, asking after each; stop when the process is gone.

        ``recover`` seconds to serve again, where the limit's own would make a search too long.
        """
        trials = []
        async with self.examined() as standing:
            await self.warm(standing, key)
            for attack in attacks:
                trials.append(await self.play(standing, attack, key, ask=True, recover=recover))
                if standing.running.exit() is not None:
                    break
        return tuple(trials)

    async def warm(self, standing: Standing, key: str) -> Surface:
        """Ask once, so that the first attack does not meet a process that has never served; the door."""
        surface = self.surface(standing, key)
        await self._ask(surface, self.limits.recover)
        return surface

    async def play(
        self,
        standing: Standing,
        attack: Attack,
        key: str,
        *,
        ask: bool,
        rest: bool = False,
        settle: float = SETTLE,
        recover: float | None = None,
    ) -> Trial:
        """One Trial on ``standing``. ``rest``: wait until the target has worked off what it was sent."""
        surface = self.surface(standing, key)
        observer, running = standing.observer, standing.running
        listeners, role = self._listeners, Role.CLIENT if self._listeners is None else Role.SERVER
        dial: Dial = partial(_dial, surface.address) if listeners is None else listeners.dial(surface)
        self.trials += 1
        self.last_history = tuple(standing.history[-MOST_HISTORY:])
        standing.history.append(attack)
        meter = Meter()
        observer.begin(meter)
        baseline = observer.sample()
        held: Sample | None = None

        async def on_held() -> None:
            nonlocal held
            if meter.sent > 256 * 1024:
                await observer.steady(REST if rest else 0.5)
            held = observer.sample()

        async with observer.watching() as capped:
            transcripts = await inject(
                self._canary.armed(attack),
                dial,
                meter,
                role=role,
                credentials=self.credentials,
                seconds=self.budget.trial_seconds,
                held=on_held,
                stop=capped,
            )
        if baseline is not None and running.exit() is None:
            if rest and not await observer.steady(REST):
                standing.restless = True
            await observer.descriptors_back(baseline.descriptors, settle, unmoved=ROUND_UNMOVED if rest else None)
        settled = observer.sample()
        seconds = meter.now()
        probes: tuple[ProbeResult, ...] = ()
        if not observer.capped and running.exit() is None and (ask or self._due(standing, key)):
            probes = await self._served(standing, surface, self.limits.recover if recover is None else recover)
        if probes and not probes[-1].ok:
            await trio.sleep(0.05)  # a process that is just dying is told as dead, not as deaf
            standing.spoiled = True
        gone = running.exit()
        stuck = baseline is not None and settled is not None and settled.descriptors > baseline.descriptors
        observation = Observation(
            baseline,
            held,
            settled,
            tuple(observer.series),
            probes,
            gone,
            running.log_tail() if gone is not None or standing.spoiled else "",
            observer.capped or running.killed_at_cap,
            observer.abandoned() if gone is None and (rest or stuck) else 0,
            executed=await self._canary.executed(attack, patient=ask),
        )
        self.heard[key].learn(transcripts)
        return Trial(attack, surface, transcripts, observation, seconds)


async def _dial(address: str, buffer: int | None = None, /) -> trio.socket.SocketType:
    with trio.fail_after(3.0):
        return await connect(address, buffer)
