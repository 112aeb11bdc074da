"""The number that a command of the user's prints."""

from __future__ import annotations

import re
import subprocess

import trio

from zmqfuzz.probe import split

__all__ = ["printed"]

WITHIN = 10.0
"""Seconds that the command may take."""


async def printed(command: str, option: str) -> int | None:
    """The first number in what it writes to stdout; None where it writes none, or cannot be run.

    Raises UsageError, which begins with ``option``: it cannot be read as a command.
    """
    words = split(command, option)

    def ask() -> str:
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=WITHIN)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout

    found = re.search(r"\d+", await trio.to_thread.run_sync(ask))
    return int(found[0]) if found else None
