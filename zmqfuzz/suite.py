"""Targets in a pytest suite: ``zmqfuzz.target(...)`` declares one, ``@target.parametrize()`` makes its items.

Contract: importing this module, and declaring a target, load nothing of the engine. The catalogue of families is
read when items are made (at collection), the engine when an attack runs. Wrong usage is a UsageError at the line
that is wrong.
"""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from zmqfuzz.budget import Limits
from zmqfuzz.contract import Promise, read_limits
from zmqfuzz.credentials import Credentials
from zmqfuzz.declared import SECRETS, Declared
from zmqfuzz.errors import UsageError
from zmqfuzz.items import PLACE, FamilyAttack
from zmqfuzz.quantities import parse_duration
from zmqfuzz.targets.calling import calling
from zmqfuzz.verdicts import HERE

if TYPE_CHECKING:
    import pytest
    from hypothesis.strategies import SearchStrategy

    from zmqfuzz.assembly import Spec
    from zmqfuzz.audited import Audited
    from zmqfuzz.live import Live
    from zmqfuzz.script import Attack, Script
    from zmqfuzz.trial import Surface, Trial

__all__ = ["SuiteTarget", "declared_target", "target"]

Size = int | str
"""Octets, as a number or as ``1MiB``."""

Duration = float | str
"""Seconds, as a number or as ``500ms``."""

Rate = float | str
"""So many a second, as a number or as ``200/s``."""

Words = str | Sequence[str]
"""One word or several."""


def target(
    command: Sequence[str | os.PathLike[str]] | Callable[[str], object] = (),
    *,
    connect: Words = (),
    pid: int | None = None,
    bind: Words = (),
    socket_type: str = "",
    name: str | None = None,
    ready: str = "handshake",
    start_within: Duration = 20.0,
    stop_signal: str = "SIGTERM",
    cwd: str | os.PathLike[str] | None = None,
    probe: Callable[[str], bool] | Words | None = None,
    counter: Words = "",
    allow_remote: Words = (),
    max_frame: Size | None = None,
    max_message: Size | None = None,
    memory: Size | None = None,
    rate: Rate | None = None,
    burst: int | None = None,
    held_per_byte: float | None = None,
    descriptors: int | None = None,
    recover: Duration | None = None,
    beside: float | None = None,
    handshake_within: Duration | None = None,
    hung_within: Duration | None = None,
    vanished_within: Duration | None = None,
    linger: Duration | None = None,
    delivers: float | None = None,
    bystander_within: str | float | None = None,
    bystander_loss: float | None = None,
    overheard: int | None = None,
    drops: str | None = None,
    expose: Words | None = None,
    hard_cap: Size | None = None,
    username: str | None = None,
    password: str | None = None,
    server_key: str | None = None,
    client_key: str | None = None,
    our_secret_key: str | None = None,
    seeds: str | os.PathLike[str] | None = None,
    payloads: SearchStrategy[Any] | None = None,
    **unknown: Never,
) -> SuiteTarget:
    """Declare a target: a command to start, or with ``connect`` (and ``pid``) a program that runs already.

    ``{endpoint}`` in the command becomes a free loopback endpoint; as ``connect`` it is what ``attack.run(endpoint=)``
    is given, where a fixture starts the program. ``python`` is the one that runs pytest. Instead of a command, a
    function at the top of a module: it is called with that endpoint in a process of its own (a coroutine function
    under asyncio). ``bind``: we listen there and the program connects to us; ``{endpoint}`` is a free one. ``cwd`` is
    where it starts (relative to, and by default, pytest's rootdir). ``stop_signal`` tells it to stop. ``probe`` is
    your own check that it serves: called with the endpoint, or a command whose exit code 0 means yes. ``counter`` is a
    command that prints how many messages it has taken so far, for ``rate``. From ``max_frame`` on: what the target
    promises (see :class:`zmqfuzz.Limits`), ``hard_cap`` excepted. ``username`` and those behind it: what it asks its
    peers for (PLAIN; CURVE keys in Z85 or ``@FILE``, ``client_key`` as ``PUBLIC:SECRET``), taken from
    ``ZMQFUZZ_USERNAME``, ``ZMQFUZZ_SERVER_KEY`` and so on where they are not given. ``seeds``: recorded messages, a
    file or folder (:mod:`zmqfuzz.seeds`; relative to rootdir). ``payloads``: a Hypothesis strategy of messages, each
    ``bytes`` (one frame) or a list of them; both are what ``application-payload`` is made of. Raises UsageError.
    """
    __tracebackhide__ = True
    if unknown:
        raise UsageError(_unknown_keyword(next(iter(unknown))))
    if callable(command):
        words = calling(command)
        name, command = name or f"{words[3]}.{words[5]}", words  # module and function
    if isinstance(command, str):
        raise UsageError(f"The command of a target is a list; write zmqfuzz.target({shlex.split(command)!r}).")
    if not command and not connect and pid is None:
        raise UsageError("A target needs a command to start, or connect= with the endpoint of a program that runs.")
    declared: dict[str, Any] = {"max_frame": max_frame, "max_message": max_message, "memory": memory}
    declared |= {"rate": rate, "burst": burst}
    declared |= {"held_per_byte": held_per_byte, "descriptors": descriptors, "recover": recover, "beside": beside}
    declared |= {
        "handshake_within": handshake_within,
        "hung_within": hung_within,
        "vanished_within": vanished_within,
    }
    declared |= {"linger": linger, "delivers": delivers, "drops": drops, "expose": expose}
    declared |= {"bystander_within": bystander_within, "bystander_loss": bystander_loss, "overheard": overheard}
    secrets = (username, password, server_key, client_key, our_secret_key)
    description = {
        "command": tuple(os.fspath(word) for word in command),
        "connect": _words(connect),
        "pid": pid,
        "bind": _words(bind),
        "socket_type": socket_type.upper(),
        "name": name,
        "ready": ready,
        "start_within": _start_within(start_within),
        "stop_signal": stop_signal,
        "counter": counter if isinstance(counter, str) else shlex.join(counter),
        "probe": probe if probe is None or callable(probe) or isinstance(probe, str) else shlex.join(probe),
        "allow_remote": _words(allow_remote),
        "credentials": Credentials.read(
            **{name: _secret(name, given) for name, given in zip(SECRETS, secrets, strict=True)}
        ),
    }
    material = {"seeds": seeds, "payloads": payloads}
    if payloads is not None and not hasattr(payloads, "example"):
        raise UsageError(f"payloads= is {type(payloads).__name__}; give a Hypothesis strategy, such as st.binary().")
    limits = read_limits({**declared, "hard_cap": hard_cap}, _keyword)
    return SuiteTarget(description, limits, Path(cwd) if cwd is not None else Path(), material)


def declared_target(declared: Declared) -> SuiteTarget:
    """The target of a table in pyproject.toml; credentials in the environment win, as on the command line.

    Raises UsageError: a file or variable that its credentials are in is missing.
    """
    nothing: dict[str, Any] = {"command": (), "connect": (), "bind": (), "pid": None}
    credentials = declared.credentials({name: _secret(name, None) for name in SECRETS})
    description = {**nothing, **declared.description, "credentials": credentials}
    material = {"seeds": declared.seeds, "payloads": None}
    return SuiteTarget(description, declared.contract({}), declared.cwd, material)


def _unknown_keyword(name: str) -> str:
    known = [*(target.__kwdefaults__ or {}), "command"]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."
    return f"zmqfuzz.target() has no option {name!r}. {hint}"


def _secret(name: str, value: str | None) -> str | None:
    return os.environ.get(f"ZMQFUZZ_{name.upper()}") if value is None else value


def _words(value: Words) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _keyword(promise: Promise) -> str:
    return promise.name


def _start_within(value: Duration) -> float:
    try:
        return parse_duration(value)
    except UsageError as error:
        raise UsageError(f"start_within: {error}") from None


class SuiteTarget:
    """A target as a test module declares it; nothing is started before an item runs."""

    def __init__(self, description: Mapping[str, Any], limits: Limits, cwd: Path, material: Mapping[str, Any]) -> None:
        self._description = description
        self._cwd = cwd
        self.limits = limits
        self.material = material
        self._live: Live | None = None

    def __repr__(self) -> str:
        where = (*self._description["command"], *self._description["connect"], f"pid {self._description['pid']}")
        return f"<target {self._description['name'] or where[0]}>"

    def parametrize(self, *misplaced: object, families: Words = (), exclude: Words = ()) -> pytest.MarkDecorator:
        """A decorator: one item of the test for each attack family, given to its argument ``attack``.

        ``families`` are the only ones, ``exclude`` are left out. Default: all, and those of PLAIN or CURVE where the
        target has a user name or a key. ``shutdown`` is one more, where the target promises something about its end
        (``linger``, ``delivers``), ``rate`` and ``drops`` where it promises those, ``exposure`` where it promises to
        listen only at some places (``expose``). Raises UsageError.
        """
        __tracebackhide__ = True
        import pytest

        if misplaced:
            raise UsageError("Write @target.parametrize() with parentheses; families= and exclude= are keywords.")
        try:
            attacks = self.attacks(families, exclude)
        except UsageError as error:
            raise error.with_traceback(None) from None  # the line to look at is the caller's
        items = [pytest.param(attack, id=attack.family, marks=pytest.mark.zmqfuzz) for attack in attacks]
        return pytest.mark.parametrize("attack", items)

    def attacks(self, families: Words = (), exclude: Words = ()) -> list[FamilyAttack]:
        """One attack for each family, chosen as by :meth:`parametrize`. Raises UsageError."""
        from zmqfuzz.backlog import BACKLOG
        from zmqfuzz.catalogue import select_families
        from zmqfuzz.company import COMPANY, promises
        from zmqfuzz.dropping import DROPS
        from zmqfuzz.exposure import EXPOSURE
        from zmqfuzz.rating import RATING
        from zmqfuzz.stopping import STOPPING

        limits, started = self.limits, bool(self._description["command"])
        promised = {
            STOPPING: started and (limits.linger is not None or limits.delivers is not None),
            RATING: started and limits.rate is not None and not self._description["bind"],
            EXPOSURE: limits.expose is not None,
            BACKLOG: False,  # where it is asked for
            COMPANY: started and promises(limits),
            DROPS: started and limits.drops is not None and not self._description["bind"],
        }
        looks = [
            name
            for name, said in promised.items()
            if (name in _words(families) if families else said) and name not in _words(exclude)
        ]
        only = [name for name in _words(families) if name not in promised]
        chosen = select_families(only, [name for name in _words(exclude) if name not in promised])
        if families and not only:
            chosen = ()
        if not chosen and not looks:
            raise UsageError("exclude= leaves no attack family; `zmqfuzz list` shows all of them.")
        if not families:
            known, side = self._description["credentials"], "connect" if self._description["bind"] else "bind"
            chosen = tuple(f for f in chosen if known.fit(f.mechanism, side) and (known.locks(side) or not f.locked))
        names = [*(family.name for family in chosen), *looks]
        whole = 0 if families or exclude else len(names)
        return [FamilyAttack(self, name, whole) for name in names]

    def play(self, attack: Attack | Script | Sequence[Script]) -> Trial:
        """Play it now and wait for what is to be seen of it; the target is started when it is first needed.

        For tests of your own, also under ``@given`` (:mod:`zmqfuzz.live`). Raises ZmqfuzzError.
        """
        __tracebackhide__ = True
        return self._living().play(attack)

    def check(self, trial: Trial) -> None:
        """Raise the Violation that the trial shows, if it shows one again on fresh processes. Raises ZmqfuzzError."""
        __tracebackhide__ = True
        self._living().check(trial)

    def replay(self, recorded: str | os.PathLike[str]) -> None:
        """Play a recorded finding again: its folder, a ``.zft`` file, or its ID. Raises its Violation, ZmqfuzzError."""
        __tracebackhide__ = True
        self._living().replay(recorded)

    def spent(self, attack: Attack) -> bool:
        """Whether, after something was shown, the time that Hypothesis has for simpler attacks is over."""
        return self._living().spent(attack)

    def close(self) -> None:
        """Stop what :meth:`play` has started; it is started again where it is needed again."""
        if self._live is not None:
            self._live.close()

    def audit(self) -> Audited:
        """The sockets that it opens, with their options, and what is wrong with them (:mod:`zmqfuzz.audited`).

        It is started for that when the first question is asked.
        """
        from zmqfuzz.audited import Audited

        return Audited(self.spec(HERE.session.folder))

    @property
    def surface(self) -> Surface:
        """The door that :meth:`play` plays at: the target's first one, where it is now."""
        return self._living().surface

    def _living(self) -> Live:
        if self._live is None:
            from zmqfuzz.live import Live

            self._live = Live(self.spec(HERE.session.folder), self.word)
        return self._live

    @property
    def word(self) -> str:
        """The same for the same program and promises, in each process of a session."""
        said = (self._description[key] for key in ("command", "connect", "bind", "pid", "name"))
        return repr((*said, self.limits))

    def spec(self, folder: Path) -> Spec:
        """The engine's description of it; ``folder`` is where a relative ``cwd`` begins."""
        from zmqfuzz.assembly import Spec
        from zmqfuzz.endpoints import free_port

        started = bool(self._description["command"])
        cwd = str(folder / self._cwd) if started else None
        bind = tuple(one.replace(PLACE, f"tcp://127.0.0.1:{free_port()}") for one in self._description["bind"])
        command = self._description["command"]
        if command[:1] == ("python",):  # that of PATH need not be the one that has the program's packages
            command = (sys.executable, *command[1:])
        return Spec(**{**self._description, "command": command, "bind": bind}, limits=self.limits, cwd=cwd)
