"""Configuration files as a door: what they open, and who can read and change them."""

from __future__ import annotations

import ast
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Certainty, Line, Rule, at, in_config, rule
from zmqfuzz.audit.rules.files import mode_of, places
from zmqfuzz.audit.texts import texts
from zmqfuzz.finding import Severity

__all__ = ["changeable", "in_configuration"]

_LOCK = re.compile(r"curve|plain|zap|server_?key|public_?key", re.IGNORECASE)
_MARK = re.compile(r"(^|[_.\-])(snd|rcv)?_?(hwm|high_?water_?mark)$", re.IGNORECASE)


@rule("ZF650", "A configuration opens a socket too far", severity=Severity.MEDIUM)
def in_configuration(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """What a configuration file beside the sources says about sockets, where it says too much.

    Why: endpoints and limits mostly come from there, so the source alone looks harmless. Looked for, in TOML, YAML,
    JSON, INI and environment files that name ZeroMQ or an endpoint of it: a bind to every interface in a file without
    a key of CURVE or PLAIN; a high-water mark of 0 (low). Likely, as the program may do otherwise. To fix: one
    interface, or CURVE; a mark that the memory allows.
    """
    for config in inventory.configs:
        open_to_all = not any(_LOCK.search(item.key) for item in config.items)
        for item in config.items:
            if item.value.startswith("tcp://") and reach(item.value) is Reach.EVERYWHERE and open_to_all:
                yield in_config(
                    config,
                    item,
                    rule,
                    "It is bound to every interface, and the file sets no key.",
                    "Name 127.0.0.1 or the one interface that is meant, or set CURVE with a ZAP handler.",
                    endpoint=item.value,
                )
            elif _MARK.search(item.key) and item.value == "0":
                yield in_config(
                    config,
                    item,
                    rule,
                    f"{item.key} is 0, no limit: messages that are not taken are kept until memory ends.",
                    "Set a mark that the memory allows (messages for each peer).",
                    severity=Severity.LOW,
                )


@rule("ZF646", "Others can change what decides about sockets", severity=Severity.HIGH)
def changeable(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """A configuration, a source or a folder of allowed keys that every user of the machine may write to.

    Why: who may write there decides where the program listens, with whose keys, or what it runs. Looked for: files
    with endpoints or sockets, and the folder that ``configure_curve(location=...)`` names, that everybody may write
    to, or whose folder everybody may write to without the sticky bit, as they are on this machine. To fix:
    ``chmod o-w``.
    """
    remedy = "chmod o-w it, and its folder; look at what it holds now."
    files = [config.path for config in inventory.configs]
    files += [entry.index.source.path for entry in inventory.entries]
    for path in dict.fromkeys(files):
        why = _open_to(path)
        if why:
            yield Line(rule.code, rule.severity, Certainty.SURE, path, 1, 1, 1, f"{why}.", remedy)
    for index in inventory.indexes:
        for called in index.calls:
            func = called.node.func
            if not isinstance(func, ast.Attribute) or func.attr != "configure_curve":
                continue
            given = [word.value for word in called.node.keywords if word.arg == "location"] or called.node.args[1:2]
            for one in texts(inventory.flow.values(given[0], called.scope)) if given else ():
                for place in places(str(one.value), index.source.path):
                    if place.is_dir() and mode_of(place) & stat.S_IWOTH:
                        sentence = f"Everybody may write to {place} (mode {mode_of(place):04o}), and so be let in."
                        yield at(index, called.node, rule, sentence, "chmod o-w the folder of allowed keys.")


def _open_to(path: Path) -> str:
    if mode_of(path) & stat.S_IWOTH:
        return f"Everybody on the machine may write to this file (mode {mode_of(path):04o})"
    folder = mode_of(path.absolute().parent)
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        return f"Everybody on the machine may put another file in its place (its folder has mode {folder:04o})"
    return ""
