"""Who plays the slices: processes of this machine, one a seat, or the workers of a Dask cluster.

Both are ``concurrent.futures`` executors. A local seat is an executor of its own, as one worker that dies takes all of
an executor with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, Protocol

from zmqfuzz.errors import UsageError
from zmqfuzz.overnight.task import Task, enter, play

__all__ = ["Cluster", "Crew", "Local", "most_workers"]

Slice = Future[list[dict[str, Any]]]

END_WITHIN = 20.0
"""Seconds that workers have to clean up before they are killed; wardens then clean up after them."""


class Crew(Protocol):
    """A number of seats, each of which plays one slice at a time. ``follows``: slices write files that we can read."""

    seats: int
    follows: bool

    def submit(self, seat: int, task: Task) -> Slice:
        """Begin a slice; a worker that is gone is replaced."""
        ...

    def halt(self, on: bool) -> None:
        """Have all slices end with the attack that is being played, or no more."""
        ...

    def kill(self, seat: int) -> None:
        """End the worker of a slice that hangs."""
        ...

    def close(self) -> None:
        """Stop everything at once; nothing is left."""
        ...


def most_workers(command: tuple[str, ...], connect: tuple[str, ...], bind: tuple[str, ...]) -> tuple[int, str]:
    """How many may be at work beside each other, 0: any number; and why not more, in a sentence."""
    words = " ".join((*command, *connect, *bind))
    if not command:
        return 1, "there is one worker: the program that was attached to is one"
    if any(mark in words for mark in ("{endpoint}", "{port}", "{ipc}")):
        return 0, ""
    return 1, "there is one worker: without {endpoint}, {port} or {ipc} in it, two copies of the command would collide"


def fitting_workers() -> int:
    """For this machine: a worker for each two cores, as its target works as hard as it does."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


class Local:
    """Processes of this machine."""

    follows = True

    def __init__(self, seats: int) -> None:
        self.seats = seats
        self._context = multiprocessing.get_context("spawn")
        self._halt = self._context.Event()
        self._pools: list[ProcessPoolExecutor | None] = [None] * seats

    def submit(self, seat: int, task: Task) -> Slice:
        """Begin a slice; a worker that is gone is replaced."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child that only begins would die of it
        try:
            pool = self._pools[seat] or self._renewed(seat)
            try:
                return pool.submit(play, task)
            except BrokenExecutor:  # its worker is gone
                return self._renewed(seat).submit(play, task)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _renewed(self, seat: int) -> ProcessPoolExecutor:
        old = self._pools[seat]
        if old is not None:
            old.shutdown(wait=True)
        made = ProcessPoolExecutor(1, mp_context=self._context, initializer=enter, initargs=(self._halt,))
        self._pools[seat] = made
        return made

    def kill(self, seat: int) -> None:
        """SIGKILL the worker, which hangs; wardens clean up after it."""
        pool = self._pools[seat]
        for process in list((pool._processes or {}).values()) if pool is not None else ():
            process.kill()

    def pids(self) -> list[int]:
        """The workers, by seat; those that have not begun are left out."""
        return [pid for pool in self._pools if pool is not None for pid in list(pool._processes or {})]

    def halt(self, on: bool) -> None:
        """Have all slices end with the attack that is being played, or no more."""
        (self._halt.set if on else self._halt.clear)()

    def close(self) -> None:
        """Stop everything at once; nothing is left."""
        processes = [
            process for pool in self._pools if pool is not None for process in (pool._processes or {}).values()
        ]
        deadline = time.monotonic() + END_WITHIN
        while (alive := [one for one in processes if one.is_alive()]) and time.monotonic() < deadline:
            for one in alive:
                one.terminate()  # cancels a slice, and ends a worker that has none
            alive[0].join(0.25)
        for one in processes:
            if one.is_alive():
                one.kill()
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        self._pools = [None] * self.seats


class Cluster:
    """The workers of a Dask cluster, by the address of its scheduler. Raises UsageError: it cannot be reached.

    They need not share a disk with us: a slice is heard of when it is over.
    """

    follows = False

    def __init__(self, address: str, seats: int = 0) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError("--cluster needs dask distributed; install zmqfuzz[cluster].") from None
        try:
            self._client: Any = Client(address, timeout=10)
        except (OSError, ValueError) as error:
            raise UsageError(f"No Dask scheduler answers at {address} ({error}); start one, or correct it.") from None
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        if not known:
            self._client.close()
            raise UsageError(f"The scheduler at {address} has no workers; start one: dask worker {address}")
        self.seats = seats or len(known)
        self._executor: Executor = self._client.get_executor(pure=False)
        self._futures: list[Slice] = []

    def submit(self, seat: int, task: Task) -> Slice:
        """Begin a slice; Dask gives it to another worker where one dies."""
        submit: Callable[..., Slice] = self._executor.submit
        future = submit(play, task)
        self._futures = [one for one in self._futures if not one.done()] + [future]
        return future

    def halt(self, on: bool) -> None:
        """A flag cannot be seen from there: slices come to their end."""

    def kill(self, seat: int) -> None:
        """Nobody here knows whether it hangs."""

    def close(self) -> None:
        """Forget all slices that are not over."""
        for future in self._futures:
            future.cancel()
        self._executor.shutdown(wait=False)
        self._client.close()
