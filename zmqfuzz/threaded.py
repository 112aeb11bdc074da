"""Runs trio in a thread of its own, so that whatever a host raises in the main thread leaves nothing behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

__all__ = ["in_a_thread"]

T = TypeVar("T")


def in_a_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` under trio in a thread of its own; this thread waits, and may be interrupted at any place.

    Ctrl-C and pytest-timeout raise in the main thread out of a signal handler. Inside trio's loop that would leave
    the target running and every later item unable to start a loop; here ``work`` is cancelled and cleans up first.
    """
    __tracebackhide__ = True
    scope, stopped = trio.CancelScope(), threading.Event()
    tokens: list[trio.lowlevel.TrioToken] = []
    results: list[T] = []
    errors: list[BaseException] = []

    async def cancellable() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        with scope:
            if not stopped.is_set():
                results.append(await work())

    def loop() -> None:
        try:
            trio.run(cancellable)
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
            errors.append(error)

    thread = threading.Thread(target=loop, name="zmqfuzz")
    thread.start()
    try:
        thread.join()
    except BaseException:
        stopped.set()
        with contextlib.suppress(trio.RunFinishedError):
            for token in tokens:
                token.run_sync_soon(scope.cancel)
        thread.join()
        raise
    if errors:
        raise errors[0]
    return results[0]
