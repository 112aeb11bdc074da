"""One message that ends the loop which serves everybody."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from zmqfuzz.audit.exposure import only_within
from zmqfuzz.audit.inventory import Entry, Inventory, Use
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.audit.scopes import Called, Index, catches
from zmqfuzz.audit.values import Outside, Received
from zmqfuzz.finding import Severity

__all__ = ["ends_by_exception"]

_DECODERS = frozenset(
    f"{package}.{name}"
    for package in ("json", "simplejson", "ujson", "orjson", "msgpack", "umsgpack", "cbor2", "pickle", "bson", "struct")
    for name in ("loads", "unpackb", "unpack", "decode")
) | {"builtins.int", "builtins.float", "yaml.safe_load", "uuid.UUID"}
_DECODING = {"recv_json", "recv_string", "recv_unicode", "recv_pyobj", "recv_serialized"}


@rule("ZF612", "A message that cannot be decoded ends the loop", severity=Severity.LOW)
def ends_by_exception(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """In a ``while`` a message is received and decoded, and nothing within the loop catches what that raises.

    Why: one message that is no JSON, or not UTF-8, ends the program or, worse, only its thread or task, while the
    socket stays. Looked for: ``json.loads``, ``decode``, ``int`` and their like on what a socket received, and
    ``recv_json`` and ``recv_string``, in such a loop without a ``try`` in it for ValueError or Exception; medium where
    the socket is bound. Likely, as whoever calls the function may catch it and call it again. To fix: catch what
    decoding raises inside the loop, and drop the message.
    """
    entries = {entry.created.node: entry for entry in inventory.entries}
    told: set[ast.While] = set()
    for index in inventory.indexes:
        for called in index.calls:
            loop = _loop(index, called)
            if loop is None or loop in told:
                continue
            entry = _decodes(inventory, entries, called)
            inside = [each for each in called.caught if each.lineno > loop.lineno]
            if entry is None or only_within(entry) or entry.monitors or catches(inside, "ValueError"):
                continue
            told.add(loop)
            yield of(
                entry,
                rule,
                f"What this raises for a message of another kind ends the loop of line {loop.lineno}.",
                "Catch what decoding raises inside the loop, and drop the message.",
                inventory=inventory,
                use=Use(called.node, called.scope, called.path, called.statement),
                sure=False,
                severity=Severity.MEDIUM if any(door.bound for door in entry.doors) else None,
            )


def _loop(index: Index, called: Called) -> ast.While | None:
    """The outermost ``while`` around a call that serves: what an inner one raises may be caught between the two."""
    loops = (index.branches[number] for number, _ in called.path)
    return next((node for node in loops if isinstance(node, ast.While) and _serves(node)), None)


def _serves(loop: ast.While) -> bool:
    """Whether a loop goes on until somebody says stop, and not until something is found or counted."""
    return not any(isinstance(each, ast.Compare) for each in ast.walk(loop.test)) and _goes_on(loop.body)


def _goes_on(body: list[ast.stmt]) -> bool:
    """Whether a loop takes message after message; one that leaves after the first only waits for it."""
    for each in body:
        if isinstance(each, ast.Break | ast.Return):
            return False
        if isinstance(each, ast.Try | ast.With | ast.AsyncWith) and not _goes_on(each.body):
            return False
        if isinstance(each, ast.Try) and not _goes_on(each.orelse):
            return False
    return True


def _decodes(inventory: Inventory, entries: dict[ast.Call, Entry], called: Called) -> Entry | None:
    """The socket whose message ``called`` decodes."""
    flow, func = inventory.flow, called.node.func
    if isinstance(func, ast.Attribute) and func.attr in _DECODING:
        for found in flow.values(called.node, called.scope):
            if isinstance(found, Received):
                return entries.get(found.socket.call)
    data: ast.expr | None = None
    if isinstance(func, ast.Attribute) and func.attr == "decode" and not _lenient(called.node):
        data = func.value
    elif any(isinstance(v, Outside) and v.name in _DECODERS for v in flow.values(func, called.scope)):
        data = called.node.args[-1] if called.node.args else None
    for value in flow.values(data, called.scope) if data is not None else ():
        if isinstance(value, Received):
            return entries.get(value.socket.call)
    return None


def _lenient(node: ast.Call) -> bool:
    """``decode("latin-1")`` and ``decode(errors="replace")`` never raise."""
    words = [*node.args, *(word.value for word in node.keywords)]
    given = {str(word.value).lower() for word in words if isinstance(word, ast.Constant)}
    return bool(given & {"latin-1", "latin1", "iso-8859-1", "replace", "ignore", "backslashreplace", "surrogateescape"})
