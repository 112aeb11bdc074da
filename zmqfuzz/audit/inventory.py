"""Every socket that the source creates, with what is done to it: endpoints, options, messages, its end.

One entry a creating call. What an unknown function may do to a socket that is given to it is not known; such a socket
is ``given_away``, and what it *lacks* is only likely.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from zmqfuzz.audit.configs import Config
from zmqfuzz.audit.entries import ContextUse, Door, Entry, Inventory, Setting, Use
from zmqfuzz.audit.factories import Site, argument_of
from zmqfuzz.audit.flow import Flow
from zmqfuzz.audit.names import receiving, sending
from zmqfuzz.audit.scopes import Called, Index
from zmqfuzz.audit.texts import texts
from zmqfuzz.audit.values import HOLE, Const, Context, Outside, Socket, Value, Values

__all__ = ["ContextUse", "Door", "Entry", "Inventory", "Setting", "Use", "take"]

_SETTING = {"setsockopt", "set", "setsockopt_string", "set_string", "setsockopt_unicode"}
_READERS = (".ZMQStream", "recv_monitor_message", "zmq.proxy", "zmq.device", "zmq.select", "zmq.zmq_poll")
_WAITING = {"poll", "register", "on_recv", "on_recv_stream", "modify"}


def take(indexes: list[Index], keys: list[Path], configs: Sequence[Config] = ()) -> Inventory:
    """The inventory of files; ``keys``: files that were found beside them and look like secret keys."""
    flow = Flow(indexes)
    taken = Inventory(flow, [], {}, indexes, keys=keys, configs=list(configs))
    by_call: dict[ast.Call, Entry] = {}
    for one in indexes:
        for called in one.calls:
            found = flow.values(called.node, called.scope)
            if Socket(called.node) in found:
                by_call[called.node] = _entry(flow, one, called)
            if any(isinstance(value, Context) and value.call is called.node for value in found):
                taken.contexts.setdefault(Context(called.node), ContextUse())
            elif Context(None) in found:
                taken.contexts.setdefault(Context(None), ContextUse())
    taken.entries = list(by_call.values())
    for one in indexes:
        for called in one.calls:
            _call(taken, by_call, called)
        for assigned in one.assigned:
            use = Use(assigned.target, assigned.scope, assigned.path, assigned.statement)
            values = flow.values(assigned.value, assigned.scope)
            setting = Setting(use, assigned.target.attr.upper(), values, assigned.value)
            for value in flow.values(assigned.target.value, assigned.scope):
                _set(taken, by_call, value, setting)
        for expression, scope in one.entered:
            for value in flow.values(expression, scope):
                if isinstance(value, Context) and value in taken.contexts:
                    statement = ast.Expr(expression)
                    taken.contexts[value].ends.append(Use(expression, scope, (), statement, "with"))
    _through_factories(taken, by_call)
    return taken


def _through_factories(taken: Inventory, by_call: dict[ast.Call, Entry]) -> None:
    """What a factory does to the socket it makes it does to that of each call; its own is none, unless it is kept."""
    origins = set()
    for node, site in taken.flow.calls.factories.sites.items():
        entry, chain = by_call.get(node), [site]
        while chain[-1].origin in taken.flow.calls.factories.sites and len(chain) < _DEEPEST:
            chain.append(taken.flow.calls.factories.sites[chain[-1].origin])
        for one in chain:
            made = by_call.get(one.origin)
            if entry is None or made is None or made is entry:
                continue
            origins.add(one.origin)
            entry.contexts |= made.contexts
            entry.settings = [*made.settings, *entry.settings]
            entry.doors = [*(_door_of(taken.flow, each, node, one, entry) for each in made.doors), *entry.doors]
            entry.received += made.received
            entry.sent += made.sent
            entry.waits += made.waits
            entry.closes += made.closes
            entry.given_away |= made.given_away
    kept = [entry for call, entry in by_call.items() if call not in origins or _is_kept(entry)]
    taken.entries = kept


_DEEPEST = 8
"""Factories that call factories."""


def _is_kept(entry: Entry) -> bool:
    """Whether something is done to the socket itself, beyond the function that makes it."""
    uses = [*entry.received, *entry.sent, *entry.waits, *entry.closes, *(door.use for door in entry.doors)]
    uses += [setting.use for setting in entry.settings]
    return any(use.scope is not entry.created.scope for use in uses)


def _door_of(flow: Flow, door: Door, node: ast.Call, site: Site, entry: Entry) -> Door:
    """A door of a factory, with the endpoint that this call of it gives, where it is a parameter of the factory."""
    address = _argument(door.use.node, 0, "addr") if isinstance(door.use.node, ast.Call) else None
    if not isinstance(address, ast.Name) or door.use.scope.node is not site.function.node:
        return door
    given = argument_of(node, site.function, address.id)
    if given is None:
        return door
    return Door(door.use, door.bound, tuple(texts(flow.values(given, entry.created.scope))))


def _entry(flow: Flow, one: Index, called: Called) -> Entry:
    func = called.node.func
    monitors = isinstance(func, ast.Attribute) and func.attr in ("get_monitor_socket", "monitor")
    types: frozenset[str] = frozenset({"PAIR"}) if monitors else frozenset()
    contexts: Values = frozenset()
    if not monitors:
        site = flow.calls.factories.sites.get(called.node)
        given = site.kind if site is not None else flow.calls.socket_type_argument(called.node)
        types = flow.calls.types(given, called.scope) if given is not None else types
        on = func.value if isinstance(func, ast.Attribute) else called.node.args[0] if called.node.args else None
        found = flow.values(on, called.scope) if on is not None else frozenset()
        contexts = frozenset(value for value in found if isinstance(value, Context))
    return Entry(one, called, types, contexts, monitors)


def _option(values: Values) -> str:
    names = {value.name.rpartition(".")[2] for value in values if isinstance(value, Outside)}
    return names.pop() if len(names) == 1 else ""


def _argument(node: ast.Call, position: int, word: str) -> ast.expr | None:
    for each in node.keywords:
        if each.arg == word:
            return each.value
    return node.args[position] if position < len(node.args) else None


def _call(taken: Inventory, by_call: dict[ast.Call, Entry], called: Called) -> None:
    flow, node, scope = taken.flow, called.node, called.scope
    func = node.func
    use = Use(node, scope, called.path, called.statement, caught=called.caught)
    method = func.attr if isinstance(func, ast.Attribute) else ""
    if isinstance(func, ast.Attribute):
        for value in flow.values(func.value, scope):
            named = Use(node, scope, called.path, called.statement, method, called.caught)
            if isinstance(value, Socket) and value.call in by_call:
                _used(taken, by_call[value.call], value, named, node, by_call)
            elif isinstance(value, Context):
                _context(taken, by_call, value, named, node)
    if isinstance(func, ast.Name) and func.id == "setattr" and len(node.args) == 3:
        names = [one.value for one in flow.values(node.args[1], scope) if isinstance(one, Const)]
        name = str(names[0]).upper() if len(names) == 1 else ""
        setting = Setting(use, name, flow.values(node.args[2], scope), node.args[2])
        for value in flow.values(node.args[0], scope):
            _set(taken, by_call, value, setting)
    functions = flow.values(func, scope)
    outside = {value.name for value in functions if isinstance(value, Outside)}
    if any(name.startswith("zmq.auth") and name.endswith("Authenticator") for name in outside):
        taken.authenticators.append(called)
    _handed(flow, by_call, called, use, outside, known=bool(functions - {Outside(name) for name in outside}))


_HARMLESS = {
    "builtins.print",
    "builtins.isinstance",
    "builtins.setattr",
    "builtins.getattr",
    "builtins.id",
    "builtins.len",
    "builtins.str",
    "builtins.repr",
    "zmq.proxy",
    "zmq.device",
    "zmq.zmq_poll",
    "zmq.select",
}


def _handed(
    flow: Flow, by_call: dict[ast.Call, Entry], called: Called, use: Use, outside: set[str], *, known: bool
) -> None:
    """Sockets among the arguments: read by a poller or proxy, or given to what we cannot see into."""
    func = called.node.func
    method = func.attr if isinstance(func, ast.Attribute) else ""
    given = [*called.node.args, *(word.value for word in called.node.keywords)]
    inner = [part for each in given if isinstance(each, ast.Tuple | ast.List) for part in each.elts]
    for argument in (*given, *inner):
        if not isinstance(argument, ast.Name | ast.Attribute):
            continue
        for value in flow.values(argument, called.scope):
            if not isinstance(value, Socket) or value.call not in by_call:
                continue
            entry = by_call[value.call]
            if method in _WAITING or any(name.endswith(_READERS) for name in outside):
                entry.waits.append(use)
            elif not known and not outside & _HARMLESS:
                entry.given_away = True


def _used(
    taken: Inventory, entry: Entry, value: Socket, use: Use, node: ast.Call, by_call: dict[ast.Call, Entry]
) -> None:
    method, flow = use.method, taken.flow
    if method in ("bind", "bind_to_random_port", "connect"):
        address = _argument(node, 0, "addr")
        found = texts(flow.values(address, use.scope)) if address is not None else [Const(HOLE)]
        entry.doors.append(Door(use, method != "connect", tuple(found)))
    elif method in _SETTING:
        option, given = _argument(node, 0, "option"), _argument(node, 1, "optval")
        name = _option(flow.values(option, use.scope)) if option is not None else ""
        values: Values = flow.values(given, use.scope) if given is not None else frozenset()
        entry.settings.append(Setting(use, name, values, given))
    elif method == "set_hwm" and node.args:
        entry.settings.append(Setting(use, "HWM", flow.values(node.args[0], use.scope), node.args[0]))
    elif receiving(method):
        entry.received.append(use)
    elif sending(method):
        entry.sent.append(use)
    elif method in _WAITING:
        entry.waits.append(use)
    elif method in ("close", "__exit__"):
        entry.closes.append(use)
        given = _argument(node, 0, "linger")
        if given is not None:
            entry.settings.append(Setting(use, "LINGER", flow.values(given, use.scope), given))
    elif method in ("subscribe", "unsubscribe"):
        entry.settings.append(Setting(use, method.upper(), frozenset(), None))


def _context(taken: Inventory, by_call: dict[ast.Call, Entry], value: Context, use: Use, node: ast.Call) -> None:
    record = taken.contexts.setdefault(value, ContextUse())
    if use.method in ("term", "destroy"):
        record.ends.append(use)
        given = _argument(node, 0, "linger") if use.method == "destroy" else None
        if given is not None:
            record.lingers = True
    elif use.method in _SETTING:
        option, given = _argument(node, 0, "option"), _argument(node, 1, "optval")
        name = _option(taken.flow.values(option, use.scope)) if option is not None else ""
        values: Values = taken.flow.values(given, use.scope) if given is not None else frozenset()
        _set(taken, by_call, value, Setting(use, name, values, given))


def _set(taken: Inventory, by_call: dict[ast.Call, Entry], value: Value, setting: Setting) -> None:
    match value:
        case Socket(call) if call in by_call:
            by_call[call].settings.append(setting)
        case Context():
            record = taken.contexts.setdefault(value, ContextUse())
            record.settings.append(setting)
            record.lingers |= setting.name == "LINGER"
