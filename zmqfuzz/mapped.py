"""Which shared libraries a process has loaded. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["libraries"]


def libraries(pids: Iterable[int], word: str) -> tuple[str, ...]:
    """Files with ``word`` in their name that the processes have mapped, by paths that this process can open."""
    found: dict[str, None] = {}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
        except OSError:
            continue
        # proc(5): address, permissions, offset, device, inode, and the path where there is one
        for path in dict.fromkeys(fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6):
            if word in path.rpartition("/")[2]:
                inside = f"/proc/{pid}/root{path}"  # a container has other files under the same name
                found[path if os.path.exists(path) else inside] = None
    return tuple(found)
