"""The process lives, and still serves."""

from __future__ import annotations

import re
import signal

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.lastwords import CORRUPTED, uncaught
from zmqfuzz.measured import Beside, Service
from zmqfuzz.trial import READING, SILENT, Examination, Exit, ProbeResult, Trial

__all__ = ["assertion_in", "others_served", "process_alive", "service_alive"]

_ASSERTION = re.compile(r"Assertion failed: (?P<text>.+?) \((?P<file>[^()\s]+?\.[ch]pp):\d+\)")
"""libzmq ``src/err.hpp:zmq_assert``."""

_ERRNO = re.compile(r"^(?P<text>[A-Z][^\n(]{3,80}) \((?P<file>[^()\s]*?src/[^()\s]+?\.[ch]pp):\d+\)$", re.MULTILINE)
"""libzmq ``src/err.hpp:errno_assert``: strerror text, then the place."""

_MALLOC = re.compile(
    r"^(\*\*\* .* detected \*\*\*|(?:free|malloc|realloc|double free|corrupted|munmap_chunk|malloc_consolidate)\b)",
    re.MULTILINE,
)
"""What glibc says when it finds memory damaged (``malloc/malloc.c``, ``debug/fortify_fail.c``): the damage was done
elsewhere, and where it is found depends on chance."""


def assertion_in(log: str) -> tuple[str, str] | None:
    """(expression or error text, source file) of a libzmq assertion in what the target wrote; None without one."""
    found = _ASSERTION.search(log) or _ERRNO.search(log)
    return (found["text"], found["file"].rsplit("/", 1)[-1]) if found else None


_HANDLER = " A ZAP handler is such a worker: where it has ended, no handshake is completed any more."


def _ended(exit_: Exit) -> str:
    if exit_.signal is not None:
        try:
            return f"was killed by {signal.Signals(exit_.signal).name}"
        except ValueError:
            return f"was killed by signal {exit_.signal}"
    return f"ended with exit code {exit_.code}" if exit_.code is not None else "was gone"


@invariant("ZF101", "The process does not survive what a peer sends", severity=Severity.CRITICAL)
def process_alive(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """The target's process is alive after every attack.

    Why: whoever can open a connection can stop the service. Measured: the exit of the process that was started
    (its supervisor's restarts do not hide it), its exit code or signal, and the last it wrote; a libzmq assertion
    is named as such. Confirmed on fresh processes. Inconclusive: an attached process whose exit code is not ours
    to read is reported as gone. To fix: catch what a message can raise inside the receive loop; upgrade libzmq
    when the assertion is its own.
    """
    gone = trial.observation.exit
    if gone is None or trial.observation.killed_at_cap:
        return
    assertion = assertion_in(trial.observation.log_tail)
    error = uncaught(trial.observation.log_tail, crashed=gone.signal not in (None, signal.SIGABRT))
    how = _ended(gone)
    measures = [Measure("process", how, "alive")]
    if assertion is not None:
        measures.append(Measure("libzmq assertion", f"{assertion[0]} in {assertion[1]}"))
        signature = f"libzmq assertion {assertion[0]} {assertion[1]}"
        advice = "A libzmq assertion: upgrade libzmq; if the newest release still fails, report it privately first."
    else:
        where = f" in {gone.place}" if gone.place and not _MALLOC.search(trial.observation.log_tail) else ""
        measures += [Measure("place", gone.place)] if gone.place else []
        named = "" if error.startswith(CORRUPTED) else error  # what is found damaged first is chance
        signature = f"{how}{where} {named}".strip()
        advice = "Catch what one message can raise inside the receive loop, log it, and go on with the next."
        if gone.signal is not None and (not error or error.startswith(CORRUPTED)):
            advice = "A crash in native code: run the replay under a debugger or sanitizer to see where."
    said = "" if not error or assertion is not None else f" ({error})" if " " in error else f" with {error}"
    raise violated(f"The process {how}{said}.", *measures, signature=signature, advice=advice)


@invariant(
    "ZF102",
    "Alive and deaf: nobody is served any more after an attack",
    severity=Severity.HIGH,
    tests=lambda trial, limits: bool(trial.observation.probes),
)
def service_alive(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """An honest client is served after every attack, as it was before.

    Why: most failures are "alive and deaf": the process runs, its port accepts, and one worker, callback or socket
    has stopped for good. Measured: an honest pyzmq client does the round trip that it did before the attack (found
    by calibration, or given with --probe) within the time to recover. Where it answers nothing that we know, it is
    offered more messages than wait in a queue: one that tells of an error, is at rest and takes none of them is deaf.
    Where the pattern shows nothing but a handshake, only that is checked, and the run says so. Inconclusive: a door
    that did not answer before the attack. To fix: catch per message, not around the loop; restart workers that end;
    recreate sockets that libzmq has given up.
    """
    probes = trial.observation.probes
    if not probes or probes[-1].ok or trial.observation.exit is not None or trial.observation.killed_at_cap:
        return
    last = probes[-1]
    if trial.surface.side == "connect" and last.level != SILENT:
        raise violated(
            f"After one bad connection the program did not come back to an honest server: it {last.detail}.",
            Measure(
                f"{last.level} with an honest server", f"none in {last.seconds:.1f} s", f"within {limits.recover:g} s"
            ),
            Measure("process", "alive"),
            signature="does not come back",
            advice="After a protocol error libzmq gives a connected endpoint up for ever (libzmq issue 4196): close "
            "the socket and connect a new one when nothing has come for some time.",
        )
    raise violated(
        f"After the attack the process still ran, but an honest client was not served: {last.detail}.",
        _round_trip(last, limits),
        Measure("process", "alive"),
        signature=f"deaf at {last.level}",
        advice="Catch errors per message so that no worker or loop ends, and watch workers from outside."
        + (_HANDLER if trial.surface.mechanism in ("PLAIN", "CURVE") else ""),
    )


def _round_trip(last: ProbeResult, limits: Limits) -> Measure:
    if last.level == READING:
        return Measure("messages offered to it", f"not taken in {last.seconds:.1f} s", f"within {limits.recover:g} s")
    return Measure(f"{last.level} round trip", f"none in {last.seconds:.1f} s", f"within {limits.recover:g} s")


def _unserved_beside(trial: Trial, limits: Limits) -> bool:
    seen = trial.observation
    beside = seen.beside
    if beside is None or seen.exit is not None or seen.killed_at_cap or any(not probe.ok for probe in seen.probes):
        return False
    return beside.during.share < limits.beside


@invariant(
    "ZF103",
    "Other clients are not served while peers hold connections",
    severity=Severity.HIGH,
    examines="beside",
    suspects=_unserved_beside,
)
def others_served(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """An honest client is served beside connections that others hold open and silent, as it is without them.

    Why: a few connections that cost nothing keep everybody else out, for as long as they are held. Measured: an honest
    pyzmq client's answers, or the share of a target's messages that it gets, before the attack, while its connections
    are open and the target is at rest, and when they are closed, with patience, on three fresh processes; and beside
    as many honest peers that shake hands and say nothing. Not judged: a target still at work, which is load; PAIR,
    which serves one peer; PUSH, DEALER and REQ beside peers that may be ready, which rightly get their share; a target
    that says nothing by itself and does not answer. Inconclusive: no process to watch, a door that is not served
    without an attack either. To fix: never block in a send to one peer (SNDTIMEO, DONTWAIT) nor wait for one peer's
    next message; libzmq before 4.3.3 gives messages to connections that never shake hands (CVE-2020-15166).
    """
    shown = [trial.observation.beside for trial in seen.trials]
    if seen.doubts or not seen.controls or not all(beside and _starves(beside, limits) for beside in shown):
        return
    calm = seen.controls[0].observation.beside
    if calm is None or not _served(calm, calm.during, limits):
        return
    worst = next(beside for beside in shown if beside is not None)
    peers = f"{worst.open} connection{'s' * (worst.open != 1)}"
    raise violated(
        f"While {peers} stayed open and silent, an honest client got {_said(worst.during)}; else it was served.",
        Measure("before, beside, after", ", ".join(map(_said, _moments(worst))), f"beside >= {limits.beside:.0%}"),
        Measure("process", "alive, at rest"),
        Measure("control", f"beside {calm.open} honest idle peers: {_said(calm.during)}"),
        signature="not served beside held connections",
        advice="Never block in a send to one peer (SNDTIMEO, DONTWAIT) nor wait for one peer's next message. libzmq "
        "before 4.3.3 gives messages to connections that never shake hands: upgrade it.",
    )


def _moments(beside: Beside) -> tuple[Service, ...]:
    return tuple(one for one in (beside.before, beside.during, beside.after) if one is not None)


def _served(beside: Beside, moment: Service, limits: Limits) -> bool:
    """Whether a client got at that moment what it got before and after, which must be something."""
    if beside.before is None or beside.after is None:
        return False
    least = min(beside.before.share, beside.after.share)
    return least > 0 and moment.share >= limits.beside * least


def _starves(beside: Beside, limits: Limits) -> bool:
    if beside.before is None or beside.after is None or not min(beside.before.got, beside.after.got):
        return False
    return not _served(beside, beside.during, limits)


def _said(service: Service) -> str:
    if service.wanted == 1:
        return f"an answer after {service.seconds:.2f} s" if service.got else f"no answer in {service.seconds:.1f} s"
    return f"{service.got} of {service.wanted} {service.what}s"
