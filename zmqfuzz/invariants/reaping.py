"""Dead peers are let go of in the promised time, and only dead ones.

What a peer was is read from its script and from what it said: an attack that was made simpler is judged by what it
still does. A peer counts when it has waited out the promise and :data:`~zmqfuzz.budget.TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Callable

from zmqfuzz.budget import TOLERANCE, Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.parked import LATE, Parked, State, honest, parked, vanished
from zmqfuzz.trial import Trial
from zmqfuzz.zmtp.patterns import ONE_PEER

__all__ = [
    "handshake_reaped",
    "hung_reaped",
    "not_reaped_early",
    "older_handshake_reaped",
    "older_hung_reaped",
    "older_kept",
    "vanished_reaped",
]


def _tests(state: State, promise: str) -> Callable[[Trial, Limits], bool]:
    return lambda trial, limits: bool(parked(trial, state, getattr(limits, promise)))


def _blame(
    violated: type[Violation], trial: Trial, state: State, limit: float | None, what: str, signature: str, advice: str
) -> None:
    """Raise where a peer in ``state`` was kept; None: nothing was promised."""
    peers = parked(trial, state, limit)
    kept = [peer for peer in peers if peer.kept]
    if limit is None or not kept:
        return
    waited = min(peer.waited for peer in kept)
    cut = sorted(peer.cut_after for peer in peers if not peer.kept)
    measures = [
        Measure("still connected", f"{len(kept)} of {len(peers)} after {waited:.1f} s", f"cut within {limit:g} s"),
        Measure("where they stopped", "; ".join(dict.fromkeys(peer.words for peer in kept))),
    ]
    if cut:
        measures.append(Measure("the others were cut", f"after {cut[0]:.2f} to {cut[-1]:.2f} s"))
    raise violated(
        f"{what} was still connected after {waited:.1f} s ({kept[0].words}).",
        *measures,
        *_descriptors(trial),
        signature=signature,
        advice=advice,
        culprit=kept[0].script,
    )


def _descriptors(trial: Trial) -> list[Measure]:
    before, held = trial.observation.baseline, trial.observation.held
    if before is None or held is None:
        return []
    return [Measure("descriptors", f"{before.descriptors} before, {held.descriptors} with them")]


@invariant(
    "ZF311",
    "A peer that stalls in the handshake is kept",
    severity=Severity.MEDIUM,
    declared="handshake_within",
    tests=_tests(State.STALLED, "handshake_within"),
    waits=True,
)
def handshake_reaped(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A peer that does not complete its handshake is cut in the declared time (--handshake-within).

    Why: each such connection costs a stranger nothing and the target a descriptor; at RLIMIT_NOFILE nobody can
    connect any more. Measured from the peers' own connections: at each stage of the greeting and of the mechanism
    peers of ZMTP 3.x stop, or drip an octet now and then; whoever is still connected a second after the declared time
    was kept. Inconclusive: a time longer than an attack can wait, and a machine so busy that zmqfuzz itself is late.
    To fix: HANDSHAKE_IVL (30 s by default, 0 is never) before bind or connect, as later it does nothing.
    """
    _blame(
        violated,
        trial,
        State.STALLED,
        limits.handshake_within,
        "A peer that stalled in the handshake",
        "stalled peers are kept",
        "Set HANDSHAKE_IVL (milliseconds; 0 is never) before bind or connect: set later it has no effect.",
    )


@invariant(
    "ZF312",
    "A peer that has stopped answering is kept",
    severity=Severity.MEDIUM,
    declared="hung_within",
    tests=_tests(State.HUNG, "hung_within"),
    waits=True,
)
def hung_reaped(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A peer that has completed its handshake and answers no PING is cut in the declared time (--hung-within).

    Why: a program that hangs, or a host that is stopped, keeps its place, its queue and its identity for ever, and
    what is sent to it is lost. Measured from the peers' own connections: peers of ZMTP 3.0 and 3.1 that do not read,
    stop within a frame, or read and never send a PONG; whoever is still connected a second after the declared time
    was kept. Inconclusive: a time longer than an attack can wait, a door that asks for what was not given, and a
    machine so busy that zmqfuzz itself is late. To fix: HEARTBEAT_IVL (0, never, by default) and HEARTBEAT_TIMEOUT
    before bind or connect, together below the declared time. TCP keepalive does not help: the kernel of a program
    that hangs still answers.
    """
    _blame(
        violated,
        trial,
        State.HUNG,
        limits.hung_within,
        "A peer that answered nothing any more",
        "hung peers are kept",
        "Set HEARTBEAT_IVL and HEARTBEAT_TIMEOUT before bind or connect (set later they have no effect). TCP keepalive "
        "does not end a peer that hangs: its kernel still answers.",
    )


_OLDER = (
    "libzmq has neither a handshake timer nor heartbeats for ZMTP 1.0 and 2.0. Refuse them: set ZAP_DOMAIN (not empty) "
    "before bind, or use PLAIN or CURVE."
)


@invariant(
    "ZF315",
    "A peer that stalls in a greeting of ZMTP 1.0 or 2.0 is kept",
    severity=Severity.MEDIUM,
    declared="handshake_within",
    tests=_tests(State.OLDER_STALLED, "handshake_within"),
    waits=True,
)
def older_handshake_reaped(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """As ZF311, for peers whose first octets are those of ZMTP 1.0 or 2.0.

    Why: one octet is enough for a connection that no timer of libzmq ever ends: it stops HANDSHAKE_IVL as soon as the
    version is known to be older (``src/zmtp_engine.cpp``: measured on 4.3.5, for ever; issue 4106). Measured as ZF311,
    after the length of an identity, in it, and after the twelve octets of ZMTP 2.0. Inconclusive: as ZF311. To fix: a
    socket with a ZAP_DOMAIN, or with PLAIN or CURVE, refuses such peers at once; no application option times them.
    """
    what, signature = "A peer that stalled in an older greeting", "stalled peers of ZMTP 1 and 2 are kept"
    _blame(violated, trial, State.OLDER_STALLED, limits.handshake_within, what, signature, _OLDER)


@invariant(
    "ZF316",
    "A silent peer of ZMTP 1.0 or 2.0 is kept",
    severity=Severity.MEDIUM,
    declared="hung_within",
    tests=_tests(State.OLDER_HUNG, "hung_within"),
    waits=True,
)
def older_hung_reaped(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """As ZF312, for peers of ZMTP 1.0 and 2.0, which know no PING.

    Why: whoever speaks an older version cannot be asked whether it lives, so a connection of fourteen octets stays for
    ever in spite of heartbeats. Measured as ZF312, behind a complete greeting. Inconclusive: as ZF312. To fix: a socket
    with a ZAP_DOMAIN, or with PLAIN or CURVE, refuses such peers at once; TCP keepalive lets go of those that have
    vanished (ZF313), not of those that hang.
    """
    what, signature = "A silent peer of an older version", "silent peers of ZMTP 1 and 2 are kept"
    _blame(violated, trial, State.OLDER_HUNG, limits.hung_within, what, signature, _OLDER)


@invariant(
    "ZF313",
    "A peer that has vanished is kept",
    severity=Severity.MEDIUM,
    declared="vanished_within",
    tests=lambda trial, limits: bool(vanished(trial, limits.vanished_within)),
    waits=True,
)
def vanished_reaped(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A connection whose peer has vanished without a sign is let go of in the declared time (--vanished-within).

    Why: a cut cable, a crashed host or a firewall that forgets says no goodbye, and the connection stays: Linux asks
    after two hours, and only where keepalive is on. Measured from outside: peers answer nothing at all any more, in
    the handshake and behind it, in each version of ZMTP, and the kernel is asked twenty times a second (sock_diag)
    whether a process holds the other side. Inconclusive: an ipc endpoint, a target on another machine or in a network
    namespace of its own, a time longer than an attack can wait. To fix: TCP_KEEPALIVE with _IDLE, _INTVL and _CNT
    (seconds) before bind or connect, for every version; HEARTBEAT_IVL, for ZMTP 3.x behind the handshake;
    HANDSHAKE_IVL in it. Keepalive does not ask while something that was sent is not acknowledged: TCP_MAXRT ends that.
    """
    peers = vanished(trial, limits.vanished_within)
    limit = limits.vanished_within or 0.0
    kept = [peer for peer in peers if peer.held >= limit + TOLERANCE - LATE]
    if not kept:
        return
    held = min(peer.held for peer in kept)
    measures = [Measure("still held", f"{len(kept)} of {len(peers)} after {held:.1f} s", f"let go of in {limit:g} s")]
    gone = sorted(peer.held for peer in peers if peer not in kept)
    if gone:
        measures.append(Measure("the others were let go of", f"after {gone[0]:.1f} to {gone[-1]:.1f} s"))
    if on_their_way := max(peer.unacknowledged for peer in kept):
        measures.append(Measure("not acknowledged", f"{on_their_way:,} octets: TCP keepalive does not ask meanwhile"))
    raise violated(
        f"A connection whose peer had vanished was still held after {held:.1f} s.",
        *measures,
        *_descriptors(trial),
        signature="vanished peers are kept",
        advice="Set TCP_KEEPALIVE, TCP_KEEPALIVE_IDLE, _INTVL and _CNT, or HEARTBEAT_IVL and HEARTBEAT_TIMEOUT, before "
        "bind or connect; TCP_MAXRT where messages may be on their way.",
        culprit=kept[0].script,
    )


def _idle(trial: Trial, limits: Limits) -> list[Parked]:
    """The idle peers whose fate says something: others may connect beside them, and we would know if we were late."""
    if trial.surface.socket_type.upper() in ONE_PEER or not trial.observation.series:
        return []
    return parked(trial, State.IDLE, limits.hung_within)


@invariant(
    "ZF314",
    "A healthy peer that is idle is cut",
    severity=Severity.HIGH,
    declared="hung_within",
    tests=lambda trial, limits: bool(_idle(trial, limits)),
    waits=True,
)
def not_reaped_early(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A peer that answers every PING stays connected, also when it has nothing to say for longer than --hung-within.

    Why: a watchdog that takes silence for death cuts whoever is only idle or slow, and each cut loses messages.
    Measured: an honest peer that shakes hands, answers each PING within 0.1 s, and says nothing else, beside dead ones
    and then alone; the target must not close. Inconclusive: no process to watch, PAIR, which serves one peer, and a
    machine so busy that zmqfuzz itself is late. To fix: let libzmq's heartbeats decide, whose PING a healthy peer
    answers; HEARTBEAT_TIMEOUT must leave it time for that, and for the largest frame on the way.
    """
    peers = _idle(trial, limits)
    cut = [peer for peer in peers if peer.transcript.closed_by.by_target and honest(trial, peer)]
    if not cut:
        return
    after = cut[0].cut_after
    raise violated(
        f"A healthy peer was cut after {after:.1f} s of silence, in which it answered every PING.",
        Measure("healthy peers cut", f"{len(cut)} of {len(peers)}, after {after:.2f} s", "none"),
        Measure("promised for hung ones", f"{limits.hung_within:g} s"),
        signature="healthy peers are cut",
        advice="Do not take a peer without messages for dead: HEARTBEAT_IVL asks it, HEARTBEAT_TIMEOUT must leave it "
        "time to answer.",
        culprit=cut[0].script,
    )


_AT_ONCE, _LEAST = 1.0, 1.0
"""Seconds within which a door that lets in no older peer has cut it, which is its right; and that all must stay."""


def _stayed(trial: Trial) -> tuple[list[Parked], list[Parked]]:
    """Idle peers of the newest version and of older ones; those of the newest tell whether our being late mattered."""
    newest, older = (parked(trial, state, _LEAST, punctual=False) for state in (State.IDLE, State.OLDER_HUNG))
    return newest, older


@invariant(
    "ZF317",
    "A peer of an older version is cut, one of the newest is not",
    severity=Severity.MEDIUM,
    tests=lambda trial, limits: all(_stayed(trial)),
)
def older_kept(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """An honest peer of ZMTP 2.0 or 1.0 that was let in stays connected as long as one of 3.1 that does the same.

    Why: a timer that belongs to the handshake and is not stopped behind it ends a connection that works, again and
    again, and with it what is on the way. Measured: honest peers of each version, side by side on a process of their
    own, that shake hands, read, and say nothing for longer than libzmq's handshake may take (30 s); all of the newest
    are still connected, and one of an older version was cut by the target. On two more processes, too. Inconclusive:
    a promise that silent peers are cut (--hung-within), a door that asks for a password or a key, or cuts older peers
    at once; any target but a hosted libzmq (--libzmq), as a second copy might disturb it; a run of less than 45 s.
    To fix: libzmq 4.3.5, in which the handshake of older versions stops its timer; or HANDSHAKE_IVL 0.
    """
    newest, older = _stayed(trial)
    cut = [peer for peer in older if peer.transcript.closed_by.by_target and peer.cut_after > _AT_ONCE]
    if limits.hung_within is not None or not newest or not all(peer.kept for peer in newest) or not cut:
        return
    raise violated(
        f"An honest peer of an older version was cut after {cut[0].cut_after:.1f} s ({cut[0].words}).",
        Measure("older peers cut", f"{len(cut)} of {len(older)}, after {cut[0].cut_after:.1f} s", "none"),
        Measure("peers of ZMTP 3 kept", f"{len(newest)} of {len(newest)}, for {newest[0].waited:.0f} s"),
        signature="peers of ZMTP 1 and 2 are cut",
        advice="Upgrade libzmq to 4.3.5: before, the handshake's timer runs on behind an older greeting; "
        "HANDSHAKE_IVL 0 stops it.",
        culprit=cut[0].script,
    )
