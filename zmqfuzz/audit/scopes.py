"""A module's scopes, the bindings of its names, and the calls and assignments that an audit looks at.

One walk over the tree, with a stack of its own: time and memory grow with the file, and nesting cannot exhaust
Python's stack.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from zmqfuzz.audit.sources import Source, absolute

__all__ = [
    "Assigned",
    "Binding",
    "Branches",
    "Called",
    "How",
    "Index",
    "Scope",
    "Taken",
    "exclusive",
    "index",
]

Branches = tuple[tuple[int, int], ...]
"""The branches that lead to a statement within its function: the branching node's number, and which branch."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class How(Enum):
    """How a name gets its value."""

    ASSIGNED = auto()
    UNPACKED = auto()
    EACH = auto()
    ENTERED = auto()
    PARAMETER = auto()
    IMPORTED = auto()
    DEFINED = auto()
    OTHERWISE = auto()


@dataclass(frozen=True, slots=True)
class Binding:
    """One place where a name gets a value. ``node`` is the value's expression, the definition, or the import."""

    how: How
    node: ast.AST | None
    scope: Scope
    path: Branches
    line: int
    name: str = ""
    position: int = 0
    default: bool = False


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class, function or lambda, with the names bound in it."""

    node: ast.AST
    parent: Scope | None
    module: str
    names: dict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    elsewhere: set[str] = field(default_factory=set)
    returned: list[ast.expr] = field(default_factory=list)

    @property
    def owner(self) -> Scope | None:
        """The class whose method this is, or is within."""
        scope: Scope | None = self
        while scope is not None and not isinstance(scope.node, ast.ClassDef):
            scope = scope.parent
        return scope


@dataclass(frozen=True, slots=True)
class Called:
    """A call, and where: its scope, branches, the loops and ``try`` bodies around it, and its statement."""

    node: ast.Call
    scope: Scope
    path: Branches
    caught: tuple[ast.Try, ...]
    statement: ast.stmt


@dataclass(frozen=True, slots=True)
class Assigned:
    """``target.attribute = value``."""

    target: ast.Attribute
    value: ast.expr
    scope: Scope
    path: Branches
    statement: ast.stmt


@dataclass(frozen=True, slots=True)
class Taken:
    """``name[number]``: one part of something."""

    node: ast.Subscript
    scope: Scope
    path: Branches
    caught: tuple[ast.Try, ...]
    statement: ast.stmt
    number: int


@dataclass(slots=True)
class Index:
    """What one file holds."""

    source: Source
    tree: ast.Module
    top: Scope
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)
    assigned: list[Assigned] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    bound: list[tuple[str, ast.expr, Scope]] = field(default_factory=list)
    paths: dict[ast.AST, Branches] = field(default_factory=dict)
    entered: list[tuple[ast.expr, Scope]] = field(default_factory=list)
    branches: dict[int, ast.AST] = field(default_factory=dict)


def exclusive(one: Branches, other: Branches) -> bool:
    """Whether no run passes both: two branches of the same ``if`` or ``match``."""
    for (node, branch), (another, its) in zip(one, other, strict=False):
        if node != another:
            return False
        if branch != its:
            return True
    return False


def catches(guards: Iterable[ast.Try], *names: str) -> bool:
    """Whether one of these ``try`` statements catches one of these exceptions, Exception, or all."""
    wanted = {"Exception", "BaseException", *names}
    for handler in (each for guard in guards for each in guard.handlers):
        if handler.type is None:
            return True
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if any(ast.unparse(kind).rpartition(".")[2] in wanted for kind in kinds):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Place:
    scope: Scope
    path: Branches
    caught: tuple[ast.Try, ...]
    statement: ast.stmt | None


class _Walk:
    def __init__(self, source: Source, tree: ast.Module) -> None:
        top = Scope(tree, None, source.name)
        self.index = Index(source, tree, top)
        self.index.scopes[tree] = top
        self._left: list[tuple[ast.AST, _Place]] = []
        self._branches = 0

    def run(self) -> Index:
        start = _Place(self.index.top, (), (), None)
        self._body(self.index.tree.body, start)
        while self._left:
            node, place = self._left.pop()
            self._visit(node, place)
        return self.index

    def _body(self, nodes: list[ast.stmt] | list[ast.expr], place: _Place) -> None:
        self._left.extend((node, place) for node in reversed(nodes))

    def _branch(self, place: _Place, number: int, branch: int) -> _Place:
        return _Place(place.scope, (*place.path, (number, branch)), place.caught, place.statement)

    def _number(self, node: ast.AST) -> int:
        self._branches += 1
        self.index.branches[self._branches] = node
        return self._branches

    def _visit(self, node: ast.AST, place: _Place) -> None:
        if isinstance(node, ast.stmt):
            place = _Place(place.scope, place.path, place.caught, node)
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self._function(node, place)
            case ast.ClassDef():
                self._bind(place, node.name, How.DEFINED, node, node.lineno)
                inner = self._scope(node, place.scope)
                self._body([*node.decorator_list, *node.bases, *(word.value for word in node.keywords)], place)
                self._body(node.body, _Place(inner, (), (), node))
            case ast.If():
                number = self._number(node)
                self._left.append((node.test, place))
                self._body(node.body, self._branch(place, number, 0))
                self._body(node.orelse, self._branch(place, number, 1))
            case ast.For() | ast.AsyncFor() | ast.While():
                if not isinstance(node, ast.While):
                    self._target(place, node.target, How.EACH, node.iter)
                    self._left.extend([(node.iter, place), (node.target, place)])
                else:
                    self._left.append((node.test, place))
                self._body(node.body, self._branch(place, self._number(node), 0))
                self._body(node.orelse, place)
            case ast.Try():
                guarded = _Place(place.scope, place.path, (*place.caught, node), node)
                self._body(node.body, self._branch(guarded, self._number(node), 0))
                for handler in node.handlers:
                    inside = self._branch(place, self._number(handler), 0)
                    if handler.name:
                        self._bind(inside, handler.name, How.OTHERWISE, None, handler.lineno)
                    self._body(handler.body, inside)
                self._body([*node.orelse, *node.finalbody], place)
            case ast.Match():
                number = self._number(node)
                self._left.append((node.subject, place))
                for branch, case in enumerate(node.cases):
                    self._body(case.body, self._branch(place, number, branch))
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    if item.optional_vars is not None:
                        self._target(place, item.optional_vars, How.ENTERED, item.context_expr)
                    self.index.entered.append((item.context_expr, place.scope))
                    self._left.append((item.context_expr, place))
                self._body(node.body, place)
            case ast.Global() | ast.Nonlocal():
                place.scope.elsewhere.update(node.names)
            case ast.Import() | ast.ImportFrom():
                self._import(node, place)
            case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
                place.scope.returned.append(value)
                self._left.append((value, place))
            case _:
                self._expression(node, place)

    def _expression(self, node: ast.AST, place: _Place) -> None:
        match node:
            case ast.Assign():
                for target in node.targets:
                    self._target(place, target, How.ASSIGNED, node.value)
            case ast.AnnAssign() if node.value is not None:
                self._target(place, node.target, How.ASSIGNED, node.value)
            case ast.AugAssign():
                self._target(place, node.target, How.OTHERWISE, None)
            case ast.NamedExpr():
                self._target(place, node.target, How.ASSIGNED, node.value)
            case ast.comprehension():
                self._target(place, node.target, How.EACH, node.iter)
            case ast.Name():
                self.index.paths[node] = place.path
            case ast.Subscript(value=ast.Name(), slice=ast.Constant(value=int() as number)) if (
                place.statement is not None
            ):
                taken = Taken(node, place.scope, place.path, place.caught, place.statement, number)
                self.index.taken.append(taken)
            case ast.Call() if place.statement is not None:
                self.index.calls.append(Called(node, place.scope, place.path, place.caught, place.statement))
        self._left.extend((child, place) for child in _children(node))

    def _scope(self, node: ast.AST, parent: Scope) -> Scope:
        scope = Scope(node, parent, self.index.source.name)
        self.index.scopes[node] = scope
        return scope

    def _function(self, node: FunctionNode, place: _Place) -> None:
        inner = self._scope(node, place.scope)
        within = _Place(inner, (), (), place.statement)
        words = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for position, argument in enumerate(words):
            self._bind(within, argument.arg, How.PARAMETER, node, node.lineno, position)
        for star in (node.args.vararg, node.args.kwarg):
            if star is not None:
                self._bind(within, star.arg, How.OTHERWISE, None, node.lineno)
        defaults = [value for value in (*node.args.defaults, *node.args.kw_defaults) if value is not None]
        self._body(defaults, place)
        if isinstance(node, ast.Lambda):
            self._left.append((node.body, within))
            return
        self._bind(place, node.name, How.DEFINED, node, node.lineno)
        self._body(node.decorator_list, place)
        self._body(node.body, within)

    def _import(self, node: ast.Import | ast.ImportFrom, place: _Place) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name = alias.asname or alias.name.partition(".")[0]
                full = alias.name if alias.asname else name
            else:
                name = alias.asname or alias.name
                base = absolute(self.index.source, node.level, node.module or "")
                full = f"{base}.{alias.name}" if base else alias.name
                if alias.name == "*":
                    name, full = "*", base
            self._bind(place, name, How.IMPORTED, node, node.lineno, text=full)

    def _bind(
        self, place: _Place, name: str, how: How, node: ast.AST | None, line: int, position: int = 0, text: str = ""
    ) -> None:
        scope = place.scope
        if name in scope.elsewhere:
            scope = self.index.top
        default = how is How.ASSIGNED and _settable(scope.node)
        scope.names[name].append(Binding(how, node, place.scope, place.path, line, text or name, position, default))

    def _target(self, place: _Place, target: ast.expr, how: How, value: ast.expr | None) -> None:
        match target:
            case ast.Name():
                self._bind(place, target.id, how, value, target.lineno)
                if how is How.ASSIGNED and value is not None:
                    self.index.bound.append((target.id, value, place.scope))
            case ast.Attribute() if how is How.ASSIGNED and value is not None and place.statement is not None:
                self.index.assigned.append(Assigned(target, value, place.scope, place.path, place.statement))
            case ast.Tuple() | ast.List():
                for position, part in enumerate(target.elts):
                    if isinstance(part, ast.Name):
                        known = How.UNPACKED if how is How.ASSIGNED else How.OTHERWISE
                        self._bind(place, part.id, known, value, part.lineno, position)
                    elif isinstance(part, ast.Starred) and isinstance(part.value, ast.Name):
                        self._bind(place, part.value.id, How.OTHERWISE, None, part.lineno)


def _settable(node: ast.AST) -> bool:
    """Whether a value in this class's body is only a default: a dataclass, or a model of settings."""
    if not isinstance(node, ast.ClassDef):
        return False
    words = [ast.unparse(word) for word in (*node.decorator_list, *node.bases)]
    return any(mark in word for word in words for mark in ("dataclass", "attrs", "define", "Model", "Settings"))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    return (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context))


def index(source: Source, tree: ast.Module) -> Index:
    """Walk the ``tree`` of ``source`` once."""
    return _Walk(source, tree).run()
