"""What calls stand for: contexts, sockets, key pairs, received data, functions of the program, defaults of options."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zmqfuzz.audit.factories import Factories
from zmqfuzz.audit.names import receiving
from zmqfuzz.audit.scopes import Called, Scope
from zmqfuzz.audit.texts import formatted
from zmqfuzz.audit.values import (
    Arguments,
    Class,
    Const,
    Context,
    Function,
    Instance,
    KeyPair,
    Module,
    Outside,
    Received,
    Socket,
    Value,
    Values,
    unsure,
)

if TYPE_CHECKING:
    from zmqfuzz.audit.flow import Flow

__all__ = ["SOCKET_TYPES", "Calls"]

_KINDS = """
    PAIR PUB SUB REQ REP DEALER ROUTER PULL PUSH XPUB XSUB XREQ XREP STREAM
    SERVER CLIENT RADIO DISH GATHER SCATTER DGRAM PEER CHANNEL
"""

SOCKET_TYPES = frozenset(_KINDS.split())
"""The socket types of libzmq's stable and draft interfaces (``zmq.h``)."""

_CONTEXTS = {"zmq.Context", "zmq.Context.shadow", "zmq.SerializingContext", "zmq.Context.shadow_pyczmq"}
_PAIRS = {"zmq.curve_keypair", "zmq.auth.load_certificate", "zmq.auth.certs.load_certificate"}
_PASSING = {
    "asyncio.wait_for",
    "asyncio.shield",
    "asyncio.ensure_future",
    "asyncio.create_task",
    "builtins.bytes",
    "builtins.bytearray",
    "builtins.memoryview",
    "builtins.list",
    "builtins.tuple",
    "contextlib.closing",
    "contextlib.nullcontext",
}
"""Calls that give their first argument, for our purpose."""

_KEEPING = {
    "bytes",
    "buffer",
    "tobytes",
    "decode",
    "encode",
    "strip",
    "pop",
    "join",
    "split",
    "copy",
    "result",
    "decompress",
}
"""Methods whose result is still what was received."""

_CONTEXT_LIKE = re.compile(r"(^|_)(zmq_?)?(ctx|context)$", re.IGNORECASE)


class Calls:
    """The part of :class:`~zmqfuzz.audit.flow.Flow` that knows calls."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.factories = Factories()

    def values(self, node: ast.Call, scope: Scope) -> Values:
        """What ``node`` may give."""
        found: set[Value] = set()
        for function in self._flow.values(node.func, scope):
            match function:
                case Function():
                    returned = self._flow.returned(function)
                    found |= self.factories.through(node, function, returned, self.socket_type_argument)
                case Class():
                    found |= self._made(function, node)
                case Outside(name):
                    found |= self._outside(name, node, scope)
        if isinstance(node.func, ast.Attribute):
            found |= self._method(node, node.func, scope)
        return frozenset(found)

    def _made(self, of: Class, node: ast.Call) -> Values:
        made: set[Value] = {Instance(of)}
        for one in self._flow.family(of):
            outer = self._flow.scope(one.module, one.node).parent
            for base in one.node.bases:
                names = (
                    {value.name for value in self._flow.values(base, outer) if isinstance(value, Outside)}
                    if outer
                    else set()
                )
                if names & _CONTEXTS:
                    made.add(Context(node))
                elif "zmq.Socket" in names:
                    made.add(Socket(node))
        return frozenset(made)

    def _outside(self, name: str, node: ast.Call, scope: Scope) -> Values:
        if name in _CONTEXTS:
            return frozenset({Context(node)})
        if name == "zmq.Context.instance":
            return frozenset({Context(None)})
        if name == "zmq.Socket":
            return frozenset({Socket(node)})
        if name in _PAIRS:
            return frozenset({KeyPair(node)})
        if (name.endswith(".ZMQStream") or name in _PASSING) and node.args:
            return self._flow.values(node.args[0], scope)
        if name in ("os.environ.get", "os.getenv") and len(node.args) == 2:
            return unsure(self._flow.values(node.args[1], scope))
        if name in ("builtins.int", "builtins.str", "builtins.float") and node.args:
            return frozenset(v for v in self._flow.values(node.args[0], scope) if isinstance(v, Const | Received))
        return frozenset()

    def _method(self, node: ast.Call, func: ast.Attribute, scope: Scope) -> Values:
        if func.attr == "socket" and self._is_creation(node, func, scope):
            return frozenset({Socket(node)})
        if func.attr in ("parse_args", "parse_known_args"):
            return frozenset({Arguments(scope.module)})
        on = self._flow.values(func.value, scope)
        found: set[Value] = set()
        for value in on:
            match value:
                case Socket() if func.attr in ("get_monitor_socket", "monitor"):
                    found.add(Socket(node))
                case Socket() if receiving(func.attr):
                    found.add(Received(value, parts="multipart" in func.attr))
                case Received(socket, parts) if func.attr in _KEEPING:
                    found.add(Received(socket, parts=parts and func.attr == "copy"))
                case Context() if func.attr in ("instance", "__enter__"):
                    found.add(value)
                case Socket() if func.attr == "__enter__":
                    found.add(value)
        constants = frozenset(value for value in on if isinstance(value, Const))
        if constants and func.attr == "format":
            words = {word.arg: self._flow.values(word.value, scope) for word in node.keywords if word.arg}
            found |= formatted(constants, [self._flow.values(argument, scope) for argument in node.args], words)
        elif func.attr in ("encode", "decode", "strip", "rstrip"):
            found |= constants
        return frozenset(found)

    def _is_creation(self, node: ast.Call, func: ast.Attribute, scope: Scope) -> bool:
        """``x.socket(TYPE)`` where x is a context, or TYPE one of ZeroMQ's, or x is at least called a context."""
        on = self._flow.values(func.value, scope)
        if any(isinstance(value, Outside | Module) for value in on):
            return False
        if any(isinstance(value, Context) for value in on):
            return True
        given = self.socket_type_argument(node)
        if given is not None and self.types(given, scope):
            return True
        last = func.value.attr if isinstance(func.value, ast.Attribute) else getattr(func.value, "id", "")
        return given is not None and bool(_CONTEXT_LIKE.search(last))

    @staticmethod
    def socket_type_argument(node: ast.Call) -> ast.expr | None:
        """The expression for the type, in ``ctx.socket(type)`` and ``zmq.Socket(ctx, type)``."""
        for word in node.keywords:
            if word.arg == "socket_type":
                return word.value
        method = isinstance(node.func, ast.Attribute) and node.func.attr == "socket"
        position = 0 if method else 1
        return node.args[position] if position < len(node.args) else None

    def types(self, node: ast.expr, scope: Scope) -> frozenset[str]:
        """The names of the socket types that an expression may stand for."""
        names = {v.name.removeprefix("zmq.") for v in self._flow.values(node, scope) if isinstance(v, Outside)}
        return frozenset({"XREQ": "DEALER", "XREP": "ROUTER"}.get(name, name) for name in names & SOCKET_TYPES)

    def returned_item(self, node: ast.Call, scope: Scope, position: int) -> Values:
        """The item at ``position`` of a tuple that an audited function returns."""
        found: set[Value] = set()
        for function in self._flow.values(node.func, scope):
            if isinstance(function, Function):
                inner = self._flow.scope(function.module, function.node)
                for each in inner.returned:
                    if isinstance(each, ast.Tuple) and position < len(each.elts):
                        found |= self._flow.values(each.elts[position], inner)
        return frozenset(found)

    def argument_default(self, module: str, name: str) -> Values:
        """``args.name`` after ``parser.add_argument("--name", default=...)`` in this module."""
        found: set[Value] = set()
        for called in self._flow.indexes[module].calls:
            func = called.node.func
            if isinstance(func, ast.Attribute) and func.attr == "add_argument" and _option(called.node) == name:
                found |= self._default_word(called.node, called.scope)
        return unsure(frozenset(found))

    def option_default(self, function: ast.FunctionDef | ast.AsyncFunctionDef, outer: Scope, name: str) -> Values:
        """A parameter that a decorator ``@click.option("--name", default=...)`` fills."""
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Call) and _option(decorator) == name:
                return self._default_word(decorator, outer)
        return frozenset()

    def _default_word(self, node: ast.Call, scope: Scope) -> Values:
        words = [word.value for word in node.keywords if word.arg == "default"]
        return self._flow.values(words[0], scope) if words else frozenset()

    def names_its_object(self, called: Called) -> bool:
        """Whether a method is called on its class, with the object as first argument: ``Base.__init__(self, ...)``."""
        func = called.node.func
        if not isinstance(func, ast.Attribute):
            return False
        return any(isinstance(value, Class) for value in self._flow.values(func.value, called.scope))

    def given_to_callback(self, function: Function, registered: Sequence[Called]) -> Values:
        """What ``stream.on_recv(function)`` calls ``function`` with: the parts of a message."""
        found: set[Value] = set()
        for called in registered:
            func, arguments = called.node.func, called.node.args
            if (
                arguments
                and isinstance(func, ast.Attribute)
                and function in self._flow.values(arguments[0], called.scope)
            ):
                sockets = self._flow.values(func.value, called.scope)
                found |= {Received(value, parts=True) for value in sockets if isinstance(value, Socket)}
        return frozenset(found)

    def reaches(self, called: Called, function: Function, owner: ast.AST | None) -> bool:
        """Whether ``called`` calls ``function``; a method of an unknown object does if none else has the name."""
        func, scope = called.node.func, called.scope
        if _is_super(func):
            mine = scope.owner
            if mine is None or not isinstance(mine.node, ast.ClassDef) or mine.node is owner:
                return False
            return any(one.node is owner for one in self._flow.bases(Class(mine.node, mine.module)))
        for value in self._flow.values(func, scope):
            if value == function:
                return True
            if isinstance(value, Class) and function.node.name == "__init__":
                lines = [value, *self._flow.bases(value)]
                first = next((one for one in lines if "__init__" in self._flow.scope(one.module, one.node).names), None)
                if first is not None and first.node is owner:
                    return True
        if isinstance(func, ast.Attribute) and isinstance(owner, ast.ClassDef) and scope.module == function.module:
            return not self._flow.values(func.value, scope) and not function.node.name.startswith("__")
        return False


def _is_super(func: ast.expr) -> bool:
    return (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Call)
        and isinstance(func.value.func, ast.Name)
        and func.value.func.id == "super"
    )


def _option(node: ast.Call) -> str:
    """The name under which an option's value is found: ``dest``, or its long name."""
    for word in node.keywords:
        if word.arg == "dest" and isinstance(word.value, ast.Constant):
            return str(word.value.value)
    names = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    long = [name for name in names if name.startswith("--")] or names
    return long[0].lstrip("-").replace("-", "_") if long else ""
