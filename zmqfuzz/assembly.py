"""Puts a run together from a plain description of the target: what the command line and the pytest plugin share."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar

import trio

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.confirmed import Confirmed
from zmqfuzz.campaign.events import Event, Outcome, Plan
from zmqfuzz.campaign.exposing import examine as look_at
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import invariants
from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import check_allowed
from zmqfuzz.errors import TargetVanished, UsageError
from zmqfuzz.exposure import EXPOSURE
from zmqfuzz.finding import Finding
from zmqfuzz.harness import Harness
from zmqfuzz.listener import Listeners
from zmqfuzz.probe import UserProbe
from zmqfuzz.seeds import Message
from zmqfuzz.target import Target
from zmqfuzz.targets.attached import AttachedTarget
from zmqfuzz.targets.child import ChildTarget, parse_signal
from zmqfuzz.targets.library import HOST, hosted
from zmqfuzz.trial import Examination, Surface, Trial
from zmqfuzz.watched import inside
from zmqfuzz.zmtp.wire import SOCKET_TYPES

__all__ = ["Interrupted", "Replayed", "Spec", "check", "replay", "replayed", "run", "same_door"]

T = TypeVar("T")


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: everything was stopped and cleaned up."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A target, described by plain values that can be saved beside a finding and read back.

    ``command`` starts it; without one ``connect`` (and ``pid``) attach to what runs. ``bind``: endpoints where we
    listen and the target connects to us. ``stop_signal`` tells it to stop. ``inventory``: where something is found, it
    is started once more with the shim, to learn which line opens the socket. ``probe`` is the user's own check of the
    service, ``counter`` their command that prints how many messages it has taken; ``asks``: recorded messages
    that honest clients ask; ``credentials`` are what the target
    asks its peers for.
    """

    command: tuple[str, ...] = ()
    cwd: str | None = None
    connect: tuple[str, ...] = ()
    pid: int | None = None
    bind: tuple[str, ...] = ()
    socket_type: str = ""
    name: str | None = None
    ready: str = "handshake"
    start_within: float = 20.0
    stop_signal: str = "SIGTERM"
    allow_remote: tuple[str, ...] = ()
    probe: UserProbe = None
    inventory: bool = True
    counter: str = ""
    asks: tuple[Message, ...] = ()
    credentials: Credentials = field(default_factory=Credentials)
    limits: Limits = field(default_factory=Limits)

    def to_plain(self) -> dict[str, Any]:
        """For JSON; a probe that is a function cannot be saved and is left out, and so are secrets."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "limits"}
        plain["credentials"] = self.credentials.to_plain()
        plain["asks"] = [[frame.hex() for frame in message] for message in self.asks]
        plain["probe"] = self.probe if isinstance(self.probe, str) else None
        plain["limits"] = {item.name: getattr(self.limits, item.name) for item in fields(Limits)}
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], credentials: Credentials | None = None) -> Spec:
        """Read what ``to_plain`` wrote; ``credentials`` are given again. Raises UsageError: unreadable, or too few."""
        known = {item.name for item in fields(cls)}
        try:
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in plain.items()
                if name in known and name not in ("limits", "credentials")
            }
            values["asks"] = tuple(tuple(map(bytes.fromhex, message)) for message in plain.get("asks", ()))
            whole = Credentials.from_plain(plain.get("credentials", {}), credentials)
            limits: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in plain.get("limits", {}).items()
            }
            return cls(**values, credentials=whole, limits=Limits(**limits))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The saved description of the target cannot be read ({error}); give -- COMMAND."
            ) from error

    def target(self, env: Mapping[str, str] | None = None) -> Target:
        """The adapter for this description; ``env`` is added where it is started. Raises UsageError: no sense in it."""
        if self.socket_type and self.socket_type.upper() not in SOCKET_TYPES:
            raise UsageError(f"There is no socket type {self.socket_type!r}; there are {', '.join(SOCKET_TYPES)}.")
        for endpoint in (*self.connect, *self.bind):
            if "{" not in endpoint:
                check_allowed(endpoint, self.allow_remote)
        if self.command:
            return ChildTarget(
                self.command,
                name=self.name or _program(self.command),
                cwd=self.cwd,
                env=env,
                endpoints=self.bind or self.connect,
                socket_type=self.socket_type,
                start_within=self.start_within,
                hard_cap=self.limits.hard_cap,
                ready=self.ready,
                connecting=bool(self.bind),
                stop_signal=parse_signal(self.stop_signal),
                copies=HOST in self.command and not self.bind,
            )
        if self.bind:
            raise UsageError("--bind needs the program that connects to it: add -- COMMAND.")
        if not self.connect and self.pid is None:
            raise UsageError("Nothing to test: give -- COMMAND to start a program, or --connect ENDPOINT to attach.")
        return AttachedTarget(self.connect, pid=self.pid, socket_type=self.socket_type, name=self.name or "")

    def _listeners(self) -> Listeners:
        return Listeners(self.bind, self.socket_type, self.allow_remote, self.credentials, self.asks)

    def harness(self, budget: Budget | None = None, env: Mapping[str, str] | None = None) -> Harness:
        """A harness for this target; ``env`` is added to its environment."""
        return Harness(
            self.target(env),
            limits=self.limits,
            budget=budget,
            probe=self.probe,
            credentials=self.credentials,
            listeners=self._listeners() if self.bind else None,
            start_within=self.start_within,
            reference=None if self.bind else _bare_socket,
            inside=partial(inside, self.target) if self.command and not self.bind and self.inventory else None,
            counter=self.counter,
            asks=self.asks,
        )


def _bare_socket(surface: Surface, library: str, rcvhwm: int) -> tuple[Target, Credentials]:
    """A bare socket that listens, made from the libzmq at ``library``, behind the same lock. Raises UsageError."""
    made = hosted(library, surface.socket_type, mechanism=surface.mechanism or "null")
    command = (*made.command, "--rcvhwm", str(rcvhwm))
    spec = Spec(command, name="a bare socket", credentials=made.known())
    return spec.target(), spec.credentials


def _program(command: tuple[str, ...]) -> str:
    """A short name for what a command runs, the same on every machine: the script or module, else the program."""
    words = list(command)
    for place, word in enumerate(words[1:], 1):
        if word == "-m" and place + 1 < len(words):
            return words[place + 1]
        if not word.startswith("-"):
            if os.path.isfile(word):
                return os.path.basename(word)
            break
    return os.path.basename(words[0])


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` under trio; SIGINT and SIGTERM cancel it, which cleans up, and raise Interrupted.

    Only the first signal counts: the cleaning up ends by itself within seconds, and another signal in the middle of
    it would leave processes behind. To be called from the main thread.
    """
    interrupted = False
    cancel: Callable[[], None] | None = None

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        if cancel is not None:
            with contextlib.suppress(trio.RunFinishedError):  # nothing is left to be cancelled
                cancel()

    async def guarded() -> T:
        nonlocal cancel
        with trio.CancelScope() as scope:
            token = trio.lowlevel.current_trio_token()
            cancel = partial(token.run_sync_soon, scope.cancel, idempotent=True)
            if interrupted:
                scope.cancel()
            result = await work()
        if interrupted:
            raise Interrupted
        return result

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return trio.run(guarded)
    except BaseExceptionGroup as group:
        raise _single(group) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error inside a nursery's group; the group itself when there are several."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def check(
    spec: Spec,
    plan: Plan,
    tell: Callable[[Event], None],
    budget: Budget | None = None,
    tap: Callable[[Trial | Examination, int], None] | None = None,
) -> Outcome:
    """Run a campaign; ``tap`` as of :class:`Harness`. Raises ZmqfuzzError, Interrupted (what was found was told)."""

    async def work() -> Outcome:
        async with spec.harness(budget) as harness:
            harness.tap = tap or harness.tap
            return await Campaign(harness, plan, tell).run()

    return run(work)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay saw; ``confirmed.holds`` means that the finding is still there."""

    confirmed: Confirmed
    surface: Surface


async def replayed(harness: Harness, finding: Finding, times: int = 3) -> Replayed:
    """Play a finding's attacks on fresh processes and judge them by its invariant. Raises ZmqfuzzError."""
    standing = await harness.standing()
    surface = same_door(finding.surface, harness.surfaces(standing))
    await harness.calibrate(surface.key)
    entry = invariants().get(finding.code)
    if entry is None:
        raise UsageError(f"This zmqfuzz knows no invariant {finding.code}; upgrade it to replay {finding.id}.")
    triage = Triage(harness)
    if entry.examines == EXPOSURE:
        return Replayed(await look_at(harness, entry), surface)
    if entry.examines:
        return Replayed(await triage.examine(entry, finding.attack, surface.key, None), surface)
    return Replayed(await triage.confirm((*finding.history, finding.attack), surface.key, finding.code, times), surface)


def replay(finding: Finding, spec: Spec, *, times: int = 3, budget: Budget | None = None) -> Replayed:
    """:func:`replayed` with a harness of its own, from the main thread. Raises ZmqfuzzError, Interrupted."""

    async def work() -> Replayed:
        async with spec.harness(budget) as harness:
            return await replayed(harness, finding, times)

    return run(work)


def same_door(wanted: Surface, surfaces: tuple[Surface, ...]) -> Surface:
    """The door that a finding was made at, in a target that may have been mended or moved since."""
    for same in (
        lambda surface: surface.key == wanted.key,
        lambda surface: surface.socket_type == wanted.socket_type and surface.index == wanted.index,
        lambda surface: surface.socket_type == wanted.socket_type,
        lambda surface: len(surfaces) == 1,
    ):
        for surface in surfaces:
            if same(surface):
                return replace(surface)
    raise TargetVanished(f"The target has no {wanted.socket_type} door any more; the finding cannot be replayed.")
