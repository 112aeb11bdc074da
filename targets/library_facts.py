"""Says what a libzmq is, in a process of its own: ``python -m zmqfuzz.targets.library_facts PATH``.

Prints one JSON object: ``version`` as three numbers, and ``features`` with the names that ``zmq_has`` knows it was
built with (null before libzmq 4.1, which has no such call), and ``defaults`` with the options of a DEALER of which
nothing is set, by name. Exit code 2 and one sentence: it cannot be loaded.
"""

from __future__ import annotations

import ctypes
import json
import sys

from zmqfuzz.targets.libzmq import fail, load

FEATURES = ("curve", "ipc", "gssapi", "draft", "WS", "WSS", "pgm", "tipc", "norm", "vmci")
"""Names of zmq_has(3); unknown ones are answered with 0."""


OPTIONS = {
    "MECHANISM": 43,
    "MAXMSGSIZE": 22,
    "HANDSHAKE_IVL": 66,
    "HEARTBEAT_IVL": 75,
    "TCP_KEEPALIVE": 34,
    "SNDHWM": 23,
    "RCVHWM": 24,
    "LINGER": 17,
}
"""Numbers of ``zmq.h``. MAXMSGSIZE is eight octets, the others are four."""

_DEALER = 5


def defaults(library: ctypes.CDLL) -> dict[str, int]:
    """What a socket has of which nothing is set; options that the library does not know are left out."""
    if not hasattr(library, "zmq_ctx_new"):
        return {}
    library.zmq_ctx_new.restype = library.zmq_socket.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.zmq_ctx_new())
    socket = ctypes.c_void_p(library.zmq_socket(context, _DEALER))
    found = {}
    for name, number in OPTIONS.items():
        value = ctypes.c_int64() if name == "MAXMSGSIZE" else ctypes.c_int()
        size = ctypes.c_size_t(ctypes.sizeof(value))
        if library.zmq_getsockopt(socket, number, ctypes.byref(value), ctypes.byref(size)) == 0:
            found[name] = value.value
    library.zmq_close(socket)
    library.zmq_ctx_term(context)
    return found


def main() -> None:
    """Load the library at the path that was given, and say what it is."""
    if len(sys.argv) != 2:
        fail("give one path, that of a libzmq.so.")
    library = load(sys.argv[1])
    if not hasattr(library, "zmq_version"):
        fail(f"{sys.argv[1]} has no zmq_version.")
    numbers = [ctypes.c_int() for _ in range(3)]
    library.zmq_version(*map(ctypes.byref, numbers))
    has = getattr(library, "zmq_has", None)
    features = None if has is None else [name for name in FEATURES if has(name.encode())]
    facts = {"version": [number.value for number in numbers], "features": features, "defaults": defaults(library)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
