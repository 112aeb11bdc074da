"""What is done with what a peer sent."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from zmqfuzz.audit.exposure import Reach, doors, is_locked, only_within
from zmqfuzz.audit.inventory import Entry, Inventory, Use
from zmqfuzz.audit.lines import Line, Rule, at, of, rule
from zmqfuzz.audit.scopes import Called, Index, Scope, catches
from zmqfuzz.audit.values import Outside, Received
from zmqfuzz.finding import Severity

__all__ = ["executes", "fixed_parts"]

_LOADERS = frozenset(
    f"{package}.{name}"
    for package in ("pickle", "cPickle", "_pickle", "pickle5", "cloudpickle", "dill", "marshal", "joblib", "torch")
    for name in ("loads", "load", "Unpickler")
) | {"cloudpickle.cloudpickle.loads", "jsonpickle.decode", "builtins.eval", "builtins.exec", "yaml.unsafe_load"}
_YAML = {"yaml.load", "yaml.load_all", "yaml.full_load"}
_SAFE_YAML = {"yaml.SafeLoader", "yaml.CSafeLoader", "yaml.BaseLoader", "yaml.CBaseLoader", "yaml.loader.SafeLoader"}


def _loads(inventory: Inventory, called: Called) -> str:
    """The name of what ``called`` executes its argument with; empty where it does not."""
    for value in inventory.flow.values(called.node.func, called.scope):
        if not isinstance(value, Outside):
            continue
        if value.name in _LOADERS and not (value.name == "torch.load" and _word(called.node, "weights_only")):
            return value.name.removeprefix("builtins.")
        if value.name == "numpy.load" and _word(called.node, "allow_pickle"):
            return "numpy.load"
        if value.name in _YAML:
            given = [*called.node.args[1:], *(word.value for word in called.node.keywords if word.arg == "Loader")]
            loaders = {
                v.name for each in given for v in inventory.flow.values(each, called.scope) if isinstance(v, Outside)
            }
            if given and not loaders & _SAFE_YAML:
                return value.name
    return ""


def _word(node: ast.Call, name: str) -> bool:
    return any(w.arg == name and isinstance(w.value, ast.Constant) and w.value.value is True for w in node.keywords)


def _how_bad(inventory: Inventory, entry: Entry | None, *, signed: bool) -> Severity | None:
    """None: only threads of this process can send."""
    if entry is None:
        return Severity.HIGH
    if only_within(entry):
        return None
    if signed or is_locked(inventory, entry) or only_within(entry, Reach.MACHINE):
        return Severity.MEDIUM
    if only_within(entry, Reach.LOOPBACK) or not doors(entry, bound=True):
        return Severity.HIGH
    return Severity.CRITICAL


def _is_signed(inventory: Inventory, called: Called) -> bool:
    """Whether something of ``hmac`` is used around the call: in its function, or its class."""
    owner = called.scope.owner
    for index in inventory.indexes:
        if index.source.name != called.scope.module:
            continue
        for other in index.calls:
            near = other.scope is called.scope or (owner is not None and other.scope.owner is owner)
            if near and any(
                isinstance(v, Outside) and v.name.startswith(("hmac.", "nacl."))
                for v in inventory.flow.values(other.node.func, other.scope)
            ):
                return True
    return False


@rule("ZF602", "Received data is executed", severity=Severity.CRITICAL)
def executes(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """``recv_pyobj``, ``pickle.loads``, ``marshal``, ``yaml.load``, ``eval`` and their like run what a peer sends.

    Why: a pickle says which functions are called when it is read, so whoever can send a message can run any code.
    Looked for: such a function on what a socket received, followed through names, parameters and callbacks (sure); or
    on something unknown in a function that receives (likely). High on loopback and where the program connects, medium
    on ipc, behind a key, and where an HMAC is checked beside it; nothing on inproc. To fix: JSON, msgpack or another
    format that only holds data.
    """
    entries = {entry.created.node: entry for entry in inventory.entries}
    remedy = "Use a format that only holds data (JSON, msgpack), or check a signature with a secret key before."
    known: set[ast.AST] = set()
    for entry in inventory.entries:
        for use in entry.received:
            known.add(use.node)
            loader = _receives_objects(inventory, use)
            severity = _how_bad(inventory, entry, signed=False)
            if loader and severity is not None:
                yield of(
                    entry,
                    rule,
                    f"{loader} runs whatever code a peer puts into a message.",
                    remedy,
                    inventory=inventory,
                    use=use,
                    severity=severity,
                )
    receiving = {use.scope: entry for entry in inventory.entries for use in entry.received}
    for index in inventory.indexes:
        for called in index.calls:
            node = called.node
            if isinstance(node.func, ast.Attribute) and node.func.attr == "recv_pyobj" and node not in known:
                sentence = "recv_pyobj unpickles, which runs whatever code a peer puts into a message."
                yield at(index, node, rule, sentence, remedy, sure=False, severity=Severity.MEDIUM)
                continue
            loader = _loads(inventory, called)
            if not loader or not node.args or isinstance(node.args[0], ast.Constant):
                continue
            values = inventory.flow.values(node.args[0], called.scope)
            senders = [value.socket for value in values if isinstance(value, Received)]
            entry_of = entries.get(senders[0].call) if senders else receiving.get(called.scope)
            if not senders and (values or entry_of is None):
                continue
            severity = _how_bad(inventory, entry_of, signed=_is_signed(inventory, called))
            if severity is not None and entry_of is not None:
                yield of(
                    entry_of,
                    rule,
                    f"{loader} runs whatever code a peer puts into a message.",
                    remedy,
                    inventory=inventory,
                    use=Use(node, called.scope, called.path, called.statement),
                    sure=bool(senders),
                    severity=severity,
                )


def _receives_objects(inventory: Inventory, use: Use) -> str:
    if use.method == "recv_pyobj":
        return "recv_pyobj unpickles, which"
    if use.method == "recv_serialized" and isinstance(use.node, ast.Call) and use.node.args:
        for value in inventory.flow.values(use.node.args[0], use.scope):
            if isinstance(value, Outside) and value.name in _LOADERS:
                return value.name
    return ""


@rule("ZF614", "The number of a message's parts is taken for granted", severity=Severity.LOW)
def fixed_parts(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """``a, b = socket.recv_multipart()`` and ``parts[3]`` raise for messages of another number of parts.

    Why: a peer chooses the number; an exception that nobody expects ends the loop that serves everybody. Looked for:
    a fixed number of names for what recv_multipart gives, or a part by its number where the length is never asked
    for, without a ``try`` around that catches it; medium where the socket is bound. To fix: look at the length first,
    and drop what is not a message of yours.
    """
    for entry in inventory.entries:
        if _is_private(entry):
            continue
        for use in entry.received:
            if use.method != "recv_multipart" or catches(use.caught, "ValueError"):
                continue
            match use.statement:
                case ast.Assign(targets=[ast.Tuple() | ast.List() as target], value=value):
                    fixed = not any(isinstance(part, ast.Starred) for part in target.elts)
                    if fixed and (value is use.node or (isinstance(value, ast.Await) and value.value is use.node)):
                        bound = any(door.bound for door in entry.doors)
                        yield of(
                            entry,
                            rule,
                            f"A message that has not exactly {len(target.elts)} parts raises ValueError here.",
                            "Take the parts as a list, look at its length, and drop what does not fit.",
                            inventory=inventory,
                            use=use,
                            severity=Severity.MEDIUM if bound else None,
                        )

    entries = {entry.created.node: entry for entry in inventory.entries}
    told: set[tuple[ast.AST, str]] = set()
    for index in inventory.indexes:
        for taken in index.taken:
            name = taken.node.value
            if not isinstance(name, ast.Name) or catches(taken.caught, "IndexError", "LookupError"):
                continue
            for each in inventory.flow.values(name, taken.scope):
                whose = entries.get(each.socket.call) if isinstance(each, Received) and each.parts else None
                if whose is None or _is_private(whose) or (taken.scope.node, name.id) in told:
                    continue
                certain = 2 if "ROUTER" in whose.types or not whose.types else 1  # the routing id, and one part
                if taken.number < certain or _measures(index, taken.scope, name.id):
                    continue
                told.add((taken.scope.node, name.id))
                yield of(
                    whose,
                    rule,
                    f"A message of fewer than {taken.number + 1} parts raises IndexError here.",
                    "Look at the length first, and drop what does not fit.",
                    inventory=inventory,
                    use=Use(taken.node, taken.scope, taken.path, taken.statement),
                    severity=Severity.MEDIUM if any(door.bound for door in whose.doors) else None,
                )


def _is_private(entry: Entry) -> bool:
    return only_within(entry) or entry.monitors or entry.types == {"PAIR"}


def _measures(index: Index, scope: Scope, name: str) -> bool:
    """Whether ``len(name)`` is asked for in this scope, or the name itself in a condition."""
    for called in index.calls:
        match called.node:
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=asked)]) if (
                called.scope is scope and asked == name
            ):
                return True
    return False
