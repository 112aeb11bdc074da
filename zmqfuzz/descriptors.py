"""Descriptors that are ours: room for many connections at once, and no more of it than is safe.

Contract: the soft limit (RLIMIT_NOFILE, getrlimit(2)) is raised for as long as it is needed, never for the programs
that we start.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["room_for"]

_SPARE = 64
"""Descriptors that stay free: without them nothing can be seen of the target, in /proc, that was not open before."""


@contextmanager
def room_for(connections: int) -> Iterator[int]:
    """Raise the soft limit towards the hard one where ``connections`` more need it; how many there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _highest() + connections + _SPARE
    if needed <= soft:
        yield connections
        return
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    try:
        yield max(1, connections - (needed - raised))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _highest() -> int:
    """One more than the largest descriptor in use; the limit is on the number, not on how many there are."""
    try:
        return 1 + max(map(int, os.listdir("/proc/self/fd")))
    except (OSError, ValueError):
        return _SPARE
