"""Frames that are compressed: what was within changed, or a small frame that becomes a large one. Registers nothing."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import zlib
from collections.abc import Callable

from zmqfuzz.budget import MIB
from zmqfuzz.drawing import Draw

__all__ = ["bomb", "opened", "packed", "some_bomb"]

_MOST_WITHIN = 64 * 1024
"""Octets within a frame that are looked at."""

_SIZES = (3 * MIB, 48 * MIB, 60 * MIB)
"""Octets that a bomb becomes: by DEFLATE a frame of 3 KiB, and such as still fit into a volley and common limits."""

Packer = Callable[[bytes], bytes]

_xz = functools.partial(lzma.compress, preset=0)

_FORMATS: tuple[tuple[Callable[[bytes], bytes], Packer], ...] = (
    (lambda octets: zlib.decompressobj().decompress(octets, _MOST_WITHIN), zlib.compress),
    (lambda octets: zlib.decompressobj(31).decompress(octets, _MOST_WITHIN), functools.partial(gzip.compress, mtime=0)),
    (lambda octets: bz2.BZ2Decompressor().decompress(octets, _MOST_WITHIN), bz2.compress),
    (lambda octets: lzma.LZMADecompressor().decompress(octets, _MOST_WITHIN), _xz),
)
"""zlib (RFC 1950), gzip (RFC 1952), bzip2 and xz: each refuses what is not its own."""


def opened(octets: bytes) -> tuple[bytes, Packer] | None:
    """What is within a compressed frame, and how it is compressed again; None where it is none."""
    for unpack, pack in _FORMATS:
        try:
            within = unpack(octets)
        except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError):
            continue
        if within:
            return within, pack
    return None


def packed(draw: Draw, octets: bytes) -> bytes:
    """``octets`` in one of the formats, or a frame of that which becomes large."""
    return some_bomb(draw) if draw.boolean() else draw.choice(_FORMATS)[1](octets)


def some_bomb(draw: Draw) -> bytes:
    """A frame of one of the formats, oftener zlib, that becomes large."""
    return bomb(draw, draw.choice((_FORMATS[0], *_FORMATS))[1])


def bomb(draw: Draw, pack: Packer) -> bytes:
    """A small frame of many octets that are alike: to a thousandth by DEFLATE, to a millionth by bzip2."""
    return _packed(pack, draw.choice(_SIZES))


@functools.cache
def _packed(pack: Packer, size: int) -> bytes:
    return pack(bytes(size))
