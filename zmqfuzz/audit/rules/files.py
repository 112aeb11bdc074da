"""Files and folders beside the source that others can read or write."""

from __future__ import annotations

import ast
import stat
from collections.abc import Iterator
from pathlib import Path

from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Certainty, Line, Rule, at, in_config, of, rule
from zmqfuzz.audit.rules.secrets import secrets_in
from zmqfuzz.audit.texts import texts
from zmqfuzz.audit.values import HOLE, Outside
from zmqfuzz.finding import Severity

__all__ = ["mode_of", "open_ipc", "open_keys", "places"]

_LOADING = {"zmq.auth.load_certificate", "zmq.auth.certs.load_certificate"}
_MAKING = {"zmq.auth.create_certificates", "zmq.auth.certs.create_certificates"}


def mode_of(path: Path) -> int:
    """The permission bits; 0 where there is nothing to look at."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return 0


@rule("ZF634", "A secret key can be read by others", severity=Severity.HIGH)
def open_keys(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Files with CURVE secret keys whose mode lets the group or everybody in.

    Why: who has the key is this peer. Looked for: ``*.key_secret`` below the audited paths, configuration files that
    hold a CURVE secret key or a PLAIN password, and files that ``zmq.auth.load_certificate`` names, as they are on this
    machine (sure); and ``zmq.auth.create_certificates``,
    which writes with the mode that the umask gives, in a function that keeps others neither out of the file (``chmod``,
    ``umask``) nor out of its folder (likely, low). To fix: ``chmod 600``.
    """
    told = set()
    remedy = "chmod 600 the file, and make new keys if others had a chance to read it."
    for path in inventory.keys:
        if mode_of(path) & 0o077:
            told.add(path.resolve())
            sentence = f"The secret key's file has mode {mode_of(path):04o}: others can read or change it."
            yield Line(rule.code, rule.severity, Certainty.SURE, path, 1, 1, 1, sentence, remedy)
    for config in inventory.configs:
        secret = next(secrets_in(config), None)
        if secret is not None and mode_of(config.path) & 0o077:
            sentence = f"{secret.key} is a secret, and the file has mode {mode_of(config.path):04o}."
            yield in_config(config, secret, rule, sentence, remedy)
    for index in inventory.indexes:
        for called in index.calls:
            functions = inventory.flow.values(called.node.func, called.scope)
            names = {value.name for value in functions if isinstance(value, Outside)}
            if names & _LOADING and called.node.args:
                for one in texts(inventory.flow.values(called.node.args[0], called.scope)):
                    for path in places(str(one.value), index.source.path):
                        is_secret = path.name.endswith("secret") and path.resolve() not in told
                        if is_secret and mode_of(path) & 0o077:
                            told.add(path.resolve())
                            sentence = f"{path} has mode {mode_of(path):04o}: others can read or change the secret key."
                            yield at(index, called.node, rule, sentence, remedy)
            elif names & _MAKING:
                near = [other.node for other in index.calls if other.scope is called.scope]
                if not any(_closes(node) for node in near):
                    yield at(
                        index,
                        called.node,
                        rule,
                        "create_certificates writes the secret key with the mode that the umask gives, mostly 0644.",
                        "Call os.umask(0o077) before, or chmod the file to 0600 after.",
                        sure=False,
                        severity=Severity.LOW,
                    )


def _closes(node: ast.Call) -> bool:
    """Whether a call keeps others out: of the file, or of the folder that it is in."""
    name = _last(node.func)
    if name in ("mkdir", "makedirs"):
        modes = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mode")]
        return any(isinstance(m, ast.Constant) and isinstance(m.value, int) and not m.value & 0o077 for m in modes)
    return name in ("chmod", "umask", "fchmod", "mkdtemp", "TemporaryDirectory")


def _last(func: ast.expr) -> str:
    match func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def places(text: str, source: Path) -> list[Path]:
    """Where a path of the source may be: absolute, beside the source, in the current folder."""
    if not text or HOLE in text or "\0" in text:
        return []
    path = Path(text)
    found = [path] if path.is_absolute() else [source.parent / path, path]
    return [each for each in found if mode_of(each)]


@rule("ZF635", "Others on the machine can reach an ipc endpoint", severity=Severity.MEDIUM)
def open_ipc(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """An ipc endpoint in a folder where everybody may write, or whose socket everybody may write to.

    Why: connecting needs the right to write to the socket's file, and libzmq makes it as the umask says; in a folder
    such as ``/tmp`` another user can also make the file first, and be the server. Looked for: bound ipc paths that
    are written out, as the folder and file are on this machine. To fix: a folder of the program's own with mode 0700.
    """
    for entry in inventory.entries:
        for door in entry.doors:
            for one in door.endpoints:
                text = str(one.value)
                if not door.bound or not text.startswith("ipc://") or text.startswith(("ipc://@", "ipc://*")):
                    continue
                head = text.removeprefix("ipc://").partition(HOLE)[0]
                path = Path(head)
                folder = path.parent if HOLE not in text else Path(head + "x").parent
                file = path if HOLE not in text else None
                if not path.is_absolute():
                    continue
                if file is not None and mode_of(file) & stat.S_IWOTH:
                    sentence = (
                        f"Everybody on the machine may write to {file} (mode {mode_of(file):04o}), so connect to it."
                    )
                elif mode_of(folder) & stat.S_IWOTH:
                    sentence = f"Everybody on the machine may write to {folder}, so make this endpoint first."
                else:
                    continue
                yield of(
                    entry,
                    rule,
                    sentence,
                    "Use a folder of the program's own with mode 0700, and an umask of 0077.",
                    inventory=inventory,
                    use=door.use,
                    endpoint=door.text,
                    sure=one.sure,
                )
                break
