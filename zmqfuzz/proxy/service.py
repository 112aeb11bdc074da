"""The proxy for a test: it runs in a thread of its own; every call here returns at once, or waits for an event.

Contract: a fault holds from the moment its call returns. Whoever waits may be interrupted at any place.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TypedDict, TypeVar, Unpack

import trio

from zmqfuzz.errors import UsageError
from zmqfuzz.fault import Fault
from zmqfuzz.proxy.engine import ANYWHERE, Engine
from zmqfuzz.proxy.flow import Setting
from zmqfuzz.proxy.record import Entry, Passage, Recorder
from zmqfuzz.zmtp.wire import Unit, encode

__all__ = ["ActiveFault", "Faults", "Proxy"]

T = TypeVar("T")


class Where(TypedDict, total=False):
    """The point of a fault, as :class:`zmqfuzz.fault.Fault` has it."""

    after: str
    on: str
    n: int | None
    part: int | None
    octets: int
    within: str
    direction: str
    connection: int | None
    times: int | None


class ActiveFault:
    """A fault that is set. As a context manager it is healed on exit."""

    def __init__(self, proxy: Proxy, setting: Setting) -> None:
        self._proxy = proxy
        self._setting = setting

    @property
    def fault(self) -> Fault:
        """Which one."""
        return self._setting.fault

    @property
    def acted(self) -> int:
        """How often it has done something so far."""
        return self._setting.acted

    def heal(self) -> None:
        """End it: what was held flows on. May be called again, and when the proxy is closed."""
        self._proxy._heal(self._setting)

    def __enter__(self) -> ActiveFault:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.heal()

    def __repr__(self) -> str:
        return f"<{self.fault}, acted {self.acted} times>"


class Faults:
    """Sets faults: ``proxy.fault.hang(after="READY")``, or ``proxy.fault(fault)`` with one that was drawn.

    All raise UsageError (it cannot be meant), and ``vanish`` Inconclusive (it cannot be done here).
    """

    def __init__(self, proxy: Proxy) -> None:
        self._set = proxy._set

    def __call__(self, fault: Fault | str) -> ActiveFault:
        """Set ``fault``, or the one that a text such as ``hang after=READY`` says."""
        return self._set(Fault.read(fault) if isinstance(fault, str) else fault)

    def hang(self, **where: Unpack[Where]) -> ActiveFault:
        """Nothing passes behind the point, nothing is read; the kernel acknowledges what fits into its buffers."""
        return self._set(Fault("hang", **where))

    def half_close(self, **where: Unpack[Where]) -> ActiveFault:
        """FIN to one peer (the client, unless ``direction`` says otherwise), while what it sends still passes."""
        return self._set(Fault("half_close", **where))

    def reset(self, *, side: str = "both", **where: Unpack[Where]) -> ActiveFault:
        """RST, when all before the point has been acknowledged."""
        return self._set(Fault("reset", side=side, **where))

    def close(self, **where: Unpack[Where]) -> ActiveFault:
        """FIN to both peers."""
        return self._set(Fault("close", **where))

    def vanish(self, *, side: str = "both", **where: Unpack[Where]) -> ActiveFault:
        """No segment is acknowledged any more, as by a cut cable; healed, the cable is back. TCP only, no root."""
        return self._set(Fault("vanish", side=side, **where))

    def drop(self, **where: Unpack[Where]) -> ActiveFault:
        """Messages (or what ``on`` names) do not arrive."""
        return self._set(Fault("drop", **where))

    def truncate(self, keep: int = 0, **where: Unpack[Where]) -> ActiveFault:
        """Of the last frame (or ``part``) only ``keep`` octets arrive, its head counted; what follows goes on."""
        return self._set(Fault("truncate", keep=keep, **where))

    def corrupt(self, offset: int = -1, mask: int = 0x01, **where: Unpack[Where]) -> ActiveFault:
        """The bits of ``mask`` are flipped in the octet at ``offset`` of the last frame (or ``part``) with its head."""
        return self._set(Fault("corrupt", offset=offset, mask=mask, **where))

    def duplicate(self, **where: Unpack[Where]) -> ActiveFault:
        """Messages (or what ``on`` names) arrive twice."""
        return self._set(Fault("duplicate", **where))

    def reorder(self, **where: Unpack[Where]) -> ActiveFault:
        """A message changes its place with the next one; healed, it arrives without one."""
        return self._set(Fault("reorder", **where))

    def delay(self, seconds: float, **where: Unpack[Where]) -> ActiveFault:
        """Octets leave so many seconds after they came."""
        return self._set(Fault("delay", seconds=seconds, **where))

    def throttle(self, rate: int, **where: Unpack[Where]) -> ActiveFault:
        """At most so many octets a second leave."""
        return self._set(Fault("throttle", rate=rate, **where))

    def split(self, size: int = 1, **where: Unpack[Where]) -> ActiveFault:
        """Octets are written ``size`` at a time; what waits for TCP's window may still share a segment."""
        return self._set(Fault("split", size=size, **where))

    def inject(self, data: bytes | Unit, **where: Unpack[Where]) -> ActiveFault:
        """Octets, or a unit such as ``Frame(b"x")`` or ``Command(b"PING", bytes(2))``, are put in at the point."""
        return self._set(Fault("inject", data=data if isinstance(data, bytes) else encode(data), **where))


class Proxy:
    """Listens at ``endpoint`` before this returns; what connects there is connected to ``to``.

    ``to``: where the server is bound (tcp or ipc, loopback unless the host is in ``allowed``). ``at``: where to listen;
    default: a free port of 127.0.0.1. ``keep``: octets that are kept for :meth:`saw`. Raises UsageError.
    """

    def __init__(self, to: str, *, at: str = ANYWHERE, keep: int = 64 << 20, allowed: Iterable[str] = ()) -> None:
        self._record = Recorder(keep)
        self._engine = Engine(to, at, self._record, allowed)
        self._started, self._scope = threading.Event(), trio.CancelScope()
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self.fault = Faults(self)
        self._thread = threading.Thread(target=self._loop, name="zmqfuzz proxy", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        self.endpoint = self._engine.endpoint
        atexit.register(self.close)

    def _loop(self) -> None:
        async def serve() -> None:
            await self._engine.open()
            try:
                self._token = trio.lowlevel.current_trio_token()
                self._started.set()
                with self._scope:
                    await self._engine.serve()
            finally:
                self._engine.close()

        try:
            trio.run(serve)
        except BaseException as error:
            self._error = error
        finally:
            self._record.over()
            self._started.set()

    def _call(self, work: Callable[[], T]) -> T:
        """``work`` in the proxy's thread. Also from within a loop of trio, where trio's own call is refused."""
        done, results, errors = threading.Event(), list[T](), list[Exception]()

        def turn() -> None:
            try:
                results.append(work())
            except Exception as error:
                errors.append(error)
            done.set()

        with contextlib.suppress(trio.RunFinishedError):
            if self._token is not None:
                self._token.run_sync_soon(turn)
        while not done.wait(0.1):
            if not self._thread.is_alive():
                raise UsageError("The proxy is closed; make another one.") from self._error
        if errors:
            raise errors[0]
        return results[0]

    def _set(self, fault: Fault) -> ActiveFault:
        return ActiveFault(self, self._call(lambda: self._engine.set(fault)))

    def _heal(self, setting: Setting) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(UsageError):  # it has ended meanwhile
                self._call(lambda: self._engine.heal(setting))

    # what a test asks

    @property
    def log(self) -> tuple[Entry, ...]:
        """All events of both directions so far, decoded, in their order; ``str()`` of each is a line."""
        return self._record.entries

    @property
    def connections(self) -> tuple[Passage, ...]:
        """Each connection so far."""
        return self._record.passages

    def saw(self, octets: bytes) -> bool:
        """Whether ``octets`` were sent by a peer, in one direction of one connection: what an eavesdropper could read.

        Raises Inconclusive: they were not found, and not all that passed was kept.
        """
        return self._record.saw(octets)

    def wait_for(
        self,
        event: str,
        *,
        n: int = 1,
        direction: str = "",
        connection: int | None = None,
        within: float = 10.0,
    ) -> Entry:
        """The ``n``-th such event since the proxy began; waits for it. ``event`` as in :class:`Entry`.

        Raises TimeoutError: it did not come ``within`` so many seconds; the message has the last lines of the log.
        """

        def fits(entry: Entry) -> bool:
            return (
                entry.event == event
                and direction in ("", entry.direction)
                and (connection is None or connection == entry.connection)
            )

        found = self._record.wait(fits, n, within)
        if found is None:
            last = "\n".join(map(str, self.log[-12:])) or "nothing has passed"
            raise TimeoutError(f"{event} {n} did not pass within {within:g} s; the last of the log:\n{last}")
        return found

    def heal(self) -> None:
        """End all faults."""
        for setting in list(self._engine.settings):
            self._heal(setting)

    def close(self) -> None:
        """Close all connections and stop listening. May be called again."""
        atexit.unregister(self.close)
        if self._token is not None and self._thread.is_alive():
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)
            self._thread.join()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
