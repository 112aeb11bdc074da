"""One attack, one door, one Trial.

The harness keeps one process of the target running, replaces it when it is gone or no longer to be trusted, and
never judges.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import trio

from zmqfuzz.acquaint import acquaint, locked
from zmqfuzz.aside import Inside, Reference
from zmqfuzz.asking import Asking
from zmqfuzz.budget import WAITING, Budget, Limits
from zmqfuzz.bystander import Bystanders
from zmqfuzz.canary import Canary
from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import Place, connect_soon
from zmqfuzz.errors import TargetDidNotStart, TargetVanished
from zmqfuzz.holding import held_by
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.observer import Quiet
from zmqfuzz.older import attack_at
from zmqfuzz.parked import patience
from zmqfuzz.peer import Dial
from zmqfuzz.probe import UserProbe
from zmqfuzz.script import Attack
from zmqfuzz.settling import GIVES_UP, KNOWN_DEAF, REST, ROUND_SETTLE, ROUND_UNMOVED, SETTLE
from zmqfuzz.standing import Standing
from zmqfuzz.target import Running, Target
from zmqfuzz.trial import Examination, Observation, ProbeResult, Sample, Surface, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role

__all__ = ["Harness"]


class Harness:
    """Plays attacks against one target. All methods belong to one trio task.

    ``between`` is called before each attack: there a run can be cancelled with none of them broken off. ``tap`` is
    given each trial, and what examinations are made of them, with the number of the target's start.
    """

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
        inside: Inside | None = None,
        counter: str = "",
        asks: Sequence[tuple[bytes, ...]] = (),
    ) -> None:
        """``counter``: a command that prints how many messages the target has taken; ``asks``: see Prober."""
        self.target = target
        self.limits = limits or Limits()
        self.budget = budget or Budget.waiting_out(self.limits)
        self.starts = self.trials = 0
        self.last_history: tuple[Attack, ...] = ()
        self.between: Callable[[], None] = lambda: None
        self.tap: Callable[[Trial | Examination, int], None] = lambda *_: None
        self.deaf, self._quiet = set[str](), Quiet()
        self.reference = reference
        self.inside: dict[str, tuple[str, str]] = {}
        self._inside = inside
        self.counter = counter
        self.credentials = credentials or Credentials()
        self._met_doors: dict[str, Surface] = {}
        self._bystanders = Bystanders(self.limits.beside)
        self.asking = Asking(probe, self.credentials, listeners, self._bystanders, asks)
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
        self.asking.close()
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

    def renew(self) -> None:
        """Trust the process that runs now no more: what was done with it has been broken off."""
        if self._standing is not None:
            self._standing.spoiled = True

    async def _stop(self) -> None:
        self._standing = None
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def look_inside(self) -> None:
        """Learn, once a run, which lines of the target open its doors: kept in ``inside``, where it can be known."""
        look, self._inside = self._inside, None
        if look is not None:
            await self._stop()  # two of them may want the same port
            self.inside = await look()

    @asynccontextmanager
    async def _fresh(self) -> AsyncIterator[Standing]:
        if self._listeners is not None:
            await self._listeners.drop_pending()
        async with AsyncExitStack() as after, self.target.run() as running:
            self.starts += 1
            if self._listeners is not None:
                await self._met(self._listeners, running)
            standing = Standing(running, self.limits.hard_cap, self._quiet)
            after.callback(standing.close)
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
            return locked(self._listeners.surfaces, self.credentials)
        met = [replace(self._met_doors[surface.key], address=surface.address) for surface in standing.running.surfaces]
        return locked(met, self.credentials)

    def surface(self, standing: Standing, key: str) -> Surface:
        """The door called ``key`` in this process. Raises TargetVanished."""
        for surface in self.surfaces(standing):
            if surface.key == key:
                return surface
        raise TargetVanished(f"{self.target.name}: the door {key} was not there after a restart.")

    async def calibrate(self, key: str) -> ProbeResult:
        """Learn how an honest client is answered at this door, before anything is attacked."""
        result = await self.asking.calibrate(self.surface(await self.standing(), key), partial(self._anew, key))
        await (await self.standing()).observer.learn_rest()
        return result

    async def _anew(self, key: str) -> Surface:
        if self.target.restartable:
            await self._stop()
        return self.surface(await self.standing(), key)

    @property
    def asked_beside(self) -> int:
        """How often an honest client was asked while others held connections."""
        return self._bystanders.asked

    # playing

    async def trial(self, attack: Attack, key: str, *, ask: bool = False, rest: bool = False) -> Trial:
        """Play one attack on the process that runs now. ``ask``: probe in any case, not only when it is due.

        ``rest``: wait until the target has worked off what it was sent before it is looked at.
        """
        settle = ROUND_SETTLE if rest else SETTLE
        beside = None if rest or attack.at_once else 0.0
        recover, now = KNOWN_DEAF if key in self.deaf else None, await self.standing()
        return await self.play(now, attack, key, ask=ask, rest=rest, settle=settle, recover=recover, beside=beside)

    async def fresh_trials(
        self, attacks: tuple[Attack, ...], key: str, *, recover: float | None = None
    ) -> tuple[Trial, ...]:
        """Play ``attacks`` in order on one fresh process, asking after each; stop when it is gone, or serves nobody.

        ``recover`` seconds to serve again, where the limit's own would make a search too long.
        """
        trials = []
        async with self.examined() as standing:
            await self.warm(standing, key)
            for attack in attacks:
                trials.append(await self.play(standing, attack, key, ask=True, recover=recover))
                if not standing.usable:
                    break
        return tuple(trials)

    async def warm(self, standing: Standing, key: str) -> Surface:
        """Ask once, so that the first attack does not meet a process that has never served; the door."""
        surface = self.surface(standing, key)
        await self.asking.warm(surface, self.limits.recover)
        return surface

    async def play(
        self,
        standing: Standing,
        attack: Attack,
        key: str,
        *,
        ask: bool | None,
        rest: bool = False,
        settle: float = SETTLE,
        recover: float | None = None,
        beside: float | None = None,
    ) -> Trial:
        """One Trial on ``standing``. ``rest``: wait until the target has worked off what it was sent.

        ``ask`` whether an honest client is served: in any case; False: where it is time for that; None: never.
        ``beside``: an honest client's patience while the peers hold their connections (:class:`Bystanders`).
        """
        self.between()
        surface = self.surface(standing, key)
        attack = attack_at(attack, surface)
        observer, running = standing.observer, standing.running
        listeners, role = self._listeners, Role.CLIENT if self._listeners is None else Role.SERVER
        dial: Dial = partial(connect_soon, surface.address) if listeners is None else listeners.dial(surface)
        self.trials += 1
        self.last_history = standing.recent()
        standing.history.append(attack)
        meter = Meter()
        await standing.collect(wanted=rest)
        observer.begin(meter)
        baseline = observer.sample()
        held: Sample | None = None
        witness = self._bystanders.witness(attack, surface, observer, beside, meter.now)
        await witness.before()

        async def on_held() -> None:
            nonlocal held
            if meter.sent > 256 * 1024 and not attack.at_once:  # many small attacks hold nothing much
                await observer.steady(REST if rest else 0.5)
            if rest and listeners is not None and held_by(attack).open:
                await trio.sleep(GIVES_UP)
            await standing.collect(wanted=rest)
            held = observer.sample()
            if held is not None and running.exit() is None:
                await witness.during()

        async with observer.watching() as capped:
            transcripts = await inject(
                self._canary.armed(attack),
                dial,
                meter,
                role=role,
                credentials=self.credentials,
                seconds=max(self.budget.trial_seconds, patience(attack) / WAITING),
                held=on_held,
                stop=capped,
                place=Place.at(surface.address) if attack.at_once and listeners is None else None,
            )
        if baseline is not None and running.exit() is None:
            if rest and not await observer.steady(REST):
                standing.restless = True
            await standing.collect(wanted=rest)
            await observer.descriptors_back(baseline.descriptors, settle, unmoved=ROUND_UNMOVED if rest else None)
        settled = observer.sample()
        stuck = baseline is not None and settled is not None and settled.descriptors > baseline.descriptors
        abandoned = observer.abandoned() if rest or stuck else 0  # before honest clients come, and go again
        seconds = meter.now() - witness.took
        await witness.after()
        probes: tuple[ProbeResult, ...] = ()
        if (
            not observer.capped
            and running.exit() is None
            and ask is not None
            and (ask or witness.unserved or self.asking.due(standing, key))
        ):
            at = meter.now()
            fresh, patient = standing is not self._standing, self.limits.recover if recover is None else recover
            asked = await self.asking.served(standing, surface, patient, fresh=fresh)
            probes = tuple(replace(one, at=at) for one in asked)
        if probes and not probes[-1].ok:
            await trio.sleep(0.05)  # a process that is just dying is told as dead, not as deaf
            standing.spoiled = True
        standing.answered, gone = bool(probes) and probes[-1].ok, running.exit()
        observation = Observation(
            baseline,
            held,
            settled,
            tuple(observer.series),
            probes,
            gone,
            running.log_tail() if gone is not None or standing.spoiled else "",
            observer.capped or running.killed_at_cap,
            abandoned if gone is None else 0,
            executed=await self._canary.executed(attack, patient=bool(ask)),
            beside=witness.seen,
            surge=observer.surged(),
        )
        self.asking.heard[key].learn(transcripts)
        trial = Trial(attack, surface, transcripts, observation, seconds)
        self.tap(trial, self.starts)
        return trial
