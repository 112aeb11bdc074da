"""A client whose server's key was given talks to nobody who has not that key."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.impostors import Meeting, meetings
from zmqfuzz.trial import Trial

__all__ = ["asks_for_the_key", "impostors_refused"]


def _open(trial: Trial) -> bool:
    """Whether the client asks for no key from the beginning, although one was given."""
    return trial.surface.mechanism != trial.surface.lock


def _met(trial: Trial) -> bool:
    return any(meeting.trusted or meeting.refused for meeting in meetings(trial))


def _told(meeting: Meeting) -> str:
    count = meeting.saw.messages
    return f"it sent {count} message{'s' * (count != 1)}" if count else "it completed the handshake"


@invariant(
    "ZF405",
    "A client takes a server without the key for its own",
    severity=Severity.CRITICAL,
    tests=lambda trial, limits: not _open(trial) and _met(trial),
    locked=True,
)
def impostors_refused(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A client that asks its server for a key, which was given to zmqfuzz, sends nothing to a server without it.

    Why: whoever can answer at the server's address (a redirected name, another program on its port) reads what the
    client says and is believed. Programs that "try CURVE first" and then connect without it are open to everyone who
    refuses CURVE. Measured: the client connects to servers without the key: with NULL, with PLAIN, with another key,
    with ZMTP 2.0 and 1.0, with READY and messages in clear; once, and as often as it comes back for some seconds. It
    trusts one when it completes a handshake with it, or sends it a message. Confirmed on fresh processes. Not judged:
    what it does with messages of a server whose handshake it has not completed; a PLAIN client, which tells its
    password to any server by design (RFC 24). To fix: set CURVE_SERVERKEY on each socket that connects, and never
    connect without it, however often CURVE fails.
    """
    found = next((meeting for meeting in meetings(trial) if meeting.trusted), None)
    if found is None or _open(trial):
        return
    raise violated(
        f"It asks for the key of its server, and then takes one with {found.kind}: {_told(found)}.",
        Measure("server", found.kind, "refused"),
        Measure("messages that it was sent", str(found.saw.messages), "0"),
        signature=found.kind,
        advice="Set CURVE_SERVERKEY on each socket that connects, and do not connect without it when CURVE fails.",
        culprit=found.script,
    )


@invariant(
    "ZF406",
    "A client asks its server for no key although one was given",
    severity=Severity.CRITICAL,
    tests=lambda trial, limits: _met(trial),
    locked=True,
)
def asks_for_the_key(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A client whose server's secret key was given to zmqfuzz asks for that key, at each place that it connects to.

    Why: libzmq copies the options of a socket into a connection when it connects. Keys that are set later leave it in
    clear, without an error, and a server that lets everyone in does not notice. Measured: it connects with NULL, or
    with PLAIN, and a server without the key completes a handshake with it, or gets a message. Judged are all places
    that it connects to when it asks for a key at none of them, else those where a socket asks that is of the same type:
    another one may be meant for anyone. To fix: set CURVE_SERVERKEY, CURVE_PUBLICKEY and CURVE_SECRETKEY before each
    connect.
    """
    found = next((meeting for meeting in meetings(trial) if meeting.trusted), None)
    if found is None or not _open(trial):
        return
    mechanism = trial.surface.mechanism or "NULL"
    password = ", and PLAIN tells its password to any server" if mechanism == "PLAIN" else ""
    raise violated(
        f"The key of its server was given, but it connects with {mechanism}{password}: a server with {found.kind} is "
        f"taken, and {_told(found)}.",
        Measure("mechanism", mechanism, trial.surface.lock),
        Measure("messages that the server was sent", str(found.saw.messages), "0"),
        signature="asks for no key",
        advice="Set CURVE_SERVERKEY and the client's own keys before each connect: a connection keeps the options that "
        "the socket had when it connected.",
        culprit=found.script,
    )
