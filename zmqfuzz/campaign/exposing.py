"""What a target shows without an attack: it is looked at after its start and at the end, judged, and seen once more.

Contract: nothing is sent but the greeting that asks a listener whether it speaks ZMTP. What breaks a promise must be
there on a fresh process, too, where one can be started.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date

import trio

from zmqfuzz.binds import allows, every_address
from zmqfuzz.campaign.confirmed import Confirmed
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed
from zmqfuzz.campaign.naming import finding_of
from zmqfuzz.campaign.shown import libraries, places, tells, untold
from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.elsewhere import connect_from_elsewhere
from zmqfuzz.exposure import EXPOSURE, Exposure, Listening
from zmqfuzz.finding import Finding, Violation
from zmqfuzz.harness import Harness
from zmqfuzz.mapped import loaded
from zmqfuzz.permits import permissions
from zmqfuzz.script import Attack
from zmqfuzz.sockets import listening
from zmqfuzz.standing import Standing
from zmqfuzz.targets.identify import identify
from zmqfuzz.trial import Observation, Surface, Trial

__all__ = ["Exposing", "examine"]

ANSWER_WITHIN = 1.0
"""Seconds that a listener has to greet, where it is not a door that was found at the start."""

COME_UP = 2.5
"""Seconds that a fresh process has to show what another one showed."""

OWNERS = {"ZF651": "libzmq, known: the release that mends it is named below"}


async def look(harness: Harness, standing: Standing, before: Exposure | None = None) -> Exposure:
    """What one running target shows; what an earlier look ``before`` has asked is not asked again."""
    running = standing.running
    pids, surfaces = running.pids(), harness.surfaces(standing)
    known = {one.reach: one.zmtp for one in (before.listening if before is not None else ())}
    known |= {surface.address: True for surface in surfaces}
    found = [await _listening(one.reach, one.bound, one.pid, known.get(one.reach)) for one in listening(pids)]
    if before is not None:
        return Exposure(surfaces, tuple(found), before.loaded)
    return Exposure(surfaces, tuple(found), await trio.to_thread.run_sync(lambda: loaded(pids, ours=running.can_kill)))


async def look_from_elsewhere(harness: Harness, standing: Standing) -> tuple[Exposure, str]:
    """The same, with what could be connected to from another network namespace, where places are promised; and why
    that could not be tried."""
    seen = await look(harness, standing)
    ports = {one.bound: int(one.bound.rpartition(":")[2]) for one in seen.listening if _by_ipv4(one.bound)}
    if harness.limits.expose is None or not ports:
        return seen, ""
    if not _same_network(standing.running.pids()):
        return seen, "it is in another one than zmqfuzz itself"
    tried = await trio.to_thread.run_sync(connect_from_elsewhere, tuple(ports.values()))
    reached = {bound: tried.reached.get(port) for bound, port in ports.items()}
    probed = tuple(replace(one, reached=reached.get(one.bound)) for one in seen.listening)
    return replace(seen, listening=probed), tried.why


def _by_ipv4(bound: str) -> bool:
    """Whether it can be tried by the address of our wire: one address of another network says nothing of that one."""
    return bound.startswith("tcp://") and (every_address(bound) or allows(("tcp://127.0.0.0/8:*",), bound))


def _same_network(pids: Sequence[int]) -> bool:
    """Whether the processes are in our network namespace: else what is connected to is not theirs."""
    try:
        ours = os.readlink("/proc/self/ns/net")
        return {os.readlink(f"/proc/{pid}/ns/net") for pid in pids} == {ours}
    except OSError:
        return False


async def _listening(reach: str, bound: str, pid: int, zmtp: bool | None) -> Listening:
    if zmtp is None:
        zmtp = False  # of tcp it does not matter
        if reach.startswith("ipc://"):
            zmtp = await _greets(reach)
    path = reach.removeprefix("ipc://")
    if not reach.startswith("ipc:///"):
        return Listening(bound, zmtp, reach=reach)
    anyone, replaceable, why = permissions(path, f"/proc/{pid}/root")
    return Listening(f"ipc://{path}", zmtp, anyone, replaceable, why, reach=reach)


async def _greets(reach: str) -> bool:
    with suppress(OSError):  # nobody else can connect either, or it is full
        return await identify(reach, ANSWER_WITHIN) is not None
    return False


def _broken(seen: Exposure, harness: Harness) -> list[tuple[Invariant, Violation]]:
    """What a look shows to be broken."""
    entries = [entry for entry in invariants().values() if entry.examines == EXPOSURE]
    judged = [(entry, entry.judge(seen, harness.limits)) for entry in entries]
    return [(entry, violation) for entry, violation in judged if violation is not None]


def _shown(entry: Invariant, seen: Exposure, harness: Harness, signature: str) -> Violation | None:
    violation = entry.judge(seen, harness.limits)
    return violation if violation is not None and signature in ("", violation.signature) else None


async def examine(harness: Harness, entry: Invariant, signature: str = "") -> Confirmed:
    """Whether a fresh process (one that was attached to: the same again) breaks ``entry``, in the way of ``signature``.

    What is bound later than at the start has COME_UP seconds.
    """
    deadline = trio.current_time() + COME_UP
    began = time.monotonic()
    async with harness.examined() as standing:
        if not standing.running.pids():
            return Confirmed(0, 0, doubts=("there is no process to look at (pass -- COMMAND or --pid)",))
        seen, _ = await look_from_elsewhere(harness, standing)
        while (violation := _shown(entry, seen, harness, signature)) is None and trio.current_time() < deadline:
            await trio.sleep(0.2)
            seen = await look(harness, standing, seen)
        if violation is None and any(library.version is None for library in seen.loaded) and entry.code == "ZF651":
            return Confirmed(0, 0, doubts=("the version of its libzmq is not known",))
        return Confirmed(
            int(violation is not None), 1, violation, _trial(seen, time.monotonic() - began) if violation else None
        )


def _trial(seen: Exposure, seconds: float) -> Trial:
    """A look as a trial in which nothing was sent."""
    return Trial(Attack((), EXPOSURE), seen.surfaces[0], (), Observation(), seconds)


class Exposing:
    """Looks at the target of a run, and tells what is broken and what was seen."""

    def __init__(self, harness: Harness, plan: Plan, outcome: Outcome, tell: Callable[[Event], None]) -> None:
        self._harness = harness
        self._plan = plan
        self._outcome = outcome
        self._tell = tell
        self._told: set[tuple[str, str]] = set()
        self._seen: Exposure | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to look at."""
        declared = self._harness.limits.expose is not None
        return self._plan.exposure == "always" or (self._plan.exposure == "promised" and declared)

    @property
    def alone(self) -> bool:
        """Whether the run is about this and nothing else."""
        return self.wanted and not self._plan.families and self._plan.stop == "never"

    async def look(self) -> None:
        """The first look: all of it."""
        if not self.wanted:
            return
        standing = await self._harness.standing()
        if not standing.running.pids():
            self._outcome.not_covered.append(
                "where it listens, and which libzmq it runs: there is no process to watch (pass -- COMMAND or --pid)"
            )
            return
        self._seen, why = await look_from_elsewhere(self._harness, standing)
        if why:
            self._outcome.not_covered.append(f"what is reached from another network namespace: {why}")
        self._outcome.envelope.places = places(self._seen)
        self._outcome.envelope.libraries = libraries(self._seen)
        self._outcome.not_covered += untold(self._seen, self._harness.limits, date.today())
        await self._late(standing, self._seen)
        await self._judge(self._seen)

    async def glance(self) -> None:
        """What was bound since the first look, where places are promised; some milliseconds, to be done often: a
        process is started anew so often that one which binds late would not be seen at the end."""
        if self._seen is None or self._harness.limits.expose is None:
            return
        standing = await self._harness.standing()
        if standing.running.pids():
            await self._judge(await look(self._harness, standing, self._seen))

    async def look_again(self) -> None:
        """The last look, and what was put to the test."""
        if self._seen is None:
            return
        await self.glance()
        for entry in invariants().values():
            if entry.examines == EXPOSURE and entry.applies(self._harness.limits) and tells(self._seen, entry.code):
                self._outcome.checks[entry.code] += 1
        if self.alone or self._harness.limits.expose is not None:
            for surface in self._seen.surfaces:
                self._outcome.cases[(surface.key, EXPOSURE)] += 1

    async def _late(self, standing: Standing, seen: Exposure) -> None:
        """Tell of doors that were not open yet when those to attack were looked for."""
        known = {surface.address for surface in seen.surfaces}
        for one in seen.listening if standing.running.all_doors else ():
            if one.reach not in known and (one.zmtp or await _greets(one.reach)):
                said = f"{one.bound} speaks ZMTP, too, but opened late and was not attacked (give --ready sleep:5s)"
                self._outcome.doubts.append(said)

    async def _judge(self, seen: Exposure) -> None:
        for entry, violation in _broken(seen, self._harness):
            if (entry.code, violation.signature) in self._told:
                continue
            self._told.add((entry.code, violation.signature))
            surface = self._surface(seen, violation)
            self._tell(Suspected(surface, EXPOSURE, entry.code, violation.sentence))
            await self._confirm(entry, violation, surface, seen)

    def _surface(self, seen: Exposure, violation: Violation) -> Surface:
        """The door that a finding is told of: the first one that it names or is at, else the first."""
        said = {word.rstrip(",") for one in violation.measures for word in one.observed.split()}
        bound = {one.reach: one.bound for one in seen.listening}
        for surface in seen.surfaces:
            if said & {surface.key, surface.address, bound.get(surface.address, "")}:
                return surface
        return seen.surfaces[0]

    async def _confirm(self, entry: Invariant, violation: Violation, surface: Surface, seen: Exposure) -> None:
        shown, tried = 1, 1
        notes: tuple[str, ...] = ("it was attached to, so there was no fresh process to see it on",)
        if self._harness.target.restartable:
            again = await examine(self._harness, entry, violation.signature)
            shown, tried, notes = 1 + again.shown, 1 + again.tried, ()
            if again.violation is None:
                reason = f"{entry.code}? seen {shown} of {tried}: not counted as a finding"
                self._outcome.doubts.append(f"{surface.key}: {reason}")
                self._tell(Unconfirmed(surface, EXPOSURE, entry.code, reason))
                return
        trial = replace(_trial(seen, 0.0), surface=surface)
        finding = told(violation, trial, self._harness.target.name, shown, tried, notes)
        self._outcome.findings.append(finding)
        self._tell(Found(finding, trial, evidence=(seen,)))


def told(
    violation: Violation, trial: Trial, target: str, confirmed: int, tried: int, notes: tuple[str, ...]
) -> Finding:
    """The finding; nothing was sent for it."""
    made = finding_of(violation, trial, target, confirmed=confirmed, tried=tried, notes=notes)
    owner = OWNERS.get(violation.code, "application")
    return replace(made, sentence=violation.sentence, owner=owner, control="nothing is sent, so there is none")
