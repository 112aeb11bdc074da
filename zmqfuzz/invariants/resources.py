"""Memory and descriptors stay bounded, and come back."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from zmqfuzz.budget import KEPT_OF_PEER, LEAK_FLOOR, MIB, SURE_ROUNDS, Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.script import ReadOn, StopReading, Vanish
from zmqfuzz.trial import Examination, Trial, settled_samples

__all__ = [
    "connections_close",
    "descriptors_return",
    "held_per_byte",
    "library_memory_returns",
    "memory_limit",
    "memory_returns",
]

SUSPICIOUS_GROWTH = 6 * MIB
"""Octets a trial must hold before it is examined: below that a Python program's own growth hides everything."""

AMPLIFIED = 10
CONNECTION = 64 * 1024
"""Octets held for each octet sent that make a third as much suspicious; those of a connection itself do not count."""

EXAMINED_GROWTH = 24 * MIB
"""Octets an examined attack must hold to be a finding."""


def _all_read(trial: Trial) -> bool:
    """Whether every peer reads what it is sent: what waits for one that does not is ZF210's, and has its own bound."""
    steps = [step for script in trial.attack.scripts for step in script.steps]
    return not any(isinstance(step, StopReading | Vanish) or (isinstance(step, ReadOn) and step.rate) for step in steps)


def _suspects_held(trial: Trial, limits: Limits) -> bool:
    if not _all_read(trial):
        return False
    growth = trial.held_growth
    if growth > SUSPICIOUS_GROWTH and growth > limits.held_per_byte * trial.sent:
        return True
    rest = growth - CONNECTION * len(trial.transcripts)
    return rest > SUSPICIOUS_GROWTH / 3 and rest > AMPLIFIED * trial.sent


def _second_half(trial: Trial) -> float:
    """Octets held per octet sent in the second half of what was sent: near zero when the growth levels off."""
    held = trial.observation.held
    half = [sample for sample in trial.observation.series if sample.sent >= trial.sent / 2]
    if held is None or not half:
        return 0.0
    first = half[0]
    rest = trial.sent - first.sent
    # All was sent between two samples: the slope over the whole is the best there is.
    if rest < trial.sent / 10:
        return trial.held_growth / max(trial.sent, 1)
    return (held.rss - first.rss) / rest


def _mib(octets: float) -> str:
    return f"{octets / MIB:,.1f} MiB" if octets >= MIB / 10 else f"{octets / 1024:,.1f} KiB"


@invariant(
    "ZF203",
    "Memory is held in step with what a peer sends, without limit",
    severity=Severity.HIGH,
    examines="held",
    suspects=_suspects_held,
)
def held_per_byte(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """What a peer makes the target hold levels off; it does not grow with every octet that is sent.

    Why: one stranger with one connection can take all memory. Measured on fresh processes: resident memory gained
    per octet sent while the peers are connected, and the same over the second half of the attack (a queue that
    fills up to its high-water mark levels off), beside a control run in which an honest peer sends the same volume
    as complete messages. Virtual size is not counted: an announced size costs nothing until it is filled.
    Inconclusive: no process to watch. To fix: authenticate peers (CURVE with an allow-list), set MAXMSGSIZE, and
    bound whole messages in front of the socket; no socket option limits a multipart message.
    """
    if not seen.trials or seen.doubts:
        return
    ratios = [trial.held_growth / max(trial.sent, 1) for trial in seen.trials]
    growths = [trial.held_growth for trial in seen.trials]
    slopes = [_second_half(trial) for trial in seen.trials]
    control = max((trial.held_growth for trial in seen.controls), default=0)
    limit = limits.held_per_byte
    growing = min(ratios) > limit and min(slopes) > limit and min(growths) >= EXAMINED_GROWTH
    if not growing or control > min(growths) / 2:
        return
    trial = seen.trials[0]
    baseline = trial.observation.baseline
    held = trial.observation.held
    measures = [Measure("held per octet sent", f"{ratios[0]:.2f}", f"<= {limit:.2f}")]
    if baseline is not None and held is not None:
        measures.append(Measure("resident memory", f"{baseline.rss / MIB:.0f} -> {held.rss / MIB:.0f} MiB"))
        measures.append(
            Measure("virtual size, not judged", f"{baseline.virtual / MIB:,.0f} -> {held.virtual / MIB:,.0f} MiB")
        )
    after = [sample.rss / MIB for sample in settled_samples((trial, *seen.rounds))]
    if after:
        measures.append(Measure("after disconnect", ", ".join(f"{rss:.0f}" for rss in after) + " MiB"))
    if seen.controls:
        calm = seen.controls[0]
        text = f"{_mib(calm.sent)} as complete messages: resident memory +{_mib(calm.held_growth)}"
        measures.append(Measure("control", text))
    if len(after) > 2:
        measures.append(Measure("leak?", _leaks_in_words(after)))
    whole = "; ".join(sorted({transcript.closed_by.value for transcript in trial.transcripts}))
    raise violated(
        f"The target held {_mib(growths[0])} for {_mib(trial.sent)} sent, and was still growing ({whole}).",
        *measures,
        signature="held while connected",
        advice="No high-water mark bounds this. Authenticate peers (CURVE), set MAXMSGSIZE against large frames, "
        "and bound whole messages per peer in front of the socket.",
    )


def _leaks_in_words(after: list[float]) -> str:
    steps = [later - earlier for earlier, later in pairwise(after)]
    if steps[-1] < max(2.0, 0.25 * max(steps[0], 1.0)):
        return "unlikely: memory after disconnect levels off"
    return "possible: memory after disconnect goes on growing"


DEAR = 0.02
"""Octets left behind for each that was sent, below which a leak is less bad: fifty are sent for one that stays."""


def _suspects_leak(trial: Trial, limits: Limits) -> bool:
    baseline, settled = trial.observation.baseline, trial.observation.settled
    return baseline is not None and settled is not None and settled.rss - baseline.rss > MIB // 2


@invariant(
    "ZF204",
    "Memory does not come back after the peers have gone",
    severity=Severity.HIGH,
    examines="rounds",
    suspects=_suspects_leak,
)
def memory_returns(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Memory levels off when the same attack is repeated and its peers are gone.

    Why: a leak that a peer can feed ends the process, slowly. Measured: resident memory after each of twelve rounds
    (more where little stays behind each time) on one process, all peers gone and the target at rest; the first warms
    up. Some seconds later three more show whether it has forgotten what it had kept for a time, and uses that again.
    Growth in three of four rounds, of 3 MiB and more together (and 40 KiB for each peer that is there at once), that
    does not slow down is a leak; memory that stays high but level is the allocator's retention. Of medium severity
    where less than one octet stays for fifty that are sent. Inconclusive: no process to watch, a target that does not
    come to rest. To fix: bound what is remembered per message and per peer; free what belonged to a peer that has gone.
    """
    grown = _grown(seen)
    if not grown:
        return
    raise violated(
        f"Each round left {_mib(grown.each)} behind for {_mib(grown.sent)} sent, with all peers gone.",
        Measure("resident memory per round", grown.series, "levels off"),
        signature="memory left behind",
        advice="Bound what is kept per message and per peer, in octets, and free it when the peer has gone.",
        severity=Severity.MEDIUM if grown.each < DEAR * grown.sent else None,
    )


@invariant(
    "ZF209",
    "The library itself keeps memory of peers that have gone",
    severity=Severity.MEDIUM,
    examines="rounds",
)
def library_memory_returns(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """As ZF204, where a bare socket of the same library, with nothing behind it, keeps as much.

    Why: it ends the process all the same, but no application code is at fault. Measured: the rounds of ZF204, played
    also against a socket of the same type made from the libzmq that the target has loaded. One known way: what a
    second peer sends under an identity that is taken is queued, and never read or freed (ROUTER, REP; libzmq issues
    3731 and 4503). To fix: authenticate peers (CURVE), upgrade libzmq where a newer release frees it, restart in time.
    """
    grown = _grown(seen)
    if not grown:
        return
    raise violated(
        f"Each round left {_mib(grown.each)} behind for {_mib(grown.sent)} sent, as a bare socket does too.",
        Measure("resident memory per round", grown.series, "levels off"),
        signature="memory left behind by the library",
        advice="No code of yours keeps it. Authenticate peers (CURVE), and look for a newer libzmq.",
    )


class _Growth(NamedTuple):
    """Octets left behind and sent by each round, and the series in words."""

    each: float
    sent: float
    series: str


def _grown(seen: Examination) -> _Growth | None:
    rss = [sample.rss for sample in settled_samples(seen.trials)]
    if len(rss) < SURE_ROUNDS or seen.doubts or _waiting_more(seen):
        return None  # what connections that never close still hold is told by ZF208
    steps = [later - earlier for earlier, later in pairwise(rss[1:])]
    total = rss[-1] - rss[1]
    rising = sum(step > 64 * 1024 for step in steps) >= 0.75 * len(steps)
    half = len(steps) // 2
    slowing = steps[-1] + steps[-2] < 0.3 * 2 * total / len(steps) or sum(steps[-half:]) < 0.4 * sum(steps[:half])
    floor = LEAK_FLOOR + KEPT_OF_PEER * max(len(trial.transcripts) for trial in seen.trials)
    if total < floor or sum(steps[-half:]) < floor / 3 or not rising or slowing:
        return None
    sent = sum(trial.sent for trial in seen.trials[2:])
    series = ", ".join(f"{value / MIB:.0f}" for value in rss) + " MiB"
    return _Growth(total / len(steps), sent / len(steps), series)


def _left_open(trial: Trial) -> int:
    """Descriptors that an attack left open, connections without a peer not counted."""
    baseline, settled = trial.observation.baseline, trial.observation.settled
    if baseline is None or settled is None:
        return 0
    return settled.descriptors - baseline.descriptors - trial.observation.abandoned


def _suspects_open(trial: Trial, limits: Limits) -> bool:
    """A target that connects may just have been between two connections before, and not after: that is one."""
    return _left_open(trial) > (trial.surface.side == "connect")


@invariant(
    "ZF205",
    "Descriptors do not come back after the peers have gone",
    severity=Severity.HIGH,
    examines="rounds",
    suspects=_suspects_open,
)
def descriptors_return(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """The descriptor count returns to where it was when the peers have gone.

    Why: at RLIMIT_NOFILE (1,024 in most shells) nobody can connect any more. Measured: open descriptors of the
    process tree, less its connections without a peer (ZF208), after each of six rounds of the same attack, seconds
    after its peers have gone; the first round warms up. Growth in at least four of five rounds is a violation.
    Inconclusive: no process to watch. To fix: close what was opened on every path, also the one an exception takes.
    """
    counts = _descriptors(seen)
    if len(counts) < 6 or seen.doubts or not _keep_rising(counts) or counts[-1] - counts[1] <= limits.descriptors:
        return
    raise violated(
        "Each round of the attack left descriptors open after its peers had gone.",
        Measure("descriptors per round", ", ".join(map(str, counts)), f"back within {limits.descriptors}"),
        signature="descriptors left open",
        advice="Close files, pipes and sockets on every path, also the one an exception takes (use `with`).",
    )


def _descriptors(seen: Examination) -> list[int]:
    return [
        trial.observation.settled.descriptors - trial.observation.abandoned
        for trial in seen.trials
        if trial.observation.settled is not None
    ]


def _keep_rising(counts: list[int]) -> bool:
    """In at least four of five steps, after a first round that warms up."""
    steps = [later - earlier for earlier, later in pairwise(counts[1:])]
    return sum(step > 0 for step in steps) >= len(steps) - 1


def _waiting_more(seen: Examination) -> bool:
    return _keep_rising([trial.observation.abandoned for trial in seen.trials])


@invariant(
    "ZF208",
    "Connections stay open although their peers have closed them",
    severity=Severity.MEDIUM,
    examines="rounds",
    suspects=lambda trial, limits: trial.observation.abandoned > 0,
)
def connections_close(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """A connection that its peer has closed is closed by the target too.

    Why: each one keeps a descriptor and its queue; at RLIMIT_NOFILE nobody can connect any more. Measured: sockets of
    the process tree in CLOSE_WAIT, or closed by a reset, after each of six rounds of the same attack, the target at
    rest; growth in at least four of five rounds is a violation. libzmq stops reading a connection whose queue is at
    RCVHWM, and so never sees its end; where the application reads, the queue is one that the socket itself leaves
    unread: that of a second peer with an identity that is taken (ROUTER, REP; libzmq issues 3731 and 4503).
    Inconclusive: no process to watch, a target that does not come to rest. To fix: authenticate peers (CURVE, which
    also refuses ZMTP 1.0 and 2.0), set HEARTBEAT_IVL, which ends such connections of ZMTP 3 peers, and keep reading
    every socket that is bound.
    """
    waiting = [trial.observation.abandoned for trial in seen.trials]
    if len(waiting) < 6 or seen.doubts or not _waiting_more(seen) or waiting[-1] - waiting[1] <= limits.descriptors:
        return
    raise violated(
        f"Each round of the attack left connections open that its peers had closed: {waiting[-1]} after six rounds.",
        Measure(
            "connections without a peer per round", ", ".join(map(str, waiting)), f"back within {limits.descriptors}"
        ),
        signature="connections without a peer",
        advice="Authenticate peers (CURVE), set HEARTBEAT_IVL, and read every socket that is bound: libzmq does not "
        "see the end of a connection whose queue is full.",
    )


@invariant("ZF206", "Memory goes over the declared limit", severity=Severity.HIGH, declared="memory")
def memory_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """The resident memory of the target stays under the declared limit (--memory).

    Why: the limit of a container or machine is a hard end. Measured: the largest resident set of the process tree
    in any sample of an attack. Without a declared limit only the hard cap that protects this machine is watched:
    passing that is a violation too. To fix: lower the high-water marks, set MAXMSGSIZE, bound peers.
    """
    peak = trial.observation.peak_rss
    over = limits.memory is not None and peak > limits.memory
    if not over and not trial.observation.killed_at_cap:
        return
    limit = limits.memory if limits.memory is not None else limits.hard_cap
    raise violated(
        f"Resident memory reached {_mib(peak)} after {_mib(trial.sent)} sent.",
        Measure("resident memory, peak", _mib(peak), f"<= {_mib(limit)}"),
        signature="over the memory limit",
        advice="Lower the high-water marks, set MAXMSGSIZE and bound the peers you serve at once.",
    )
