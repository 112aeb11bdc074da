"""A harness in a thread of its own, for tests that play one attack at a time and wait for what it showed.

Contract: whoever calls may be interrupted at any place (Ctrl-C, pytest-timeout): what was being played is then
cancelled and cleaned up before the call ends, and its process is not trusted any more. Nothing of the target is left
after :meth:`Engine.close`, which also runs at exit.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.errors import TargetDidNotStart
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface, Trial

__all__ = ["Engine"]

T = TypeVar("T")

_LOOK = 1.0
"""Seconds between two looks whether the thread is still there."""


class Engine:
    """Runs the target of ``spec`` and plays at its first door. Raises ZmqfuzzError: it does not start."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, name="zmqfuzz", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        atexit.register(self.close)

    def _loop(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
            self._error = error
        self._started.set()

    async def _serve(self) -> None:
        async with self.spec.harness() as self.harness:
            self.surface: Surface = self.harness.surfaces(await self.harness.standing())[0]
            served = await self.harness.calibrate(self.surface.key)
            if not served.ok:
                raise TargetDidNotStart(f"An honest client was not served before any attack: {served.detail}.")
            async with trio.open_nursery() as self._nursery:
                self._token, self._over = trio.lowlevel.current_trio_token(), trio.Event()
                self._started.set()
                await self._over.wait()

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` beside the harness and wait for it, in whatever thread. Whatever it raises passes.

        Not by trio.from_thread: the caller may be in a loop of trio itself, as a test of pytest-trio or anyio is.
        """
        __tracebackhide__ = True
        scope, ended = trio.CancelScope(), threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        async def cancellable() -> None:
            try:
                with scope:
                    results.append(await work())
            except Exception as error:
                errors.append(error)
            finally:
                ended.set()

        self._token.run_sync_soon(self._nursery.start_soon, cancellable)
        try:
            while not ended.wait(_LOOK) and self._thread.is_alive():
                pass
        except BaseException:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(scope.cancel)
                ended.wait()
            self.harness.renew()
            raise
        if not results:
            raise errors[0] if errors else trio.RunFinishedError
        return results[0]

    async def trial(self, attack: Attack, *, fresh: bool) -> Trial:
        """Play it, and ask afterwards: on the process that runs, or where that is possible on a ``fresh`` one."""
        if fresh and self.harness.target.restartable:
            return (await self.harness.fresh_trials((attack,), self.surface.key))[-1]
        return await self.harness.trial(attack, self.surface.key, ask=True)

    def close(self) -> None:
        """Stop the target. May be called again."""
        atexit.unregister(self.close)
        if self._thread.is_alive():
            self._token.run_sync_soon(self._over.set)
            self._thread.join()
