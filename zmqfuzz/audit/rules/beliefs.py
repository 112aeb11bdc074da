"""Names that are believed to be options and transports, wherever they are written: in sources and configurations."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

import zmq

from zmqfuzz.audit.configs import Item
from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Line, Rule, at, in_config, rule
from zmqfuzz.finding import Severity
from zmqfuzz.sockopts import MEANT

__all__ = ["believed"]

_PREFIXED = re.compile(r"^(?:zmq|zeromq)[_.\-]?(?:sockopt[_.\-]?)?([a-z][\w.\-]*)$", re.IGNORECASE)
_CURVE = re.compile(r"^(?:zmq|zeromq|tcp)[:+]curve\b|^(?:tcp\+)?curve://", re.IGNORECASE)
_OF_OTHERS = frozenset(("DROP", "TCP_NODELAY"))
"""Words that mean something without the prefix, too."""

_NEAR = 0.9


@rule("ZF649", "An option or transport is named that ZeroMQ does not have", severity=Severity.MEDIUM)
def believed(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Guides and generated code name options and transports that do not exist.

    Why: whoever reads the configuration takes it for protection. There is no ZMQ_DROP (what happens at the high-water
    mark depends on the socket's type) and no transport ``zmq:curve`` (CURVE is a mechanism, set by options);
    TCP_SYNCNT and TCP_USER_TIMEOUT are the kernel's options; MAX_MSGSZ bounds nothing that is received. Looked for:
    these names with the prefix ZMQ_ as constants in sources and as keys in configuration files, keys there that are
    nearly an option's name, and such transports as values. To fix: as the line says.
    """
    for config in inventory.configs:
        for item in config.items:
            name, remedy = _option(item)
            if name:
                yield in_config(
                    config, item, rule, f"libzmq has no option {name} that does what is meant here.", remedy
                )
            elif _CURVE.match(item.value):
                yield in_config(config, item, rule, f"libzmq has no transport {_head(item.value)!r}.", _TCP)
    for index in inventory.indexes:
        prose = {id(node.value) for node in ast.walk(index.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(index.tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in prose:
                continue
            bare = node.value.removeprefix("ZMQ_")
            if bare != node.value and bare in MEANT:
                sentence = f"libzmq has no option {node.value} that does what is meant here."
                yield at(index, node, rule, sentence, MEANT[bare], sure=False)
            elif _CURVE.match(node.value) and " " not in node.value:
                yield at(index, node, rule, f"libzmq has no transport {_head(node.value)!r}.", _TCP, sure=False)


_TCP = "Write tcp://, and set CURVE by its options (CURVE_SERVER, CURVE_SERVERKEY ...)."


def _head(value: str) -> str:
    return value.partition("//")[0].rstrip(":")


def _option(item: Item) -> tuple[str, str]:
    """The name as it is written, where there is no such option, and what to do; empty where all is well."""
    match = _PREFIXED.match(item.key)
    bare = re.sub(r"[.\-]", "_", match[1] if match else item.key).upper()
    near_zmq = match is not None or re.search(r"zmq|zeromq|sockopt|socket_opt", item.section, re.IGNORECASE)
    if bare in MEANT and (match or (near_zmq and bare not in _OF_OTHERS)):
        return item.key, MEANT[bare]
    known = bare in zmq.SocketOption.__members__ or bare in zmq.ContextOption.__members__
    if match and not known and item.key.isupper():
        near = difflib.get_close_matches(bare, zmq.SocketOption.__members__, 1, _NEAR)
        if near:
            return item.key, f"Did you mean {near[0]}?"
    return "", ""
