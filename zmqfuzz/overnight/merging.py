"""What comes from elsewhere into a store: findings and corpus entries of other machines, and recorded messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.text import printable
from zmqfuzz.errors import UsageError
from zmqfuzz.overnight.entries import Pool
from zmqfuzz.reports.shelf import write_whole
from zmqfuzz.seeds import Message, read_seeds
from zmqfuzz.zmtp.connection import Connection
from zmqfuzz.zmtp.events import FrameReceived
from zmqfuzz.zmtp.wire import body_bytes

__all__ = ["Merged", "imported", "merged", "messages_of"]

CAPTURES = (".pcap", ".pcapng", ".cap")


@dataclass(slots=True)
class Merged:
    """How much was new, how many ``known`` already; ``said``: what could not be taken over."""

    entries: int = 0
    findings: int = 0
    known: int = 0
    said: list[str] = field(default_factory=list)


def merged(source: Path, store: Path) -> Merged:
    """Take over what the store ``source`` has and ``store`` has not. Raises UsageError: it cannot be written."""
    result = Merged()
    for folder in sorted(path for path in (source / "corpus").glob("*") if path.is_dir()):
        theirs, ours = Pool(source, folder.name), Pool(store, folder.name)
        have = {entry.path.name for entry in ours.entries()}
        for entry in theirs.entries():
            if entry.path.name in have:
                result.known += 1
                continue
            try:
                ours.put(f"{entry.path.parent.name}/{entry.path.name}", entry.path.read_text("utf-8"))
            except OSError as error:
                raise UsageError(f"{ours.folder} cannot be written: {error.strerror}; free what is missing.") from None
            result.entries += 1
        result.said += [*theirs.said, *ours.said]
    _findings(Corpus(source), Corpus(store), result)
    return result


def _findings(source: Corpus, store: Corpus, result: Merged) -> None:
    have = set(store.ids())
    for id in source.ids():
        if id in have:
            result.known += 1
            continue
        try:
            source.load(id)
            files = source.files(id)
        except UsageError as error:
            result.said.append(printable(f"the finding {id} was left out: {error}"))
            continue
        store.put(id, files)
        result.findings += 1


def imported(file: Path, store: Path) -> tuple[int, Path]:
    """Keep the messages of ``file`` as a file of seeds; how many, and where. Raises UsageError."""
    messages = messages_of(file) if file.suffix in CAPTURES else read_seeds(file)
    kept = store / "seeds" / f"{file.stem}.jsonl"
    lines = [json.dumps([_frame(frame) for frame in message]) for message in messages]
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, "\n".join(lines) + "\n")
    except OSError as error:
        raise UsageError(f"{kept} cannot be written: {error.strerror}; free what is missing.") from None
    return len(messages), kept


def _frame(frame: bytes) -> str | dict[str, str]:
    return frame.decode() if frame.isascii() else {"hex": frame.hex()}


def messages_of(file: Path) -> tuple[Message, ...]:
    """The messages in the ZMTP connections of a capture that shows them from their beginning. Raises UsageError.

    Only what was sent in the open: behind CURVE nothing can be read.
    """
    try:
        streams = list(_streams(file))
    except Exception as error:  # scapy raises whatever its readers do
        raise UsageError(f"{file} cannot be read as a capture ({printable(str(error))[:80]}); give a pcap.") from None
    found = dict.fromkeys(message for octets in streams for message in _messages(octets))
    if not found:
        raise UsageError(f"There is no ZMTP message in {file}: it must show whole connections, without CURVE.")
    return tuple(found)


def _streams(file: Path) -> Iterator[bytes]:
    """The octets of each direction of each TCP connection, from its SYN on."""
    from scapy.layers.inet import TCP
    from scapy.utils import PcapReader

    begun: dict[tuple[str, int, str, int], list[tuple[int, bytes]]] = {}
    first: dict[tuple[str, int, str, int], int] = {}
    with PcapReader(str(file)) as packets:
        for packet in packets:
            if TCP not in packet:
                continue
            segment, below = packet[TCP], packet[TCP].underlayer
            key = (below.src, segment.sport, below.dst, segment.dport)
            if segment.flags.S:
                if key in begun:
                    yield _joined(begun.pop(key))
                begun[key], first[key] = [], segment.seq + 1
            elif key in begun and (octets := bytes(segment.payload)):
                begun[key].append(((segment.seq - first[key]) % 2**32, octets))
    for parts in begun.values():
        yield _joined(parts)


def _joined(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """In order, what came twice once, up to the first gap."""
    whole = b""
    for offset, octets in sorted(parts):
        if offset > len(whole):
            break
        whole += octets[len(whole) - offset :]
    return whole


def _messages(octets: bytes) -> Iterator[Message]:
    connection = Connection()
    connection.receive_data(octets)
    frames: list[bytes] = []
    while (event := connection.next_event()) is not None:
        if isinstance(event, FrameReceived):
            frames.append(body_bytes(event.frame.body))
            if not event.frame.more:
                yield tuple(frames)
                frames = []
