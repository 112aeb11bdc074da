"""The command ``check``: a stored run, judged again by today's invariants."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import click

from zmqfuzz.campaign.corpus import Corpus, contents
from zmqfuzz.campaign.naming import finding_of
from zmqfuzz.campaign.report import printable
from zmqfuzz.campaign.text import count
from zmqfuzz.catalogue import invariants, load_file
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import SEVERITIES
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Verdict
from zmqfuzz.reports.baseline import read_baseline
from zmqfuzz.reports.gate import Shown, decide
from zmqfuzz.reports.record import Gate, Run
from zmqfuzz.reports.rejudging import Again, Rejudged, rejudge, stored_trials
from zmqfuzz.reports.settings import POLICIES, settings
from zmqfuzz.reports.shelf import Shelf, read_run, write_whole
from zmqfuzz.trial import Trial

__all__ = ["check_command", "invariants_option"]

Command = Callable[..., int]

_PATH = click.Path(path_type=Path)


def invariants_option(command: Command) -> Command:
    """Invariants of the user's own, from a file."""
    return click.option(
        "--invariants", "own", type=_PATH, metavar="FILE", help="Also the invariants that this Python file registers."
    )(command)


@click.command("check", epilog=EXIT_CODES)
@click.argument("run", default="")
@invariants_option
@click.option("--fail-on", type=SEVERITIES, help="Exit 1 from this severity up. [default: as in pyproject.toml]")
@click.option("--inconclusive", type=click.Choice(POLICIES), help="Whether what is inconclusive exits 3.")
@click.option("--baseline", type=_PATH, metavar="FILE", help="Findings that are known and accepted.")
@click.option("--store", type=_PATH, default=Path(".zmqfuzz"), help="Where runs and findings are kept.")
def check_command(
    run: str,
    own: Path | None,
    fail_on: str | None,
    inconclusive: str | None,
    baseline: Path | None,
    store: Path,
) -> int:
    """Judge a stored RUN again, with the invariants that there are today; nothing is played. [default: the newest]

    Which findings stand, which do not any more, and what else is seen now in what the run has kept of its trials.

    \b
        zmqfuzz check
        zmqfuzz check 2026-11-21 --invariants my_checks.py
    """
    folder = Shelf(store).folder(run)
    stored = read_run(folder)
    kept, said = stored_trials(folder)
    if own is not None:
        load_file(own)
    result = rejudge(stored, kept)
    declared = settings(Path.cwd())
    file = baseline or (declared.baseline if declared.baseline and declared.baseline.exists() else None)
    counting: list[Shown] = [
        *(one.found.finding for one in result.again if one.standing),
        *(found for found, _ in result.new),
    ]
    doubts = [*stored.outcome.doubts, *result.doubts]
    gate = decide(
        counting,
        doubts,
        read_baseline(file) if file is not None else (),
        target=stored.started.target,
        fail_on=fail_on or declared.fail_on or stored.started.fail_on,
        inconclusive=inconclusive or declared.inconclusive or stored.started.inconclusive,
        today=date.today(),
    )
    for finding, trial in result.new:
        Corpus(store).save(finding, stored.started.description, trial)
    doubtful = _kept_aside(folder, stored, result)
    for line in _lines(stored, result, [*stored.said, *said], doubts, gate, bool(counting)):
        click.echo(printable(line))
    if doubtful:
        command = shlex.join(map(str, stored.started.description.get("command") or ("COMMAND",)))
        click.echo("  To see whether it is one, play it on fresh processes:")
        for path in doubtful:
            given = f" --invariants {shlex.quote(str(own))}" if own is not None else ""
            click.echo(printable(f"    zmqfuzz replay {shlex.quote(str(path))}{given} -- {command}"))
    return gate.code


def _kept_aside(folder: Path, run: Run, result: Rejudged) -> list[Path]:
    """Files of the attacks behind doubts, to be replayed. Raises UsageError."""
    files = []
    for code, trial in result.doubtful.items():
        file = folder / f"{code}.zft"
        try:
            write_whole(file, _text(code, trial, run))
        except OSError as error:
            raise UsageError(f"{file} could not be written: {error.strerror}; free what is missing.") from None
        files.append(file)
    return files


def _text(code: str, trial: Trial, run: Run) -> str:
    entry = invariants()[code]
    finding = finding_of(entry.violation(entry.title), trial, run.started.target, confirmed=0, tried=0, bare=None)
    return contents(finding, {}, None)["transcript.zft"]


def _lines(run: Run, result: Rejudged, said: list[str], doubts: list[str], gate: Gate, found: bool) -> Iterator[str]:
    kinds = [count(result.judged[kind], kind) for kind in ("trial", "examination", "look") if result.judged[kind]]
    verdict = Verdict.VIOLATED if found else Verdict.INCONCLUSIVE if doubts else Verdict.HELD
    yield f"{verdict.value.upper()}: run {run.name}: {', '.join(kinds) or 'nothing'} judged again"
    yield from (f"  {line}" for line in said)
    yield from (_told(one) for one in result.again)
    for finding, _ in result.new:
        yield f"  {finding.id}  {finding.severity.upper():8}  {finding.title}: NEW, {finding.notes[0]}"
    yield from (f"  inconclusive: {doubt}" for doubt in doubts)
    yield from (f"  baseline: {line}" for line in gate.lines)
    yield f"  gate: {gate.sentence} (exit code {gate.code})"


def _told(again: Again) -> str:
    finding = again.found.finding
    how = "stands" if again.standing else "NO LONGER"
    shown = f", {again.shown} of {again.tried}" if again.tried else ""
    return f"  {finding.id}  {finding.severity.upper():8}  {finding.title}: {how}{shown}: {again.sentence}"
