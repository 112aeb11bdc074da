"""The command ``audit``: of sources, and of a program that is started for it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import click

from zmqfuzz import __version__
from zmqfuzz.assembly import Spec
from zmqfuzz.audit.auditor import Audit, audit, rules
from zmqfuzz.audit.document import differences, document
from zmqfuzz.audit.policy import Policy, find_policy, read_policy
from zmqfuzz.audit.report import plain, sarif, text
from zmqfuzz.campaign.report import printable
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import DURATION, TargetCommand, heard
from zmqfuzz.cli.watching import watch_it
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Severity
from zmqfuzz.reports.proofs import shown_by_runs
from zmqfuzz.reports.shelf import write_whole

__all__ = ["audit_command"]


@click.command("audit", cls=TargetCommand, epilog=EXIT_CODES)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATHS...] [-- COMMAND...]")
@click.option("--static-only", is_flag=True, help="Read sources only: COMMAND is not started.")
@click.option("--for", "seconds", type=DURATION, default=5.0, help="Watch COMMAND for so long. [default: 5s]")
@click.option("--probe", is_flag=True, help="Also measure each listener of COMMAND from outside.")
@click.option(
    "--beside", multiple=True, metavar="COMMAND", help="Start this peer of COMMAND, too, and compare their sockets."
)
@click.option("--write", type=click.Path(path_type=Path), metavar="FILE", help="Write the inventory as Markdown.")
@click.option("--check", type=click.Path(path_type=Path), metavar="FILE", help="Exit 1 where FILE is not what is seen.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--sarif", "sarif_file", type=click.Path(path_type=Path), metavar="FILE", help="Also write SARIF 2.1.0.")
@click.option("--policy", type=click.Path(path_type=Path), metavar="FILE", help="Read [tool.zmqfuzz.audit] there.")
@click.option("--exclude", "patterns", multiple=True, metavar="GLOB", help="Leave out these paths.")
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where runs are kept.")
@click.option(
    "--fail-on",
    type=click.Choice([severity.value for severity in Severity]),
    default="low",
    show_default=True,
    help="Exit 1 from this severity up.",
)
def audit_command(
    paths: tuple[Path, ...],
    static_only: bool,
    seconds: float,
    probe: bool,
    beside: tuple[str, ...],
    write: Path | None,
    check: Path | None,
    as_json: bool,
    sarif_file: Path | None,
    policy: Path | None,
    patterns: tuple[str, ...],
    store: Path,
    fail_on: str,
) -> int:
    """Say what is wrong with the ZeroMQ sockets in the Python sources at PATHS, and with those that COMMAND opens.

    Without COMMAND nothing of the program is run, and PATHS is this folder. COMMAND is started as it is, for some
    seconds; a Python program records its sockets by its environment (PYTHONPATH), any other is looked at from outside.
    `# zmqfuzz: ignore[CODE] reason` suppresses a finding on its line.

    \b
        zmqfuzz audit src
        zmqfuzz audit src -- python my_server.py
        zmqfuzz audit src --sarif audit.sarif --fail-on high
        zmqfuzz audit --beside "python my_client.py" -- python my_server.py
        zmqfuzz audit --write docs/sockets.md -- python my_server.py
    """
    command = () if static_only else heard()
    if (write or check) and not command:
        raise UsageError("--write and --check need the program that opens the sockets: add -- COMMAND.")
    given = paths or (() if command else (Path(),))
    file = policy or find_policy(given)
    decided = read_policy(file, [rule.code for rule in rules()]) if file is not None else Policy()
    decided = Policy(decided.root, (*decided.exclude, *patterns), decided.overrides)
    if not command:
        shown = shown_by_runs(store, "", given)
        found = audit(given, decided, shown=shown if shown.run else None)
    else:
        seen = watch_it(command, seconds, probe, [shlex.split(words) for words in beside])
        shown = shown_by_runs(store, Spec(tuple(command)).target().name, given)
        shown = replace(shown, limits=seen.limits, reached=tuple(seen.reached.items()))
        found = replace(audit(given, decided, seen.recorded, shown, seen.outer, seen.lines), outside=seen.said)
    if sarif_file is not None:
        _write(sarif_file, json.dumps(sarif(found, __version__), indent=2) + "\n", "--sarif")
    if as_json:
        click.echo(json.dumps(plain(found), indent=2))
    else:
        for line in text(found):
            click.echo(printable(line))
    drifted = _documented(found, write, check)
    worst = Severity(fail_on).rank
    if drifted or (any(line.severity.rank <= worst for line in found.lines) and not (write or check)):
        return 1
    return 3 if found.doubts else 0


def _documented(found: Audit, write: Path | None, check: Path | None) -> bool:
    """Write the document, or compare it; whether it has drifted."""
    made = document(found)
    if write is not None:
        _write(write, made, "--write")
        click.echo(f"written: {write}", err=True)
    if check is None:
        return False
    try:
        before = check.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{check} could not be read ({error}); write it with --write {check}.") from None
    drift = differences(before, made)
    if drift:
        click.echo(f"{check} is not what is seen; write it again with --write {check}, and review:", err=True)
        for line in drift:
            click.echo(printable(f"  {line}"), err=True)
    return bool(drift)


def _write(file: Path, content: str, option: str) -> None:
    try:
        write_whole(file, content)
    except OSError as error:
        raise UsageError(f"{file} could not be written: {error.strerror}; name another file for {option}.") from None
