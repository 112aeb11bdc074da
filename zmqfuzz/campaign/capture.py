"""What a trial put on the wire, as a capture (pcapng) that tshark and Wireshark open, without the right to capture.

The octets, their order and their times are those of the transcripts. What only a kernel saw, sequence numbers and
acknowledgements, is made up so that each connection can be followed; each packet's comment says what is known of it.
What was sent very often over is shown a few times, and its rest is missing, as a capture that lost packets shows it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zmqfuzz.campaign.text import printable
from zmqfuzz.trial import ClosedBy, Direction, Entry, Surface, Transcript, Trial

__all__ = ["CAPTURE", "write_capture"]

CAPTURE = "session.pcapng"
"""Its name in the folder of a finding."""

SEGMENT = 32 * 1024
"""Octets of a packet; the loopback interface's own are up to 64 KiB."""

REPEATS = 4
"""Times that what was sent over and over is shown."""

MOST_PACKETS = 20_000

OURS, THEIRS = "127.0.0.2", "127.0.0.1"
FIRST_PORT, NO_PORT = 40_000, 5555
"""Our own ports, which no transcript holds; and that of a door that has none, of ipc."""


def write_capture(trial: Trial, file: Path) -> int:
    """Write the connections of ``trial`` to ``file``; how many packets that are. Raises OSError."""
    from scapy.utils import PcapNgWriter

    packets = sorted(islice(_packets(trial), MOST_PACKETS), key=lambda packet: packet.time)
    unfinished = file.with_name(f".{file.name}.tmp")
    with PcapNgWriter(str(unfinished)) as writer:
        for packet in packets:
            writer.write(packet)
    unfinished.replace(file)
    return len(packets)


def _packets(trial: Trial) -> Iterator[Any]:
    began, ports = time.time() - trial.seconds, count(FIRST_PORT)
    for transcript in trial.transcripts:
        yield from _Peer(trial.surface, transcript, began, ports).packets()


class _Peer:
    """The connections of one peer, one after another."""

    def __init__(self, surface: Surface, transcript: Transcript, began: float, ports: Iterator[int]) -> None:
        self._surface = surface
        self._transcript = transcript
        self._began = began
        self._ports = ports
        self._port = 0
        self._next = {Direction.SENT: 0, Direction.RECEIVED: 0}

    def packets(self) -> Iterator[Any]:
        """All of them, in order."""
        at = 0.0
        for entry in self._transcript.entries:
            at = entry.at
            if entry.direction is Direction.NOTE:
                yield from self._noted(at, entry.note)
                continue
            if not self._port:
                yield from self._opened(at)
            yield from self._data(entry)
        if self._port and self._transcript.closed_by is ClosedBy.OPEN:
            yield self._packet(at, Direction.SENT, "F", note="still open at the end of the attack; then closed by us")

    def _opened(self, at: float) -> Iterator[Any]:
        self._port = next(self._ports)
        self._next = {Direction.SENT: 1000, Direction.RECEIVED: 5000}
        opener = Direction.SENT if self._surface.side == "bind" else Direction.RECEIVED
        other = Direction.RECEIVED if opener is Direction.SENT else Direction.SENT
        label = f"{self._transcript.label} at {self._surface.key} ({self._surface.address})"
        yield self._packet(at, opener, "S", note=label)
        yield self._packet(at, other, "SA")
        yield self._packet(at, opener, "A")

    def _noted(self, at: float, note: str) -> Iterator[Any]:
        if not self._port:
            return
        ends = {
            ClosedBy.FIN.value: (Direction.RECEIVED, "FA"),
            ClosedBy.RST.value: (Direction.RECEIVED, "R"),
            "closed by us": (Direction.SENT, "FA"),
            "closed by us with RST": (Direction.SENT, "R"),
        }
        side, flags = ends.get(note, (Direction.SENT, "FA" if note.startswith("half-closed") else "A"))
        yield self._packet(at, side, flags, note=note)
        if note in ends:
            self._port = 0

    def _data(self, entry: Entry) -> Iterator[Any]:
        for number in range(min(entry.times, REPEATS)):
            for first in range(0, len(entry.data), SEGMENT):
                words = [entry.note] if entry.note and not first and not number else []
                if entry.times > 1 and not first:
                    words.append(f"{number + 1} of {entry.times:,}")
                yield self._packet(
                    entry.at, entry.direction, "PA", entry.data[first : first + SEGMENT], "; ".join(words)
                )
        missing = len(entry.data) * (entry.times - min(entry.times, REPEATS))
        self._next[entry.direction] += missing

    def _packet(self, at: float, side: Direction, flags: str, octets: bytes = b"", note: str = "") -> Any:
        from scapy.layers.inet import IP, TCP
        from scapy.packet import Raw

        other = Direction.RECEIVED if side is Direction.SENT else Direction.SENT
        door = urlsplit(self._surface.address).port if self._surface.address.startswith("tcp://") else NO_PORT
        ends = (OURS, self._port), (THEIRS, door or NO_PORT)
        (source, sport), (target, dport) = ends if side is Direction.SENT else ends[::-1]
        acknowledged = self._next[other] % 2**32 if flags != "S" else 0
        segment = TCP(sport=sport, dport=dport, flags=flags, seq=self._next[side] % 2**32, ack=acknowledged)
        packet = IP(src=source, dst=target) / segment / (Raw(octets) if octets else b"")
        packet.time = self._began + at
        if note:
            packet.comment = printable(note).encode()
        self._next[side] += len(octets) + ("S" in flags or "F" in flags)
        return packet
