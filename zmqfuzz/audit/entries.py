"""The inventory as plain data: sockets and contexts of the audited files, and what is done to them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from zmqfuzz.audit.configs import Config
from zmqfuzz.audit.flow import Flow
from zmqfuzz.audit.scopes import Branches, Called, Index, Scope
from zmqfuzz.audit.values import HOLE, Const, Context, Value, Values, shown

__all__ = ["ContextUse", "Door", "Entry", "Inventory", "Setting", "Use"]


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that is done to a socket or context, and where."""

    node: ast.expr
    scope: Scope
    path: Branches
    statement: ast.stmt
    method: str = ""
    caught: tuple[ast.Try, ...] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """A ``bind`` or ``connect``: the endpoints it may mean, their unknown parts as holes."""

    use: Use
    bound: bool
    endpoints: tuple[Const, ...]

    @property
    def text(self) -> str:
        """The endpoint for people; empty where the source does not tell."""
        known = [str(one.value) for one in self.endpoints if str(one.value).strip(HOLE)]
        return shown(min(known, key=lambda text: text.count(HOLE))) if known else ""


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that is set: its name without ``ZMQ_``, empty where not known; what it may be set to."""

    use: Use
    name: str
    values: Values
    value: ast.expr | None

    def numbers(self) -> list[Const]:
        """The whole numbers among the values."""
        return [one for one in self.values if isinstance(one, Const) and isinstance(one.value, int)]


@dataclass(slots=True)
class ContextUse:
    """What is done to contexts made by one call: defaults for their sockets, and how they end."""

    settings: list[Setting] = field(default_factory=list)
    ends: list[Use] = field(default_factory=list)
    lingers: bool = False


@dataclass(slots=True)
class Entry:
    """One socket."""

    index: Index
    created: Called
    types: frozenset[str]
    contexts: Values
    monitors: bool = False
    doors: list[Door] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    received: list[Use] = field(default_factory=list)
    sent: list[Use] = field(default_factory=list)
    waits: list[Use] = field(default_factory=list)
    closes: list[Use] = field(default_factory=list)
    given_away: bool = False

    @property
    def kind(self) -> str:
        """The socket's type for people; empty where the source does not tell."""
        return " or ".join(sorted(self.types))

    @property
    def opaque(self) -> bool:
        """Whether options are set whose names the source does not tell."""
        return any(not setting.name for setting in self.settings)

    def set_to(self, *names: str) -> list[Setting]:
        """The settings of these options."""
        return [setting for setting in self.settings if setting.name in names]


@dataclass(slots=True)
class Inventory:
    """All audited files that have to do with ZeroMQ, their sockets and contexts."""

    flow: Flow
    entries: list[Entry]
    contexts: dict[Value, ContextUse]
    indexes: list[Index]
    authenticators: list[Called] = field(default_factory=list)
    keys: list[Path] = field(default_factory=list)
    configs: list[Config] = field(default_factory=list)

    def of(self, entry: Entry) -> list[ContextUse]:
        """What is done to the contexts that ``entry`` may belong to; to all of them where that is not known."""
        mine = [self.contexts[one] for one in entry.contexts if one in self.contexts]
        return mine or list(self.contexts.values())

    def ends(self, entry: Entry) -> list[Use]:
        """How the context of ``entry`` ends; for a shared or unknown one, what its own file does to such contexts."""
        made = {one for one in entry.contexts if one != Context(None)}
        ends = []
        for context, use in self.contexts.items():
            mine = context in made
            near = not made and (context in entry.contexts or not entry.contexts)
            ends += [end for end in use.ends if mine or (near and end.scope.module == entry.index.source.name)]
        return ends
