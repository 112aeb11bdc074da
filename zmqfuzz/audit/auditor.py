"""One audit: paths in, what the sources tell out. Nothing of the audited program is imported or run."""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import zmqfuzz.audit.rules  # noqa: F401  (registers them)
from zmqfuzz.audit.configs import read_config
from zmqfuzz.audit.inventory import take
from zmqfuzz.audit.joined import Shown, by_behaviour, by_run
from zmqfuzz.audit.lines import Line, Rule, checks
from zmqfuzz.audit.outer import Outer, lines_from_outside
from zmqfuzz.audit.policy import Policy
from zmqfuzz.audit.running import lines_of
from zmqfuzz.audit.scopes import Index, index
from zmqfuzz.audit.seen import ONLY_RUNNING
from zmqfuzz.audit.sources import Source, Unreadable, absolute, find_files, parse, read_sources
from zmqfuzz.audit.suppress import NO_USE, NOTES, Suppressed, suppress
from zmqfuzz.errors import NothingSelected
from zmqfuzz.opened import Recorded

__all__ = ["Audit", "Made", "audit", "rules", "sockets"]


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what was found, in the order of files and lines.

    ``concerned``: files that have to do with ZeroMQ. ``untold``: sockets of which the source does not tell the type,
    or of no endpoint anything. ``recorded``: what a run of the program showed; ``outside``: what the kernel and the
    wire showed of it, and why nothing was recorded, in sentences. ``configs``: configuration files that name ZeroMQ.
    """

    files: int
    concerned: int
    sockets: int
    untold: int
    lines: tuple[Line, ...]
    suppressed: tuple[Suppressed, ...]
    unreadable: tuple[Unreadable, ...]
    recorded: Recorded | None = None
    outside: tuple[str, ...] = ()
    configs: int = 0

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why it is inconclusive, in sentences."""
        found = [f"{each.path} was not audited. {each.sentence}" for each in self.unreadable]
        if self.recorded is not None and not self.recorded.sockets:
            found.append("No socket was recorded in the run.")
        if self.recorded is not None and self.recorded.full:
            found.append("A process opened so many sockets that not all were recorded.")
        if self.concerned and not self.sockets and not (self.recorded and self.recorded.sockets):
            found.append(
                "ZeroMQ is imported, and no place was seen where a socket is created; audit the whole program."
            )
        return tuple(found)


def rules() -> tuple[Rule, ...]:
    """All rules, by code."""
    both = (*(rule for rule, _ in checks()), *ONLY_RUNNING)
    return (*sorted(both, key=lambda rule: rule.code), *NOTES)


def audit(
    paths: Sequence[Path],
    policy: Policy,
    recorded: Recorded | None = None,
    shown: Shown | None = None,
    outer: Sequence[Outer] = (),
    more: Sequence[Line] = (),
) -> Audit:
    """Audit the Python files at and below ``paths``, and what a run ``recorded``; ``shown``: by attacks on it.

    ``outer``: listeners of which only the kernel and the wire showed something; ``more``: lines from elsewhere.

    Raises UsageError; NothingSelected where there is neither a file that matters nor a run.
    """
    files = find_files(paths, policy.exclude)
    sources, broken = read_sources(files.python)
    concerned = _concerned(sources)
    indexes, unparsed = _parsed(sources, concerned)
    unreadable = (*files.unreadable, *broken, *unparsed)
    configs = [config for path in files.configs if (config := read_config(path)) is not None]
    if recorded is None and not concerned and not files.keys and not unreadable and not configs:
        what = f"None of {len(sources)} Python files has to do with ZeroMQ" if sources else "There is no Python file"
        raise NothingSelected(f"{what} at {', '.join(map(str, paths))}; name the folder of the program.")
    inventory = take(indexes, files.keys, configs)
    static = [line for rule, check in checks() for line in _merged(check(inventory, rule))]
    seen = lines_of(recorded) if recorded is not None else []
    told = by_run(static, seen, recorded) if recorded is not None else static
    told += [*lines_from_outside(outer), *more]
    if shown is not None and recorded is None:
        told = [replace(line, evidence="not probed") for line in told]
    lines, suppressed = _judged(by_behaviour(told, shown) if shown is not None else told, sources, policy)
    return Audit(
        files=len(files.python),
        concerned=len(indexes),
        sockets=len(inventory.entries),
        untold=sum(not entry.types or not any(door.text for door in entry.doors) for entry in inventory.entries),
        lines=tuple(sorted(lines, key=lambda one: (str(one.path), one.line, one.column, one.code, one.sentence))),
        suppressed=tuple(suppressed),
        unreadable=unreadable,
        recorded=recorded,
        configs=len(configs),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """Where a socket is made: the line, the types it may have, and whether it is bound somewhere, and connected."""

    line: int
    types: frozenset[str]
    bound: bool
    connected: bool


def sockets(path: Path) -> tuple[Made, ...]:
    """The sockets that one Python file makes, in the order of its lines; none where it cannot be read."""
    sources, _ = read_sources([path])
    indexes, _ = _parsed(sources, set(sources))
    made = [
        Made(
            entry.created.node.lineno,
            entry.types,
            any(door.bound for door in entry.doors),
            any(not door.bound for door in entry.doors),
        )
        for entry in take(indexes, []).entries
    ]
    return tuple(sorted(made, key=lambda one: one.line))


def _parsed(sources: list[Source], concerned: set[Source]) -> tuple[list[Index], list[Unreadable]]:
    """All are parsed, so that a file that is not Python is told; the trees of those that matter are walked and kept."""
    indexes: list[Index] = []
    unparsed: list[Unreadable] = []
    collecting = gc.isenabled()
    gc.disable()  # trees have no cycles, and looking for some doubles the time
    try:
        for source in sources:
            tree = parse(source)
            if isinstance(tree, Unreadable):
                unparsed.append(tree)
            elif source in concerned:
                indexes.append(index(source, tree))
    finally:
        if collecting:
            gc.enable()
    return indexes, unparsed


def _concerned(sources: list[Source]) -> set[Source]:
    """The files that name zmq, and those that import one of them."""
    named = [source for source in sources if "zmq" in source.text]
    modules = {source.name for source in named}
    others = [source for source in sources if "zmq" not in source.text and not modules.isdisjoint(_imports(source))]
    return {*named, *others}


_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(?:\(([^)]*)\)|(.*))", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+(.+)", re.MULTILINE)


def _imports(source: Source) -> Iterator[str]:
    """The full names that may be modules in a file's imports."""
    for match in _IMPORT.finditer(source.text):
        yield from re.findall(r"[\w.]+", match[1])
    for match in _FROM.finditer(source.text):
        base = absolute(source, len(match[1]), match[2])
        yield base
        yield from (f"{base}.{name}" for name in re.findall(r"\w+", match[3] or match[4] or ""))


def _merged(lines: Iterable[Line]) -> Iterable[Line]:
    """One line where several sockets pass the same place, with the worst severity."""
    found: dict[tuple[object, ...], Line] = {}
    for line in lines:
        key = (line.path, line.line, line.column, line.sentence)
        if key not in found:
            found[key] = line
            continue
        before = found[key]
        kinds = sorted({*before.socket.split(" or "), *line.socket.split(" or ")} - {""})
        worst = min(before, line, key=lambda one: one.severity.rank)
        found[key] = replace(worst, socket=" or ".join(kinds))
    return found.values()


def _judged(lines: Sequence[Line], sources: Sequence[Source], policy: Policy) -> tuple[list[Line], list[Suppressed]]:
    by_path: dict[Path, list[Line]] = defaultdict(list)
    for line in lines:
        by_path[line.path.absolute()].append(line)
    kept: list[Line] = []
    suppressed: list[Suppressed] = []
    for source in sources:
        mine, its = suppress(source, by_path.pop(source.path.absolute(), ()))
        kept += mine
        suppressed += its
    others, _ = read_sources([path for path in by_path if path.suffix in (".py", ".pyw") and path.is_file()])
    for source in others:  # seen in a run only: what else their comments are for was not looked at
        mine, its = suppress(source, by_path.pop(source.path, ()))
        kept += [line for line in mine if line.code != NO_USE.code]
        suppressed += its
    kept += [line for lines in by_path.values() for line in lines]  # of key files, and of no file
    judged: list[Line] = []
    for line in kept:
        result = policy.apply(line)
        if isinstance(result, Suppressed):
            suppressed.append(result)
        else:
            judged.append(result)
    return judged, suppressed
