"""Python files to audit: found, read and parsed, each on its own; what cannot be read is told in one sentence."""

from __future__ import annotations

import ast
import io
import os
import tokenize
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from zmqfuzz.audit.configs import ENDINGS
from zmqfuzz.errors import UsageError

__all__ = ["Files", "Source", "Unreadable", "absolute", "find_files", "parse", "read_sources"]

_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", "build", "dist", "venv"}
"""Folders below a PATH that hold no source of the program; named as PATH themselves, they are audited."""

_LARGEST = 4 << 20
"""Octets of a source file; CPython's own largest is under 1 MiB."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was read. ``name`` is the module's dotted name, as far as the folders tell."""

    path: Path
    name: str
    package: bool
    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One file that was not audited, and why, in one sentence."""

    path: Path
    sentence: str


@dataclass(slots=True)
class Files:
    """What lies below the given paths: Python files, configurations, and files that look like CURVE secret keys."""

    python: list[Path] = field(default_factory=list)
    keys: list[Path] = field(default_factory=list)
    configs: list[Path] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


def find_files(paths: Sequence[Path], exclude: Iterable[str] = ()) -> Files:
    """The files below ``paths``, sorted, each once. ``exclude``: patterns for the path as it would be shown.

    Links to folders are not followed. Raises :class:`~zmqfuzz.errors.UsageError` for a path that is not there.
    """
    patterns = tuple(exclude)
    found = Files()
    seen: set[Path] = set()

    def take(path: Path, *, named: bool = False) -> None:
        if path in seen or any(fnmatch(path.as_posix(), pattern) for pattern in patterns):
            return
        seen.add(path)
        if path.suffix in ENDINGS or path.name == ".env":
            found.configs.append(path)
        elif path.suffix in (".py", ".pyw") or (named and path.suffix != ".key_secret"):
            found.python.append(path)
        elif path.suffix == ".key_secret":
            found.keys.append(path)

    def refused(error: OSError) -> None:
        path = Path(error.filename or ".")
        found.unreadable.append(Unreadable(path, f"The folder could not be read: {error.strerror}."))

    for given in paths:
        if given.is_dir():
            for folder, folders, names in os.walk(given, onerror=refused):
                kept = [name for name in folders if not name.startswith(".") and name not in _PASSED_OVER]
                folders[:] = sorted(name for name in kept if not Path(folder, name, "pyvenv.cfg").exists())
                for name in sorted(names):
                    take(Path(folder, name))
        elif given.exists():
            take(given, named=True)
        else:
            raise UsageError(f"There is no file or folder {str(given)!r} to audit; check the spelling.")
    return found


def _dotted(path: Path) -> tuple[str, bool]:
    """The module's name from the folders that have an ``__init__.py``, and whether it is a package's face."""
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.absolute().parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) or folder.name, path.name == "__init__.py"


def _read(path: Path) -> Source:
    if not path.is_file():  # a fifo or device would never end
        raise ValueError("it is not a regular file")
    data = path.read_bytes()
    if len(data) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    text = io.TextIOWrapper(io.BytesIO(data), encoding=encoding).read()
    name, package = _dotted(path)
    return Source(path, name, package, text)


def parse(source: Source) -> ast.Module | Unreadable:
    """The tree of ``source``, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are not our subject
            return ast.parse(source.text, filename=str(source.path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Unreadable(source.path, _reason(error))


def _reason(error: Exception) -> str:
    match error:
        case SyntaxError(lineno=int(line)):
            return f"It is not valid Python: {error.msg} at line {line}."
        case SyntaxError():
            return f"It is not valid Python: {error.msg}."
        case OSError():
            return f"The file could not be read: {error.strerror}."
        case UnicodeDecodeError():
            return f"It is not text in {error.encoding}: octet {error.start} cannot be decoded."
        case RecursionError() | MemoryError():
            return "Its expressions are nested too deeply to be parsed."
        case _:
            return f"It could not be parsed: {error}."


def read_sources(paths: Iterable[Path]) -> tuple[list[Source], list[Unreadable]]:
    """Each of ``paths`` read, or the reason why not."""
    sources: list[Source] = []
    unreadable = []
    names: set[str] = set()
    for path in paths:
        try:
            source = _read(path)
            if source.name in names:  # two scripts of one name in two folders
                source = replace(source, name=f"{source.name}@{path}")
            names.add(source.name)
            sources.append(source)
        except (SyntaxError, OSError, ValueError) as error:
            unreadable.append(Unreadable(path, _reason(error)))
    return sources, unreadable


def absolute(source: Source, level: int, module: str) -> str:
    """The full name of what ``from .module import`` names in ``source``; ``level``: how many dots."""
    if not level:
        return module
    parts = source.name.split(".")
    kept = parts[: len(parts) - level + source.package]
    return ".".join([*kept, *([module] if module else [])])
