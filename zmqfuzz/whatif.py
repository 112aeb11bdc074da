"""A finding played again with socket options that its program does not set: which of them mends it, and at what cost.

Contract: the program is unmodified; the options are set by the shim (:mod:`zmqfuzz.shim`) just before each bind (or
connect) of a socket of the finding's type. Each set has processes of its own, the first without any option. Nothing is
said to be mended but what ``times`` fresh processes no longer show, whose socket took the option, and which still
serve an honest client as they did without it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import trio
import zmq
from zmq.utils.monitor import recv_monitor_message

from zmqfuzz.assembly import Spec, run, same_door
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import invariants
from zmqfuzz.credentials import Credentials
from zmqfuzz.errors import TargetError, UsageError, ZmqfuzzError
from zmqfuzz.finding import Finding
from zmqfuzz.harness import Harness
from zmqfuzz.opened import OpenedSocket, Recorded, read
from zmqfuzz.probe import UNASKED, Prober
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.shim import environment
from zmqfuzz.sockopts import Set, written
from zmqfuzz.trial import ProbeResult, Surface
from zmqfuzz.zmtp.wire import Fill, Frame, peer_type

__all__ = ["CannotInject", "Tried", "Word", "describe", "whatif"]

IDLE = 1.5
"""Seconds that an honest client does nothing; it must still be connected then, as it is without the options."""

_CUT_IDLE = ("HEARTBEAT_", "TCP_", "HANDSHAKE_")
"""Options that may end the connection of a peer that does nothing."""

AGAIN = 2
"""Times that harm to an honest client must show again before it is told."""

SLOWER, NOTICED = 5.0, 0.25
"""An answer that takes so many times as long, and so many seconds, is told; less is the machine."""

_LARGEST = 32 << 20
"""Octets of an honest frame that is sent to see whether what was promised is still taken."""


class CannotInject(ZmqfuzzError):
    """The program's sockets are out of the shim's reach: nothing can be said."""

    exit_code = 3


class Word(StrEnum):
    """What a set of options does to a finding."""

    FIXED = "fixed"
    STILL = "still there"
    BROKEN = "breaks it"
    UNCLEAR = "inconclusive"


@dataclass(frozen=True, slots=True)
class Tried:
    """One set (empty: the program as it is): it was ``shown`` by so many of ``tried`` fresh processes.

    ``detail``: why, in a sentence. ``cost``: what an honest client saw. ``place``: the line of the socket.
    """

    options: Set
    word: Word
    shown: int = 0
    tried: int = 0
    detail: str = ""
    cost: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Calm:
    """What an honest client got without the options: the measure for what it gets with them."""

    level: str
    ok: bool
    stays: bool
    seconds: float


def whatif(
    finding: Finding, spec: Spec, sets: Sequence[Set], times: int, tell: Callable[[Tried], None], *, first: bool = False
) -> tuple[Tried, ...]:
    """Try each of ``sets``, until one mends it where ``first``; the program as it is comes before them all.

    Raises CannotInject, UsageError, TargetError (it does not start as it is), Interrupted.
    """
    if not spec.command:
        raise UsageError(
            "Options are set when a program starts, and this one was attached to; add -- COMMAND, which starts it."
        )
    if finding.code not in invariants():
        raise UsageError(f"This zmqfuzz knows no invariant {finding.code}; upgrade it to replay {finding.id}.")
    return run(lambda: _all(finding, spec, sets, times, tell, first))


async def _all(
    finding: Finding, spec: Spec, sets: Sequence[Set], times: int, tell: Callable[[Tried], None], first: bool
) -> tuple[Tried, ...]:
    before, calm = await _as_it_is(finding, spec, times, any(map(_may_cut, sets)))
    found = [before]
    tell(before)
    if before.word is Word.STILL:
        needed = times * max(1, before.tried)  # what shows now and then must not show in so many more
        for options in sets:
            found.append(await _one(finding, spec, options, needed, calm))
            tell(found[-1])
            if first and found[-1].word is Word.FIXED:
                break
    return tuple(found)


def _may_cut(options: Set) -> bool:
    return any(name.startswith(_CUT_IDLE) for name, _ in options)


async def _as_it_is(finding: Finding, spec: Spec, times: int, idle: bool) -> tuple[Tried, _Calm]:
    async with _started(spec, (), finding) as (harness, surface, served, folder):
        socket = _socket(read(folder), surface, spec)
        stays = idle and await _stays(surface, spec.credentials)
        calm = _Calm(served.level, served.ok, stays, served.seconds)
        shown, tried, doubts = await _play(harness, finding, surface, times)
    word = Word.STILL if shown else Word.UNCLEAR
    detail = "" if shown else "; ".join(doubts) or f"not seen in {tried} replays without any option: nothing to mend"
    return Tried((), word, shown, tried, detail, place=str(socket.place or "")), calm


@asynccontextmanager
async def _started(
    spec: Spec, options: Set, finding: Finding
) -> AsyncIterator[tuple[Harness, Surface, ProbeResult, Path]]:
    """The program with the shim and the options: its harness, the finding's door, how an honest client is answered."""
    verb = "connect" if spec.bind else "bind"
    with tempfile.TemporaryDirectory(prefix="zmqfuzz-", ignore_cleanup_errors=True) as name:
        env = environment(Path(name), os.environ, options, finding.surface.socket_type.upper(), verb)
        async with spec.harness(env=env) as harness:
            standing = await harness.standing()
            surface = same_door(finding.surface, harness.surfaces(standing))
            served = await harness.calibrate(surface.key)
            yield harness, surface, served, Path(name)


def _socket(recorded: Recorded, surface: Surface, spec: Spec) -> OpenedSocket:
    """The program's own socket of the door. Raises CannotInject."""
    verb = "connect" if spec.bind else "bind"
    name = spec.name or " ".join(spec.command)
    found = recorded.at(surface.address, surface.socket_type, verb)
    if found is not None:
        return found
    if any(one.versions for one in recorded.processes):
        why = f"none of its Python processes opened this {surface.socket_type} socket with pyzmq"
    elif recorded.processes:
        why = "its Python processes did not import pyzmq"
    else:
        why = "no Python process of it took our PYTHONPATH (another language, or python -I or -E)"
    raise CannotInject(f"Options cannot be injected into {name}: {why}; set them in its source, and replay {{id}}.")


async def _one(finding: Finding, spec: Spec, options: Set, times: int, calm: _Calm) -> Tried:
    try:
        return await _once(finding, spec, options, times, calm)
    except TargetError:  # said only when it does not start twice
        try:
            return await _once(finding, spec, options, times, calm)
        except TargetError as error:
            why = str(error).split("\n", 1)[0]
            return Tried(options, Word.BROKEN, detail=f"the program does not start with it: {why}")


async def _once(finding: Finding, spec: Spec, options: Set, times: int, calm: _Calm) -> Tried:
    async with _started(spec, options, finding) as (harness, surface, served, folder):
        refused = _refused(read(folder), surface, spec, options)
        if refused:
            return Tried(options, Word.UNCLEAR, detail=refused)
        harm = await _harm(harness, surface, spec, served, calm, options)
        for _ in range(AGAIN if harm else 0):  # a machine that is busy may be late once
            served = await harness.calibrate(surface.key)
            harm = harm and await _harm(harness, surface, spec, served, calm, options)
        if harm:
            return Tried(options, Word.BROKEN, detail=harm)
        shown, tried, doubts = await _play(harness, finding, surface, times)
    cost = _cost(served, calm)
    if shown:
        return Tried(options, Word.STILL, shown, tried, cost=cost)
    if doubts or not tried:
        return Tried(options, Word.UNCLEAR, shown, tried, "; ".join(doubts) or "nothing put it to the test", cost)
    return Tried(options, Word.FIXED, shown, tried, cost=cost)


def _refused(recorded: Recorded, surface: Surface, spec: Spec, options: Set) -> str:
    """Why the options are not in force at the door; empty: they are."""
    socket = _socket(recorded, surface, spec)
    taken = {one.name: one for one in socket.injected}
    for name, value in options:
        if name not in taken:
            return f"{name} did not reach the socket"
        if taken[name].error:
            return f"libzmq did not take {name}={value} ({taken[name].error})"
    return ""


async def _harm(harness: Harness, surface: Surface, spec: Spec, served: ProbeResult, calm: _Calm, options: Set) -> str:
    """What an honest client no longer gets, in a sentence; empty: it gets all that it did."""
    if calm.ok and not served.ok:
        return "an honest client is not let in any more"
    if served.level == UNASKED and calm.level != UNASKED:
        return f"an honest client is not let in any more: the door asks for {surface.mechanism}"
    if calm.level == "application" and served.level == "handshake":
        return "an honest client shakes hands, and is not answered any more"
    if calm.stays and _may_cut(options) and not await _stays(surface, spec.credentials):
        return f"an honest client that is idle for {IDLE:g} s is cut"
    limit = spec.limits.max_frame
    sized = any(name == "MAXMSGSIZE" for name, _ in options)
    if sized and limit and limit <= _LARGEST and surface.side == "bind" and surface.known:
        attack = _honest_frame(surface, limit)
        trials = await harness.fresh_trials((attack,), surface.key)
        violation = invariants()["ZF202"].judge(trials[-1], spec.limits) if trials else None
        if violation is not None:
            return violation.sentence
    return ""


def _honest_frame(surface: Surface, size: int) -> Attack:
    kind = peer_type(surface.socket_type)[0]
    shake = Shake("DEALER" if kind == "REQ" else kind, mechanism=surface.mechanism)
    steps = (Connect(), shake, Send((Frame(Fill(size)),)), Expect("close", within=1.0))
    return Attack((Script(steps, label="honest"),), strategy="control")


def _cost(served: ProbeResult, calm: _Calm) -> str:
    if served.level != "application":
        return "an honest client shakes hands as before"
    if served.seconds > max(SLOWER * calm.seconds, NOTICED):
        return f"an honest client is answered in {_short(served.seconds)} ({_short(calm.seconds)} without it)"
    return "an honest client is answered as before"


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


async def _stays(surface: Surface, credentials: Credentials) -> bool:
    """Whether an honest client that has shaken hands is still connected after it did nothing for IDLE seconds.

    True where that cannot be seen: the program connects to us, or the door wants what we do not have.
    """
    if surface.side != "bind" or not surface.known:
        return True
    return await trio.to_thread.run_sync(_idle, surface, credentials)


def _idle(surface: Surface, credentials: Credentials) -> bool:
    prober = Prober(None, credentials)
    try:
        with prober.socket(surface, getattr(zmq, peer_type(surface.socket_type)[0])) as sock:
            monitor = sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            try:
                sock.connect(surface.address)
                shaken, end = False, time.monotonic() + 5.0
                while (left := end - time.monotonic()) > 0 and monitor.poll(int(left * 1000) + 1):
                    if int(recv_monitor_message(monitor)["event"]) == zmq.EVENT_DISCONNECTED:
                        return not shaken
                    if not shaken:
                        shaken, end = True, time.monotonic() + IDLE
            finally:
                sock.disable_monitor()
                monitor.close(linger=0)
    finally:
        prober.close()
    return True


async def _play(harness: Harness, finding: Finding, surface: Surface, times: int) -> tuple[int, int, list[str]]:
    """Replay it on up to ``times`` fresh processes, until one shows it; how many did, of how many, and doubts."""
    entry, triage = invariants()[finding.code], Triage(harness)
    tried, doubts = 0, list[str]()
    for _ in range(1 if entry.examines == "rounds" else times):
        if entry.examines:
            seen = await triage.examine(entry, finding.attack, surface.key, None, times=1)
        else:
            attacks = (*finding.history, finding.attack)
            seen = await triage.confirm(attacks, surface.key, finding.code, times=1)
        tried += seen.tried
        doubts += seen.doubts
        if seen.shown:
            return seen.shown, tried, []
    return 0, tried, list(dict.fromkeys(doubts))


def describe(tried: Tried) -> str:
    """The set in words: ``as it is``, or as it is written to ``--set``."""
    return written(tried.options) if tried.options else "as it is"
