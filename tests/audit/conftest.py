"""Looks at small sources: what is told about them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from zmqfuzz.audit.auditor import audit
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.policy import Policy

HEAD = """\
import os
import pickle
import zmq
context = zmq.Context()
"""


@pytest.fixture
def look(tmp_path: Path) -> Callable[[str], list[Line]]:
    """All that is told of a source behind HEAD, in a folder of its own."""

    def at(source: str) -> list[Line]:
        (tmp_path / "program.py").write_text(HEAD + textwrap.dedent(source), encoding="utf-8")
        return list(audit([tmp_path], Policy()).lines)

    return at


@pytest.fixture
def told(look: Callable[[str], list[Line]]) -> Callable[[str, str], list[Line]]:
    """What one rule tells of a source."""
    return lambda source, code: [line for line in look(source) if line.code == code]
