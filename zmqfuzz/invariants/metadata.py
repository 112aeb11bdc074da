"""What a peer says of itself gives it nothing."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.forged import compared
from zmqfuzz.trial import Trial

__all__ = ["claims_ignored"]

_SHOWN = 60


def _shown(answer: bytes) -> str:
    """A short form for people; what a target sent is hostile."""
    text = answer[:_SHOWN].decode("ascii", "backslashreplace").encode("unicode_escape").decode()
    return text + ("..." if len(answer) > _SHOWN else "")


@invariant(
    "ZF407",
    "A peer is believed who it says it is",
    severity=Severity.HIGH,
    tests=lambda trial, limits: compared(trial) is not None,
)
def claims_ignored(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """Who a peer says it is, in properties that are the server's to say, changes nothing in how it is answered.

    Why: libzmq gives an application each property of a peer's READY with its messages (zmq_msg_gets(3)), and User-Id,
    too, unless a ZAP handler has said it: with NULL and no ZMQ_ZAP_DOMAIN, and with CURVE where no handler is bound, a
    peer may call itself what it likes. Measured: eight peers ask the same, one after the other; some say User-Id or
    Peer-Address in their metadata, one something harmless, the others nothing. All who say who they are get the same
    answer, all others another one, on fresh processes. Names are such as programs know, and words of the target's own.
    Inconclusive: answers to the same question that differ by themselves, or do not come. Not judged: properties that
    are the peer's own to say (Identity, X- names), whatever a program makes of them. To fix: set ZMQ_ZAP_DOMAIN (for
    CURVE and PLAIN, too) and ZMQ_ZAP_ENFORCE_DOMAIN, and bind a handler that says the user id of each peer it lets in,
    an empty one included; or do not read User-Id.
    """
    found = compared(trial)
    if found is None or not found.believed:
        return
    value = _shown(found.value)
    raise violated(
        f"A peer that calls itself {value!r} in {found.name} of its own metadata is answered otherwise than others.",
        Measure("answer to others", _shown(found.usual)),
        Measure(f"answer to {value!r}", _shown(found.claimed), "the same"),
        signature=f"believes {found.name}",
        advice="Set ZMQ_ZAP_DOMAIN and ZMQ_ZAP_ENFORCE_DOMAIN, and bind a ZAP handler that says the user id of each "
        "peer it lets in; without one the peer says it itself.",
    )
