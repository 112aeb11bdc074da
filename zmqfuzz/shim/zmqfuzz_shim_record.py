"""What the shim knows of its process, and how it writes it down; beside ``zmqfuzz_shim``. Standard library only.

Contract: one file a process and one write a line; no descriptor stays open; errors stop here (:func:`quiet`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))
_PLUMBING = ("zmq", "tornado", "gevent", "eventlet", "greenlet", "uvloop", "anyio", "trio")

MOST_LINES = 5000
MOST_OF_A_PLACE = 50
"""Lines of a process, and of one kind from one line of the program."""


class State:
    """Of this process; a forked child begins a file of its own, and knows what its parent knew."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.cwd = os.getcwd()
        self.pid = self.lines = self.count = 0
        self.file = ""
        self.seen: dict[tuple[Any, ...], int] = {}
        self.numbers: dict[int, int] = {}
        self.contexts: dict[int, int] = {}
        self.made = 0
        self.plumbing: dict[str, bool] = {}
        self.names: dict[int, str] = {}
        self.inject: dict[str, Any] = {}
        self.monitors: set[int] = set()
        self.busy = threading.local()
        self.zmq: Any = None
        self.base: Any = None


state: Any = None
"""Of this process, a State; None until the shim is armed."""


def write(event: dict[str, Any]) -> None:
    """One line to this process's file; the first one of a process says which it is."""
    pid = os.getpid()
    if state.pid != pid:
        state.pid, state.lines, state.seen = pid, 0, {}
        state.file = os.path.join(state.folder, f"{pid}-{os.urandom(4).hex()}.jsonl")
        if event["event"] != "process":
            write({"event": "process"})
    if event["event"] == "process":
        words = list(getattr(sys, "orig_argv", None) or getattr(sys, "argv", []))[:50]
        event = dict(event, ppid=os.getppid(), argv=words, python=sys.version.split()[0], cwd=state.cwd)
    if state.lines >= MOST_LINES:
        if state.lines > MOST_LINES:
            return
        event = {"event": "full"}
    state.lines += 1
    line = json.dumps(dict(event, pid=pid), default=shown) + "\n"
    out = os.open(state.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(out, line.encode("utf-8", "backslashreplace"))
    finally:
        os.close(out)


def shown(value: Any) -> str:
    """Octets as text, anything else by its type."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)[:200].decode("ascii", "backslashreplace").rstrip("\0")
    return type(value).__name__


def plain(value: Any) -> Any:
    """A number or a text for JSON."""
    if isinstance(value, int):
        return value if isinstance(value, bool) else int(value)
    return value[:200] if isinstance(value, str) else shown(value)


def quiet(work: Callable[..., Any], *args: Any) -> Any:
    """Do it; its errors are swallowed, and it is not begun inside itself.

    What other code raises in its midst, a signal handler of the program, is not ours to swallow.
    """
    try:
        busy = state.busy
        if getattr(busy, "inside", False):
            return None
        busy.inside = True
        try:
            return work(*args)
        finally:
            busy.inside = False
    except Exception as error:
        if of_others(error):
            raise
        return None


def of_others(error: BaseException) -> bool:
    """Whether a signal handler of the program raised it, which Python runs wherever it happens to be."""
    try:
        codes = set()
        for number in signal.valid_signals():
            handler: Any = signal.getsignal(number)
            handler = getattr(handler, "func", handler)  # functools.partial
            of_class = vars(type(handler)).get("__call__")
            for function in (handler, getattr(handler, "__func__", None), of_class):
                codes.add(getattr(function, "__code__", None))
        codes.discard(None)
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in codes:
                return True
            trace = trace.tb_next
    except Exception:
        pass
    return False


def is_plumbing(name: str) -> bool:
    """Whether a file is not of an application."""
    known = state.plumbing.get(name)
    if known is None:
        known = state.plumbing[name] = _find_plumbing(name)
    return bool(known)


def _find_plumbing(name: str) -> bool:
    """Whether a file is of Python itself, or of what carries sockets and loops, and not of an application."""
    if name.startswith("<frozen") or os.path.dirname(name) == _HERE:
        return True
    if not name.startswith("/"):
        return name.startswith(("zmq/backend/", "src/gevent/"))  # compiled: as they were when they were built
    for mark in ("/site-packages/", "/dist-packages/"):
        if mark in name:
            return name.rsplit(mark, 1)[1].split("/", 1)[0].split(".", 1)[0] in _PLUMBING
    zmq = state.zmq
    return name.startswith(_STDLIB + "/") or (zmq is not None and name.startswith(os.path.dirname(zmq.__file__) + "/"))


def place() -> list[Any] | None:
    """File, line and function of the application's innermost frame; None where there is none (a thread of pyzmq's)."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not is_plumbing(name):
            file = name if name.startswith("<") else os.path.normpath(os.path.join(state.cwd, name))
            return [file, frame.f_lineno, frame.f_code.co_name]
        frame = frame.f_back
    return None


def is_due(*key: Any) -> bool:
    """Whether a line of this kind from this place is still to be written."""
    count = state.seen[key] = state.seen.get(key, 0) + 1
    return bool(count <= MOST_OF_A_PLACE)
