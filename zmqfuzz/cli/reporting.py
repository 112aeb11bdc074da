"""The commands ``report`` and ``baseline``, and the files that a run writes at its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import click

from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.report import printable
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.errors import UsageError
from zmqfuzz.reports.baseline import Accepted, check_until, read_baseline, write_baseline
from zmqfuzz.reports.comparison import verdicts
from zmqfuzz.reports.difference import difference, lines
from zmqfuzz.reports.formats import FORMATS, make
from zmqfuzz.reports.record import Run
from zmqfuzz.reports.settings import settings
from zmqfuzz.reports.shelf import Shelf, read_run, write_whole

__all__ = ["baseline_command", "format_of", "report_command", "write_report"]

_STORE = click.option(
    "--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where runs and findings are kept."
)
_BASELINE = click.option(
    "--baseline", "file", type=click.Path(path_type=Path), metavar="FILE", help="[default: as in pyproject.toml]"
)


def format_of(path: Path) -> str:
    """The format that a file's ending names; empty: a folder, for all of them. Raises UsageError."""
    endings = {one.ending: name for name, one in FORMATS.items()}
    if path.is_dir() or not path.suffix:
        return ""
    if path.suffix not in endings:
        known = ", ".join(sorted(endings))
        raise UsageError(f"{path}: its ending names no format of a report ({known}); change it, or give a folder.")
    return endings[path.suffix]


def write_report(run: Run, path: Path, store: Path) -> bool:
    """Write one report, or into a folder all of them; what cannot be written is said, and False."""
    one = format_of(path)
    files = {one: path} if one else {name: path / each.file for name, each in FORMATS.items()}
    before = Shelf(store).before(run)
    for name, file in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, make(name, run, before))
        except OSError as error:
            said = f"zmqfuzz: the report {file} could not be written: {error.strerror or error}"
            click.echo(f"{printable(said)}; `zmqfuzz report` makes it again from the stored run.", err=True)
            return False
    return True


@click.command("report", epilog=EXIT_CODES)
@click.argument("words", nargs=-1, metavar="[RUN] | diff [OLD [NEW]]")
@click.option("--against", metavar="RUN", help="The run to compare with. [default: the one before, of its target]")
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), help="[default: as FILE ends, or html]")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="`-`: standard output.")
@_STORE
def report_command(
    words: tuple[str, ...], against: str | None, format_: str | None, output: Path | None, store: Path
) -> int:
    """Make a report of a stored RUN: a folder, its name or the beginning of it. [default: the newest]

    Without -o, html is written into the run's folder, and all else to standard output. `report diff` says what has
    changed from OLD to NEW (by default the newest, and the one before it), as of two builds of a target that the same
    suite has run, with exit code 1 where a finding is new.

    \b
        zmqfuzz report
        zmqfuzz report --format junit -o zmqfuzz.xml
        zmqfuzz report --format markdown >> "$GITHUB_STEP_SUMMARY"
        zmqfuzz report diff 2026-11-21 2026-11-28
    """
    if words[:1] == ("diff",) and len(words) <= 3 and not (against or format_ or output):
        return _diff(Shelf(store), *words[1:])
    if len(words) > 1:
        raise UsageError(f"One run is reported at a time, not {' '.join(words)!a}; `report diff OLD NEW` compares two.")
    folder = Shelf(store).folder("".join(words))
    stored = _read(folder)
    plain = str(output) == "-"
    name = format_ or (format_of(output) if output is not None and not plain else "") or "html"
    shelf = Shelf(folder.parent.parent)
    text = make(name, stored, _read(Shelf(store).folder(against)) if against else shelf.before(stored))
    if output is None and name == "html":
        output = folder / FORMATS["html"].file
    if output is None or plain:
        click.echo(text, nl=False)
        return 0
    try:
        write_whole(output, text)
    except OSError as error:
        raise UsageError(f"{output} could not be written: {error.strerror}; name another file for -o.") from None
    click.echo(printable(str(output)))
    return 0


def _read(folder: Path) -> Run:
    """A stored run; what could not be read of it is said."""
    stored = read_run(folder)
    for said in stored.said:
        click.echo(printable(f"zmqfuzz: {said}"), err=True)
    return stored


def _diff(shelf: Shelf, old: str = "", new: str = "") -> int:
    run = _read(shelf.folder(new))
    before = _read(shelf.folder(old)) if old else shelf.before(run)
    if before is None:
        raise UsageError(
            f"There is no run of {run.started.target!a} before {run.name}; name both: report diff OLD NEW."
        )
    changed = difference(run, before)
    assert changed is not None
    click.echo(printable(f"from {before.name} ({before.outcome.verdict}) to {run.name} ({run.outcome.verdict})"))
    for line in (*lines(run, changed), *verdicts(run, before)):
        click.echo(printable(f"  {line}"))
    return int(any(run.status(one.finding.id) != "known" for one in changed.new))


@click.group("baseline")
def baseline_command() -> None:
    """The findings that are known and accepted: each with a reason, until a date."""


def _file(given: Path | None) -> Path:
    file = given or settings(Path.cwd()).baseline
    if file is None:
        raise UsageError("Which baseline? Give --baseline FILE, or `baseline` in [tool.zmqfuzz] of pyproject.toml.")
    return file


@baseline_command.command("show")
@_BASELINE
def show_command(file: Path | None) -> int:
    """What is accepted, until when, and why."""
    today = date.today()
    for entry in read_baseline(_file(file)):
        status = "EXPIRED" if entry.expired(today) else "accepted"
        seen = f", last seen {entry.last_seen}" if entry.last_seen else ""
        click.echo(printable(f"{entry.id}  {status} until {entry.until}{seen}: {entry.reason}"))
    return 0


@baseline_command.command("update")
@click.argument("findings", nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why it is accepted.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, metavar="DATE", help="As 2027-03-01.")
@_BASELINE
@_STORE
def update_command(findings: tuple[str, ...], reason: str, until: datetime, file: Path | None, store: Path) -> int:
    """Accept FINDINGS (IDs in the store) until a day; one that is accepted already gets this reason and date."""
    path, today, day = _file(file), date.today(), until.date()
    if day < today:
        raise UsageError(f"--until {day} has passed already; give a day to come.")
    check_until(day, today)
    entries = {entry.id: entry for entry in read_baseline(path, missing_ok=True)}
    for name in findings:
        finding = Corpus(store).load(name)[0]
        made = Accepted(finding.id, finding.code, reason, day, finding.signature, finding.target, today, today)
        before = entries.get(finding.id)
        entries[finding.id] = replace(made, first_seen=before.first_seen) if before is not None else made
        click.echo(f"{finding.id} is accepted until {day}")
    write_baseline(path, entries.values())
    return 0


@baseline_command.command("prune")
@click.argument("findings", nargs=-1, required=True)
@_BASELINE
def prune_command(findings: tuple[str, ...], file: Path | None) -> int:
    """Remove FINDINGS (IDs) from the baseline: they are fixed, or shall fail again."""
    path = _file(file)
    entries = read_baseline(path)
    known = {entry.id for entry in entries}
    for name in findings:
        if name not in known:
            raise UsageError(f"{path}: there is no {name!a}; there are {', '.join(sorted(known)) or 'none'}.")
    write_baseline(path, [entry for entry in entries if entry.id not in findings])
    for name in findings:
        click.echo(f"{name} is removed")
    return 0
