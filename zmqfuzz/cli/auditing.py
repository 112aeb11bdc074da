"""The command ``audit``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zmqfuzz import __version__
from zmqfuzz.audit.auditor import Audit, audit, rules
from zmqfuzz.audit.policy import Policy, find_policy, read_policy
from zmqfuzz.audit.report import plain, sarif, text
from zmqfuzz.campaign.report import printable
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Severity

__all__ = ["audit_command"]


@click.command("audit", epilog=EXIT_CODES)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--sarif", "sarif_file", type=click.Path(path_type=Path), metavar="FILE", help="Also write SARIF 2.1.0.")
@click.option("--policy", type=click.Path(path_type=Path), metavar="FILE", help="Read [tool.zmqfuzz.audit] there.")
@click.option("--exclude", "patterns", multiple=True, metavar="GLOB", help="Leave out these paths.")
@click.option(
    "--fail-on",
    type=click.Choice([severity.value for severity in Severity]),
    default="low",
    show_default=True,
    help="Exit 1 from this severity up.",
)
def audit_command(
    paths: tuple[Path, ...],
    as_json: bool,
    sarif_file: Path | None,
    policy: Path | None,
    patterns: tuple[str, ...],
    fail_on: str,
) -> int:
    """Read the Python sources at PATHS (default: here), and say what is wrong with their ZeroMQ sockets.

    Nothing of the program is run. `# zmqfuzz: ignore[CODE] reason` suppresses a finding on its line.

    \b
        zmqfuzz audit src
        zmqfuzz audit src --sarif audit.sarif --fail-on high
    """
    given = paths or (Path(),)
    file = policy or find_policy(given)
    decided = read_policy(file, [rule.code for rule in rules()]) if file is not None else Policy()
    decided = Policy(decided.root, (*decided.exclude, *patterns), decided.overrides)
    found = audit(given, decided)
    if sarif_file is not None:
        _write(sarif_file, found)
    if as_json:
        click.echo(json.dumps(plain(found), indent=2))
    else:
        for line in text(found):
            click.echo(printable(line))
    worst = Severity(fail_on).rank
    if any(line.severity.rank <= worst for line in found.lines):
        return 1
    return 3 if found.doubts else 0


def _write(file: Path, found: Audit) -> None:
    try:
        file.write_text(json.dumps(sarif(found, __version__), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} could not be written: {error.strerror}; name another file for --sarif.") from None
