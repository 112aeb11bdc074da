"""A unit that is sent, in words: what it is, and each field in which it lies."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import fields

from zmqfuzz.campaign.text import count, printable
from zmqfuzz.zmtp.wire import (
    Body,
    Command,
    CurveCommand,
    Fill,
    Frame,
    Greeting,
    Greeting1,
    Greeting2,
    Property,
    Raw,
    Unit,
)

__all__ = ["frame_text", "length", "name", "property_text", "unit_text"]

_LEAST, _SAID = 3, 72
"""Octets of a frame that may be a text, at least; and octets of it that are shown."""

_LIES = {
    "nonce": {"repeat": "nonce repeated", "lower": "nonce lower than the last", "gap": "nonce after a gap"}
    | {"last": "nonce 2^64-1", "zero": "nonce 0"},
    "key": {"zero": "key of zeros", "random": "a random key"},
    "box": {"foreign": "box by a foreign key", "random": "random octets for a box", "open": "plaintext for a box"},
    "cookie": {"zero": "cookie of zeros", "random": "a random cookie", "another": "another connection's cookie"},
    "vouch": {"zero": "vouch of zeros", "random": "a random vouch", "foreign": "vouch by a foreign key"},
}
"""The words of :class:`~zmqfuzz.zmtp.wire.CurveCommand`, for people."""


def unit_text(unit: Unit) -> str:
    """What it is and how it lies, on one line, safe to print."""
    match unit:
        case CurveCommand():
            return ", ".join([f"CURVE {name(unit.name)}", *_curve_lies(unit)])
        case Raw(data):
            return f"{count(length(data), 'raw octet')}"
        case Greeting():
            text = f"greeting {unit.major}.{unit.minor} {name(unit.mechanism)}"
            honest = Greeting()
            odd = [lie for lie in ("as_server", "signature", "filler") if getattr(unit, lie) != getattr(honest, lie)]
            return text + (f" (odd {', '.join(odd).replace('_', '-')})" if odd else "")
        case Greeting2():
            return f"greeting 2.0, revision {unit.revision}, socket type {int(unit.socket_type)}"
        case Greeting1():
            return f"greeting 1.0, identity of {count(len(unit.identity), 'octet')}"
        case Command():
            parts = [name(unit.name), *[property_text(item) for item in unit.properties]]
            parts += [f"data={count(len(unit.data), 'octet')}"] if unit.data else []
            parts += [f"name-size={unit.name_size}"] if unit.name_size is not None else []
            return " ".join(parts + (["MORE=1"] if unit.more else []))
        case Frame():
            text = f"frame MORE={int(unit.more)} size={length(unit.body):,}"
            text += f" declared={unit.declared_size:,}" if unit.declared_size is not None else ""
            text += f" long={int(unit.long)}" if unit.long is not None else ""
            text += " COMMAND=1" if unit.command else ""
            return text + (f" reserved={unit.reserved & 0xFF:#04x}" if unit.reserved else "")


def frame_text(body: bytes) -> str:
    """What a frame says, in quotes and safe to print, where that is a text of some length; else empty."""
    try:
        text = getincrementaldecoder("utf-8")().decode(body[:_SAID])
    except UnicodeDecodeError:
        return ""
    if len(body) < _LEAST or not text.replace("\n", " ").isprintable():
        return ""
    return f'"{printable(text)}"' + (" ..." if len(body) > _SAID else "")


def length(body: Body) -> int:
    """Octets of a body."""
    return max(body.size, 0) if isinstance(body, Fill) else len(body)


def name(data: bytes) -> str:
    """The start of a name, safe to print."""
    return printable(data[:24].rstrip(b"\0").decode("ascii", "backslashreplace")) or '""'


def property_text(item: Property) -> str:
    """A property, and the sizes it lies about."""
    lies = [f"{what}={size}" for what, size in (("name-size", item.name_size), ("size", item.value_size)) if size]
    return f"{name(item.name)}={name(item.value)}" + (f"({', '.join(lies)})" if lies else "")


def _curve_lies(unit: CurveCommand) -> Iterator[str]:
    if unit.replay:
        yield "replayed" if unit.replay == "own" else "another connection's"
    if unit.spelling is not None:
        yield f"spelt {name(unit.spelling)}"
    if unit.body:
        yield f"{count(length(unit.body), 'octet')} within"
    yield from map(property_text, unit.properties)
    for field, lies in _LIES.items():
        if (word := getattr(unit, field)) in lies:
            yield lies[word]
    if unit.flip_inside is not None:
        yield f"bit {unit.flip_inside:,} flipped inside the box"
    if unit.flip is not None:
        yield f"bit {unit.flip:,} flipped outside"
    if unit.size is not None:
        yield f"cut or filled to {count(unit.size, 'octet')}"
    told = {"spelling", "body", "properties", "replay", "flip_inside", "flip", "size", *_LIES}
    for item in fields(unit):
        value = getattr(unit, item.name)
        if item.name not in told and value != item.default and item.name != "name":
            yield f"{item.name}={'.'.join(map(str, value)) if isinstance(value, tuple) else int(value)}"
