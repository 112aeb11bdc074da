"""Keys and boxes of CURVE (RFC 26) on PyNaCl's bindings, which are loaded by the first key that is needed.

Contract: nothing raises for what a peer sent: a key that agrees on nothing and a box that does not open are ordinary.
Octets nobody may guess come from ``os.urandom``; those of :func:`seeded` are the same each time and protect nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

__all__ = [
    "KEY",
    "LAST_NONCE",
    "Jar",
    "Octets",
    "agreed",
    "close",
    "close_secret",
    "keypair",
    "open_box",
    "open_secret",
    "public_key",
    "seeded",
    "short",
]

KEY = 32
"""Octets of every key (RFC 26)."""

LAST_NONCE = 2**64 - 1
"""The highest short nonce."""

Octets = Callable[[int], bytes]
"""Gives so many octets that nobody can guess, or that are the same at each run."""

_KEPT = 64 * 1024


def seeded(seed: int | str) -> Octets:
    """Octets that are the same for the same ``seed``."""
    return Random(seed).randbytes


def public_key(secret: bytes) -> bytes:
    """The public key of a secret one, 32 octets each."""
    from nacl.bindings import crypto_scalarmult_base

    return crypto_scalarmult_base(secret)


def keypair(random: Octets = os.urandom) -> tuple[bytes, bytes]:
    """A public and a secret key, 32 octets each."""
    secret = random(KEY)
    return public_key(secret), secret


def short(nonce: int) -> bytes:
    """A short nonce as it is sent: eight octets, the highest first."""
    return (nonce & LAST_NONCE).to_bytes(8, "big")


def agreed(public: bytes, secret: bytes, random: Octets) -> bytes:
    """The key that a public and a secret key make; where they make none (a zero key) one that nobody knows."""
    from nacl.bindings import crypto_box_beforenm

    try:
        return crypto_box_beforenm(public, secret)
    except Exception:  # PyNaCl: RuntimeError for a key of low order, ValueError for a wrong length
        return random(KEY)


def close(plaintext: bytes, nonce: bytes, shared: bytes) -> bytes:
    """A box: 16 octets longer than ``plaintext``; ``nonce`` has 24 octets, ``shared`` 32."""
    from nacl.bindings import crypto_box_afternm

    return crypto_box_afternm(plaintext, nonce, shared)


def open_box(box: bytes, nonce: bytes, shared: bytes) -> bytes | None:
    """What is in the box; None when it does not open."""
    from nacl.bindings import crypto_box_open_afternm

    try:
        return crypto_box_open_afternm(box, nonce, shared)
    except Exception:  # PyNaCl: CryptoError; ValueError where nonce or box are cut short
        return None


def close_secret(plaintext: bytes, nonce: bytes, key: bytes) -> bytes:
    """As ``close``, with a key of one side only."""
    from nacl.bindings import crypto_secretbox

    return crypto_secretbox(plaintext, nonce, key)


def open_secret(box: bytes, nonce: bytes, key: bytes) -> bytes | None:
    """What is in the box; None when it does not open."""
    from nacl.bindings import crypto_secretbox_open

    try:
        return crypto_secretbox_open(box, nonce, key)
    except Exception:  # PyNaCl: CryptoError; ValueError where nonce or box are cut short
        return None


class Jar:
    """What the connections of one attack sent and were given, so that one can use what belongs to another."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, int], bytes] = {}
        self._places = 0

    def join(self) -> int:
        """The place of another connection."""
        self._places += 1
        return self._places

    def keep(self, what: bytes, place: int, octets: bytes) -> None:
        """Remember the latest of ``place``; more than 64 KiB are not kept."""
        if len(octets) <= _KEPT:
            self._kept[what, place] = octets

    def own(self, what: bytes, place: int) -> bytes | None:
        """The latest of ``place``."""
        return self._kept.get((what, place))

    def another(self, what: bytes, place: int) -> bytes | None:
        """The latest of another connection."""
        kept = reversed(self._kept.items())
        return next((octets for (kind, other), octets in kept if kind == what and other != place), None)
