"""What is tested, and how it is chosen on the command line: the options that `run` and `campaign` have in common."""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from zmqfuzz.assembly import Spec
from zmqfuzz.backlog import BACKLOG
from zmqfuzz.catalogue import Family, select_families
from zmqfuzz.cli.options import DURATION, credential_options, gate_options, names, profile_option, promise_options
from zmqfuzz.cli.recording import Policy
from zmqfuzz.company import COMPANY, promises
from zmqfuzz.contract import PROMISES
from zmqfuzz.declared import FILE, Declared, named
from zmqfuzz.dropping import DROPS
from zmqfuzz.errors import UsageError
from zmqfuzz.exposure import EXPOSURE
from zmqfuzz.probe import split
from zmqfuzz.rating import RATING
from zmqfuzz.reports.settings import settings
from zmqfuzz.seeds import honest, read_seeds
from zmqfuzz.sockopts import parse_set
from zmqfuzz.stopping import STOPPING
from zmqfuzz.targets.library import MECHANISMS, hosted

__all__ = ["Wanted", "choose", "target_options"]

Command = Callable[..., int]
When = Literal["never", "promised", "always"]

_PATH = click.Path(path_type=Path)

_TARGET = (
    click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NAME] [-- COMMAND...]"),
    click.option(
        "--connect", multiple=True, metavar="EP", help="Attack only this endpoint; without -- COMMAND, attach to it."
    ),
    click.option("--bind", multiple=True, metavar="EP", help="Be the server at EP: the program connects to us."),
    click.option("--pid", type=int, help="The process behind --connect, so that memory and crashes are seen."),
    click.option("--socket-type", "--socket", metavar="TYPE", help="The target's socket type, where it does not say."),
    click.option("--libzmq", type=_PATH, metavar="PATH", help="Test this libzmq itself: a .so, folder or wheel."),
    click.option("--mechanism", type=click.Choice(MECHANISMS, case_sensitive=False), help="The mechanism of --libzmq."),
    click.option("--connect-side", is_flag=True, help="The socket of --libzmq connects to us, instead of listening."),
    click.option("--set", "sockopts", metavar="OPT=VAL,...", help="Options of that socket, as HEARTBEAT_IVL=100ms."),
    click.option("--ready", help="handshake, log:REGEX, file:PATH or sleep:S. [default: handshake]"),
    click.option("--start-within", type=DURATION, help="Time the target has to be ready. [default: 20s]"),
    click.option("--stop-signal", metavar="NAME", help="What tells the target to stop. [default: TERM]"),
    click.option("--cases", type=click.IntRange(min=1), help="Stop after this many attacks."),
    click.option("--seed", type=int, help="Repeat a run's choices. [default: random, printed]"),
    click.option("--seeds", type=_PATH, metavar="PATH", help="Recorded messages to attack with: file or folder."),
    click.option("--only", "--families", metavar="A,B", help="Only these attack families (see `zmqfuzz list`)."),
    click.option("--exclude", metavar="A,B", help="All families but these."),
)

_BEHAVIOUR = (
    click.option("--probe", metavar="CMD", help="Your own check: exit code 0 means served; {endpoint} is replaced."),
    click.option("--counter", metavar="CMD", help="For --rate: prints how many messages it has taken so far."),
    click.option("--stop-after", type=click.IntRange(min=1), help="Stop after this many findings."),
    click.option("--no-inventory", is_flag=True, help="Do not start it once more to learn which line opens a socket."),
    click.option(
        "--allow-remote", multiple=True, metavar="HOST", help="Also attack this host; default is loopback only."
    ),
    click.option("--store", type=_PATH, default=Path(".zmqfuzz"), help="Where all is kept."),
)


def target_options(command: Command) -> Command:
    """The target, what it promises, what is played, what decides the exit code, and where all is kept."""
    for option in reversed(_BEHAVIOUR):
        command = option(command)
    command = promise_options(credential_options(gate_options(profile_option(command))))
    for option in reversed(_TARGET):
        command = option(command)
    return command


LOOKS = (RATING, BACKLOG, COMPANY, DROPS)
"""What is looked at for each door by itself, by names like those of families."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was chosen; ``name`` is that of a declared target, if one was. ``drawn``: nobody gave the ``seed``."""

    name: str
    spec: Spec
    families: tuple[Family, ...]
    stop: When
    exposure: When
    looks: frozenset[str]
    seed: int
    drawn: bool
    seeds: tuple[tuple[bytes, ...], ...]
    cases: int | None
    stop_after: int | None
    policy: Policy
    store: Path


def choose(called: str, command: tuple[str, ...], options: dict[str, Any]) -> Wanted:
    """From the name of a declared target, the words behind ``--``, and :func:`target_options`. Raises UsageError."""
    libzmq, socket_type = options["libzmq"], options["socket_type"]
    mechanism, connect_side, sockopts = options["mechanism"], options["connect_side"], options["sockopts"]
    if libzmq is not None and (
        called or command or options["connect"] or options["bind"] or options["pid"] is not None
    ):
        raise UsageError("--libzmq is a target by itself; leave out -- COMMAND, --connect, --bind and --pid.")
    if libzmq is None and (mechanism or connect_side or sockopts):
        raise UsageError("--mechanism, --connect-side and --set are for --libzmq PATH; add it, or leave them out.")
    policy = _policy(options)
    limits = {promise.name: options.pop(promise.name) for promise in PROMISES}
    declared = named(called, Path.cwd()) if called else Declared("", Path(FILE), Path.cwd())
    secrets = ("username", "password", "server_key", "client_key", "our_secret_key")
    credentials = declared.credentials({name: options[name] for name in secrets})
    asked = ("connect", "bind", "pid", "ready", "start_within", "stop_signal", "allow_remote", "probe")
    given: dict[str, Any] = {
        "command": command,
        "socket_type": (socket_type or "").upper(),
        **{name: options[name] for name in asked},
        "counter": shlex.join(split(options["counter"], "--counter")) if options["counter"] is not None else None,
    }
    if libzmq is not None:
        library = hosted(
            libzmq,
            socket_type or "",
            mechanism=mechanism or "null",
            connecting=connect_side,
            mended=True,
            impatient=True,
            options=parse_set(sockopts) if sockopts else (),
        )
        given |= {"command": library.command, "bind": library.bind, "name": library.name}
        credentials = library.known()
    description = {
        **declared.description,
        **{key: value for key, value in given.items() if value not in (None, (), "")},
    }
    recorded = declared.seeds if options["seeds"] is None else options["seeds"]
    seeds = read_seeds(recorded) if recorded is not None else ()
    spec = Spec(
        **description,
        asks=honest(seeds),
        cwd=str(Path.cwd() if given["command"] else declared.cwd) if description.get("command") else None,
        inventory=not options["no_inventory"],
        credentials=credentials,
        limits=declared.contract(limits),
    )
    chosen, stop, exposure, looks = _chosen(declared, names(options["only"]), names(options["exclude"]))
    also = {COMPANY: promises(spec.limits), DROPS: spec.limits.drops is not None}
    looks |= {name for name, said in also.items() if said} - set(names(options["exclude"]))
    return Wanted(
        called,
        spec,
        chosen,
        "promised" if stop == "always" and chosen and options["cases"] is not None else stop,
        exposure,
        looks,
        random.SystemRandom().getrandbits(31) if options["seed"] is None else options["seed"],
        options["seed"] is None,
        seeds,
        options["cases"],
        options["stop_after"],
        policy,
        options["store"],
    )


def _chosen(
    declared: Declared, only: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[tuple[Family, ...], When, When, frozenset[str]]:
    """The families that were given, else those that were declared; when it is looked at how the target ends, and when
    at what it shows without an attack; and the names of what else is looked at."""
    given = bool(only or exclude)
    if not given:
        only, exclude = declared.families, declared.exclude
    stop, exposure = _when(STOPPING, only, exclude), _when(EXPOSURE, only, exclude)
    looks = (STOPPING, EXPOSURE, *LOOKS)
    families, left_out = ([name for name in words if name not in looks] for words in (only, exclude))
    chosen = frozenset(name for name in LOOKS if name not in exclude and (name in only or not only))
    if families:
        chosen |= {RATING} - set(exclude)  # it was promised
    if only and not families:
        return (), stop if STOPPING in only else "never", exposure if EXPOSURE in only else "never", chosen
    try:
        found = select_families(families, left_out)
    except UsageError as error:
        raise error if given else declared.blamed("families", error) from None
    if found:
        return found, stop, exposure, chosen
    return found, stop if STOPPING in only else "promised", exposure if EXPOSURE in only else "promised", chosen


def _when(name: str, only: tuple[str, ...], exclude: tuple[str, ...]) -> When:
    if name in exclude:
        return "never"
    return "promised" if only and name not in only else "always"


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
