"""A finding in another form: a test that plays it again, a capture of its replay, its script."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from zmqfuzz.budget import Limits
from zmqfuzz.campaign.capture import CAPTURE, write_capture
from zmqfuzz.campaign.corpus import FINDING, contents
from zmqfuzz.campaign.repro import cannot_play, repro_script
from zmqfuzz.campaign.text import printable
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding
from zmqfuzz.trial import Trial

__all__ = ["FORMS", "keep_capture", "keep_script", "keep_test"]

FORMS = ("pytest", "pcapng", "script")

_TEST = '''"""{title}

{id}, recorded by zmqfuzz. It fails while the finding is there, and passes when it is fixed.
"""

from pathlib import Path

import zmqfuzz

target = zmqfuzz.target({target})


def test_{name}():
    target.replay(Path(__file__).with_name("{id}"))
'''


def keep_test(finding: Finding, plain: Mapping[str, Any], folder: Path) -> Path:
    """Write a test module, and what it plays beside it, into ``folder``; the module. Raises UsageError."""
    if not plain.get("command") and not plain.get("bind"):
        raise UsageError("A program that was attached to cannot be started by a test; replay it with --connect.")
    name = finding.id.lower().replace("-", "_").replace(".", "_")
    module, kept = folder / f"test_{name}.py", folder / finding.id
    text = _TEST.format(title=printable(finding.title), id=finding.id, name=name, target=_target(plain))
    files = contents(finding, plain, None)
    with _into(kept):
        for file in (FINDING, "transcript.zft"):
            (kept / file).write_text(files[file], "utf-8")
        module.write_text(text, "utf-8")
    return module


def keep_capture(trial: Trial | None, folder: Path) -> Path:
    """Write the capture of a replay into ``folder``. Raises UsageError: nothing was shown, or it cannot be written."""
    if trial is None or not trial.transcripts:
        raise UsageError("It did not show in this replay, so there is nothing to capture; try --times 10.")
    with _into(folder):
        write_capture(trial, folder / CAPTURE)
    return folder / CAPTURE


def keep_script(finding: Finding, folder: Path) -> Path:
    """Write the script that plays it into ``folder``. Raises UsageError: no script of the standard library can."""
    obstacle = next(filter(None, map(cannot_play, (*finding.history, finding.attack))), "")
    if obstacle:
        raise UsageError(obstacle)
    with _into(folder):
        script = folder / f"{finding.id}.py"
        script.write_text(repro_script(finding, finding.attack), "utf-8")
    return script


@contextmanager
def _into(folder: Path) -> Iterator[None]:
    """A folder that is there to be written to. Raises UsageError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}; name another folder with --out.") from None


def _target(plain: Mapping[str, Any]) -> str:
    """The arguments of :func:`zmqfuzz.target` for a stored spec; secrets come from the environment."""
    here = os.path.join(str(plain.get("cwd") or os.getcwd()), "")
    words = [_word(str(word), here) for word in plain.get("command", ())]
    usual = Limits()
    given: dict[str, Any] = {
        name: plain[name] for name in ("bind", "socket_type", "name", "probe", "counter") if plain.get(name)
    }
    if plain.get("ready", "handshake") != "handshake":
        given["ready"] = plain["ready"]
    if plain.get("stop_signal", "SIGTERM") != "SIGTERM":
        given["stop_signal"] = plain["stop_signal"]
    for item in fields(Limits):
        value = plain.get("limits", {}).get(item.name)
        if value is not None and value != getattr(usual, item.name):
            given[item.name] = value
    parts = [json.dumps(words), *(f"{name}={json.dumps(value)}" for name, value in given.items())]
    line = ", ".join(parts)
    return line if len(line) < 90 else "\n" + textwrap.indent(",\n".join(parts), "    ") + ",\n"


def _word(word: str, here: str) -> str:
    """As it would be written there: our own interpreter by its name, files below the current folder without it."""
    ours = os.path.dirname(word) == os.path.dirname(sys.executable) and os.path.basename(word).startswith("python")
    return "python" if ours else word.removeprefix(here)
