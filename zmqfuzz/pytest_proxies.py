"""The fault proxies of a test: closed when it is over; what passed is shown where it fails.

Contract: loaded when the fixture ``zmq_proxy`` is used for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

import pytest

from zmqfuzz.proxy import Proxy

__all__ = ["proxies", "show_what_passed"]

_SHOWN = 60
"""Lines of the log that a failed test shows, the last ones."""

_PROXIES = pytest.StashKey[list[Proxy]]()


@contextmanager
def proxies(item: pytest.Item) -> Generator[Callable[..., Proxy], None, None]:
    """What makes proxies for ``item``, with the arguments of :class:`zmqfuzz.proxy.Proxy`."""
    made = item.stash.setdefault(_PROXIES, [])
    with ExitStack() as stack:

        def make(to: str, **options: object) -> Proxy:
            proxy = stack.enter_context(Proxy(to, **options))  # type: ignore[arg-type]  # pytest shows what is wrong
            made.append(proxy)
            return proxy

        yield make


def show_what_passed(item: pytest.Item) -> None:
    """``item`` has failed: the log of each of its proxies is part of its report."""
    for proxy in item.stash.get(_PROXIES, []):
        lines = [str(entry) for entry in proxy.log[-_SHOWN:]]
        item.add_report_section("call", f"zmq_proxy {proxy.endpoint}", "\n".join(lines or ["nothing has passed"]))
