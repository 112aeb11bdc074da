"""A door whose key or password was given keeps strangers out."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.strangers import Visit, forgeries, visits
from zmqfuzz.trial import Trial

__all__ = ["fails_closed", "forgeries_refused", "locked_at_all", "strangers_refused"]

_NAMES = {"CURVE": "A CURVE key", "PLAIN": "A user name"}


def _open(trial: Trial) -> bool:
    """Whether the door asks for nothing, although a lock is promised."""
    return trial.surface.mechanism != trial.surface.lock


def _got(visit: Visit) -> str:
    count = visit.saw.messages
    return f"{count} message{'s' * (count != 1)} came back" if count else "its handshake was completed"


def _opened_later(trial: Trial) -> Visit | None:
    """A stranger that was let in where one of the same kind had been refused before the others came."""
    seen = visits(trial)
    refused = {visit.kind for visit in seen if visit.first and visit.refused}
    return next((visit for visit in seen if not visit.first and visit.let_in and visit.kind in refused), None)


def _tested(trial: Trial, limits: Limits) -> bool:
    """Whether a stranger stood at the locked door."""
    return not _open(trial) and any(visit.let_in or visit.refused for visit in visits(trial))


@invariant("ZF401", "A stranger is let in at a locked door", severity=Severity.CRITICAL, tests=_tested, locked=True)
def strangers_refused(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """Where a door asks for a key or a password that was given to zmqfuzz, nobody else gets anything there.

    Why: a lock that opens to everyone protects nothing, and it is not seen in tests with honest clients. Measured: the
    same message is sent by strangers: NULL instead of the mechanism, ZMTP 2.0 and 1.0, messages without a handshake,
    a password instead of a key, an unknown name, the known name with a wrong password, or with a part of the right
    one, more than it, or in other letters, a CURVE key that it does not know (only where --client-key says that not any
    will do), a CURVE client without proof of its key (a wrong vouch). One is let in when its handshake is completed, or
    a message comes back. Confirmed on fresh processes. Not judged: a
    message that is taken in silence by a door that completes no handshake with its sender. To fix: a ZAP handler
    (RFC 27) that compares name and password or the client's public key with a list, bound before the socket is; with
    CURVE also ZMQ_ZAP_DOMAIN and ZMQ_ZAP_ENFORCE_DOMAIN, as without a handler libzmq lets every key in.
    """
    if _open(trial) or _opened_later(trial) is not None:
        return
    found = next((visit for visit in visits(trial) if visit.let_in), None)
    if found is None:
        return
    lock = trial.surface.lock
    advice = "Answer each request in a ZAP handler (RFC 27) from a list, and refuse whoever is not on it."
    if found.kind == "an unknown key":
        advice = (
            "Bind a ZAP handler that compares the client's public key with a list (CURVE alone authenticates the "
            "server only), and set ZMQ_ZAP_DOMAIN and ZMQ_ZAP_ENFORCE_DOMAIN."
        )
    elif "ZMTP" in found.kind or found.kind == "no proof that the key is its own":
        advice = "Upgrade the library: this is its part of the lock."
    raise violated(
        f"A stranger with {found.kind} is let in at a door that asks for {lock}: {_got(found)}.",
        Measure("stranger", found.kind, "refused"),
        Measure("messages that came back", str(found.saw.messages), "0"),
        signature=found.kind,
        advice=advice,
        culprit=found.script,
    )


@invariant(
    "ZF402",
    "A door is open although a key or a password was given",
    severity=Severity.CRITICAL,
    tests=lambda trial, limits: any(visit.let_in or visit.refused for visit in visits(trial)),
    locked=True,
)
def locked_at_all(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A program whose key or password was given to zmqfuzz has no door to the same socket that asks for none.

    Why: libzmq copies the options of a lock into an endpoint when that is bound. Keys that are set later, or behind a
    first bind, leave it open, without an error, and honest clients with keys may not notice. Measured: a stranger with
    NULL completes a handshake there, or gets a message. Judged are all doors of a program none of which asks for what
    was given, else those that ask for nothing and have the socket type of one that does: another socket may be meant
    for everyone, and is only told. --connect names the doors that are meant, where this one is not. To fix: set
    CURVE_SERVER and the secret key (or PLAIN_SERVER) before every bind of the socket.
    """
    if not _open(trial):
        return
    found = next((visit for visit in visits(trial) if visit.let_in), None)
    if found is None:
        return
    raise violated(
        f"{_NAMES[trial.surface.lock]} was given, but this door asks for none: a stranger is let in, and "
        f"{_got(found)}.",
        Measure("mechanism", trial.surface.mechanism or "NULL", trial.surface.lock),
        Measure("messages that came back", str(found.saw.messages), "0"),
        signature="open",
        advice="Set the keys (CURVE_SERVER, CURVE_SECRETKEY) or PLAIN_SERVER before each bind: an endpoint keeps the "
        "options that the socket had when it was bound.",
        culprit=found.script,
    )


@invariant(
    "ZF403",
    "A locked door is open after strangers have been there",
    severity=Severity.CRITICAL,
    tests=lambda trial, limits: not _open(trial) and any(visit.first and visit.refused for visit in visits(trial)),
    locked=True,
)
def fails_closed(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """What decides who is let in stays at work, or nobody is let in: a lock fails closed.

    Why: a ZAP handler is a thread that may end of what a stranger sends it. When its socket is closed, libzmq lets in
    every CURVE client unless ZMQ_ZAP_ENFORCE_DOMAIN is set, and nothing is logged. Measured: a stranger is refused,
    others come, and then one like the first is let in; all in one attack, on fresh processes. A handler that never was
    there is ZF401. To fix: let nothing that a peer sends end the handler, and set ZMQ_ZAP_DOMAIN and
    ZMQ_ZAP_ENFORCE_DOMAIN, so that without a handler nobody is let in.
    """
    found = None if _open(trial) else _opened_later(trial)
    if found is None:
        return
    raise violated(
        f"A stranger with {found.kind} was refused; then others came, and one like it was let in: {_got(found)}.",
        Measure("stranger before", "refused"),
        Measure("stranger after", "let in", "refused"),
        signature=f"opens to {found.kind}",
        advice="Let nothing that a peer sends end the ZAP handler, and set ZMQ_ZAP_DOMAIN and ZMQ_ZAP_ENFORCE_DOMAIN, "
        "with which libzmq lets nobody in where no handler answers.",
    )


@invariant(
    "ZF404",
    "What was forged or recorded passes the lock",
    severity=Severity.HIGH,
    tests=lambda trial, limits: any(visit.let_in or visit.refused for visit in forgeries(trial)),
    locked=True,
)
def forgeries_refused(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A CURVE door takes no command with a used nonce, no HELLO that does not open, no cookie that it did not give.

    Why: whoever can record a message of an honest client can send it again, and again (CVE-2014-7203 in libzmq 4.0);
    HELLO and cookie keep strangers from costing a server state and work. Measured: peers that have the key do one thing
    that RFC 26 has a server refuse: messages with the nonce of INITIATE or one before it, at a REP or ROUTER, where an
    answer is the proof; a HELLO whose box does not open, or a cookie of other octets, where a completed handshake is.
    Confirmed on fresh processes. Not judged: other socket types behind the handshake, whose messages nobody answers.
    To fix: use libzmq's own CURVE, in a release that is maintained; in an own implementation keep the last nonce of
    each connection and end it when the next one is not higher.
    """
    found = next((visit for visit in forgeries(trial) if visit.let_in), None)
    if found is None:
        return
    raise violated(
        f"A peer with {found.kind} is served: {_got(found)}.",
        Measure("forged", found.kind, "refused"),
        Measure("messages that came back", str(found.saw.messages), "0"),
        signature=found.kind,
        advice="Use the CURVE of a libzmq that is maintained; in an own implementation refuse what RFC 26 has refused.",
        culprit=found.script,
    )
