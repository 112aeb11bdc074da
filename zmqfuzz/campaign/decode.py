"""An attack and what the target did, in lines for people; and everything a target said made safe to print.

What the target sent is hostile: it reaches a line only through :func:`printable`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from zmqfuzz.budget import MIB
from zmqfuzz.script import Attack, Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.trial import ClosedBy, Direction, Entry, Transcript, Trial
from zmqfuzz.zmtp.wire import Body, Command, Fill, Frame, Framing, Greeting, Greeting1, Greeting2, Property, Raw, Unit
from zmqfuzz.zmtp.wire import encode as _encode

__all__ = ["decode_attack", "describe_attack", "head", "next_framing", "printable", "quantity", "unit_size"]

WIDTH = 94
"""Columns of a decoded line; the report indents it and stays within 100."""

_TEXT = 38  # the description; hex begins behind it, at the same column in every line
_HEX = 8  # octets shown
_SHOWN_UNITS = 8
_SHOWN_REACTIONS = 10


def printable(text: str) -> str:
    r"""``text`` with control, format (bidi, zero width) and unassigned characters as ``\x1b``, ``\u202e``.

    The result is one line that cannot move a cursor or reorder its neighbours.
    """
    return "".join([char if _harmless(char) else _escape(ord(char)) for char in text])


def _harmless(char: str) -> bool:
    # Enclosing marks and stacked combining marks paint over their neighbours.
    return char.isprintable() and (char.isascii() or unicodedata.category(char) not in ("Me", "Mn"))


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quantity(octets: int) -> str:
    """``64 MiB``, ``41.3 KiB`` or ``5,000 octets``: rounded to one decimal, never above 1 %."""
    for unit, size in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", 1024)):
        if octets >= 10 * size or (octets >= size and octets % size == 0):
            return f"{octets / size:,.1f}".removesuffix(".0") + f" {unit}"
    return _count(octets, "octet")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def next_framing(unit: Unit, framing: Framing) -> Framing:
    """How frames sent after ``unit`` are laid out: a 1.0 greeting asks for V1, any other for V2."""
    if isinstance(unit, Greeting1) or (isinstance(unit, Greeting2) and unit.revision & 0xFF == 0):
        return Framing.V1
    return Framing.V2 if isinstance(unit, Greeting | Greeting2) else framing


def head(unit: Unit, framing: Framing = Framing.V2) -> bytes:
    """What :func:`~zmqfuzz.zmtp.wire.encode` gives, without a symbolic body: no large body is ever built."""
    match unit:
        case Raw(Fill()):
            return b""
        case Frame(Fill(size)):
            size = max(size, 0)
            declared = size if unit.declared_size is None else unit.declared_size
            # ``long`` is decided by the size of the body that is not there.
            return _encode(replace(unit, body=b"", declared_size=declared), framing)
    return _encode(unit, framing)


def unit_size(unit: Unit, framing: Framing = Framing.V2) -> int:
    """Octets of ``unit`` on the wire."""
    return len(head(unit, framing)) + _fill_size(unit)


def _fill_size(unit: Unit) -> int:
    body = unit.body if isinstance(unit, Frame) else unit.data if isinstance(unit, Raw) else b""
    return max(body.size, 0) if isinstance(body, Fill) else 0


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
            yield from _line(
                label,
                "->",
                _shake_text(step),
                _encode(Greeting(*step.version, step.mechanism.encode("utf-8", "replace"))),
            )
        case Send():
            yield from _send_lines(label, step, framing)
        case Connect():
            yield f"{label}  ..  connect"
        case Expect():
            yield f"{label}  ..  wait for {printable(step.event)}, at most {step.within:g} s"
        case Wait():
            yield f"{label}  ..  wait {step.seconds:g} s"
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
        yield from _line(label, "->", f"{_count(len(step.units), 'unit')} in one go", b"", repeats)
        for unit in step.units[:_SHOWN_UNITS]:
            yield from _unit_line("", unit, framing)
            framing = next_framing(unit, framing)
        if len(step.units) > _SHOWN_UNITS:
            yield f"{'':3}  ->  ... and {len(step.units) - _SHOWN_UNITS:,} more"
    if step.chunk is not None:
        yield f"{'':3}  ..  {_count(step.chunk, 'octet')} a write" + (f", every {step.every:g} s" if step.every else "")
    elif step.every:
        yield f"{'':3}  ..  every {step.every:g} s"


def _unit_line(label: str, unit: Unit, framing: Framing, repeats: str = "") -> Iterator[str]:
    octets = head(unit, framing)[:_HEX]
    body = unit.body if isinstance(unit, Frame) else unit.data if isinstance(unit, Raw) else b""
    if isinstance(body, Fill):
        octets += bytes([body.byte & 0xFF]) * min(max(body.size, 0), _HEX - len(octets))
    yield from _line(label, "->", _unit_text(unit), octets, repeats, more=unit_size(unit, framing) > len(octets))


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


def _unit_text(unit: Unit) -> str:
    match unit:
        case Raw(data):
            return f"{_count(_length(data), 'raw octet')}"
        case Greeting():
            text = f"greeting {unit.major}.{unit.minor} {_name(unit.mechanism)}"
            honest = replace(Greeting(), major=unit.major, minor=unit.minor, mechanism=unit.mechanism)
            odd = [
                name for name in ("as_server", "signature", "filler") if getattr(unit, name) != getattr(honest, name)
            ]
            return text + (f" (odd {', '.join(odd).replace('_', '-')})" if odd else "")
        case Greeting2():
            return f"greeting 2.0, revision {unit.revision}, socket type {int(unit.socket_type)}"
        case Greeting1():
            return f"greeting 1.0, identity of {_count(len(unit.identity), 'octet')}"
        case Command():
            parts = [_name(unit.name), *[_property_text(item) for item in unit.properties]]
            parts += [f"data={_count(len(unit.data), 'octet')}"] if unit.data else []
            parts += [f"name-size={unit.name_size}"] if unit.name_size is not None else []
            return " ".join(parts + (["MORE=1"] if unit.more else []))
        case Frame():
            text = f"frame MORE={int(unit.more)} size={_length(unit.body):,}"
            text += f" declared={unit.declared_size:,}" if unit.declared_size is not None else ""
            text += f" long={int(unit.long)}" if unit.long is not None else ""
            text += " COMMAND=1" if unit.command else ""
            return text + (f" reserved={unit.reserved & 0xFF:#04x}" if unit.reserved else "")


def _length(body: Body) -> int:
    return max(body.size, 0) if isinstance(body, Fill) else len(body)


def _name(data: bytes) -> str:
    return printable(data[:24].rstrip(b"\0").decode("ascii", "backslashreplace")) or '""'


def _property_text(item: Property) -> str:
    lies = [f"{what}={size}" for what, size in (("name-size", item.name_size), ("size", item.value_size)) if size]
    return f"{_name(item.name)}={_name(item.value)}" + (f"({', '.join(lies)})" if lies else "")


def _shake_text(step: Shake) -> str:
    text = f"greeting {step.version[0]}.{step.version[1]} {printable(step.mechanism)}, READY as "
    more = [Property(b"Identity", step.identity)] if step.identity else []
    return " ".join([text + printable(step.socket_type), *map(_property_text, [*more, *step.properties])])


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
        elif moving and (isinstance(step, Expect | Wait) or (isinstance(step, Connect) and not section)):
            last = index
    lines[last] = _reaction_lines([entry for entries in sections[section:] for entry in entries])
    return lines


def _is_of(entry: Entry, step: Shake | Send, framing: Framing) -> bool:
    if isinstance(step, Shake) or not step.units:
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
    return [f"{_count(len(entry.data), 'octet')}: {shown}"]


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
    secrets = all(step.mechanism != "NULL" for step in shakes) and bool(shakes)
    who = f"{'authenticated' if secrets else 'unauthenticated'} {kinds} peer".replace("  ", " ")
    parts = [_count(peers, who)]
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
    if any(frame.declared_size not in (None, _length(frame.body)) for frame in frames):
        parts.append("declared sizes that are not the sizes")
    if any(step.chunk is not None for step, _ in sends):
        parts.append(f"{_count(min(step.chunk for step, _ in sends if step.chunk is not None), 'octet')} a write")
    last = Counter(type(script.steps[-1]) for script in attack.scripts if script.steps)
    for ending, words in ((Reset, "then reset"), (Close, "then closed"), (ShutdownWrite, "then half-closed")):
        if last[ending]:
            parts.append(words)
    return ", ".join(parts)


def _volume(sent: list[tuple[Unit, int]]) -> str:
    octets = sum(unit_size(unit) * times for unit, times in sent)
    words = {Frame: "frame", Command: "command", Raw: "raw piece"}
    counts: Counter[str] = Counter()
    for unit, times in sent:
        counts[words.get(type(unit), "greeting")] += times
    *most, last = [_count(number, word) for word, number in counts.items()]
    return f"{quantity(octets)} in " + " and ".join([", ".join(most), last] if most else [last])


def _fit(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
