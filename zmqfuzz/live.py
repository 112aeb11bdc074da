"""A target that a test plays itself, one attack at a time: ``target.play(attack)`` and ``target.check(trial)``;
or a recorded finding: ``target.replay(path)``.

Contract: synchronous, and right under Hypothesis' ``@given``. The first violation is confirmed on fresh processes
before it is raised, else it is a doubt, and the item is inconclusive. From then on each other attack meets a fresh
process, so that what Hypothesis shrinks to shows what it shows alone; an attack that has shown something shows it again
unplayed, so that no example is flaky. One process serves a test until then, unless its isolation says otherwise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hypothesis

from zmqfuzz.assembly import replayed
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.judging import judge_trial
from zmqfuzz.campaign.minimise import minimise_history
from zmqfuzz.campaign.naming import finding_of
from zmqfuzz.campaign.objectives import Extremes
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import invariants
from zmqfuzz.engine import Engine
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Severity, Violation
from zmqfuzz.script import Attack, Script, Send, Shake
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.verdicts import HERE, Cover, Ending, judged, lines_printable, told
from zmqfuzz.zmtp.wire import Frame, body_bytes, peer_type

if TYPE_CHECKING:
    from zmqfuzz.assembly import Spec

__all__ = ["Live", "close_all", "end", "ending_of"]

SHRINK = 10.0
"""Seconds after a violation in which Hypothesis may look for a simpler attack, or less where the item has less; each
costs a fresh process or two."""

HISTORY = 15.0
"""Seconds for finding out which earlier attacks a violation needs, each try on a fresh process."""

SHORTEST_DEADLINE = 1.0
"""Hypothesis' own deadline is 0.2 s for an example; an attack, and the question afterwards, may take longer."""

_running: list[Live] = []


@dataclass(frozen=True, slots=True)
class _Shown:
    """A violation that was confirmed: one that can be raised again, and what it is as a finding."""

    violation: Violation
    finding: Finding
    trial: Trial


class Live:
    """Plays on the target of ``spec``, which is started when it is first needed and stopped by :func:`close_all`."""

    def __init__(self, spec: Spec, word: str = "") -> None:
        self._spec = spec
        self._word = word
        self._engine: Engine | None = None
        self._turn, self._shared = -1, False
        self._shown: dict[Attack, _Shown] = {}
        self._last: tuple[Trial, tuple[Attack, ...]] | None = None
        self._until = 0.0
        self._fresh = False

    @property
    def engine(self) -> Engine:
        """Started when first asked for. Raises ZmqfuzzError."""
        __tracebackhide__ = True
        if self._engine is None:
            self._engine = Engine(self._spec)
            _running.append(self)
        return self._engine

    @property
    def surface(self) -> Surface:
        """The door that is played at: the first one."""
        return self.engine.surface

    def close(self) -> None:
        """Stop the target; it is started again where it is needed again."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def play(self, attack: Attack | Script | Sequence[Script]) -> Trial:
        """Play it, ask an honest client afterwards, and say what was seen. Raises ZmqfuzzError."""
        __tracebackhide__ = True
        _refuse_deadline()
        if isinstance(attack, Script):
            attack = Attack((attack,))
        elif not isinstance(attack, Attack):
            attack = Attack(tuple(attack))
        self._begin()
        if attack in self._shown:
            return self._shown[attack].trial
        if self.spent(attack) and hypothesis.currently_in_test_context():
            hypothesis.reject()
        if HERE.session.isolation == "case":
            self.engine.harness.renew()
        engine, self._fresh = self.engine, bool(self._shown)
        trial = engine.call(lambda: engine.trial(attack, fresh=self._fresh))
        HERE.cases += 1
        if unfit := _unfit(attack, trial.surface):
            HERE.unfit.append(unfit)
        Extremes(HERE.metrics).note(trial)
        self._note_tested(trial)
        self._last = trial, engine.harness.last_history
        return trial

    def _note_tested(self, trial: Trial) -> None:
        """What of its promises the trial put to the test."""
        tested = HERE.tested.setdefault((self._word, self.engine.harness.target.name), set())
        limits = self._spec.limits
        tested |= {one.declared for one in invariants().values() if one.declared and one.tested(trial, limits)}

    def spent(self, attack: Attack) -> bool:
        """Whether the time for a simpler attack than what was shown is over, and ``attack`` is not the one."""
        self._begin()
        return bool(self._shown) and attack not in self._shown and time.monotonic() > self._until

    def _begin(self) -> None:
        """Forget the test before this one, and its process, too, where not both are to share it."""
        if self._turn == HERE.turn:
            return
        shared, self._shared = self._shared, HERE.session.isolation == "session"
        if self._turn >= 0 and not (shared and self._shared):
            self.engine.harness.renew()
        self._turn, self._until, self._last = HERE.turn, 0.0, None
        self._shown.clear()

    def check(self, trial: Trial) -> None:
        """Raise the violation that the trial shows, of a class that its invariant alone has.

        What only a series of trials can tell (what stays behind, what is held) is not looked at. Raises ZmqfuzzError.
        """
        __tracebackhide__ = True
        shown = self._shown.get(trial.attack)
        if shown is None:
            violation = judge_trial(trial, self.engine.harness)
            shown = self._confirmed(violation, trial) if violation is not None else None
            if shown is None:
                return
            self._shown[trial.attack] = shown
            self._until = self._until or time.monotonic() + min(SHRINK, HERE.session.seconds)
        if shown.finding.severity.rank > Severity(HERE.session.fail_on).rank:
            HERE.minor[shown.finding.id] = shown.finding
            return
        again = shown.violation.again()
        again.finding, again.text = shown.finding, self._told(shown)
        raise again

    def replay(self, recorded: str | os.PathLike[str]) -> None:
        """Raise the violation of a recorded finding, if fresh processes show it again. Raises ZmqfuzzError."""
        __tracebackhide__ = True
        self._begin()
        finding, _ = Corpus(HERE.session.store).load(os.fspath(recorded))
        engine = self.engine
        confirmed = engine.call(lambda: replayed(engine.harness, finding)).confirmed
        HERE.cases += 1
        if confirmed.violation is None or not confirmed.holds:
            if confirmed.shown or not confirmed.tried:
                HERE.doubts.append(f"{finding.id} was seen in some replays only, or could not be examined")
            return
        again = confirmed.violation.again()
        again.finding, again.text = finding, told(HERE.session.store, finding, confirmed.trial, None)
        raise again

    def _confirmed(self, violation: Violation, trial: Trial) -> _Shown | None:
        """The violation once it was seen on two fresh processes, alone or after what was played before it."""
        __tracebackhide__ = True
        engine, attack, code, key = self.engine, trial.attack, violation.code, trial.surface.key
        target = engine.harness.target
        if not target.restartable:
            note = "attached: there was no fresh process to confirm it on"
            found = finding_of(violation, trial, target.name, confirmed=0, tried=0, notes=(note,))
            return _Shown(violation, found, trial)
        triage, before = Triage(engine.harness), int(self._fresh)
        confirmed = engine.call(lambda: triage.confirm((attack,), key, code, times=2 - before))
        history: tuple[Attack, ...] = ()
        notes: tuple[str, ...] = ()
        played = self._last[1] if self._last is not None and self._last[0] is trial else ()
        if not confirmed.holds and played and not before:
            whole = (*played, attack)
            confirmed = engine.call(lambda: triage.confirm(whole, key, code, times=2))
            if confirmed.holds and confirmed.trial is not None:
                if confirmed.trial.attack != attack:  # one of them shows it by itself
                    whole = whole[: whole.index(confirmed.trial.attack) + 1]
                began = time.monotonic()
                history = self._needed(whole, key, code)[:-1]
                if time.monotonic() - began > HISTORY:
                    notes = ("there was no time to leave out more of its history",)
        if not confirmed.holds or confirmed.violation is None or confirmed.trial is None:
            if not before:
                HERE.doubts.append(f"{code}? seen once, then {confirmed.shown} of {confirmed.tried}: not counted")
            return None
        count = confirmed.shown + before, confirmed.tried + before
        seen = confirmed.violation, confirmed.trial
        found = finding_of(*seen, target.name, confirmed=count[0], tried=count[1], history=history, notes=notes)
        return _Shown(confirmed.violation, found, confirmed.trial)

    def _needed(self, whole: tuple[Attack, ...], key: str, code: str) -> tuple[Attack, ...]:
        """Of the attacks in their order, those without which the last one shows nothing."""
        engine = self.engine
        triage = Triage(engine.harness)

        async def shows(attacks: tuple[Attack, ...]) -> bool:
            if not attacks or attacks[-1] != whole[-1]:
                return False
            return (await triage.confirm(attacks, key, code, times=1)).holds

        return engine.call(lambda: minimise_history(whole, shows, HISTORY))

    def _told(self, shown: _Shown) -> str:
        """Saves it; the failure text."""
        return told(HERE.session.store, shown.finding, shown.trial, self._spec)


def ending_of(error: Exception | None) -> Ending | None:
    """What a test that played attacks amounts to, which ended with ``error``; None: that is a matter of its own."""
    violations = _violations(error) if error is not None else []
    told = {found.id: violation for violation in violations or () if (found := violation.finding) is not None}
    if error is not None and (not violations or any(violation.finding is None for violation in violations)):
        return None
    texts = {}
    for name, violation in told.items():
        # Of a group each part has its own; Hypothesis says there which example it was, and how to repeat it.
        notes = [line for part in dict.fromkeys((error, violation)) for line in getattr(part, "__notes__", ())]
        said = [f"  {line}" for line in _of_the_example(lines_printable("\n".join(notes)))]
        texts[name] = "\n".join([violation.text, *([""] if said else []), *said])
    findings = [violation.finding for violation in told.values() if violation.finding is not None]
    findings += [finding for name, finding in HERE.minor.items() if name not in told]
    doubts = list(dict.fromkeys(HERE.doubts))
    ending = judged(HERE.session, HERE.nodeid, "", findings, texts, doubts=doubts, cases=HERE.cases)
    if len(HERE.unfit) == HERE.cases:
        ending.warnings += (HERE.unfit[0],)
    covers = (Cover(*named, tuple(tested)) for named, tested in HERE.tested.items())
    return ending.noting(HERE.metrics, *covers)


def _unfit(attack: Attack, door: Surface) -> str:
    """A sentence where nothing of it can get to the application of the door's socket; empty: some may."""
    kind = door.socket_type
    shakes = [step.socket_type for script in attack.scripts for step in script.steps if isinstance(step, Shake)]
    other = f"of a {kind} socket; it talks to {' and '.join(peer_type(kind))}: give zst.scripts(socket_type={kind!r})"
    if shakes and not set(shakes) & set(peer_type(kind)):
        return f"every peer shook hands as {' or '.join(dict.fromkeys(shakes))} at the door {other}"
    sent = [step.units for script in attack.scripts for step in script.steps if isinstance(step, Send)]
    begun = [unit for units in sent for unit in units[:1] if isinstance(unit, Frame)]
    if kind == "REP" and begun and not any(body_bytes(frame.body) == b"" and frame.more for frame in begun):
        return (
            "no message began with the empty delimiter without which a REP drops it (RFC 28): give "
            "zst.scripts(socket_type='REP'), or write Frame(b\"\", more=True) in front"
        )
    return ""


def end(error: Exception | None) -> None:
    """A test has ended with ``error``, where pytest's hooks do not see that. Raises what it amounts to."""
    __tracebackhide__ = True
    ending = ending_of(error)
    if ending is not None:
        HERE.result = ending.result
        ending.act()
    elif error is not None:
        raise error


def _of_the_example(notes: str) -> Iterator[str]:
    """What Hypothesis says of the example, without its explanation, which is about the engine's own lines."""
    explaining = False
    for line in notes.split("\n"):
        explaining = line.startswith("Explanation:") or (explaining and line.startswith(" "))
        if not explaining:
            yield line


def _violations(error: BaseException | None) -> list[Violation] | None:
    """The violations that an error is made of; None where it is anything else."""
    if isinstance(error, Violation):
        return [error]
    if not isinstance(error, BaseExceptionGroup):
        return None
    parts = [_violations(part) for part in error.exceptions]
    return None if None in parts else [violation for part in parts for violation in part or ()]


def _refuse_deadline() -> None:
    """Raises UsageError: in a test whose deadline would make attacks fail at random."""
    __tracebackhide__ = True
    if not hypothesis.currently_in_test_context():
        return
    deadline = hypothesis.settings().deadline
    if deadline is not None and deadline.total_seconds() < SHORTEST_DEADLINE:
        raise UsageError(
            f"Hypothesis' deadline is {deadline.total_seconds():g} s for an example, which is less than an attack may "
            "take; write @settings(deadline=None) above the test, or in a profile."
        )


def close_all() -> None:
    """Stop every target that was played on."""
    while _running:
        _running.pop().close()
