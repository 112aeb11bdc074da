"""The rules, by subject; importing this package registers them.

Their codes are ZF601 to ZF699, and those of suppressions ZF690 and ZF691.
"""

from zmqfuzz.audit.rules import (
    beliefs,
    configuration,
    curve,
    effect,
    exposure,
    files,
    limits,
    loops,
    options,
    pairs,
    patterns,
    payload,
    secrets,
    shutdown,
)

__all__ = [
    "beliefs",
    "configuration",
    "curve",
    "effect",
    "exposure",
    "files",
    "limits",
    "loops",
    "options",
    "pairs",
    "patterns",
    "payload",
    "secrets",
    "shutdown",
]
