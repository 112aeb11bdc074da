"""Says what a libzmq is, in a process of its own: ``python -m zmqfuzz.targets.library_facts PATH``.

Prints one JSON object: ``version`` as three numbers, and ``features`` with the names that ``zmq_has`` knows it was
built with (null before libzmq 4.1, which has no such call). Exit code 2 and one sentence: it cannot be loaded.
"""

from __future__ import annotations

import ctypes
import json
import sys

from zmqfuzz.targets.libzmq import fail, load

FEATURES = ("curve", "ipc", "gssapi", "draft", "WS", "WSS", "pgm", "tipc", "norm", "vmci")
"""Names of zmq_has(3); unknown ones are answered with 0."""


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
    print(json.dumps({"version": [number.value for number in numbers], "features": features}))


if __name__ == "__main__":
    main()
