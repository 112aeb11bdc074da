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

__all__ = ["frame_words", "why", "words"]


def words(event: Event) -> str:
    """A few words for one event; empty where the octets say it all."""
    match event:
        case GreetingReceived():
            return f"greeting {event.version} {_text(event.mechanism.rstrip(bytes(1)))}".rstrip()
        case CommandReceived(command):
            pairs = [f"{_text(item.name)}={_text(item.value)}" for item in command.properties]
            return " ".join([_text(command.name), *pairs])
        case FrameReceived(frame):
            return frame_words(frame.more, len(body_bytes(frame.body)))
        case ErrorReceived(reason):
            return f"ERROR {_text(reason)}"
        case Breach(reason):
            return f"breach: {reason}"
        case HandshakeComplete() | Closed():
            return ""


def frame_words(more: bool, size: int) -> str:
    """A few words for one frame of a message."""
    return f"frame MORE={int(more)} size={size}"


def _text(octets: bytes) -> str:
    return octets.decode("ascii", "backslashreplace")


def why(error: BaseException) -> str:
    """Why a connection could not be opened or written to."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "timed out" if type(error).__name__ in ("TimeoutError", "TooSlowError") else type(error).__name__
