"""First calls of a method of one socket, told to the shim; beside ``zmqfuzz_shim``. Standard library only.

Contract: nothing is in the way of later calls, and nothing here keeps a socket: the program's own last reference ends
it, as without us.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from zmqfuzz.shim import zmqfuzz_shim_record as record
else:
    import zmqfuzz_shim_record as record


def watch(socket: Any, methods: Iterable[str], tell: Callable[..., None]) -> None:
    """Call ``tell(socket, method, args, kwargs)`` at the first call of each of ``methods`` of ``socket``."""
    for method in methods:
        object.__setattr__(socket, method, _Once(socket, method, tell))


class _Once:
    """In the place of a method, until it is called."""

    def __init__(self, socket: Any, method: str, tell: Callable[..., None]) -> None:
        self._socket, self._method, self._tell = weakref.ref(socket), method, tell

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        socket = self._socket()
        socket.__dict__.pop(self._method, None)
        record.quiet(self._tell, socket, self._method, args, kwargs)
        return getattr(socket, self._method)(*args, **kwargs)
