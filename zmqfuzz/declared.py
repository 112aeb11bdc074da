"""Targets declared in pyproject.toml: ``[tool.zmqfuzz.targets.NAME]``, read once, strictly.

Contract: nothing is guessed and nothing is left over. An unknown key, a wrong type and a wrong unit are each a
UsageError of one sentence that names the file, the key, and what was probably meant. The keys are the long options of
``zmqfuzz run``; relative paths begin at the file's folder. Importing this module loads nothing heavy.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zmqfuzz.budget import Limits
from zmqfuzz.contract import PROMISES, checked, read_limits
from zmqfuzz.credentials import Credentials
from zmqfuzz.dropping import DROPS, rooted
from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import parse_duration

__all__ = ["DEFAULTS", "FILE", "SECRETS", "Declared", "defaults", "find", "listed", "named", "read", "shown", "table"]

FILE = "pyproject.toml"

DEFAULTS = ("profile", "budget", "baseline", "inconclusive", "fail-on")
"""Keys of ``[tool.zmqfuzz]`` that hold for all targets: in every run, or in a pytest session."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A target's name is part of item IDs and of reports."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")

SECRETS = ("username", "password", "server_key", "client_key", "our_secret_key")
"""The keywords of :meth:`Credentials.read`."""

_KEY_OR_PAIR = (40, 81)
"""Characters of a key in Z85, and of ``PUBLIC:SECRET``; either may begin with ``@``, which else means a file."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One target as it is declared; ``file`` says where.

    ``description`` has the fields of :class:`~zmqfuzz.assembly.Spec` that were given, ``limits`` those of Limits;
    ``cwd`` is where the command starts; ``secrets`` are texts by the arguments of :meth:`Credentials.read`.
    ``families`` and ``exclude`` select what is played where nobody says otherwise.
    """

    name: str
    file: Path
    cwd: Path
    description: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    families: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    seeds: Path | None = None

    def contract(self, given: Mapping[str, int | float | None]) -> Limits:
        """What it promises; what is ``given`` wins."""
        values: dict[str, Any] = {**self.limits, **{name: value for name, value in given.items() if value is not None}}
        return checked(Limits(**values))

    def blamed(self, key: str, error: UsageError) -> UsageError:
        """``error``, which is about what was declared as ``key``, with the place where that was."""
        return UsageError(f"{shown(self.file)}: {_path(self.name)}.{key}: {error}")

    def credentials(self, given: Mapping[str, str | None]) -> Credentials:
        """What it asks its peers for; what is ``given`` wins. Raises UsageError: a variable or file is missing."""
        where = f"{shown(self.file)}: {_path(self.name)}.credentials"
        theirs = {name: text for name, text in given.items() if text is not None}
        ours = {
            name: _resolved(text, self.file.parent, f"{where}.{_dashed(name)}")
            for name, text in self.secrets.items()
            if name not in theirs
        }
        try:
            Credentials.read(**ours)
        except UsageError as error:
            raise UsageError(f"{where}.{str(error).removeprefix('--')}") from None
        return Credentials.read(**ours, **theirs)


def find(start: Path) -> Path | None:
    """The nearest pyproject.toml with a table ``[tool.zmqfuzz]``, in ``start`` or above it.

    Raises UsageError: one on the way is no TOML.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file() and _table(folder / FILE) is not None:
            return folder / FILE
    return None


def named(name: str, start: Path) -> Declared:
    """The target called ``name`` in the pyproject.toml nearest to ``start``. Raises UsageError."""
    file = find(start)
    command = f"to start a program, write `zmqfuzz run -- {name}`."
    if file is None:
        raise UsageError(f"There is no target {name!r}: no {FILE} here or above has a table [tool.zmqfuzz]; {command}")
    targets = read(file)
    if name not in targets:
        near = difflib.get_close_matches(name, targets, 1)
        hint = f"did you mean {near[0]!r}?" if near else listed(targets) + "; " + command
        raise UsageError(f"{shown(file)}: tool.zmqfuzz.targets: there is no target {name!r}; {hint}")
    return targets[name]


def read(file: Path) -> dict[str, Declared]:
    """Every target that ``file`` declares, by name. Raises UsageError."""
    reader = _Reader(file)
    targets = reader.top().get("targets", {})
    if not isinstance(targets, dict):
        raise reader.wrong("tool.zmqfuzz.targets", targets, "a table; write [tool.zmqfuzz.targets.NAME]")
    return {name: _target(reader, name, targets[name]) for name in targets}


def defaults(file: Path) -> dict[str, Any]:
    """What ``file`` sets for all targets, as it stands there, by name. Raises UsageError."""
    return {key.replace("-", "_"): value for key, value in _Reader(file).top().items() if key in DEFAULTS}


def table(file: Path, name: str) -> Mapping[str, Any]:
    """The table ``[tool.zmqfuzz.NAME]`` as it stands there. Raises UsageError."""
    value = _Reader(file).top().get(name, {})
    if not isinstance(value, dict):
        raise UsageError(f"{shown(file)}: tool.zmqfuzz.{name} is not a table; write [tool.zmqfuzz.{name}.NAME].")
    return value


def shown(file: Path) -> str:
    """A file as the user would write it: from where they are, if it is below."""
    return str(file) if (relative := os.path.relpath(file)).startswith("..") else relative


def _table(file: Path) -> dict[str, Any] | None:
    """``[tool.zmqfuzz]`` of a file; None: it has none. Raises UsageError."""
    import tomllib

    try:
        whole = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown(file)}: cannot be read as TOML ({error}); correct it.") from None
    tool = whole.get("tool")
    table = tool.get("zmqfuzz") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{shown(file)}: tool.zmqfuzz is not a table; write [tool.zmqfuzz.targets.NAME].")
    return table


class _Reader:
    """Reads values of one file; every error names it and the key."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def error(self, path: str, text: str) -> UsageError:
        return UsageError(f"{shown(self.file)}: {path}: {text}")

    def wrong(self, path: str, value: object, wanted: str) -> UsageError:
        return self.error(path, f"{_short(value)} is not {wanted}.")

    def table(self, value: object, path: str, keys: Mapping[str, Callable[[Any, str], Any]]) -> dict[str, Any]:
        """The values of a table, by key, each read; no key that is not in ``keys``."""
        if not isinstance(value, dict):
            raise self.wrong(path, value, f"a table; write [{path}]")
        for key in value:
            if key not in keys:
                raise self.error(f"{path}.{key}", _no_such(key, keys))
        return {key: keys[key](item, f"{path}.{key}") for key, item in value.items()}

    def top(self) -> dict[str, Any]:
        """``[tool.zmqfuzz]``; only its keys are looked at."""
        keys = dict.fromkeys(("targets", "profiles", "audit", *DEFAULTS), self.any)
        return self.table(_table(self.file) or {}, "tool.zmqfuzz", keys)

    def any(self, value: Any, path: str) -> Any:
        return value

    def text(self, value: Any, path: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.wrong(path, value, "a text; write it in quotation marks")
        return value

    def words(self, value: Any, path: str) -> tuple[str, ...]:
        if isinstance(value, str) and value:
            return (value,)
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise self.wrong(path, value, 'a text or a list of texts, as ["a", "b"]')
        return tuple(value)

    def command(self, value: Any, path: str) -> tuple[str, ...]:
        if isinstance(value, str) and value:
            raise self.error(path, f"a command is a list of words; did you mean {_toml(_split(value))}?")
        if not value:
            raise self.wrong(path, value, 'a command; write ["python", "server.py"]')
        return self.words(value, path)

    def probe(self, value: Any, path: str) -> str:
        words = _split(value) if isinstance(value, str) else list(self.words(value, path))
        if not words:
            raise self.wrong(path, value, 'a command; write "python ask.py {endpoint}"')
        return shlex.join([self._rooted(word, first=not place) for place, word in enumerate(words)])

    def _rooted(self, word: str, *, first: bool) -> str:
        """A word of a command that names a file of the project; one that is looked for in PATH stays."""
        file = self.file.parent / word
        return str(file) if file.is_file() and (os.sep in word or not first) else word

    def socket_type(self, value: Any, path: str) -> str:
        from zmqfuzz.zmtp.wire import SOCKET_TYPES

        kind = self.text(value, path).upper()
        if kind not in SOCKET_TYPES:
            near = difflib.get_close_matches(kind, SOCKET_TYPES, 1)
            hint = f"did you mean {near[0]!r}?" if near else listed(SOCKET_TYPES) + "."
            raise self.error(path, f"there is no socket type {value!r}; {hint}")
        return kind

    def ready(self, value: Any, path: str) -> str:
        kind, _, argument = self.text(value, path).partition(":")
        return f"file:{self.file.parent / argument}" if kind == "file" and argument else str(value)

    def path(self, value: Any, path: str) -> Path:
        return self.file.parent / self.text(value, path)

    def duration(self, value: Any, path: str) -> float:
        try:
            return parse_duration(value)
        except UsageError as error:
            raise self.error(path, str(error)) from None

    def limits(self, value: Any, path: str) -> dict[str, Any]:
        given = self.table(value, path, {promise.key: self.any for promise in PROMISES})
        values = {promise.name: given[promise.key] for promise in PROMISES if promise.key in given}
        limits = read_limits(values, lambda promise: f"{shown(self.file)}: {path}.{promise.key}")
        found = {name: getattr(limits, name) for name in values}
        return (
            found | {DROPS: rooted(found[DROPS], lambda command: self.probe(command, path))}
            if DROPS in found
            else found
        )

    def secret(self, value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise self.error(path, "this is not a text; write it in quotation marks.")  # and do not show it
        return value

    def credentials(self, value: Any, path: str) -> dict[str, str]:
        given = self.table(value, path, dict.fromkeys(map(_dashed, SECRETS), self.secret))
        return {key.replace("-", "_"): text for key, text in given.items()}


def _target(reader: _Reader, name: str, value: object) -> Declared:
    path = _path(name)
    if not _NAME.fullmatch(name):
        raise reader.error(path, "a target's name is made of letters, digits, '.', '_' and '-'; choose such a one.")
    given = reader.table(
        value,
        path,
        {
            "command": reader.command,
            "cwd": reader.path,
            "connect": reader.words,
            "bind": reader.words,
            "socket-type": reader.socket_type,
            "ready": reader.ready,
            "start-within": reader.duration,
            "stop-signal": reader.text,
            "probe": reader.probe,
            "counter": reader.probe,
            "allow-remote": reader.words,
            "seeds": reader.path,
            "families": reader.words,
            "exclude": reader.words,
            "limits": reader.limits,
            "credentials": reader.credentials,
        },
    )
    if "command" not in given and "connect" not in given:
        raise reader.error(path, 'there is nothing to test; add command = ["python", "server.py"], or connect.')
    if "bind" in given and "command" not in given:
        raise reader.error(f"{path}.bind", "it needs the program that connects to it; add command.")
    elsewhere = ("cwd", "limits", "credentials", "families", "exclude", "seeds")
    description = {key.replace("-", "_"): value for key, value in given.items() if key not in elsewhere}
    return Declared(
        name,
        reader.file,
        given.get("cwd", reader.file.parent),
        description | {"name": name},
        given.get("limits", {}),
        given.get("credentials", {}),
        given.get("families", ()),
        given.get("exclude", ()),
        given.get("seeds"),
    )


def _no_such(key: str, keys: Iterable[str]) -> str:
    if key.replace("_", "-") in keys:
        return f"there is no such key; did you mean {key.replace('_', '-')!r}?"
    for table, theirs in (("limits", [promise.key for promise in PROMISES]), ("credentials", map(_dashed, SECRETS))):
        if key in theirs and table in keys:
            return f"there is no such key here; did you mean '{table}.{key}'?"
    near = difflib.get_close_matches(key, keys, 1)
    return "there is no such key; " + (f"did you mean {near[0]!r}?" if near else listed(keys) + ".")


def listed(names: Iterable[str]) -> str:
    """``there are a, b``, or that there is none."""
    return f"there are {said}" if (said := ", ".join(names)) else "there is none"


def _path(name: str) -> str:
    return f"tool.zmqfuzz.targets.{name}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _resolved(text: str, folder: Path, where: str) -> str:
    """With its variables filled in, and its file from the project's folder."""
    for variable in _VARIABLE.findall(text):
        if variable not in os.environ:
            raise UsageError(f"{where}: the variable {variable} is not set; export it, or give the option.")
    text = _VARIABLE.sub(lambda match: os.environ[match[1]], text)
    if text.startswith("@") and (len(text) not in _KEY_OR_PAIR or (folder / text[1:]).is_file()):
        return f"@{folder / text[1:]}"
    return text


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _short(value: object) -> str:
    return text if len(text := repr(value)) <= 60 else text[:57] + "..."


def _toml(words: list[str]) -> str:
    return "[" + ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words) + "]"
