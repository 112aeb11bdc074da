"""Many message frames at once, of which only how many and how large is of interest. Standard library only.

A service that answers each of a thousand frames is read in a tenth of the time that one event for each takes.
"""

from __future__ import annotations

from zmqfuzz.zmtp.reader import Buffer
from zmqfuzz.zmtp.wire import LONG, MORE

__all__ = ["skim"]


def skim(buffer: Buffer, max_body: int) -> list[tuple[bool, int]]:
    """Whether there is MORE, and the size, of the complete ordinary message frames that come next; they are taken.

    Ordinary: in ZMTP 2.0 and later, without COMMAND and reserved bits, and LONG only where the size asks for it.
    """
    octets, at, found = buffer.octets, 0, []
    while at + 2 <= len(octets):
        flags, size, start = octets[at], octets[at + 1], at + 2
        if flags > MORE:
            if flags > MORE | LONG or at + 9 > len(octets):
                break
            size, start = int.from_bytes(octets[at + 1 : at + 9], "big"), at + 9
            if not 255 < size <= max_body:
                break
        if start + size > len(octets):
            break
        found.append((flags & MORE == MORE, size))
        at = start + size
    del octets[:at]
    return found
