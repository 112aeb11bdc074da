"""CURVE: who is let in, and with whose keys."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from zmqfuzz.audit.exposure import switched_on
from zmqfuzz.audit.inventory import Inventory, Setting
from zmqfuzz.audit.lines import Line, Rule, at, of, rule
from zmqfuzz.audit.scopes import exclusive
from zmqfuzz.audit.values import Const, Key, Outside
from zmqfuzz.finding import Severity

__all__ = ["anybody", "swapped"]

_ZAP = "inproc://zeromq.zap.01"
_SECRET = re.compile(r"secret|private|(^|_)(sk|sec)($|_)", re.IGNORECASE)
_PUBLIC = re.compile(r"public|(^|_)(pk|pub)($|_)", re.IGNORECASE)


@rule("ZF630", "A CURVE server lets in whoever knows its public key", severity=Severity.MEDIUM)
def anybody(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """CURVE_SERVER encrypts; *who* may come in is decided by a ZAP handler (RFC 27) alone.

    Why: without one every client key is accepted, and so it is with CURVE_ALLOW_ANY. Looked for: CURVE_SERVER on a
    socket where no authenticator of ``zmq.auth`` is made in the audited files and none binds the ZAP endpoint
    (likely: it may be elsewhere); ``configure_curve`` with ``*`` (sure). To fix: ``ThreadAuthenticator`` or
    ``AsyncioAuthenticator`` with ``configure_curve(location=folder of allowed keys)``.
    """
    handlers = bool(inventory.authenticators) or any(
        door.bound and any(one.value == _ZAP for one in door.endpoints)
        for entry in inventory.entries
        for door in entry.doors
    )
    for entry in inventory.entries:
        for setting in entry.set_to("CURVE_SERVER"):
            if switched_on(setting) and not handlers:
                yield of(
                    entry,
                    rule,
                    "CURVE encrypts, but no ZAP handler decides whose keys are let in: any client key is.",
                    "Start an authenticator of zmq.auth and give it the folder of the keys that are allowed.",
                    inventory=inventory,
                    use=setting.use,
                    sure=False,
                )
                break
    for index in inventory.indexes:
        for called in index.calls:
            func = called.node.func
            if not isinstance(func, ast.Attribute) or func.attr != "configure_curve":
                continue
            given = [word.value for word in called.node.keywords if word.arg == "location"] or called.node.args[1:2]
            values = inventory.flow.values(given[0], called.scope) if given else frozenset()
            if values & {Const("*"), Outside("zmq.auth.CURVE_ALLOW_ANY"), Outside("zmq.auth.base.CURVE_ALLOW_ANY")}:
                sentence = (
                    "CURVE_ALLOW_ANY lets in every client key: only who knows the server's public key is checked."
                )
                remedy = "Give configure_curve the folder of the keys that are allowed."
                yield at(index, called.node, rule, sentence, remedy)


def _named(node: ast.expr | None) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _mistake(setting: Setting) -> tuple[str, bool] | None:
    """What is wrong with a key, and whether the source proves it."""
    wants_secret = setting.name == "CURVE_SECRETKEY"
    keys = [value for value in setting.values if isinstance(value, Key)]
    if keys:
        if all(key.secret is not wants_secret for key in keys):
            return f"{setting.name} gets the {'public' if wants_secret else 'secret'} half of a key pair.", True
        return None
    name = _named(setting.value)
    secret, public = bool(_SECRET.search(name)), bool(_PUBLIC.search(name))
    if wants_secret and public and not secret:
        return f"CURVE_SECRETKEY gets {name!r}, by its name a public key.", False
    if not wants_secret and secret and not public:
        return f"{setting.name} gets {name!r}, by its name a secret key.", False
    return None


@rule("ZF632", "CURVE keys are swapped", severity=Severity.HIGH)
def swapped(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """The public key where the secret one belongs, or the reverse.

    Why: no handshake succeeds then, and a secret key that is used as CURVE_SERVERKEY or published as a public one is
    no secret any more. ``zmq.curve_keypair()`` and ``zmq.auth.load_certificate()`` give the public key first. Looked
    for: the wrong half of such a pair (sure), a name that says the opposite (likely), and CURVE_SERVERKEY on a socket
    that is the server. To fix: a server has CURVE_SERVER and its CURVE_SECRETKEY; a client its own pair and, as
    CURVE_SERVERKEY, the server's public key.
    """
    for entry in inventory.entries:
        for setting in entry.set_to("CURVE_PUBLICKEY", "CURVE_SECRETKEY", "CURVE_SERVERKEY"):
            mistake = _mistake(setting)
            if mistake is not None:
                yield of(
                    entry,
                    rule,
                    mistake[0],
                    "Give CURVE_SECRETKEY the secret key of the own pair, and all others public ones.",
                    inventory=inventory,
                    use=setting.use,
                    sure=mistake[1],
                )
        servers = [
            each for each in entry.set_to("CURVE_SERVER") if Const(True) in each.values or Const(1) in each.values
        ]
        for setting in entry.set_to("CURVE_SERVERKEY"):
            near = [server.use for server in servers if server.use.scope is setting.use.scope]
            if any(not exclusive(use.path, setting.use.path) for use in near):
                yield of(
                    entry,
                    rule,
                    "CURVE_SERVERKEY makes a socket a client, CURVE_SERVER a server: the last one set decides.",
                    "A server needs CURVE_SERVER and CURVE_SECRETKEY; CURVE_SERVERKEY belongs on its clients.",
                    inventory=inventory,
                    use=setting.use,
                    sure=False,
                    severity=Severity.MEDIUM,
                )
