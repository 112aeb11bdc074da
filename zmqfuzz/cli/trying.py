"""The command ``whatif``."""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from pathlib import Path

import click

from zmqfuzz.assembly import Spec
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.report import COLUMNS, printable, relative
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import credential_options
from zmqfuzz.credentials import Credentials
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding
from zmqfuzz.sockopts import Set, costs, parse_set, suggested, written
from zmqfuzz.whatif import CannotInject, Tried, Word, describe, whatif

__all__ = ["whatif_command"]

_NAMES = 32
"""Columns for a set of options; one that is longer has a line of its own."""


@click.command("whatif", epilog=EXIT_CODES)
@click.argument("finding")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--set", "sets", multiple=True, metavar="OPT=VAL,...", help="Try these options together; may be given again."
)
@click.option("--suggest", is_flag=True, help="Try what is known to help, until something does.")
@click.option("--times", type=click.IntRange(min=1), default=3, show_default=True, help="Fresh processes for each set.")
@credential_options
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where findings are kept.")
def whatif_command(
    finding: str,
    command: tuple[str, ...],
    sets: tuple[str, ...],
    suggest: bool,
    times: int,
    store: Path,
    **secrets: str | None,
) -> int:
    """Play FINDING again with socket options set in the unmodified program: which option mends it?

    The program must be Python with pyzmq. Exits 0 when a set mends the finding, 1 when none does.

    \b
        zmqfuzz whatif ZF201-62hq --set MAXMSGSIZE=64KiB
        zmqfuzz whatif ZF312-abcd --set HEARTBEAT_IVL=1s,HEARTBEAT_TIMEOUT=2s --set TCP_KEEPALIVE=1
        zmqfuzz whatif ZF201-62hq --suggest
    """
    if not sets and not suggest:
        raise UsageError("Say what to try: --set OPTION=VALUE, or --suggest.")
    given = tuple(parse_set(text) for text in sets)
    found, plain = Corpus(store).load(finding)
    spec = Spec.from_plain(plain, Credentials.read(**secrets))
    if command:
        spec = replace(spec, command=command, cwd=os.getcwd())
    known = suggested(found.code, spec.limits, found.surface.mechanism) if suggest else ()
    every: tuple[Set, ...] = tuple(dict.fromkeys((*given, *known)))
    _head(found, spec)
    if not every:
        click.echo(f"  No socket option is known to help against {found.code}.")
        click.echo(_no_option(found))
        return 1
    try:
        tried = whatif(found, spec, every, times, _tell, first=suggest)
    except CannotInject as error:
        raise CannotInject(str(error).replace("{id}", found.id)) from None
    return _end(found, tried)


def _head(found: Finding, spec: Spec) -> None:
    click.echo(printable(f"{found.id}  {found.severity.upper()}  {found.title}"))
    verb = "connect" if spec.bind else "bind"
    name = spec.name or " ".join(spec.command) or "the target"
    click.echo(printable(f"  {name}; set just before {verb} of each {found.surface.socket_type or 'ZMTP'} socket"))
    click.echo()


def _tell(tried: Tried) -> None:
    ended = {
        Word.FIXED: f"fixed {tried.tried - tried.shown}/{tried.tried}",
        Word.STILL: f"still there, seen {tried.shown} of {tried.tried}",
    }
    start = f"    {describe(tried):<{_NAMES}}  "
    said = ": ".join(part for part in (ended.get(tried.word, tried.word.value), tried.detail) if part)
    text = "; ".join(part for part in (said, tried.cost) if part)
    if len(start) > _NAMES + 6:
        click.echo(start.rstrip())
        start = " " * (_NAMES + 6)
    for number, line in enumerate(textwrap.wrap(printable(text), COLUMNS - _NAMES - 6)):
        click.echo((start if number == 0 else " " * len(start)) + line)


def _no_option(found: Finding) -> str:
    text = f"needs a code or deployment change. {found.advice}".strip()
    return "\n".join(textwrap.wrap(printable(text), COLUMNS - 2, initial_indent="  -> ", subsequent_indent="     "))


def _end(found: Finding, tried: tuple[Tried, ...]) -> int:
    before, *rest = tried
    where = f" at {relative(before.place)}" if before.place else ""
    fixed = next((one for one in rest if one.word is Word.FIXED), None)
    if before.word is not Word.STILL:
        click.echo("  -> nothing can be said: the finding does not show without any option either")
        return 3
    if fixed is not None:
        click.echo(printable(f"  -> {written(fixed.options)}, set before bind or connect{where}"))
        for cost in costs(fixed.options):
            click.echo(f"     it costs: {cost}")
        return 0
    if any(one.word is Word.UNCLEAR for one in rest):
        click.echo(printable(f"  -> none of them is known to mend it{where}; some could not be judged"))
        return 3
    click.echo(_no_option(found))
    return 1
