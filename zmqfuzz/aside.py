"""What a harness can have started beside its target, where somebody says how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from zmqfuzz.credentials import Credentials
from zmqfuzz.target import Target
from zmqfuzz.trial import Surface

__all__ = ["Inside", "Reference"]

Reference = Callable[[Surface, str, int], tuple[Target, Credentials]]
"""Makes a bare socket like the one behind a door, from the shared library at a path and with this many messages as
RCVHWM, and says what it asks its peers for. Raises UsageError: that is not possible."""

Inside = Callable[[], Awaitable[dict[str, tuple[str, str]]]]
"""Starts the target once more, on which nothing is played, and says of its doors, by key, which line opens them and
how. Raises nothing."""
