"""Options and endpoints that do not do what is meant."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

import zmq

from zmqfuzz.audit.exposure import only_within
from zmqfuzz.audit.inventory import Entry, Inventory, Setting
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.audit.scopes import catches, exclusive
from zmqfuzz.audit.values import Const
from zmqfuzz.finding import Severity
from zmqfuzz.sockopts import MEANT

__all__ = ["BEFORE", "LOCKS", "conflated_parts", "no_such_option", "no_such_transport", "too_late"]

_NAMES = """
    MAXMSGSIZE HANDSHAKE_IVL HEARTBEAT_IVL HEARTBEAT_TIMEOUT HEARTBEAT_TTL TCP_KEEPALIVE TCP_KEEPALIVE_IDLE
    TCP_KEEPALIVE_CNT TCP_KEEPALIVE_INTVL CURVE_SERVER CURVE_PUBLICKEY CURVE_SECRETKEY CURVE_SERVERKEY PLAIN_SERVER
    PLAIN_USERNAME PLAIN_PASSWORD ZAP_DOMAIN IDENTITY ROUTING_ID IMMEDIATE CONFLATE RECONNECT_IVL RECONNECT_IVL_MAX
    SNDBUF RCVBUF BACKLOG AFFINITY IPV6 TOS TCP_MAXRT CONNECT_TIMEOUT SOCKS_PROXY BINDTODEVICE TCP_ACCEPT_FILTER
    IPC_FILTER_PID IPC_FILTER_UID IPC_FILTER_GID
"""

BEFORE = frozenset(_NAMES.split())
"""Read when a listener or connecter is made, so that they act on later ``bind`` and ``connect`` alone (libzmq's
``zmq_setsockopt(3)``; ``options.cpp`` is copied to each session and listener)."""

LOCKS = {"CURVE_SERVER", "CURVE_SECRETKEY", "CURVE_SERVERKEY", "PLAIN_SERVER", "ZAP_DOMAIN"}

_TRANSPORTS = {"tcp", "ipc", "inproc", "ws", "wss", "pgm", "epgm", "norm", "tipc", "udp", "vmci", "hyperv"}


@rule("ZF622", "An option is set too late to have an effect", severity=Severity.MEDIUM)
def too_late(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Most options act only on a ``bind`` or ``connect`` that comes after them.

    Why: the program looks protected and is not; a CURVE_SERVER after ``bind`` leaves the door open to everybody.
    Looked for: such an option set after the last ``bind`` or ``connect`` of its socket in the same function. LINGER,
    the high-water marks, timeouts, subscriptions and the options of ROUTER and XPUB act at once and are not told. To
    fix: set it first.
    """
    for entry in inventory.entries:
        for setting in entry.settings:
            if setting.name not in BEFORE or not isinstance(setting.use.statement, ast.stmt):
                continue
            line = setting.use.node.lineno
            same = [door for door in entry.doors if door.use.scope is setting.use.scope]
            elsewhere = len(same) < len(entry.doors)
            before = [
                door for door in same if door.use.node.lineno < line and not exclusive(door.use.path, setting.use.path)
            ]
            if not before or any(door.use.node.lineno > line for door in same) or elsewhere:
                continue
            if _set_before(entry, setting, before[0].use.node.lineno):
                continue
            last = before[-1]
            verb = "bind" if last.bound else "connect"
            yield of(
                entry,
                rule,
                f"{setting.name} is set after {verb} (line {last.use.node.lineno}), where it has no effect any more.",
                f"Set {setting.name} before the first bind and connect.",
                inventory=inventory,
                use=setting.use,
                endpoint=last.text,
                sure=setting.use.path[: len(last.use.path)] == last.use.path,
                severity=Severity.HIGH if setting.name in LOCKS else None,
            )


def _set_before(entry: Entry, setting: Setting, line: int) -> bool:
    return any(each.name == setting.name and each.use.node.lineno < line for each in entry.settings)


@rule("ZF642", "There is no such option", severity=Severity.MEDIUM)
def no_such_option(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """A name that neither libzmq nor pyzmq knows as an option.

    Why: at run time it is an AttributeError, often in a rare branch; and what was meant to protect does not. There is
    no ZMQ_DROP. Looked for: names given to setsockopt, and attributes of sockets that are nearly an option's name,
    against the pyzmq that zmqfuzz runs with; not where AttributeError is caught. To fix: as the line says.
    """
    contexts = [setting for use in inventory.contexts.values() for setting in use.settings]
    seen: set[ast.AST] = set()
    for entry in inventory.entries:
        for setting in (*entry.settings, *contexts):
            if setting.use.node in seen or not setting.name or setting.name == "SUBSCRIBE":
                continue
            seen.add(setting.use.node)
            attribute = isinstance(setting.use.node, ast.Attribute)
            if _exists(setting.name, attribute=attribute) or _asked(setting):
                continue
            bare = setting.name.removeprefix("ZMQ_")
            if bare != setting.name and _exists(bare, attribute=False):
                remedy = f"pyzmq's name for it is zmq.{bare}."
            else:
                remedy = MEANT.get(bare, "Look for the option that is meant in zmq_setsockopt(3).")
            yield of(
                entry,
                rule,
                f"libzmq and pyzmq {zmq.__version__} know no option {setting.name}: this raises AttributeError.",
                remedy,
                inventory=inventory,
                use=setting.use,
                sure=not attribute,
            )


def _exists(name: str, *, attribute: bool) -> bool:
    if attribute:  # a class of the program's own may have attributes of its own: only what looks like an option
        near = difflib.get_close_matches(name, zmq.SocketOption.__members__, 1, 0.8)
        known = hasattr(zmq, name) or hasattr(zmq.Socket, name.lower()) or hasattr(zmq.Context, name.lower())
        return known or not (near or name in MEANT)
    return name in zmq.SocketOption.__members__ or name in zmq.ContextOption.__members__ or hasattr(zmq, name)


def _asked(setting: Setting) -> bool:
    if catches(setting.use.caught, "AttributeError"):
        return True
    lowered = ast.unparse(setting.use.statement)
    return setting.name.startswith("_") or "getattr" in lowered or bool(re.search(r"self\.\w+\.\w+\.", lowered))


@rule("ZF643", "There is no such transport", severity=Severity.MEDIUM)
def no_such_transport(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """An endpoint whose transport libzmq does not have.

    Why: bind and connect fail, and ``curve://`` or ``tls://`` shows that encryption was meant, which is set by
    options on a tcp endpoint. Looked for: endpoints that are written out. To fix: tcp, ipc or inproc (ws and others
    where libzmq was built with them).
    """
    for entry in inventory.entries:
        for door in entry.doors:
            for one in door.endpoints:
                match = re.match(r"^([A-Za-z][\w+.:-]*?):(//)?", str(one.value))
                name = match[1].lower() if match else ""
                if not match or name in _TRANSPORTS or not (match[2] or name.startswith("zmq")):
                    continue
                yield of(
                    entry,
                    rule,
                    f"libzmq has no transport {name!r}.",
                    "Write tcp://, and set CURVE by options."
                    if re.search("curve|tls|ssl|tcps|zmq", name)
                    else "Write tcp://host:port, ipc://path or inproc://name.",
                    inventory=inventory,
                    use=door.use,
                    endpoint=door.text,
                    sure=one.sure,
                )
                break


@rule("ZF625", "CONFLATE with messages of several parts", severity=Severity.MEDIUM)
def conflated_parts(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """CONFLATE keeps one part only.

    Why: libzmq does not support it with messages of several parts; parts of different messages are then mixed.
    Looked for: CONFLATE on a socket on which send_multipart, recv_multipart or SNDMORE is used. To fix: send one
    part, or read until nothing is left.
    """
    for entry in inventory.entries:
        on = [setting for setting in entry.set_to("CONFLATE") if Const(False) not in setting.values]
        parts = [use for use in (*entry.sent, *entry.received) if "multipart" in use.method or _more(use.node)]
        if on and parts and Const(0) not in on[0].values:
            yield of(
                entry,
                rule,
                f"CONFLATE is on, and messages of several parts pass (line {parts[0].node.lineno}): parts get mixed.",
                "Send one part only, or leave CONFLATE off and read until nothing is left.",
                inventory=inventory,
                use=on[0].use,
                sure=not only_within(entry),
            )


def _more(node: ast.expr) -> bool:
    return any(isinstance(one, ast.Attribute) and one.attr == "SNDMORE" for one in ast.walk(node))
