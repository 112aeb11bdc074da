"""Text for people: what a target said made safe to print, and amounts in words."""

from __future__ import annotations

import unicodedata

from zmqfuzz.budget import MIB

__all__ = ["count", "printable", "quantity"]


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
    return count(octets, "octet")


def count(number: int, word: str) -> str:
    """``1 octet``, ``2,000 octets``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
