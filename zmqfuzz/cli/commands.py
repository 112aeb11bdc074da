"""The commands: run, demo, replay, list, explain; the others have modules of their own."""

from __future__ import annotations

import inspect
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from zmqfuzz import __version__
from zmqfuzz.assembly import Spec, replay
from zmqfuzz.audit.auditor import rules
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.events import Plan
from zmqfuzz.campaign.report import printable
from zmqfuzz.catalogue import families, invariants, load_file, select_families
from zmqfuzz.cli.auditing import audit_command
from zmqfuzz.cli.campaigning import campaign_command
from zmqfuzz.cli.checking import check_command, invariants_option
from zmqfuzz.cli.choosing import choose, target_options
from zmqfuzz.cli.corpora import corpus_command
from zmqfuzz.cli.doctoring import doctor_command
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.initial import init_command
from zmqfuzz.cli.keeping import FORMS, keep_capture, keep_script, keep_test
from zmqfuzz.cli.options import DURATION, TargetCommand, credential_options, started
from zmqfuzz.cli.proxying import proxy_command
from zmqfuzz.cli.recording import Policy, play
from zmqfuzz.cli.reporting import baseline_command, report_command
from zmqfuzz.cli.trying import whatif_command
from zmqfuzz.credentials import Credentials
from zmqfuzz.errors import UsageError

__all__ = ["cli"]


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zmqfuzz")
def cli() -> None:
    """Fault injection and fuzzing for programs that bind or connect ZeroMQ sockets."""


for _command in (
    audit_command,
    baseline_command,
    campaign_command,
    check_command,
    corpus_command,
    doctor_command,
    init_command,
    proxy_command,
    report_command,
    whatif_command,
):
    cli.add_command(_command)


@cli.command("run", cls=TargetCommand, epilog=EXIT_CODES)
@target_options
@click.option("--for", "seconds", type=DURATION, default=60.0, help="Wall time of the run. [default: 60s]")
@click.option("--reach", is_flag=True, help="Show the whole reach map: which family acted where, and why not.")
@invariants_option
def run_command(words: tuple[str, ...], seconds: float, reach: bool, own: Path | None, **options: Any) -> int:
    """Start COMMAND (or attach to it), find its ZMTP doors, attack each, check what must hold.

    NAME is a target declared in pyproject.toml ([tool.zmqfuzz.targets.NAME]); what is given here goes before what is
    declared there.

    \b
        zmqfuzz run gateway
        zmqfuzz run -- python my_server.py
        zmqfuzz run --connect tcp://127.0.0.1:5555 --pid 4121
        zmqfuzz run --bind tcp://127.0.0.1:5555 -- python my_client.py
        zmqfuzz run --libzmq /usr/lib/libzmq.so.5 --socket ROUTER
    """
    if own is not None:
        load_file(own)
    wanted = choose(*started(words), options)
    plan = Plan(
        families=wanted.families,
        seconds=seconds,
        seed=wanted.seed,
        stop_after=wanted.stop_after,
        cases=wanted.cases,
        minimise_seconds=min(12.0, max(2.0, seconds / 5)),
        seeds=wanted.seeds,
        stop=wanted.stop,
        exposure=wanted.exposure,
        looks=wanted.looks,
    )
    return play(wanted.spec, plan, Corpus(wanted.store), wanted.policy, reach=reach)[1]


DEMO = ("flood", "malformed-frame", "malformed-message", "multipart")
"""A few of the families: all of them would not get their turn in a demonstration's time."""


@cli.command("demo", epilog=EXIT_CODES)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where findings are kept.")
def demo_command(seed: int, store: Path) -> int:
    """Find, minimise and explain a real weakness of a bundled broker, in under a minute. Exits 1: it finds it."""
    broker = (sys.executable, "-m", "zmqfuzz.targets.examples.broker")
    click.echo("A small broker is started, attacked, and one weakness shown; nothing leaves this machine.\n")
    spec = Spec(command=broker, name="broker")
    plan = Plan(select_families(DEMO), seconds=20.0, seed=seed, stop_after=1, minimise_seconds=4.0)
    outcome, code = play(spec, plan, Corpus(store), Policy())
    for finding in outcome.findings:
        ours = "zmqfuzz" if shutil.which("zmqfuzz") else shlex.join([sys.executable, "-m", "zmqfuzz"])
        click.echo("\nThe same broker, mended (a guard in front of the socket), is no longer open to it:")
        click.echo(f"  {ours} replay {finding.id} -- {shlex.join(broker)} --hardened")
    return code


@cli.command("replay", epilog=EXIT_CODES)
@click.argument("finding")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--connect", multiple=True, metavar="EP", help="Replay against this endpoint instead.")
@click.option("--pid", type=int, help="The process behind --connect.")
@click.option("--times", type=click.IntRange(min=1), default=3, show_default=True, help="Fresh processes to replay on.")
@click.option("--to", type=click.Choice(FORMS), help="Keep it as a test, a capture of the replay, or a script instead.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="The folder for --to. [default: this one]")
@invariants_option
@credential_options
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where findings are kept.")
def replay_command(
    finding: str,
    command: tuple[str, ...],
    connect: tuple[str, ...],
    pid: int | None,
    times: int,
    to: str | None,
    out: Path,
    own: Path | None,
    store: Path,
    **secrets: str | None,
) -> int:
    """Play FINDING (an ID, a folder or a .zft file) again: STILL THERE, FIXED, or cannot be replayed.

    With -- COMMAND it is played against that program instead of the one it was found in.
    """
    if own is not None:
        load_file(own)
    found, plain = Corpus(store).load(finding)
    if to in ("pytest", "script"):
        kept = keep_test(found, plain, out) if to == "pytest" else keep_script(found, out)
        click.echo(printable(str(kept)))
        return 0
    spec = Spec.from_plain(plain, Credentials.read(**secrets))
    if command or connect:
        spec = Spec(
            command=command,
            cwd=os.getcwd() if command else None,
            connect=connect or (spec.connect if command else ()),
            pid=pid,
            bind=spec.bind,
            stop_signal=spec.stop_signal,
            limits=spec.limits,
            probe=spec.probe,
            counter=spec.counter,
            credentials=spec.credentials,
        )
    result = replay(found, spec, times=times)
    if to == "pcapng":
        click.echo(printable(str(keep_capture(result.confirmed.trial, out))))
        return 0
    shown, tried = result.confirmed.shown, result.confirmed.tried
    where = printable(spec.name or " ".join(spec.command) or ", ".join(spec.connect))
    if result.confirmed.holds and result.confirmed.violation is not None:
        click.echo(f"STILL THERE  {found.id}  {found.title}")
        click.echo(f"  {printable(result.confirmed.violation.sentence)}  ({shown} of {tried} on {where})")
        return 1
    if not tried:
        reasons = "; ".join(result.confirmed.doubts)
        click.echo(printable(f"INCONCLUSIVE  {found.id}  {found.title}: {reasons}"))
        return 3
    if shown:
        click.echo(f"INCONCLUSIVE  {found.id}  seen {shown} of {tried} on {where}; try --times 10")
        return 3
    click.echo(f"FIXED  {found.id}  {found.title}: not seen in {tried} replay{'s' * (tried != 1)} on {where}")
    return 0


@cli.command("list")
def list_command() -> int:
    """The attack families, the invariants and the rules of an audit, with their one-line purposes."""
    click.echo("Attack families")
    for family in families().values():
        click.echo(f"  {family.name:22} {family.summary}")
    click.echo("\nInvariants")
    for entry in invariants().values():
        click.echo(f"  {entry.code}  {entry.name:24} {entry.title}")
    click.echo("\nRules of an audit")
    for rule in rules():
        click.echo(f"  {rule.code}  {rule.title}")
    return 0


@cli.command("explain")
@click.argument("code")
def explain_command(code: str) -> int:
    """What CODE means, why it matters, how it is measured, how to fix it."""
    wanted = code.upper().split("-")[0]
    entry = invariants().get(wanted) or {rule.code: rule for rule in rules()}.get(wanted)
    if entry is None:
        raise UsageError(f"There is no code {code!r}; `zmqfuzz list` shows all of them.")
    click.echo(f"{entry.code}  {entry.severity.upper()}  {entry.title}\n")
    click.echo(inspect.cleandoc(entry.doc))
    return 0
