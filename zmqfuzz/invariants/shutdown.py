"""Told to stop, the target ends in time, and delivers what it had accepted."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.stopping import allowed, asked
from zmqfuzz.trial import ClosedBy, Examination, Stop, Transcript, Trial

__all__ = ["delivers_before_end", "ends_within_linger"]

SOON = 0.25
"""Seconds beyond an end with nobody connected in which no LINGER has run out, where none was promised."""

HURRIED = 0.8
"""Share of the promised LINGER: who ends sooner has not waited for it."""


def _stops(trials: tuple[Trial, ...]) -> list[Stop]:
    return [trial.observation.stop for trial in trials if trial.observation.stop is not None]


def _beside(trial: Trial) -> str:
    labels = [script.label for script in trial.attack.scripts]
    return "beside a " + " and a ".join(labels) if labels else "with nobody connected"


def _said(stop: Stop) -> str:
    return f"{stop.seconds:.2f} s" if stop.ended else f"not within {stop.seconds:.1f} s"


def _alone(seen: Examination) -> Stop | None:
    """How it ended with nobody connected; None: it did not, so nothing can be said."""
    stops = _stops(seen.controls[:1])
    return stops[0] if stops and stops[0].ended else None


@invariant(
    "ZF321",
    "Told to stop, it does not end within the declared linger",
    severity=Severity.HIGH,
    examines="stop",
    declared="linger",
)
def ends_within_linger(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Told to stop, the target ends within its linger and a grace, whatever its peers do.

    Why: libzmq's LINGER is without end unless it is set, and one peer that does not read, or is gone without a goodbye,
    then keeps a service from ending, until its supervisor kills it. Measured: the seconds from the signal to the main
    process (SIGTERM, or --stop-signal) to the end of its last process, when messages wait for a peer that is hung (the
    connection lives, nobody reads), vanished, slow, or reading, on three fresh processes. Allowed are the declared
    linger, twice the time that it takes with nobody connected, and one second. Inconclusive: it does not end with
    nobody connected either, or is still at work when it is told to stop. To fix: set LINGER on every socket before it
    is closed, close all of them before the context is terminated, and never wait in a send without SNDTIMEO.
    """
    alone, stops = _alone(seen), _stops(seen.trials)
    if limits.linger is None or seen.doubts or alone is None or not stops:
        return
    most = allowed(limits, alone)
    if not all(stop.at_rest and stop.seconds > most for stop in stops):
        return
    worst = max(stops, key=lambda stop: (not stop.ended, stop.seconds))
    ended = f"it ended only after {worst.seconds:.1f} s" if worst.ended else f"it still ran {worst.seconds:.1f} s later"
    raise violated(
        f"Told to stop with {worst.signal} {_beside(seen.trials[0])}, {ended}.",
        Measure("time to end", ", ".join(map(_said, stops)), f"<= {most:.2f} s"),
        Measure("allowed", f"{limits.linger:g} s of linger, twice the control, 1 s of grace"),
        Measure("control", f"with nobody connected it ended after {alone.seconds:.2f} s"),
        signature=f"does not end {_beside(seen.trials[0])}",
        advice="Set LINGER on every socket before it is closed (the default waits for ever), close every socket before "
        "the context is terminated, and give a send that may block SNDTIMEO.",
    )


def _readers(trial: Trial) -> list[tuple[int, Transcript]]:
    """What each peer that reads on was to get, and what it saw."""
    pairs = zip(trial.attack.scripts, trial.transcripts, strict=True)
    return [(wanted, seen) for script, seen in pairs if (wanted := asked(script))]


def _lost(trial: Trial, alone: Stop, limits: Limits) -> bool:
    """Whether it ended with time to spare, in good order, and yet a peer that read on did not get its share."""
    stop = trial.observation.stop
    if stop is None or not stop.ended or not stop.at_rest or limits.delivers is None:
        return False
    spare = alone.seconds + SOON if limits.linger is None else HURRIED * limits.linger
    short = [seen for wanted, seen in _readers(trial) if seen.messages < min(limits.delivers, 1.0) * wanted]
    return stop.seconds < spare and any(seen.closed_by is ClosedBy.FIN for seen in short)


@invariant(
    "ZF322",
    "Told to stop, it loses answers that a peer still reads",
    severity=Severity.HIGH,
    examines="stop",
    declared="delivers",
)
def delivers_before_end(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """What the target has accepted before it is told to stop is delivered to a peer that reads on.

    Why: LINGER of 0 throws away what still waits in the program when its socket is closed; the client whose work was
    done never learns of it. Measured: a peer asks some hundred times, and reads only when the target, at rest, is told
    to stop; its complete answers up to the end of the connection are counted, on three fresh processes, and in a
    control that is not told to stop and must deliver all of them. Not judged, as it may be lost: what waits for peers
    that are gone or do not read; messages that a target sends by itself; a tail that ends with RST, because octets of
    the peer were left unread; a target that has waited for its whole linger (declare it with --linger; else one that
    ends no sooner than a quarter of a second after it would have alone). Inconclusive: the control is not answered in
    full. To fix: a LINGER that is long enough for a slow client, and a context that is terminated and not destroyed
    with linger=0.
    """
    alone = _alone(seen)
    if seen.doubts or alone is None or not seen.trials or limits.delivers is None or len(seen.controls) < 2:
        return
    if any(got.messages < wanted for wanted, got in _readers(seen.controls[1])):
        return
    if not all(_lost(trial, alone, limits) for trial in seen.trials):
        return
    counted = [(got.messages, wanted, got) for trial in seen.trials for wanted, got in _readers(trial)]
    got, wanted, transcript = min(counted, key=lambda one: one[0])
    cut = next((breach for breach in transcript.breaches if "into a frame" in breach), "whole")
    stops = _stops(seen.trials)
    raise violated(
        f"Told to stop with {stops[0].signal}, it ended after {min(stop.seconds for stop in stops):.2f} s, and a "
        f"{transcript.label} that read on got {got} of {wanted} answers that it had accepted.",
        Measure("answers", ", ".join(f"{one[0]} of {one[1]}" for one in counted), _share(limits.delivers)),
        Measure("last frame", cut),
        Measure("connection", transcript.closed_by.value),
        Measure("time to end", ", ".join(map(_said, stops)), _linger(limits)),
        Measure("control", f"not told to stop: {wanted} of {wanted}; alone it ended after {alone.seconds:.2f} s"),
        signature="loses what it had accepted",
        advice="Give the socket a LINGER that is long enough for a slow client, and terminate the context instead of "
        "destroying it with linger=0; handle the signal where the program does not.",
    )


def _share(delivers: float) -> str:
    return "all" if delivers >= 1 else f">= {delivers:.0%}"


def _linger(limits: Limits) -> str:
    return f"linger {limits.linger:g} s" if limits.linger is not None else "no linger declared"
