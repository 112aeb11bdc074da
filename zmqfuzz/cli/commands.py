"""The commands: run, demo, replay, list, explain; `audit` has a module of its own."""

from __future__ import annotations

import inspect
import os
import random
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Literal

import click

from zmqfuzz import __version__
from zmqfuzz.assembly import Spec, replay
from zmqfuzz.audit.auditor import rules
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.events import Plan
from zmqfuzz.campaign.report import printable
from zmqfuzz.catalogue import Family, families, invariants, select_families
from zmqfuzz.cli.auditing import audit_command
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.cli.options import (
    DURATION,
    TargetCommand,
    credential_options,
    gate_options,
    names,
    promise_options,
    started,
)
from zmqfuzz.cli.recording import Policy, play
from zmqfuzz.cli.reporting import baseline_command, report_command
from zmqfuzz.contract import PROMISES
from zmqfuzz.credentials import Credentials
from zmqfuzz.declared import FILE, Declared, named
from zmqfuzz.errors import UsageError
from zmqfuzz.probe import split
from zmqfuzz.rating import RATING
from zmqfuzz.reports.settings import settings
from zmqfuzz.seeds import read_seeds
from zmqfuzz.stopping import STOPPING
from zmqfuzz.targets.library import MECHANISMS, hosted

__all__ = ["cli"]


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zmqfuzz")
def cli() -> None:
    """Fault injection and fuzzing for programs that bind or connect ZeroMQ sockets."""


for _command in (audit_command, report_command, baseline_command):
    cli.add_command(_command)


@cli.command("run", cls=TargetCommand, epilog=EXIT_CODES)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NAME] [-- COMMAND...]")
@click.option(
    "--connect", multiple=True, metavar="EP", help="Attack only this endpoint; without -- COMMAND, attach to it."
)
@click.option("--bind", multiple=True, metavar="EP", help="Be the server at EP: the program connects to us.")
@click.option("--pid", type=int, help="The process behind --connect, so that memory and crashes are seen.")
@click.option("--socket-type", "--socket", metavar="TYPE", help="The target's socket type, where it does not say.")
@click.option(
    "--libzmq", type=click.Path(path_type=Path), metavar="PATH", help="Test this libzmq itself: a .so, folder or wheel."
)
@click.option("--mechanism", type=click.Choice(MECHANISMS, case_sensitive=False), help="The mechanism of --libzmq.")
@click.option("--connect-side", is_flag=True, help="The socket of --libzmq connects to us, instead of listening.")
@click.option("--ready", help="handshake, log:REGEX, file:PATH or sleep:S. [default: handshake]")
@click.option("--start-within", type=DURATION, help="Time the target has to be ready. [default: 20s]")
@click.option("--stop-signal", metavar="NAME", help="What tells the target to stop. [default: TERM]")
@click.option("--for", "seconds", type=DURATION, default=60.0, help="Wall time of the run. [default: 60s]")
@click.option("--cases", type=click.IntRange(min=1), help="Stop after this many attacks.")
@click.option("--seed", type=int, help="Repeat a run's choices. [default: random, printed]")
@click.option(
    "--seeds", type=click.Path(path_type=Path), metavar="PATH", help="Recorded messages to attack with: file or folder."
)
@click.option("--only", "--families", metavar="A,B", help="Only these attack families (see `zmqfuzz list`).")
@click.option("--exclude", metavar="A,B", help="All families but these.")
@promise_options
@click.option("--probe", metavar="CMD", help="Your own check: exit code 0 means served; {endpoint} is replaced.")
@click.option("--counter", metavar="CMD", help="For --rate: prints how many messages it has taken so far.")
@credential_options
@gate_options
@click.option("--stop-after", type=click.IntRange(min=1), help="Stop after this many findings.")
@click.option("--reach", is_flag=True, help="Show the whole reach map: which family acted where, and why not.")
@click.option("--allow-remote", multiple=True, metavar="HOST", help="Also attack this host; default is loopback only.")
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where all is kept.")
def run_command(
    words: tuple[str, ...],
    connect: tuple[str, ...],
    bind: tuple[str, ...],
    pid: int | None,
    socket_type: str | None,
    libzmq: Path | None,
    mechanism: str | None,
    connect_side: bool,
    ready: str | None,
    start_within: float | None,
    stop_signal: str | None,
    seconds: float,
    cases: int | None,
    seed: int | None,
    seeds: Path | None,
    only: str | None,
    exclude: str | None,
    probe: str | None,
    counter: str | None,
    stop_after: int | None,
    reach: bool,
    allow_remote: tuple[str, ...],
    store: Path,
    **more: Any,
) -> int:
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
    called, command = started(words)
    if libzmq is not None and (words or command or connect or bind or pid is not None):
        raise UsageError("--libzmq is a target by itself; leave out -- COMMAND, --connect, --bind and --pid.")
    if libzmq is None and (mechanism or connect_side):
        raise UsageError("--mechanism and --connect-side say how --libzmq PATH is used; add it, or leave them out.")
    policy = _policy(more)
    limits = {promise.name: more.pop(promise.name) for promise in PROMISES}
    declared = named(called, Path.cwd()) if called else Declared("", Path(FILE), Path.cwd())
    credentials = declared.credentials(more)
    given: dict[str, Any] = {
        "command": command,
        "connect": connect,
        "bind": bind,
        "pid": pid,
        "socket_type": (socket_type or "").upper(),
        "ready": ready,
        "start_within": start_within,
        "stop_signal": stop_signal,
        "allow_remote": allow_remote,
        "probe": probe,
        "counter": " ".join(map(shlex.quote, split(counter, "--counter"))) if counter is not None else None,
    }
    if libzmq is not None:
        library = hosted(libzmq, socket_type or "", mechanism=mechanism or "null", connecting=connect_side)
        given |= {"command": library.command, "bind": library.bind, "name": library.name}
        credentials = library.known()
    description = {
        **declared.description,
        **{key: value for key, value in given.items() if value not in (None, (), "")},
    }
    spec = Spec(
        **description,
        cwd=str(Path.cwd() if given["command"] else declared.cwd) if description.get("command") else None,
        credentials=credentials,
        limits=declared.contract(limits),
    )
    seeds = declared.seeds if seeds is None else seeds
    chosen, stop, rates = _chosen(declared, names(only), names(exclude))
    plan = Plan(
        families=chosen,
        seconds=seconds,
        seed=random.SystemRandom().getrandbits(31) if seed is None else seed,
        stop_after=stop_after,
        cases=cases,
        minimise_seconds=min(12.0, max(2.0, seconds / 5)),
        seeds=read_seeds(seeds) if seeds is not None else (),
        stop="promised" if stop == "always" and chosen and cases is not None else stop,
        rates=rates,
    )
    return play(spec, plan, Corpus(store), policy, reach=reach)[1]


def _chosen(
    declared: Declared, only: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[tuple[Family, ...], Literal["never", "promised", "always"], bool]:
    """The families that were given, else those that were declared; when it is looked at how the target ends; and
    whether a promised rate is looked at."""
    given = bool(only or exclude)
    if not given:
        only, exclude = declared.families, declared.exclude
    stop: Literal["never", "promised", "always"] = "promised" if only else "always"
    if STOPPING in (*only, *exclude):
        stop = "never" if STOPPING in exclude else "always"
    families, left_out = ([name for name in words if name not in (STOPPING, RATING)] for words in (only, exclude))
    rates = RATING not in exclude and (RATING in only or not only or bool(families))
    if only and not families:
        return (), stop if STOPPING in only else "never", rates
    try:
        found = select_families(families, left_out)
        return found, stop if found or STOPPING in only else "promised", rates
    except UsageError as error:
        raise error if given else declared.blamed("families", error) from None


def _policy(options: dict[str, Any]) -> Policy:
    """Takes what :func:`gate_options` made out of ``options``; what is not given is as pyproject.toml declares it."""
    declared, update = settings(Path.cwd()), options.pop("baseline_update")
    file = declared.baseline  # until something is accepted there need not be one
    return Policy(
        options.pop("fail_on") or declared.fail_on or "low",
        options.pop("inconclusive") or declared.inconclusive or "fail",
        options.pop("baseline") or (file if file is not None and (update or file.exists()) else None),
        update,
        options.pop("report"),
    )


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
@credential_options
@click.option("--store", type=click.Path(path_type=Path), default=Path(".zmqfuzz"), help="Where findings are kept.")
def replay_command(
    finding: str,
    command: tuple[str, ...],
    connect: tuple[str, ...],
    pid: int | None,
    times: int,
    store: Path,
    **secrets: str | None,
) -> int:
    """Play FINDING (an ID, a folder or a .zft file) again: STILL THERE, FIXED, or cannot be replayed.

    With -- COMMAND it is played against that program instead of the one it was found in.
    """
    found, plain = Corpus(store).load(finding)
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
        click.echo(f"  {family.name:22}{family.summary}")
    click.echo("\nInvariants")
    for entry in invariants().values():
        click.echo(f"  {entry.code}  {entry.name:22}{entry.title}")
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
