"""Targets in a pytest suite: ``zmqfuzz.target(...)`` declares one, ``@target.parametrize()`` makes its items.

Contract: importing this module, and declaring a target, load nothing of the engine. The catalogue of families is
read when items are made (at collection), the engine when an attack runs. Wrong usage is a UsageError at the line
that is wrong.
"""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Never, TypeVar

from zmqfuzz.budget import Limits, parse_duration, parse_size
from zmqfuzz.credentials import Credentials
from zmqfuzz.errors import UsageError, ZmqfuzzError

if TYPE_CHECKING:
    import pytest
    from hypothesis.strategies import SearchStrategy

    from zmqfuzz.assembly import Spec
    from zmqfuzz.campaign.events import Event, Outcome

__all__ = ["AttackFailed", "FamilyAttack", "Result", "Session", "SuiteTarget", "target"]

T = TypeVar("T")

Size = int | str
"""Octets, as a number or as ``1MiB``."""

Duration = float | str
"""Seconds, as a number or as ``500ms``."""

Words = str | Sequence[str]
"""One word or several."""


class AttackFailed(AssertionError):
    """An item failed; the message is complete, printable, and needs no traceback. ``summary`` is one line of it."""

    def __init__(self, text: str, summary: str) -> None:
        super().__init__(text)
        self.summary = summary


@dataclass(frozen=True, slots=True)
class Session:
    """What the pytest session has decided for all of its items.

    ``folder`` is where relative paths begin (rootdir), ``shell`` where the user typed the command.
    """

    seconds: float
    seed: int
    inconclusive: Literal["fail", "warn", "pass"]
    folder: Path
    shell: Path
    store: Path


@dataclass(frozen=True, slots=True)
class Result:
    """How an item ended, small and plain enough to travel between pytest-xdist's processes."""

    verdict: str
    findings: tuple[str, ...] = ()
    cases: int = 0
    reason: str = ""


def target(
    command: Sequence[str | os.PathLike[str]] = (),
    *,
    connect: Words = (),
    pid: int | None = None,
    bind: Words = (),
    socket_type: str = "",
    name: str | None = None,
    ready: str = "handshake",
    start_within: Duration = 20.0,
    cwd: str | os.PathLike[str] | None = None,
    probe: Callable[[str], bool] | Words | None = None,
    allow_remote: Words = (),
    max_frame: Size | None = None,
    max_message: Size | None = None,
    memory: Size | None = None,
    held_per_byte: float | None = None,
    descriptors: int | None = None,
    recover: Duration | None = None,
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

    ``{endpoint}`` in the command becomes a free loopback endpoint. ``bind``: we listen there and the program
    connects to us. ``cwd`` is where it starts (relative to, and by default, pytest's rootdir). ``probe`` is your
    own check that it serves: called with the endpoint, or a command whose exit code 0 means yes. From ``max_frame``
    on: what the target promises (see :class:`zmqfuzz.Limits`), ``hard_cap`` excepted. ``username`` and those behind
    it: what it asks its peers for (PLAIN; CURVE keys in Z85 or ``@FILE``, ``client_key`` as ``PUBLIC:SECRET``), taken
    from ``ZMQFUZZ_USERNAME``, ``ZMQFUZZ_SERVER_KEY`` and so on where they are not given. ``seeds``: recorded messages,
    a file or folder (:mod:`zmqfuzz.seeds`; relative to rootdir). ``payloads``: a Hypothesis strategy of messages, each
    ``bytes`` (one frame) or a list of them; both are what ``application-payload`` is made of. Raises UsageError.
    """
    __tracebackhide__ = True
    if unknown:
        raise UsageError(_unknown_keyword(next(iter(unknown))))
    if isinstance(command, str):
        raise UsageError(f"The command of a target is a list; write zmqfuzz.target({shlex.split(command)!r}).")
    if not command and not connect and pid is None:
        raise UsageError("A target needs a command to start, or connect= with the endpoint of a program that runs.")
    limits: dict[str, int | float | None] = {
        "max_frame": _read("max_frame", max_frame, parse_size),
        "max_message": _read("max_message", max_message, parse_size),
        "memory": _read("memory", memory, parse_size),
        "held_per_byte": held_per_byte,
        "descriptors": descriptors,
        "recover": _read("recover", recover, parse_duration),
        "hard_cap": _read("hard_cap", hard_cap, parse_size),
    }
    description = {
        "command": tuple(os.fspath(word) for word in command),
        "connect": _words(connect),
        "pid": pid,
        "bind": _words(bind),
        "socket_type": socket_type.upper(),
        "name": name,
        "ready": ready,
        "start_within": _read("start_within", start_within, parse_duration),
        "probe": probe if probe is None or callable(probe) or isinstance(probe, str) else shlex.join(probe),
        "allow_remote": _words(allow_remote),
        "credentials": Credentials.read(
            username=_secret("username", username),
            password=_secret("password", password),
            server_key=_secret("server_key", server_key),
            client_key=_secret("client_key", client_key),
            our_secret_key=_secret("our_secret_key", our_secret_key),
        ),
    }
    material = {"seeds": seeds, "payloads": payloads}
    given: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
    if payloads is not None and not hasattr(payloads, "example"):
        raise UsageError(f"payloads= is {type(payloads).__name__}; give a Hypothesis strategy, such as st.binary().")
    return SuiteTarget(description, Limits(**given), Path(cwd) if cwd is not None else Path(), material)


def _unknown_keyword(name: str) -> str:
    known = [*(target.__kwdefaults__ or {}), "command"]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."
    return f"zmqfuzz.target() has no option {name!r}. {hint}"


def _secret(name: str, value: str | None) -> str | None:
    return os.environ.get(f"ZMQFUZZ_{name.upper()}") if value is None else value


def _words(value: Words) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _read(name: str, value: T | str | None, parse: Callable[[str], T]) -> T | None:
    try:
        return parse(value) if isinstance(value, str) else value
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


class SuiteTarget:
    """A target as a test module declares it; nothing is started before an item runs."""

    def __init__(self, description: Mapping[str, Any], limits: Limits, cwd: Path, material: Mapping[str, Any]) -> None:
        self._description = description
        self._cwd = cwd
        self.limits = limits
        self.material = material

    def parametrize(self, *misplaced: object, families: Words = (), exclude: Words = ()) -> pytest.MarkDecorator:
        """A decorator: one item of the test for each attack family, given to its argument ``attack``.

        ``families`` are the only ones, ``exclude`` are left out. Default: all, and those of PLAIN or CURVE where the
        target has a user name or a key. Raises UsageError.
        """
        __tracebackhide__ = True
        import pytest

        from zmqfuzz.catalogue import select_families

        if misplaced:
            raise UsageError("Write @target.parametrize() with parentheses; families= and exclude= are keywords.")
        try:
            chosen = select_families(_words(families), _words(exclude))
        except UsageError as error:
            raise error.with_traceback(None) from None  # the line to look at is the caller's
        if not chosen:
            raise UsageError("exclude= leaves no attack family; `zmqfuzz list` shows all of them.")
        if not families:
            known, side = self._description["credentials"], "connect" if self._description["bind"] else "bind"
            chosen = tuple(family for family in chosen if known.fit(family.mechanism, side))
        names, mark = [family.name for family in chosen], pytest.mark.zmqfuzz
        items = [pytest.param(FamilyAttack(self, name), id=name, marks=mark) for name in names]
        return pytest.mark.parametrize("attack", items)

    def spec(self, folder: Path) -> Spec:
        """The engine's description of it; ``folder`` is where a relative ``cwd`` begins."""
        from zmqfuzz.assembly import Spec

        started = bool(self._description["command"])
        return Spec(**self._description, limits=self.limits, cwd=str(folder / self._cwd) if started else None)


class FamilyAttack:
    """One attack family against one target: what a test's ``attack`` argument is."""

    def __init__(self, target: SuiteTarget, family: str) -> None:
        self.target = target
        self.family = family
        self.result: Result | None = None
        self._session: Session | None = None
        self._nodeid = ""

    def __repr__(self) -> str:
        return f"<attack {self.family}>"

    def begin(self, session: Session, nodeid: str) -> None:
        """Called by the plugin before each run of the item."""
        self.result = None
        self._session = session
        self._nodeid = nodeid

    def run(self, *, cases: int | None = None, stop_after: int | None = None) -> None:
        """Play attacks of this family for the budget of the item (``--zmqfuzz-budget``), and check what must hold.

        ``cases`` and ``stop_after`` end it sooner: after so many attacks, so many findings. Raises AttackFailed;
        what is inconclusive skips, fails or passes as ``--zmqfuzz-inconclusive`` says.
        """
        __tracebackhide__ = True
        session = self._session
        if session is None:
            raise UsageError("attack.run() works inside its own test item; run the suite without -p no:zmqfuzz.")
        messages: dict[str, str] = {}
        try:
            outcome = self._campaign(session, cases, stop_after, messages)
        except ZmqfuzzError as error:
            text = _lines_printable(str(error))
            self.result = Result("error", tuple(messages), reason=text)
            parts = [*messages.values(), f"zmqfuzz: {text}"] + ([self._again(session, messages)] if messages else [])
            raise AttackFailed("\n\n".join(parts) + "\n", ", ".join([*messages, text.split("\n")[0]])) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt("zmqfuzz stopped the target; findings so far are saved") from None
        self._judge(session, outcome, messages)

    def _campaign(
        self, session: Session, cases: int | None, stop_after: int | None, messages: dict[str, str]
    ) -> Outcome:
        """Fills ``messages`` as findings come, by ID: an error at the end must not cost them."""
        __tracebackhide__ = True
        from zmqfuzz.campaign.corpus import Corpus
        from zmqfuzz.campaign.events import Found, Plan
        from zmqfuzz.campaign.report import failure_message
        from zmqfuzz.campaign.runner import Campaign
        from zmqfuzz.catalogue import select_families
        from zmqfuzz.seeds import read_seeds
        from zmqfuzz.threaded import in_a_thread

        spec = self.target.spec(session.folder)
        corpus = Corpus(session.store)

        def tell(event: Event) -> None:
            if not isinstance(event, Found):
                return
            folder = corpus.findings / event.finding.id
            text = failure_message(event.finding, event.trial, folder=folder).rstrip("\n")
            try:
                corpus.save(event.finding, spec.to_plain(), event.trial)
            except ZmqfuzzError as error:  # a full disk must not cost the finding
                text += f"\n  Not saved: {_lines_printable(str(error))}"
            messages[event.finding.id] = text

        seconds, chosen, material = session.seconds, select_families([self.family]), self.target.material
        minimise = min(12.0, max(2.0, seconds / 2))
        plan = Plan(
            chosen,
            seconds,
            seed=session.seed,
            stop_after=stop_after,
            cases=cases,
            minimise_seconds=minimise,
            shrinking=True,
            seeds=read_seeds(session.folder / material["seeds"]) if material["seeds"] is not None else (),
            payloads=material["payloads"],
        )

        async def campaign() -> Outcome:
            async with spec.harness() as harness:
                return await Campaign(harness, plan, tell).run()

        return in_a_thread(campaign)

    def _judge(self, session: Session, outcome: Outcome, messages: Mapping[str, str]) -> None:
        __tracebackhide__ = True
        import pytest

        from zmqfuzz.campaign.report import summary_line
        from zmqfuzz.finding import Verdict

        doubts = [_lines_printable(doubt) for doubt in dict.fromkeys(outcome.doubts)]
        reason = "; ".join(doubts) or "not one attack was played"
        unclear = outcome.verdict is Verdict.INCONCLUSIVE
        self.result = Result(
            outcome.verdict.value, tuple(messages), sum(outcome.cases.values()), reason if unclear else ""
        )
        if outcome.findings:
            more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
            notes = "\n".join(f"  Also inconclusive: {doubt}" for doubt in doubts)
            parts = [*messages.values(), notes, self._again(session, messages)]
            raise AttackFailed("\n\n".join(filter(None, parts)) + "\n", summary_line(outcome.findings[0]) + more)
        if unclear and session.inconclusive == "fail":
            text = "\n".join(["INCONCLUSIVE", *[f"  {line}" for line in doubts or [reason]], ""])
            raise AttackFailed(f"{text}\n{self._again(session, ())}\n", f"INCONCLUSIVE: {reason}")
        if unclear and session.inconclusive == "warn":
            pytest.skip(reason)

    def _again(self, session: Session, ids: Iterable[str]) -> str:
        """How to see it again: each finding alone, and this whole item."""
        store = f" --store {shlex.quote(str(session.store))}" if session.store != session.shell / ".zmqfuzz" else ""
        quoted = shlex.quote(self._nodeid) if set(self._nodeid) & set('"$`\\!') else f'"{self._nodeid}"'
        lines = [f"    zmqfuzz replay {name}{store}" for name in ids]
        lines.append(f"    pytest {quoted} --zmqfuzz-seed {session.seed} --zmqfuzz-budget {session.seconds:g}s")
        return "\n".join(["  See it again", *map(_lines_printable, lines)])


def _lines_printable(text: str) -> str:
    """``text`` with its line breaks, and nothing else that could act on a terminal or break an XML file."""
    from zmqfuzz.campaign.report import printable

    return "\n".join(printable(line) for line in text.rstrip().split("\n"))
