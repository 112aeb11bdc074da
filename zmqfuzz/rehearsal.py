"""The honest NULL handshakes of many peers: what a target answers all of them alike is read once.

To read a greeting and READY anew takes as long as all else that a short script does between its system calls.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from zmqfuzz.reading import Record, counted
from zmqfuzz.script import Shake
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.connection import Connection

__all__ = ["Rehearsal"]

MOST = 256
"""Different handshakes that are remembered."""

_EVENTS = {"greeting": 1, "ready": 1, "complete": 1}
"""What is counted of an honest handshake, and nothing else."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """Where the connection stands after what was heard, the READY that waits to be sent then, and the words for it."""

    connection: Connection
    ready: bytes
    notes: list[str]


class Rehearsal:
    """What the first octets of a target were read as, for each honest greeting and READY of ours."""

    def __init__(self) -> None:
        self._heard: dict[tuple[object, ...], _Heard] = {}

    def hear(
        self, step: Shake, connection: Connection, data: bytes, seen: Counter[str], record: Record
    ) -> tuple[Connection, bytes, list[str]]:
        """Count as :func:`counted` what comes first after ``step`` began a new connection.

        Returns the connection to go on with, the honest replies that wait to be sent, and the words.
        """
        key = (step.socket_type, step.identity, step.properties, step.version, data)
        heard = self._heard.get(key)
        if heard is not None:
            seen.update(_EVENTS)
            record.reach(Reached.HANDSHAKE)
            return heard.connection.twin(), heard.ready, heard.notes
        notes = counted(connection, data, seen, record)
        ready = connection.data_to_send()
        null = step.mechanism in ("", "NULL") and not (step.instead or step.honest)
        if null and seen == _EVENTS and len(notes) == 2 and len(self._heard) < MOST:  # a breach would have words, too
            self._heard[key] = _Heard(connection.twin(), ready, notes)
        return connection, ready, notes
