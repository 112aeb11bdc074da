"""Faults of the proxy as a Hypothesis strategy: what is done between two real peers, and where. Registers nothing.

Contract: what is drawn is a plain value that shrinks: towards the first connection, event and message.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from zmqfuzz.errors import UsageError
from zmqfuzz.fault import KINDS, PACES, TO_CLIENT, TO_SERVER, UNITS, Fault
from zmqfuzz.zmtp.wire import Command, Frame, encode

__all__ = ["faults"]

_DELAYS = (0.01, 0.05, 0.2)
_RATES = (10_000, 1_000)
"""Seconds, and octets a second: what a test that runs many examples can wait for."""

_INJECTED = (
    encode(Frame(b"injected")),
    encode(Command(b"PING", bytes(2))),
    encode(Command(b"ERROR", b"\x00")),
    b"\x00",
    b"\xff" * 9,
)


def faults(
    *,
    kinds: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    messages: int = 3,
    parts: int = 1,
    connections: int | None = 1,
) -> st.SearchStrategy[Fault]:
    """Faults for ``proxy.fault(fault)``, each of ``kinds`` (default: all, less ``exclude``) at one point.

    ``messages`` and ``parts``: how many a test sends, so that the point may be met. ``connections``: the fault is on
    one of so many first connections, so that a client that comes back is served; None: on all. Raises UsageError.
    """
    wanted, less = ((words,) if isinstance(words, str) else tuple(words) for words in (kinds, exclude))
    for kind in (*wanted, *less):
        if kind not in KINDS:
            raise UsageError(f"There is no fault {kind!r}; there are {', '.join(KINDS)}.")
    chosen = [kind for kind in KINDS if (kind in wanted or not wanted) and kind not in less]
    if not chosen:
        raise UsageError("No kind of fault is left to draw; exclude fewer.")
    return _faults(chosen, max(1, messages), max(1, parts), connections)


@st.composite
def _faults(draw: st.DrawFn, kinds: list[str], messages: int, parts: int, connections: int | None) -> Fault:
    kind = draw(st.sampled_from(kinds))
    connection = None if connections is None else draw(st.integers(1, max(1, connections)))
    whole = kind in ("duplicate", "reorder")
    event = draw(st.sampled_from(("message",) if whole else ("GREETING", "READY", "message")))
    changes = kind in UNITS or kind in PACES
    on = changes or draw(st.booleans())
    of_messages = event == "message"
    return Fault(
        kind,
        after="" if on else event,
        on=event if on else "",
        n=draw(st.integers(1, messages)) if of_messages else None,
        part=draw(st.none() | st.integers(1, parts)) if of_messages and parts > 1 else None,
        octets=draw(st.integers(0, 16)) if on and not changes else 0,
        direction=draw(st.sampled_from((TO_SERVER, TO_CLIENT))),
        connection=connection,
        seconds=draw(st.sampled_from(_DELAYS)) if kind == "delay" else 0.0,
        rate=draw(st.sampled_from(_RATES)) if kind == "throttle" else 0,
        keep=draw(st.integers(0, 16)) if kind == "truncate" else 0,
        offset=draw(st.integers(-8, 16)) if kind == "corrupt" else -1,
        mask=1 << draw(st.integers(0, 7)) if kind == "corrupt" else 1,
        data=draw(st.sampled_from(_INJECTED)) if kind == "inject" else b"",
    )
