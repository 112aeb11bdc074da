"""Recorded messages: what a user gives, and what a door says itself, as material for attacks.

A folder or a file. In ``*.jsonl`` each line is one message: a list of its frames (or one frame alone), each frame a
text, ``{"hex": "00ff"}`` or ``{"base64": "AP8="}``. Any other file is one message of one frame, as it is.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

from zmqfuzz.errors import UsageError
from zmqfuzz.trial import Direction, Transcript
from zmqfuzz.zmtp.connection import Connection
from zmqfuzz.zmtp.events import CommandReceived, FrameReceived
from zmqfuzz.zmtp.wire import Greeting, body_bytes

__all__ = ["SUBSCRIBED", "Heard", "Message", "honest", "read_seeds"]

Message = tuple[bytes, ...]
"""The frames of one message, without the routing id that a ROUTER puts in front."""

LARGEST = 1 << 20
"""Octets of one message; a larger one says nothing that a part of it does not."""

_OURS = b"zmqfuzz-"
"""In the path of every canary (:mod:`zmqfuzz.canary`)."""

SUBSCRIBED = b"\1"
"""In front of a topic: what a subscription was as a message before ZMTP 3.1 (RFC 23), and as which it is kept."""

MOST_ASKED, LARGEST_ASKED, BEGIN = 3, 64 * 1024, 12
"""Recorded messages that are asked by honest clients, and octets of one; in how many of these they must differ."""

MOST = 10_000
MOST_HEARD = 16
MOST_READ = 32
"""Connections of one attack that are listened to."""

_FORM = 'write one message a line: ["text", {"hex": "00ff"}, {"base64": "AP8="}]'


def read_seeds(path: Path) -> tuple[Message, ...]:
    """The messages in a file, or in all files below a folder, in the order of their names. Raises UsageError."""
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        found = [
            message for file in files if not file.name.startswith(".") for message in _read(file, file.read_bytes())
        ]
    except OSError as error:
        raise UsageError(f"The seeds cannot be read: {error.filename}: {error.strerror}; correct the path.") from error
    if not found:
        raise UsageError(f"There is no message in {path}; {_FORM}, in a file whose name ends with .jsonl.")
    if len(found) > MOST:
        raise UsageError(f"There are {len(found):,} messages in {path}; give at most {MOST:,}.")
    return tuple(dict.fromkeys(found))


def honest(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A few recorded messages that an honest client may ask: small ones, each of which begins otherwise."""
    begun: dict[tuple[int, bytes], Message] = {}
    for message in messages:
        if sum(map(len, message)) <= LARGEST_ASKED:
            begun.setdefault((len(message), b"".join(message)[:BEGIN]), message)
    return tuple(begun.values())[:MOST_ASKED]


def _read(file: Path, octets: bytes) -> list[Message]:
    if file.suffix != ".jsonl":
        return [_checked((octets,), str(file))]
    lines = octets.decode("utf-8", "surrogateescape").split("\n")
    return [_line(line, f"{file}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _line(line: str, place: str) -> Message:
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{place}: not JSON; {_FORM}.") from None
    frames = plain if isinstance(plain, list) else [plain]
    return _checked(tuple(_frame(frame, place) for frame in frames), place)


def _frame(plain: object, place: str) -> bytes:
    try:
        match plain:
            case str():
                return plain.encode()
            case {"hex": str(digits), **rest} if not rest:
                return bytes.fromhex(digits)
            case {"base64": str(text), **rest} if not rest:
                return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        pass
    raise UsageError(f"{place}: {ascii(plain)[:40]} is no frame; {_FORM}.")


def _checked(message: Message, place: str) -> Message:
    if not message:
        raise UsageError(f"{place}: a message has one frame or more; {_FORM}.")
    if sum(map(len, message)) > LARGEST:
        raise UsageError(f"{place}: the message is larger than 1 MiB; leave it out, or give a part of it.")
    return message


class Heard:
    """A few different messages of a door: what it said, and what it answered to; the first ones only."""

    def __init__(self) -> None:
        self._messages: dict[Message, None] = {}

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was heard so far."""
        return tuple(self._messages)

    def add(self, message: Iterable[bytes]) -> None:
        """Keep it, where there is room and it is not too large; an echo of a canary is not to be changed."""
        frames = tuple(message)
        if any(_OURS in frame.lower() for frame in frames):
            return
        if frames and len(self._messages) < MOST_HEARD and sum(map(len, frames)) <= LARGEST:
            self._messages[frames] = None

    def learn(self, transcripts: Iterable[Transcript]) -> None:
        """Keep the messages that a target sent in the open, up to the first event on each connection."""
        for transcript in itertools.islice(transcripts, MOST_READ):
            if len(self._messages) >= MOST_HEARD:
                return
            connection = Connection()
            connection.send(Greeting())
            frames: list[bytes] = []
            for entry in transcript.entries:
                if entry.direction is Direction.NOTE:
                    break
                if entry.direction is Direction.RECEIVED:
                    connection.receive_data(entry.data)
            while (event := connection.next_event()) is not None:
                if isinstance(event, CommandReceived) and event.command.name == b"SUBSCRIBE":
                    self.add((SUBSCRIBED + body_bytes(event.command.data),))
                elif isinstance(event, FrameReceived):
                    frames.append(body_bytes(event.frame.body))
                    if not event.frame.more:
                        self.add(frames)
                        frames = []
