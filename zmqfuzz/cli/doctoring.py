"""`zmqfuzz doctor`: what this machine lets zmqfuzz see and do."""

from __future__ import annotations

import dataclasses
import difflib
import json
import textwrap
from collections import Counter
from pathlib import Path

import click

from zmqfuzz import __version__
from zmqfuzz.campaign.report import printable
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import names
from zmqfuzz.doctor import CHECKS, Examined, examine
from zmqfuzz.errors import UsageError

__all__ = ["doctor_command"]

COLUMNS = 110


@click.command("doctor", epilog=EXIT_CODES)
@click.option("--require", metavar="A,B", help="Exit 3 unless these are ok: vanish, curve, memory, timing ...")
@click.option("--json", "plain", is_flag=True, help="One JSON object instead of lines.")
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where all is to be kept.")
def doctor_command(require: str | None, plain: bool, store: Path) -> int:
    """Try what zmqfuzz needs on this machine, and say what follows where something is missing.

    Each line is ok, warn or no, and begins with the name that --require takes.
    """
    required = _required(require)
    seen = examine(store)
    missing = seen.missing(required)
    if plain:
        facts = {name: dataclasses.asdict(fact) for name, fact in seen.facts.items()}
        click.echo(json.dumps({"zmqfuzz": __version__, "facts": facts, "missing": missing}, indent=1))
    else:
        for line in _lines(seen):
            click.echo(line)
        states = Counter(fact.state for fact in seen.facts.values())
        each = ", ".join(f"{states[state]} {state}" for state in ("ok", "warn", "no") if states[state])
        asked = "" if required else "; --require NAME,... makes what is not ok an error"
        click.echo(f"{len(seen.facts)} things were tried: {each}{asked}")
        if missing:
            click.echo(f"\nmissing: {', '.join(missing)}", err=True)
    return 3 if missing else 0


def _required(text: str | None) -> tuple[str, ...]:
    """The names in ``text``. Raises UsageError."""
    for name in (given := names(text)):
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(CHECKS)}."
            raise UsageError(f"--require: there is no check {name!r}; {hint}")
    if text is not None and not given:
        raise UsageError(f"--require names nothing; there are {', '.join(CHECKS)}.")
    return given


def _lines(seen: Examined) -> list[str]:
    lines = []
    width = max(map(len, seen.facts))
    for name, fact in seen.facts.items():
        start = f"  {fact.state:5} {name:{width}}  "
        for text, mark in ((fact.says, start), (fact.remedy, " " * len(start) + "-> ")):
            if text:
                rest = " " * len(mark)
                lines += textwrap.wrap(printable(text), COLUMNS, initial_indent=mark, subsequent_indent=rest)
    return lines
