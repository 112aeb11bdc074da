"""The command ``campaign``: hours in slices, on several workers, kept so that nothing is lost however it ends."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import zmq

from zmqfuzz import __version__
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.report import printable
from zmqfuzz.campaign.text import count as count_of
from zmqfuzz.cli.campaign_screen import CampaignScreen, spent, told
from zmqfuzz.cli.choosing import Wanted, choose, target_options
from zmqfuzz.cli.exits import EXIT_CODES, without_secrets
from zmqfuzz.cli.options import DURATION, TargetCommand, started
from zmqfuzz.cli.recording import judged
from zmqfuzz.cli.reporting import write_report
from zmqfuzz.declared import FILE, find, read
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding
from zmqfuzz.overnight.closing import amounts_to, present, store_run
from zmqfuzz.overnight.conductor import Conductor, End, Ends
from zmqfuzz.overnight.crew import Cluster, Crew, Local, fitting_workers, most_workers
from zmqfuzz.overnight.ledger import FORMAT, Ledger, check_name, set_aside
from zmqfuzz.overnight.task import Task
from zmqfuzz.reports.baseline import Accepted
from zmqfuzz.reports.causes import causes
from zmqfuzz.reports.gate import in_force
from zmqfuzz.reports.record import build

__all__ = ["campaign_command"]

SLICES = 8
LONGEST_SLICE = 300.0
SHORTEST_SLICE = 60.0
"""A campaign has so many slices, unless they would be longer or shorter than this."""


@click.command("campaign", cls=TargetCommand, epilog=EXIT_CODES)
@target_options
@click.option("--target", "target", metavar="NAME", help="The declared target, where the campaign's name is another.")
@click.option("--for", "seconds", type=DURATION, default="8h", help="Wall time, resumed or not. [default: 8h]")
@click.option("--until-plateau", "plateau", type=DURATION, help="Stop when nothing new was seen for so long.")
@click.option("--until-findings", "findings", type=click.IntRange(min=1), help="Stop after so many new findings.")
@click.option("--slice", "slice_", type=DURATION, help="Time of a slice. [default: an eighth, 1 to 5 min]")
@click.option("--workers", default="auto", metavar="auto|N", help="Processes that play. [default: one for two cores]")
@click.option("--cluster", metavar="ADDRESS", help="Play on a Dask cluster: the address of its scheduler.")
@click.option("--shard", default="1/1", metavar="I/N", help="Play the part I of N of the seeds; for CI matrices.")
@click.option("--fresh", is_flag=True, help="Begin anew; what there was is set aside.")
@click.option("--no-screen", is_flag=True, help="Print lines, also on a terminal.")
@click.option("--status-every", "every", type=DURATION, default=30.0, help="Time between two lines. [default: 30s]")
def campaign_command(
    words: tuple[str, ...],
    target: str | None,
    seconds: float,
    plateau: float | None,
    findings: int | None,
    slice_: float | None,
    workers: str,
    cluster: str | None,
    shard: str,
    fresh: bool,
    no_screen: bool,
    every: float,
    **options: Any,
) -> int:
    """Attack for hours: `run` in slices, with all that was found kept in .zmqfuzz/campaigns/NAME.

    The same command goes on where it stopped, however it was stopped. NAME is yours to choose; it is a target declared
    in pyproject.toml, too, if there is one.

    \b
        zmqfuzz campaign night --for 8h --until-plateau 45m -- python my_server.py --bind {endpoint}
        zmqfuzz campaign gateway --workers 4
    """
    name, command = started(words)
    if not name:
        raise UsageError("A campaign needs a name, before its options: zmqfuzz campaign NAME ... -- COMMAND.")
    part, count = _shard(shard)
    folder_name = check_name(name) if count == 1 else f"{check_name(name)}-{part}-of-{count}"
    wanted = choose(_declared(name, target, command, options), command, options)
    accepted = wanted.policy.accepted()
    ends = Ends(
        seconds,
        plateau,
        findings or wanted.stop_after,
        wanted.cases,
        slice_ or min(LONGEST_SLICE, max(SHORTEST_SLICE, seconds / SLICES)),
    )
    called = wanted.spec.target().name
    folder = wanted.store / "campaigns" / folder_name
    live = not no_screen and sys.stdout.isatty()
    with _explained(folder), contextlib.ExitStack() as stack:
        aside = set_aside(folder) if fresh else None
        ledger = Ledger(folder, wanted.store, called, wanted.spec.to_plain())
        stack.callback(ledger.close)
        crew = _crew(wanted, workers, cluster)
        stack.callback(crew.close)
        screen = stack.enter_context(CampaignScreen(folder_name, live=live, every=every))
        if aside is not None:
            screen.say(f"What there was is in {aside} now.")
        seed = _begun(ledger, wanted, called)
        task = Task(
            0,
            wanted.spec,
            families=tuple(family.name for family in wanted.families),
            seed=seed,
            stop=wanted.stop,
            exposure=wanted.exposure,
            looks=wanted.looks,
            seeds=wanted.seeds,
            store=str(wanted.store),
        )
        conductor = Conductor(
            ledger,
            crew,
            task,
            ends,
            known=_known(wanted.store, called, screen),
            shard=(part, count),
            accepted=frozenset(in_force(accepted, called, date.today())),
            show=screen.show,
            say=screen.say,
        )
        if workers == "auto" and fitting_workers() > 1 and (why := _most(wanted)[1]):
            screen.say(why)
        going = "goes on" if not ledger.tally.leg_over else "begins"
        screen.say(f"campaign {folder_name} {going}: {count_of(crew.seats, 'worker')}, seed {seed}, in {folder}")
        with _signals(conductor):
            end = conductor.run()
        screen.__exit__()
        crew.close()
        ledger.recover()
        code = _closed(wanted, ledger, accepted, called, end, folder_name)
    return code


def _declared(name: str, target: str | None, command: tuple[str, ...], options: dict[str, Any]) -> str:
    """The declared target: as it is named, or the one with the campaign's name, where there is one or must be."""
    if target is not None:
        return target
    file = find(Path.cwd()) if options["libzmq"] is None else None
    if file is not None and name in read(file):
        return name
    if not (command or options["connect"] or options["libzmq"] or options["pid"] is not None):
        raise UsageError(
            f"The campaign {name!a} has nothing to attack: add -- COMMAND or --connect EP, or declare the target "
            f"{name!a} in {FILE} (another one: --target NAME)."
        )
    return ""


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    part, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= count:
        raise UsageError(f"--shard: {text!a} is not a part of a whole; write, for example, 2/8.")
    return part, count


def _most(wanted: Wanted) -> tuple[int, str]:
    return most_workers(wanted.spec.command, wanted.spec.connect, wanted.spec.bind)


def _crew(wanted: Wanted, workers: str, cluster: str | None) -> Crew:
    most, why = _most(wanted)
    if workers != "auto" and not re.fullmatch(r"[1-9][0-9]{0,3}", workers):
        raise UsageError(f"--workers: {workers!a} is not a number; write, for example, 4, or auto.")
    number = 0 if workers == "auto" else int(workers)
    if most and number > most:
        raise UsageError(f"--workers {number}: {why}.")
    if cluster is not None:
        return Cluster(cluster, most or number)
    return Local(most or number or fitting_workers())


def _begun(ledger: Ledger, wanted: Wanted, called: str) -> int:
    """The seed: that of the campaign that goes on, unless one was given."""
    begun = ledger.tally.begun
    if begun:
        return int(begun["seed"]) if wanted.drawn else wanted.seed
    ledger.write(
        "begun",
        format=FORMAT,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        target=called,
        seed=wanted.seed,
        description=wanted.spec.to_plain(),
        versions={"zmqfuzz": __version__, "libzmq": zmq.zmq_version()},
    )
    return wanted.seed


def _known(store: Path, target: str, screen: CampaignScreen) -> tuple[Finding, ...]:
    """What was found in this target before, by any run."""
    corpus, known = Corpus(store), []
    for id in corpus.ids():
        try:
            finding, _ = corpus.load(id)
        except UsageError as error:
            screen.say(f"a finding was left out: {error}")
            continue
        if finding.target == target:
            known.append(finding)
    return tuple(known)


@contextlib.contextmanager
def _signals(conductor: Conductor) -> Iterator[None]:
    """Ctrl-C and SIGTERM: once, finish the attacks that are played; twice, stop at once."""

    def interrupt(number: int, frame: object) -> None:
        conductor.interrupt()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():  # after Ctrl-C there is nothing left to interrupt but the report
            signal.signal(number, signal.SIG_IGN if conductor.stopping is End.INTERRUPTED else handler)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """What cannot be written ends a campaign with one sentence."""
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise UsageError(
            f"The campaign was stopped: {error.strerror or error} ({where}). What was kept is whole; "
            "free what is missing, and the same command goes on."
        ) from None


def _closed(wanted: Wanted, ledger: Ledger, accepted: tuple[Accepted, ...], called: str, end: End, name: str) -> int:
    """Judge, store, report, and say what there is to say; the exit code."""
    tally, interrupted = ledger.tally, end is End.INTERRUPTED
    outcome = json.loads(json.dumps(amounts_to(tally, wanted.families, wanted.spec.limits, interrupted)))
    begun = {
        "target": called,
        "time": tally.begun["time"],
        "seed": tally.begun["seed"],
        "seconds": tally.elapsed,
        "families": [family.name for family in wanted.families],
        "versions": tally.begun["versions"],
        "description": tally.begun["description"],
        "fail_on": wanted.policy.fail_on,
        "inconclusive": wanted.policy.inconclusive,
        "words": without_secrets(sys.argv[1:]),
    }
    shown = build(name, [{**one.told, "at": 0.0} for one in present(tally)], None, ()).found
    gate = judged([one.finding for one in shown], outcome["doubts"], accepted, called, wanted.policy)
    if interrupted:
        gate = replace(gate, code=130)
    run, stored = store_run(wanted.store, name, begun, tally, outcome, gate, ledger.trials)
    written = all([write_report(run, report, wanted.store) for report in wanted.policy.reports])
    for line in _summary(ledger, outcome, end, len(causes(run.found))):
        click.echo(printable(line))
    for line in gate.lines:
        click.echo(printable(f"  baseline: {line}"))
    if wanted.policy.baseline is not None:
        click.echo(printable(f"  gate: {gate.sentence} (exit code {gate.code})"))
    click.echo(printable(f"  stored: {stored}"))
    if interrupted:
        ours = [sys.executable, "-m", "zmqfuzz"] if sys.argv[0].endswith("__main__.py") else ["zmqfuzz"]
        again = [word for word in sys.argv[1:] if word != "--fresh"]
        click.echo(printable(f"  resume: {shlex.join([*ours, *again])}"))
    return gate.code or (0 if written else UsageError.exit_code)


def _summary(ledger: Ledger, outcome: dict[str, Any], end: End, reasons: int) -> Iterator[str]:
    tally = ledger.tally
    doors = ", ".join(tally.doors) or "no door"
    yield ""
    yield (
        f"{outcome['verdict'].upper()}: {tally.total:,} attacks on {doors} in {spent(tally.elapsed)},"
        f" {count_of(tally.slices_over, 'slice')}, {count_of(tally.starts, 'start')} ({end})"
    )
    for one in tally.found.values():
        yield f"  {told(one)}"
    if reasons < len(outcome["findings"]):
        yield f"  {count_of(len(outcome['findings']), 'finding')}, {count_of(reasons, 'cause')}: see the report"
    yield f"  behaviours {len(tally.cells)}, entries in the corpus {ledger.pool.count()}"
    reach = outcome["reach"]
    if reach["reachable"]:
        yield f"  reach {reach['reached']}/{reach['reachable']}"
    checks = [one for one in outcome["checks"] if one["result"] == "held"]
    held = [f"{one['code']} {one['name']}" for one in checks]
    if held:
        yield f"  held{'' if outcome['verdict'] == 'held' else ' where it was tested'}: {', '.join(held)}"
    yield from (f"  inconclusive: {doubt}" for doubt in outcome["doubts"])
    yield from (f"  not covered: {line}" for line in outcome["not_covered"])
