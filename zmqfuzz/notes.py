"""What arrived, in the words a transcript shows. The target's text is made printable where it is shown."""

from __future__ import annotations

from zmqfuzz.zmtp.connection import (
    Breach,
    Closed,
    CommandReceived,
    ErrorReceived,
    Event,
    FrameReceived,
    GreetingReceived,
    HandshakeComplete,
)
from zmqfuzz.zmtp.wire import body_bytes

__all__ = ["why", "words"]


def words(event: Event) -> str:
    """A few words for one event; empty where the octets say it all."""
    match event:
        case GreetingReceived():
            return f"greeting {event.version} {_text(event.mechanism.rstrip(bytes(1)))}".rstrip()
        case CommandReceived(command):
            pairs = [f"{_text(item.name)}={_text(item.value)}" for item in command.properties]
            return " ".join([_text(command.name), *pairs])
        case FrameReceived(frame):
            return f"frame MORE={int(frame.more)} size={len(body_bytes(frame.body))}"
        case ErrorReceived(reason):
            return f"ERROR {_text(reason)}"
        case Breach(reason):
            return f"breach: {reason}"
        case HandshakeComplete() | Closed():
            return ""


def _text(octets: bytes) -> str:
    return octets.decode("ascii", "backslashreplace")


def why(error: BaseException) -> str:
    """Why a connection could not be opened or written to."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "timed out" if type(error).__name__ in ("TimeoutError", "TooSlowError") else type(error).__name__
