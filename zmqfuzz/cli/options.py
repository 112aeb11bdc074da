"""Options that more than one command has, or that are made from a table, and how a target is named before ``--``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zmqfuzz.contract import PROMISES
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Severity
from zmqfuzz.profiles import PROFILES, profile
from zmqfuzz.quantities import parse_duration
from zmqfuzz.reports.settings import POLICIES

__all__ = [
    "DURATION",
    "SEVERITIES",
    "TargetCommand",
    "credential_options",
    "gate_options",
    "heard",
    "names",
    "profile_option",
    "promise_options",
    "started",
]

_STARTED = "zmqfuzz.started"

Command = Callable[..., int]


class _Quantity(click.ParamType[Any]):
    """Reads a text with a unit; an error begins with the option."""

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._read(value)
        except UsageError as error:
            raise UsageError(f"{param.opts[0]}: {error}" if param is not None else str(error)) from None


DURATION = _Quantity("time", parse_duration)

SEVERITIES = click.Choice([severity.value for severity in Severity])


class TargetCommand(click.Command):
    """A command whose target is a name, or behind ``--`` a command to start with all its words, or both."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep apart what click would put together: the words behind ``--``."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_STARTED] = tuple(args[cut + 1 :])
            args = args[:cut]
        return super().parse_args(ctx, args)


def started(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The name of a declared target (empty: none) and the command to start, from the ``words`` that are no options.

    Several words without ``--`` are a command. Raises UsageError: words on both sides of it that are no name.
    """
    command: tuple[str, ...] | None = click.get_current_context().meta.get(_STARTED)
    if command is None:
        return (words[0], ()) if len(words) == 1 else ("", words)
    if len(words) > 1:
        raise UsageError(f"Before -- only the name of a declared target can stand, not {' '.join(words)!r}; move it.")
    return (words[0] if words else ""), command


def heard() -> tuple[str, ...]:
    """The command behind ``--``; empty: there is none."""
    command: tuple[str, ...] | None = click.get_current_context().meta.get(_STARTED)
    return command or ()


def credential_options(command: Command) -> Command:
    """What the target wants to know before it lets a peer in; each may be given in the environment, too."""
    for option, metavar, text in (
        (
            "--our-secret-key",
            "Z85",
            "With --bind: our secret key, of the pair that a CURVE client expects.",
        ),
        ("--client-key", "PUB:SEC", "CURVE: the key pair that it lets in, where not any will do; Z85 or @FILE."),
        ("--server-key", "Z85", "CURVE: its public key, or @FILE; without it only strangers attack."),
        ("--password", "TEXT", "PLAIN: the password."),
        ("--username", "TEXT", "PLAIN: a user that it lets in."),
    ):
        variable = "ZMQFUZZ_" + option.removeprefix("--").replace("-", "_").upper()
        command = click.option(option, metavar=metavar, envvar=variable, help=f"{text} [{variable}]")(command)
    return command


def gate_options(command: Command) -> Command:
    """What decides the exit code, and the reports that are written at the end; None: not given."""
    path = click.Path(path_type=Path)
    for option in (
        click.option("--fail-on", type=SEVERITIES, help="Exit 1 from this severity up. [default: low]"),
        click.option(
            "--inconclusive", type=click.Choice(POLICIES), help="Whether what is inconclusive exits 3. [default: fail]"
        ),
        click.option("--baseline", type=path, metavar="FILE", help="Findings that are known and accepted in it pass."),
        click.option("--baseline-update", is_flag=True, help="Accept what is found, for 90 days."),
        click.option(
            "--report",
            type=path,
            multiple=True,
            metavar="PATH",
            help="Write a report: .html, .xml (JUnit), .sarif, .json, .jsonl, .md; all of them into a folder.",
        ),
    ):
        command = option(command)
    return command


def profile_option(command: Command) -> Command:
    """Options by one word; what is given beside it wins."""

    def use(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
        if name is None:
            return
        chosen = profile(name, Path.cwd())
        options = {word.removeprefix("--"): option for option in ctx.command.params for word in option.opts}
        ctx.default_map = {}
        for key, value in chosen.values.items():
            if (option := options.get(key)) is None or option.name is None:
                continue  # of the other command
            try:
                option.type_cast_value(ctx, value)
            except (UsageError, click.BadParameter) as error:
                said = str(error).removeprefix(f"--{key}: ") if isinstance(error, UsageError) else error.message
                raise UsageError(f"{chosen.places[key]}: {said}") from None
            ctx.default_map[option.name] = value

    said = (
        f"Options by one word: {', '.join(PROFILES)}, or as pyproject.toml declares it; what is given beside it wins."
    )
    option = click.option("--profile", metavar="NAME", is_eager=True, expose_value=False, callback=use, help=said)
    return option(command)


def promise_options(command: Command) -> Command:
    """One option for each promise; None: not given."""
    for promise in reversed(PROMISES):
        kind = _Quantity(promise.metavar.lower(), promise.read)
        many: dict[str, Any] = {"multiple": True, "callback": _together} if promise.many else {}
        names = (f"--{promise.key}", promise.name)
        option = click.option(*names, type=kind, metavar=promise.metavar, help=promise.help, **many)
        command = option(command)
    return command


def _together(ctx: click.Context, param: click.Parameter, values: tuple[tuple[str, ...], ...]) -> Any:
    """The lists of an option that was given several times, as one; None: it was not given."""
    return tuple(word for words in values for word in words) or None


def names(text: str | None) -> tuple[str, ...]:
    """The words of ``A,B``."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
