"""How large a unit is on the wire, without building it: a symbolic body may stand for gigabytes. Standard library only.

Contract: pure functions over the values of :mod:`zmqfuzz.zmtp.wire`; what they say is what ``encode`` gives.
"""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.zmtp.wire import Command, CurveCommand, Fill, Frame, Framing, Raw, Unit, curve_size, encode, finished

__all__ = ["announced_size", "body_size", "head", "unfinished", "unit_size"]


def head(unit: Unit, framing: Framing = Framing.V2) -> bytes:
    """What :func:`~zmqfuzz.zmtp.wire.encode` gives, without a symbolic body, and without what CURVE seals."""
    match unit:
        case Raw(Fill()):
            return b""
        case Frame(Fill(size)):
            size = max(size, 0)
            declared = size if unit.declared_size is None else unit.declared_size
            # ``long`` is decided by the size of the body that is not there.
            return encode(replace(unit, body=b"", declared_size=declared), framing)
        case CurveCommand():
            name = unit.name if unit.spelling is None else unit.spelling
            start = finished(replace(unit, size=min(1 + len(name), curve_size(unit))), bytes([len(name) & 0xFF]) + name)
            return encode(replace(start, declared_size=curve_size(unit)), framing)
    return encode(unit, framing)


def unit_size(unit: Unit, framing: Framing = Framing.V2) -> int:
    """Octets of ``unit`` on the wire."""
    match unit:
        case Frame():
            return _framed(body_size(unit), announced_size(unit), unit.long, framing)
        case Raw(data):
            return max(data.size, 0) if isinstance(data, Fill) else len(data)
        case Command():
            pairs = sum([5 + len(item.name) + len(item.value) for item in unit.properties])
            size = 1 + len(unit.name) + len(unit.data) + pairs
            return _framed(size, size, None, framing)
        case CurveCommand():
            size = curve_size(unit)
            return _framed(size, size, None, framing)
    return len(encode(unit, framing))


def _framed(size: int, announced: int, long: bool | None, framing: Framing) -> int:
    """Octets of a frame whose body has ``size``: RFC 13 counts the flags octet, and has a length of 1 or 9."""
    if framing is Framing.V1:
        return size + (10 if (announced + 1 > 254 if long is None else long) else 2)
    return size + (9 if (announced > 255 if long is None else long) else 2)


def body_size(frame: Frame) -> int:
    """Octets of the body that is sent."""
    return max(frame.body.size, 0) if isinstance(frame.body, Fill) else len(frame.body)


def unfinished(units: tuple[Unit, ...], before: bool = False) -> bool:
    """Whether ``units``, sent in traffic, leave a frame or a message without its end.

    ``before``: one was begun already. Octets that are no frame by themselves belong to the frame that waits for them.
    """
    more, missing = before, 0
    for unit in units:
        if missing:
            missing = max(0, missing - unit_size(unit))
        elif isinstance(unit, Frame):
            missing = max(0, announced_size(unit) - body_size(unit))
            more = more if unit.command else unit.more
    return more or missing > 0


def announced_size(frame: Frame) -> int:
    """Octets that the header announces."""
    return body_size(frame) if frame.declared_size is None else frame.declared_size
