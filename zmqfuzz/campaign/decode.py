"""An attack and what the target did, in lines for people; and everything a target said made safe to print.

What the target sent is hostile: it reaches a line only through :func:`printable`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

from zmqfuzz.campaign.text import count, printable, quantity
from zmqfuzz.campaign.units import frame_text, length, property_text, unit_text
from zmqfuzz.reading import SEALED
from zmqfuzz.script import (
    Attack,
    Await,
    Close,
    Connect,
    Expect,
    ReadOn,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    Signal,
    Step,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import ClosedBy, Direction, Entry, Transcript, Trial
from zmqfuzz.zmtp.measure import head, unit_size
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Framing, Greeting, Greeting1, Greeting2, Property, Raw, Unit
from zmqfuzz.zmtp.wire import encode as _encode

__all__ = ["decode_attack", "describe_attack", "next_framing", "printable", "quantity"]

WIDTH = 94
"""Columns of a decoded line; the report indents it and stays within 100."""

_TEXT = 38  # the description; hex begins behind it, at the same column in every line
_HEX = 8  # octets shown
_SHOWN_UNITS = 8
_SHOWN_REACTIONS = 10


def next_framing(unit: Unit, framing: Framing) -> Framing:
    """How frames sent after ``unit`` are laid out: a 1.0 greeting asks for V1, any other for V2."""
    if isinstance(unit, Greeting1) or (isinstance(unit, Greeting2) and unit.revision & 0xFF == 0):
        return Framing.V1
    return Framing.V2 if isinstance(unit, Greeting | Greeting2) else framing


def decode_attack(attack: Attack, observed: Trial | None = None) -> list[str]:
    """One numbered line a step, with what came back below it when ``observed`` is a trial of the same scripts."""
    lines: list[str] = []
    number = first = 0
    if observed is not None and observed.attack.scripts != attack.scripts:
        observed = None
    for position, script in enumerate(attack.scripts, 1):
        several = len(attack.scripts) > 1 or script.times != 1
        if several:
            alike = f" ({script.times:,} alike)" if script.times != 1 else ""
            lines.append(f"peer {position}{alike}: {printable(script.label)}")
        same = observed.transcripts[first : first + _played(script)] if observed is not None else ()
        first += _played(script)
        reactions = _reactions(script, same[0]) if same else {}
        for index, step in enumerate(script.steps):
            number += 1
            lines += _step_lines(number, step, _framing_before(script, index))
            lines += reactions.get(index, [])
        lines += _endings(same)
    return [_fit(line) for line in lines]


def _played(script: Script) -> int:
    """How many peers the injector makes of a script (:func:`zmqfuzz.injector.inject`)."""
    return max(1, min(script.times, 4096))


def _framing_before(script: Script, index: int) -> Framing:
    framing = Framing.V2
    for step in script.steps[:index]:
        if isinstance(step, Connect | Shake):
            framing = Framing.V2
        elif isinstance(step, Send):
            for unit in step.units:
                framing = next_framing(unit, framing)
    return framing


def _step_lines(number: int, step: Step, framing: Framing) -> Iterator[str]:
    label = f"{number:>3}"
    match step:
        case Shake():
            greeting = Greeting(*step.version, (step.mechanism or "NULL").encode("utf-8", "replace"))
            yield from _line(label, "->", _shake_text(step), _encode(greeting))
            for unit in step.instead[:_SHOWN_UNITS]:
                yield from _unit_line("", unit, framing)
        case Send():
            yield from _send_lines(label, step, framing)
        case Connect(buffer):
            yield f"{label}  ..  connect" + (f", receive buffer of {quantity(buffer)}" if buffer is not None else "")
        case Expect():
            yield f"{label}  ..  wait for {printable(step.event)}, at most {step.within:g} s"
        case Wait():
            yield f"{label}  ..  wait {step.seconds:g} s"
        case StopReading():
            yield f"{label}  ..  stop reading"
        case ReadOn(rate):
            yield f"{label}  ..  read on" + (f", at most {quantity(rate)} a second" if rate is not None else "")
        case Signal(name):
            yield f'{label}  ..  signal "{printable(name)}"'
        case Await(name):
            yield f'{label}  ..  wait for signal "{printable(name)}", at most {step.within:g} s'
        case Vanish():
            yield f"{label}  ..  vanish: from here on nothing is answered, no ACK, no FIN"
        case ShutdownWrite():
            yield f"{label}  ->  FIN (half-close, still reading)"
        case Reset():
            yield f"{label}  ->  RST"
        case Close():
            yield f"{label}  ->  FIN (close)"


def _send_lines(label: str, step: Send, framing: Framing) -> Iterator[str]:
    repeats = f"x {step.times:,}" if step.times != 1 else ""
    if len(step.units) == 1:
        yield from _unit_line(label, step.units[0], framing, repeats)
    else:
        yield from _line(label, "->", f"{count(len(step.units), 'unit')} in one go", b"", repeats)
        for unit in step.units[:_SHOWN_UNITS]:
            yield from _unit_line("", unit, framing)
            framing = next_framing(unit, framing)
        if len(step.units) > _SHOWN_UNITS:
            yield f"{'':3}  ->  ... and {len(step.units) - _SHOWN_UNITS:,} more"
    if step.chunk is not None:
        yield f"{'':3}  ..  {count(step.chunk, 'octet')} a write" + (f", every {step.every:g} s" if step.every else "")
    elif step.every:
        yield f"{'':3}  ..  every {step.every:g} s"
    if step.fresh:
        yield f"{'':3}  ..  {step.fresh.decode('latin-1')} is another number each time"


def _unit_line(label: str, unit: Unit, framing: Framing, repeats: str = "") -> Iterator[str]:
    octets = head(unit, framing)[:_HEX]
    body = unit.body if isinstance(unit, Frame) else unit.data if isinstance(unit, Raw) else b""
    if isinstance(body, Fill):
        octets += bytes([body.byte & 0xFF]) * min(max(body.size, 0), _HEX - len(octets))
    yield from _line(label, "->", unit_text(unit), octets, repeats, more=unit_size(unit, framing) > len(octets))
    if isinstance(unit, Frame) and isinstance(body, bytes) and (text := frame_text(body)):
        yield f"{'':9}{text}"


def _line(label: str, arrow: str, text: str, octets: bytes, repeats: str = "", *, more: bool = True) -> Iterator[str]:
    """A line with hex at its column; on a line of its own when the text reaches into it."""
    start = f"{label:>3}  {arrow}  {text}"
    column = 9 + _TEXT
    shown = octets[:_HEX].hex(" ") + (" ..." if octets and (more or len(octets) > _HEX) else "")
    tail = f"{shown:<{_HEX * 3 + 5}}{repeats}".rstrip() if repeats else shown
    if tail and len(start) > column - 2:
        yield start
        start = ""
    yield f"{start:<{column}}{tail}".rstrip()


def _shake_text(step: Shake) -> str:
    text = f"greeting {step.version[0]}.{step.version[1]} {printable(step.mechanism or 'NULL')}"
    text += " as a stranger" if step.stranger else ""
    if step.username or step.password or step.known_name:
        name = "known name" if step.known_name else property_text(Property(b"name", step.username))
        given = f"password nearly right ({printable(step.near)})" if step.near else ""
        text += f", {name} {given or property_text(Property(b'password', step.password))}"
    if step.instead:
        honest = f", {count(step.honest, 'honest command')}" if step.honest else ""
        return f"{text}{honest}, as {printable(step.socket_type)} then:"
    more = [Property(b"Identity", step.identity)] if step.identity else []
    return " ".join([f"{text}, READY as {printable(step.socket_type)}", *map(property_text, [*more, *step.properties])])


def _reactions(script: Script, transcript: Transcript) -> dict[int, list[str]]:
    """Lines to print below the step of each index.

    Octets are recorded once for each Shake and Send that was played, so these cut the record into sections; a
    section's reactions go below the waiting that follows its sending.
    """
    sent: list[Entry] = []
    sections: list[list[Entry]] = [[]]
    for entry in sorted(transcript.entries, key=lambda entry: entry.at):
        if entry.direction is not Direction.SENT:
            sections[-1].append(entry)
        elif entry.note != "honest reply":
            sent.append(entry)
            sections.append([])
    all_played = len(sent) == sum(isinstance(step, Shake | Send) for step in script.steps)
    lines: dict[int, list[str]] = {}
    section = last = 0
    moving = True  # ``last`` may move on to a step that waits
    for index, step in enumerate(script.steps):
        if isinstance(step, Shake | Send):
            moving = section < len(sent) and (all_played or _is_of(sent[section], step, _framing_before(script, index)))
            if not moving:
                lines[index] = [f"{'':3}  ..  not played: the connection was gone, or the time was over"]
                continue
            lines[last] = _reaction_lines(sections[section])
            section, last = section + 1, index
        elif moving and (isinstance(step, Expect | Wait | Await) or (isinstance(step, Connect) and not section)):
            last = index
    lines[last] = _reaction_lines([entry for entries in sections[section:] for entry in entries])
    return lines


def _is_of(entry: Entry, step: Shake | Send, framing: Framing) -> bool:
    if isinstance(step, Shake) or not step.units or entry.note.startswith(SEALED):
        return isinstance(step, Send) or entry.note.startswith("greeting")
    start = head(step.units[0], framing)
    return entry.data[: len(start)] == start[: len(entry.data)] and not entry.note.startswith("greeting")


def _reaction_lines(entries: Iterable[Entry]) -> list[str]:
    texts = [(entry.direction, text) for entry in entries for text in _entry_texts(entry)]
    lines = []
    for (direction, text), same in groupby(texts):
        times = len(list(same))
        lines.append(f"{'':3}  {direction.value}  {text}" + (f"  x {times:,}" if times > 1 else ""))
    if len(lines) > _SHOWN_REACTIONS:
        hidden = len(lines) - _SHOWN_REACTIONS + 2
        lines[_SHOWN_REACTIONS - 2 : -1] = [f"{'':3}  ..  ({hidden - 1:,} more reactions)"]
    return lines


def _entry_texts(entry: Entry) -> list[str]:
    if entry.note:
        ours = entry.direction is Direction.NOTE and entry.note.startswith(("closed by us", "half-closed"))
        return [] if ours else [printable(text) for text in entry.note.split("; ")]
    if not entry.data:
        return ["more octets, not kept"]
    shown = entry.data[:_HEX].hex(" ") + (" ..." if len(entry.data) > _HEX else "")
    return [f"{count(len(entry.data), 'octet')}: {shown}"]


def _endings(transcripts: tuple[Transcript, ...]) -> list[str]:
    """How the connections were left, where the lines above do not say it."""
    if len(transcripts) > 1:
        counts = Counter(transcript.closed_by.value for transcript in transcripts)
        return [f"{'':3}  ..  " + ", ".join(f"{number:,} of these peers: {how}" for how, number in counts.items())]
    return [f"{'':3}  ..  connection still open" for item in transcripts if item.closed_by is ClosedBy.OPEN]


def describe_attack(attack: Attack) -> str:
    """A noun phrase: who attacks, with how much, in what shape; from the attack's own data, naming no bug."""
    peers = sum(_played(script) for script in attack.scripts)
    shakes = [step for script in attack.scripts for step in script.steps if isinstance(step, Shake)]
    all_shake = all(any(isinstance(step, Shake) for step in script.steps) for script in attack.scripts)
    kinds = "/".join(dict.fromkeys(printable(step.socket_type) for step in shakes)) if all_shake else ""
    secrets = all(step.mechanism not in ("", "NULL") and not step.stranger for step in shakes) and bool(shakes)
    who = f"{'authenticated' if secrets else 'unauthenticated'} {kinds} peer".replace("  ", " ")
    parts = [count(peers, who)]
    sends = [
        (step, _played(script) * max(0, step.times))
        for script in attack.scripts
        for step in script.steps
        if isinstance(step, Send)
    ]
    sent = [(unit, times) for step, times in sends for unit in step.units]
    parts.append(_volume(sent) if sent else "nothing sent" + (" after the handshake" if shakes else ""))
    frames = [unit for unit, _ in sent if isinstance(unit, Frame)]
    if frames and all(frame.more for frame in frames):
        parts.append("MORE set on every one" if len(frames) > 1 or sent[0][1] > 1 else "MORE set")
    if any(frame.declared_size not in (None, length(frame.body)) for frame in frames):
        parts.append("declared sizes that are not the sizes")
    if any(step.chunk is not None for step, _ in sends):
        parts.append(f"{count(min(step.chunk for step, _ in sends if step.chunk is not None), 'octet')} a write")
    if any(isinstance(step, StopReading) for script in attack.scripts for step in script.steps):
        parts.append("what comes back is not read")
    last = {type(script.steps[-1]) for script in attack.scripts if script.steps}
    endings: dict[type, str] = {Reset: "reset", Close: "closed", ShutdownWrite: "half-closed", Vanish: "vanished"}
    parts += [f"then {word}" for ending, word in endings.items() if ending in last]
    return ", ".join(parts)


def _volume(sent: list[tuple[Unit, int]]) -> str:
    octets = sum(unit_size(unit) * times for unit, times in sent)
    words = {Frame: "frame", Command: "command", Raw: "raw piece"}
    counts: Counter[str] = Counter()
    for unit, times in sent:
        counts[words.get(type(unit), "greeting")] += times
    *most, last = [count(number, word) for word, number in counts.items()]
    return f"{quantity(octets)} in " + " and ".join([", ".join(most), last] if most else [last])


def _fit(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
