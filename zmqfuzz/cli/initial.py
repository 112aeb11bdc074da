"""`zmqfuzz init`: a first table in pyproject.toml, a first test, a first workflow. What is there is never changed."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from importlib import resources
from pathlib import Path

import click

from zmqfuzz.campaign.report import printable
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import TargetCommand, started
from zmqfuzz.declared import FILE
from zmqfuzz.errors import UsageError

__all__ = ["init_command"]

WORKFLOW = Path(".github/workflows/zmqfuzz.yml")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_TABLE = """\
[tool.zmqfuzz.targets.{key}]
command = {command}

[tool.zmqfuzz.targets.{key}.limits]   # what it promises; `zmqfuzz run --help` lists all
# max-frame = "1MiB"
# memory = "200MiB"
# linger = "1s"
{expose}expose = ["tcp://127.0.0.1:*", "ipc:///*"]
"""

_TEST = '''\
"""The robustness of {name}, as it is declared in pyproject.toml.

`pytest --zmqfuzz` adds an item of each attack family to this, with no code.
"""

from zmqfuzz.script import Connect, Expect, Script, Send
from zmqfuzz.zmtp.wire import Raw


def test_what_connects_by_mistake_does_no_harm(zmq_target):
    """One attack, written by hand."""
    browser = Script((Connect(), Send((Raw(b"GET / HTTP/1.1\\r\\n\\r\\n"),)), Expect("bytes", within=0.5)))
    zmq_target.check(zmq_target.play(browser))
'''


@click.command("init", cls=TargetCommand, epilog=EXIT_CODES)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NAME] -- COMMAND...")
def init_command(words: tuple[str, ...]) -> int:
    """Declare COMMAND as a target in pyproject.toml, and write a first test and a workflow for it.

    NAME is that of the folder, unless it is given. In COMMAND {endpoint} is a free endpoint, new at each start. A file,
    or a table, that is there already is left as it is, and what belongs into it is printed.

    \b
        zmqfuzz init gateway -- python -m gateway --bind {endpoint}
    """
    name, command = started(words)
    if not command:
        raise UsageError("init needs the command that starts your program: zmqfuzz init NAME -- COMMAND.")
    folder = Path.cwd()
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._") or "server"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a target: letters, digits, '.', '_' and '-'; choose such a one.")
    _declare(folder / FILE, name, command)
    test = re.sub(r"\W", "_", name)
    _write(folder / "tests" / f"test_{test}_robustness.py", _TEST.format(name=name))
    template = resources.files("zmqfuzz.cli").joinpath("workflow.yml").read_text(encoding="utf-8")
    _write(folder / WORKFLOW, template.replace("gateway", name))
    click.echo(f"\nNow: zmqfuzz doctor; zmqfuzz run {name} --for 1m; pytest --zmqfuzz")
    return 0


def _declare(file: Path, name: str, command: tuple[str, ...]) -> None:
    """Add the table to the end of ``file``, where it has none of ours. Raises UsageError."""
    key = name if "." not in name else json.dumps(name)
    words = json.dumps(list(command), ensure_ascii=False)  # a list of basic strings is the same in TOML
    open_to = any("*" in word for word in command)
    table = _TABLE.format(key=key, command=words, expose="# " if open_to else "")
    if not file.exists():
        return _write(file, table)
    text = file.read_text(encoding="utf-8")
    try:
        tool = tomllib.loads(text).get("tool", {})
        whole = f"{text.rstrip()}\n\n{table}"
        tomllib.loads(whole)
    except ValueError as error:
        raise UsageError(f"{FILE} cannot be read as TOML ({printable(str(error))}); correct it first.") from None
    if "zmqfuzz" in tool:
        click.echo(f"{FILE} has a table [tool.zmqfuzz]; it is left as it is. What would be added:\n\n{table}")
        return None
    _replace(file, whole)
    click.echo(f"added to {FILE}: [tool.zmqfuzz.targets.{key}]")
    return None


def _write(file: Path, text: str) -> None:
    """A new file; where there is one, what would be in it, or how it differs. Raises UsageError."""
    shown = os.path.relpath(file)
    if file.exists():
        there = file.read_text(encoding="utf-8", errors="replace")
        if there == text:
            click.echo(f"{shown} is there already")
            return
        old, wanted = there.splitlines(), text.splitlines()
        click.echo(f"{shown} is there already, and is left as it is; init would write:\n")
        for line in difflib.unified_diff(old, wanted, shown, shown, lineterm=""):
            click.echo(printable(line))
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        raise UsageError(f"{shown} cannot be written ({error.strerror}); make room for it, or do it by hand.") from None
    click.echo(f"wrote {shown}")


def _replace(file: Path, text: str) -> None:
    """Write beside it, then rename: the file is the old one, or the whole new one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(file.stat().st_mode & 0o777)
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise UsageError(f"{FILE} cannot be written ({error.strerror}); add this by hand:\n{text}") from None
