"""The command line: one module a command, exit codes in one place."""

from __future__ import annotations

import sys

from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded

__all__ = ["main"]


def main() -> None:
    """The ``zmqfuzz`` command."""
    sys.exit(guarded(cli))
