"""What is put in front of an unmodified Python program, by its environment alone, to record its ZeroMQ sockets.

This folder goes to the head of ``PYTHONPATH``: Python's ``site`` then imports our ``sitecustomize``, which arms
``zmqfuzz_shim`` and goes on with the ``sitecustomize`` that there was. All files here run in the program's own Python,
whatever its version from 3.7 on, and import nothing of zmqfuzz.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Injected", "environment"]

Injected = tuple[str, int | str]
"""An option's name in pyzmq, and its value: milliseconds, octets, a number or a text, as libzmq takes it."""


def environment(
    folder: Path, before: Mapping[str, str], inject: Sequence[Injected] = (), kind: str = "", verb: str = ""
) -> dict[str, str]:
    """What to add to the environment ``before``, so that each process writes what it opens to a file in ``folder``.

    ``inject``: options that are set just before each ``verb`` (``bind`` or ``connect``; empty: both) of a socket of
    type ``kind`` (empty: of any), ``inproc`` apart.
    """
    others = [part for part in (before.get("PYTHONPATH"),) if part]
    added = {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *others]),
        "ZMQFUZZ_SHIM": str(folder),
    }
    if inject:
        added["ZMQFUZZ_SHIM_SET"] = json.dumps({"set": [list(each) for each in inject], "kind": kind, "verb": verb})
    return added
