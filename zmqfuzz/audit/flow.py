"""What an expression may stand for: demand-driven, over all audited files, each expression once.

Names are followed to where they are bound (the last binding before the use, where one surely comes first),
parameters to their defaults and to the calls of their function, ``self.x`` to every assignment in the class, its bases
and the classes derived from it, calls to what the function returns. Cycles and long chains end as *unknown*.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterable

from zmqfuzz.audit.calls import Calls
from zmqfuzz.audit.names import canonical
from zmqfuzz.audit.parameters import Parameters, has_decorator
from zmqfuzz.audit.scopes import Assigned, Binding, How, Index, Scope
from zmqfuzz.audit.texts import arithmetic, joined, percent
from zmqfuzz.audit.values import (
    Arguments,
    Class,
    Const,
    Context,
    Function,
    Instance,
    Key,
    KeyPair,
    Module,
    Outside,
    Received,
    Value,
    Values,
    unsure,
)

__all__ = ["Flow"]

_DEEPEST = 40
"""Expressions within expressions that are followed."""

_UNKNOWN: Values = frozenset()


class Flow:
    """Answers :meth:`values` for any expression of the audited files."""

    def __init__(self, indexes: Iterable[Index]) -> None:
        self.indexes = {index.source.name: index for index in indexes}
        self._known: dict[ast.AST, Values] = {}
        self._open: set[ast.AST] = set()
        self._following: set[int] = set()
        self._attributes: dict[tuple[str, ast.AST], list[Assigned]] = defaultdict(list)
        self._derived: dict[ast.ClassDef, list[Class]] = defaultdict(list)
        self._bases: dict[ast.ClassDef, list[Class]] = {}
        self.calls = Calls(self)
        self._parameters = Parameters(self)
        for index in self.indexes.values():
            for assigned in index.assigned:
                owner = assigned.scope.owner
                if owner is not None and isinstance(assigned.target.value, ast.Name):
                    self._attributes[assigned.target.attr, owner.node].append(assigned)
        for index in self.indexes.values():
            for node in index.scopes:
                if isinstance(node, ast.ClassDef):
                    one = Class(node, index.source.name)
                    for base in self.bases(one):
                        self._derived[base.node].append(one)

    def scope(self, module: str, node: ast.AST) -> Scope:
        """The scope that a definition opens."""
        return self.indexes[module].scopes[node]

    def values(self, node: ast.AST, scope: Scope) -> Values:
        """What ``node``, an expression in ``scope``, may stand for."""
        if node in self._known:
            return self._known[node]
        if node in self._open or len(self._open) >= _DEEPEST:
            return _UNKNOWN
        self._open.add(node)
        try:
            found = self._values(node, scope)
        finally:
            self._open.discard(node)
        self._known[node] = found
        return found

    def _values(self, node: ast.AST, scope: Scope) -> Values:
        match node:
            case ast.Constant(value=str() | bytes() | int() | float() | None as value):
                return frozenset({Const(value)})
            case ast.Name():
                return self._name(node, scope)
            case ast.Attribute():
                found = self.values(node.value, scope)
                return self._union(self.member(value, node.attr) for value in found)
            case ast.Call():
                return self.calls.values(node, scope)
            case ast.Await() | ast.NamedExpr() | ast.Starred() | ast.FormattedValue():
                return self.values(node.value, scope)
            case ast.IfExp():
                return self.values(node.body, scope) | self.values(node.orelse, scope)
            case ast.BoolOp():
                return self._union(self.values(value, scope) for value in node.values)
            case ast.JoinedStr():
                return joined([self.values(part, scope) for part in node.values])
            case ast.UnaryOp(op=ast.USub()):
                inner = self.values(node.operand, scope)
                return frozenset(
                    Const(-v.value, v.sure) for v in inner if isinstance(v, Const) and isinstance(v.value, int | float)
                )
            case ast.BinOp(op=ast.Mod()):
                words = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
                return percent(self.values(node.left, scope), [self.values(word, scope) for word in words])
            case ast.BinOp():
                return arithmetic(type(node.op), self.values(node.left, scope), self.values(node.right, scope))
            case ast.Tuple() | ast.List() | ast.Set():
                return _UNKNOWN
            case ast.Subscript():
                return self._item(node, scope)
        return _UNKNOWN

    def _item(self, node: ast.Subscript, scope: Scope) -> Values:
        found = self.values(node.value, scope)
        sliced = isinstance(node.slice, ast.Slice)
        received = {Received(v.socket, parts=v.parts and sliced) for v in found if isinstance(v, Received)}
        pairs = [value for value in found if isinstance(value, KeyPair)]
        if pairs and isinstance(node.slice, ast.Constant) and node.slice.value in (0, 1):
            return frozenset(Key(bool(node.slice.value), pair.call) for pair in pairs)
        if _is_environment(found):
            return _UNKNOWN
        return frozenset(received)

    def _name(self, node: ast.Name, scope: Scope) -> Values:
        at: Scope | None = scope
        while at is not None:
            bindings = at.names.get(node.id)
            if bindings and (at is scope or not isinstance(at.node, ast.ClassDef)):
                if at is scope:
                    bindings = self._reaching(node, bindings)
                return self._union(self._bound(binding) for binding in bindings)
            at = at.parent
        for star in self.indexes[scope.module].top.names.get("*", ()):
            found = self.named(star.name + "." + node.id)
            if any(not isinstance(value, Outside) for value in found) or star.name.startswith("zmq"):
                return found
        return frozenset({Outside(f"builtins.{node.id}")}) if hasattr(builtins, node.id) else _UNKNOWN

    def _reaching(self, node: ast.Name, bindings: list[Binding]) -> list[Binding]:
        """The bindings that may have been the last before ``node``, in its own scope."""
        path = self.indexes[bindings[0].scope.module].paths.get(node)
        if path is None or len(bindings) == 1:
            return bindings
        before = [binding for binding in bindings if binding.line <= node.lineno]
        sure = [binding for binding in before if path[: len(binding.path)] == binding.path and binding.node is not node]
        if not sure:
            return bindings
        last = max(sure, key=lambda binding: binding.line)
        return [binding for binding in before if binding is last or binding.line > last.line]

    def _bound(self, binding: Binding) -> Values:
        if id(binding) in self._following or len(self._following) >= _DEEPEST:
            return _UNKNOWN  # modules that import a name from each other
        self._following.add(id(binding))
        try:
            return self._bound_to(binding)
        finally:
            self._following.discard(id(binding))

    def _bound_to(self, binding: Binding) -> Values:
        node, scope = binding.node, binding.scope
        match binding.how:
            case How.ASSIGNED | How.ENTERED if node is not None:
                found = self.values(node, scope)
                return unsure(found) if binding.default else found
            case How.UNPACKED if node is not None:
                return self._unpacked(node, scope, binding.position)
            case How.EACH if node is not None:
                parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
                received = frozenset(Received(v.socket) for v in self.values(node, scope) if isinstance(v, Received))
                return self._union(self.values(part, scope) for part in parts) | received
            case How.IMPORTED:
                return self.named(binding.name)
            case How.PARAMETER if node is not None:
                return self._parameters.values(node, scope, binding.name)
            case How.DEFINED:
                match node:
                    case ast.ClassDef():
                        return frozenset({Class(node, scope.module)})
                    case ast.FunctionDef() | ast.AsyncFunctionDef():
                        return frozenset({Function(node, scope.module)})
        return _UNKNOWN

    def _unpacked(self, node: ast.AST, scope: Scope, position: int) -> Values:
        if isinstance(node, ast.Tuple | ast.List):
            return self.values(node.elts[position], scope) if position < len(node.elts) else _UNKNOWN
        found: set[Value] = set()
        for value in self.values(node, scope):
            match value:
                case KeyPair(call) if position < 2:
                    found.add(Key(position == 1, call))
                case Received(socket):
                    found.add(Received(socket))
        if isinstance(node, ast.Call):
            found |= self.calls.returned_item(node, scope, position)
        return frozenset(found)

    def named(self, name: str) -> Values:
        """What a full dotted name stands for: something of the audited files, or of outside."""
        if name == "zmq" or name.startswith("zmq."):
            return frozenset({Outside(canonical(name))})  # also where pyzmq itself is audited
        if name in self.indexes:
            return frozenset({Module(name)})
        before, _, last = name.rpartition(".")
        if before in self.indexes:
            return self.member(Module(before), last)
        return frozenset({Outside(canonical(name))})

    def member(self, value: Value, name: str) -> Values:
        """``value.name``."""
        match value:
            case Outside(full):
                return self.named(f"{full}.{name}")
            case Module(full):
                bindings = self.indexes[full].top.names.get(name)
                if bindings:
                    return self._union(self._bound(binding) for binding in bindings)
                return frozenset({Module(f"{full}.{name}")}) if f"{full}.{name}" in self.indexes else _UNKNOWN
            case Instance(of):
                return self._field(of, name)
            case Class():
                return self._field(value, name)
            case Arguments(module):
                return self.calls.argument_default(module, name)
            case Context() if name == "instance":
                return frozenset({Outside("zmq.Context.instance")})
        return _UNKNOWN

    def _field(self, of: Class, name: str) -> Values:
        found: set[Value] = set()
        for one in self.family(of):
            scope = self.scope(one.module, one.node)
            for binding in scope.names.get(name, ()):
                for value in self._bound(binding):
                    if isinstance(value, Function) and _is_property(value.node):
                        found |= self.returned(value)
                    else:
                        found.add(value)
            for assigned in self._attributes.get((name, one.node), ()):
                if self.is_self(assigned.target.value, assigned.scope):
                    found |= self.values(assigned.value, assigned.scope)
        return frozenset(found)

    def is_self(self, node: ast.expr, scope: Scope) -> bool:
        """Whether ``node`` is the first parameter of a method around it."""
        at: Scope | None = scope
        while isinstance(node, ast.Name) and at is not None and at.parent is not None:
            if isinstance(at.node, ast.FunctionDef | ast.AsyncFunctionDef):
                words = [*at.node.args.posonlyargs, *at.node.args.args]
                if isinstance(at.parent.node, ast.ClassDef) and words and words[0].arg == node.id:
                    return True
            at = at.parent
        return False

    def bases(self, of: Class) -> list[Class]:
        """The audited classes that ``of`` is derived from directly."""
        if of.node not in self._bases:
            self._bases[of.node] = []
            outer = self.scope(of.module, of.node).parent
            found = [value for base in of.node.bases if outer is not None for value in self.values(base, outer)]
            self._bases[of.node] = [value for value in found if isinstance(value, Class) and value.node is not of.node]
        return self._bases[of.node]

    def family(self, of: Class) -> list[Class]:
        """``of``, what it is derived from, and what is derived from it: whose ``self.x`` may be the same."""
        found: dict[ast.ClassDef, Class] = {}
        for follow in (self.bases, lambda one: self._derived.get(one.node, [])):
            left = [of]
            while left and len(found) < 64:
                one = left.pop()
                if one.node not in found or one is of:
                    found[one.node] = one
                    left.extend(each for each in follow(one) if each.node not in found)
        return list(found.values())

    def returned(self, function: Function) -> Values:
        """What a call of ``function`` may give (or what it yields)."""
        scope = self.scope(function.module, function.node)
        return self._union(self.values(node, scope) for node in scope.returned)

    @staticmethod
    def _union(sets: Iterable[Values]) -> Values:
        found: set[Value] = set()
        for each in sets:
            found |= each
        return frozenset(found)


def _is_environment(values: Values) -> bool:
    return Outside("os.environ") in values


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return has_decorator(node, "property", "cached_property")
