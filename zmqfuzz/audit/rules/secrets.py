"""Secrets that everybody who has the source has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from zmqfuzz.audit.configs import Config, Item
from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Line, Rule, at, of, rule
from zmqfuzz.audit.values import Const
from zmqfuzz.finding import Severity

__all__ = ["in_source", "secrets_in"]

_Z85 = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_SECRET = re.compile(r"secret|private", re.IGNORECASE)
_PASSWORD = re.compile(r"passw(or)?d$", re.IGNORECASE)
_OURS = re.compile(r"zmq|zeromq|plain|zap|curve", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"^$|^[\s*x.-]+$|[$%{}<>]|change.?me|your|example|placeholder|^(none|null|true|false)$", re.I)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


@rule("ZF633", "A secret is written into the source", severity=Severity.HIGH)
def in_source(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """A CURVE secret key or a PLAIN password as a constant.

    Why: whoever can read the source, a copy of it, its package or its history can be this peer, and the secret cannot
    be changed without a release. Looked for: 40 characters of Z85 (RFC 32) as CURVE_SECRETKEY, or under a name with
    ``secret`` or ``private``; a text as PLAIN_PASSWORD or in ``configure_plain(passwords=...)``. The secret itself is
    never shown. To fix: read it from a file (0600) or the environment, and make a new one.
    """
    remedy = "Read it from a file that only the program's user can read, or the environment; and make a new one."
    told: set[str] = set()
    for index in inventory.indexes:
        for name, node, _ in index.bound:
            if isinstance(node, ast.Constant) and _SECRET.search(name) and _Z85.fullmatch(_text(node.value)):
                told.add(_text(node.value))
                yield at(index, node, rule, f"{name} is a CURVE secret key in the source.", remedy, sure=False)
        for called in index.calls:
            func = called.node.func
            if isinstance(func, ast.Attribute) and func.attr == "configure_plain":
                yield from _passwords(index.source.text, inventory, rule, called.node, remedy)
    for entry in inventory.entries:
        for setting in entry.set_to("CURVE_SECRETKEY", "PLAIN_PASSWORD"):
            constants = [one for one in setting.values if isinstance(one, Const) and _text(one.value)]
            password = setting.name == "PLAIN_PASSWORD"
            fit = [one for one in constants if password or _Z85.fullmatch(_text(one.value))]
            if fit and not any(_text(one.value) in told for one in fit):
                what = "The PLAIN password" if password else "The CURVE secret key"
                yield of(
                    entry,
                    rule,
                    f"{what} of this socket is written into the source.",
                    remedy,
                    inventory=inventory,
                    use=setting.use,
                    sure=all(one.sure for one in fit),
                )


def _passwords(text: str, inventory: Inventory, rule: Rule, node: ast.Call, remedy: str) -> Iterator[Line]:
    for given in (*node.args, *(word.value for word in node.keywords)):
        if isinstance(given, ast.Dict) and any(isinstance(v, ast.Constant) and v.value for v in given.values):
            for index in inventory.indexes:
                if index.source.text is text:
                    yield at(index, given, rule, "PLAIN passwords are written into the source.", remedy)


def secrets_in(config: Config) -> Iterator[Item]:
    """The items that hold a CURVE secret key, or a password of PLAIN."""
    for item in config.items:
        key = _Z85.fullmatch(item.value) and _SECRET.search(item.key)
        password = _PASSWORD.search(item.key) and _OURS.search(f"{item.section}.{item.key}")
        if key or (password and not _PLACEHOLDER.search(item.value)):
            yield item
