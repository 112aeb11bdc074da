"""How long, in seconds, a target is waited for after an attack before what it shows is written down."""

from __future__ import annotations

__all__ = ["GIVES_UP", "KNOWN_DEAF", "REST", "ROUND_SETTLE", "ROUND_UNMOVED", "SETTLE"]

SETTLE = 0.3
"""Seconds a trial waits for the target's descriptors to come back before it is written down as it is."""

ROUND_SETTLE = 1.0
"""The same for a round of an examination, once the target is at rest again."""

ROUND_UNMOVED = 0.3
"""Of a target at rest: what has not moved for so long stays."""

GIVES_UP = 0.4
"""Seconds that a round of an examination leaves a client that connects to us alone with what was begun: it may give us
up by itself, and whether it has must not depend on chance."""

KNOWN_DEAF = 0.0
"""Seconds to serve again, beyond those of a first question, at a door in ``deaf``: that some attacks make it serve
nobody is known there."""

REST = 8.0
"""Seconds an examination waits for the target to have worked off what it was sent."""
