"""Declared sizes are enforced, at the exact octet."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.scale import is_honest_frame
from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Wait
from zmqfuzz.trial import ClosedBy, Reached, Transcript, Trial
from zmqfuzz.zmtp.measure import announced_size
from zmqfuzz.zmtp.wire import Frame, Unit

__all__ = ["frame_limit", "frame_within_limit", "message_limit"]


_BUFFERED = 8 * (1 << 20)
"""Octets that the buffers of both kernels hold, at most."""


def _frames(script: Script) -> list[Frame]:
    return [unit for step in script.steps if isinstance(step, Send) for unit in step.units if isinstance(unit, Frame)]


def _watched_close(script: Script) -> bool:
    """Whether the script waited for the target to close, long enough to tell, and left the closing to it."""
    waited = any(isinstance(step, Expect) and step.event == "close" and step.within >= 1.0 for step in script.steps)
    return waited and not any(isinstance(step, Close | Reset | ShutdownWrite) for step in script.steps)


def _gives_no_cause(script: Script) -> bool:
    """Whether nothing but its size can be why a frame's connection is ended.

    libzmq ends one whose peer has sent FIN, answers no PING (it does not read, or is within a frame for long), or
    whose identity another one takes (ROUTER_HANDOVER).
    """
    calm = all(isinstance(step, Connect | Shake | Send | Expect | Wait) for step in script.steps)
    named = any(isinstance(step, Shake) and (step.identity or step.properties) for step in script.steps)
    dripped = any(isinstance(step, Send) and (step.chunk is not None or step.every) for step in script.steps)
    return calm and not named and not dripped


def _over(trial: Trial, limits: Limits) -> Iterator[tuple[int, Transcript]]:
    """The peers that sent a frame over the limit and could see it refused, and its size."""
    for script, transcript in trial.pairs:
        over = [announced_size(frame) for frame in _frames(script) if announced_size(frame) > (limits.max_frame or 0)]
        shakes = any(isinstance(step, Shake) for step in script.steps)
        got_there = transcript.reached >= (Reached.TRAFFIC if shakes else Reached.GREETING)
        if over and got_there and _watched_close(script):
            yield over[0], transcript


def _within(trial: Trial, limits: Limits) -> Iterator[tuple[int, Transcript]]:
    """The peers that sent an honest frame just within the limit and nothing else, and its size."""
    for script, transcript in trial.pairs:
        frames = _frames(script)
        units = [unit for step in script.steps if isinstance(step, Send) for unit in step.units]
        shaken = any(isinstance(step, Shake) for step in script.steps) and transcript.reached is Reached.TRAFFIC
        if not frames or len(units) != 1 or not shaken or not is_honest_frame(frames[0]) or frames[0].more:
            continue
        if not _gives_no_cause(script):
            continue
        size = announced_size(frames[0])
        if (limits.max_frame or 0) // 2 < size <= (limits.max_frame or 0):
            yield size, transcript


def _part(unit: Unit) -> bool:
    return isinstance(unit, Frame) and unit.more and is_honest_frame(unit)


def _in_parts(trial: Trial, limits: Limits) -> Iterator[int]:
    """Octets of messages in honest parts that were sent beyond the limit, by peers that were still connected."""
    for script, transcript in trial.pairs:
        if transcript.reached is not Reached.TRAFFIC:
            continue
        largest = 0
        for step in script.steps:
            if isinstance(step, Send) and all(_part(unit) for unit in step.units):
                sizes = [announced_size(unit) for unit in step.units if isinstance(unit, Frame)]
                largest = max(largest, sum(sizes) * step.times)
        # What fits in the buffers of both kernels was sent, but perhaps not taken.
        if largest > (limits.max_message or 0) + _BUFFERED:
            taken = transcript.closed_by is ClosedBy.OPEN and transcript.sent > (limits.max_message or 0) + _BUFFERED
            yield largest if taken else 0


@invariant(
    "ZF201",
    "A frame over the declared limit is accepted",
    severity=Severity.HIGH,
    declared="max_frame",
    tests=lambda trial, limits: any(True for _ in _over(trial, limits)),
)
def frame_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A frame larger than the declared limit (--max-frame) ends its connection.

    Why: MAXMSGSIZE is the only bound libzmq has on one frame, it is off by default, and set after bind it does
    nothing. Measured: frames of limit + 1 octets and more, in ZMTP 1.0, 2.0, 3.0 and 3.1, short and long form; the
    target must close the connection (libzmq checks the header: ``v2_decoder.cpp:size_ready``) within a second.
    To fix: ``socket.setsockopt(zmq.MAXMSGSIZE, limit)`` before bind or connect.
    """
    if limits.max_frame is None or trial.observation.exit is not None:
        return
    for size, transcript in _over(trial, limits):
        if not transcript.closed_by.by_target and transcript.closed_by is not ClosedBy.REFUSED:
            raise violated(
                f"A frame of {size:,} octets was accepted; the connection stayed open.",
                Measure("frame size", f"{size:,} accepted", f"<= {limits.max_frame:,}"),
                signature="over the limit accepted",
                advice="Set MAXMSGSIZE on the socket before bind or connect: set later it has no effect.",
            )


@invariant(
    "ZF202",
    "A frame within the declared limit is refused",
    severity=Severity.MEDIUM,
    declared="max_frame",
    tests=lambda trial, limits: any(True for _ in _within(trial, limits)),
)
def frame_within_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A frame of at most the declared size does not end its connection.

    Why: a limit that is one octet too low (CURVE adds 33) loses honest messages in silence. Measured: honest
    frames of limit - 1 and limit octets after a completed handshake; the target must not close. To fix: raise
    MAXMSGSIZE to what clients were promised.
    """
    if limits.max_frame is None or trial.observation.exit is not None:
        return
    for size, transcript in _within(trial, limits):
        if transcript.closed_by.by_target:
            raise violated(
                f"An honest frame of {size:,} octets ended its connection.",
                Measure("frame size", f"{size:,} refused", f"<= {limits.max_frame:,} promised"),
                signature="within the limit refused",
                advice="Set MAXMSGSIZE to the size that clients were promised (with CURVE, 33 octets more).",
            )


@invariant(
    "ZF207",
    "A message over the declared limit is accepted part by part",
    severity=Severity.MEDIUM,
    declared="max_message",
    tests=lambda trial, limits: any(True for _ in _in_parts(trial, limits)),
)
def message_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """All parts of one message together stay under the declared limit (--max-message), or its connection ends.

    Why: MAXMSGSIZE and the high-water mark both leave the number of parts open. Measured: octets of one multipart
    message that were taken while the connection stayed open. To fix: bound whole messages in front of the socket.
    """
    if limits.max_message is None or trial.observation.exit is not None:
        return
    for size in filter(None, _in_parts(trial, limits)):
        raise violated(
            f"One message of {size:,} octets in parts was taken; the connection stayed open.",
            Measure("message size", f"{size:,} accepted", f"<= {limits.max_message:,}"),
            signature="whole message over the limit accepted",
            advice="No socket option bounds a whole message: count octets per message in front of the socket.",
        )
