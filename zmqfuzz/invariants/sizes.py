"""Declared sizes are enforced, at the exact octet."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.scale import is_honest_frame
from zmqfuzz.script import Close, Expect, Reset, Script, Send, Shake
from zmqfuzz.trial import ClosedBy, Reached, Transcript, Trial
from zmqfuzz.zmtp.measure import announced_size
from zmqfuzz.zmtp.wire import Frame

__all__ = ["frame_limit", "frame_within_limit", "message_limit"]

_BY_TARGET = (ClosedBy.FIN, ClosedBy.RST)


def _frames(script: Script) -> list[Frame]:
    return [unit for step in script.steps if isinstance(step, Send) for unit in step.units if isinstance(unit, Frame)]


def _pairs(trial: Trial) -> list[tuple[Script, Transcript]]:
    scripts = [script for script in trial.attack.scripts for _ in range(max(1, script.times))]
    return list(zip(scripts, trial.transcripts, strict=False))


def _watched_close(script: Script) -> bool:
    """Whether the script waited for the target to close, long enough to tell, and left the closing to it."""
    waited = any(isinstance(step, Expect) and step.event == "close" and step.within >= 1.0 for step in script.steps)
    return waited and not any(isinstance(step, Close | Reset) for step in script.steps)


@invariant("ZF201", "A frame over the declared limit is accepted", severity=Severity.HIGH, declared="max_frame")
def frame_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A frame larger than the declared limit (--max-frame) ends its connection.

    Why: MAXMSGSIZE is the only bound libzmq has on one frame, it is off by default, and set after bind it does
    nothing. Measured: frames of limit + 1 octets and more, in ZMTP 1.0, 2.0, 3.0 and 3.1, short and long form; the
    target must close the connection (libzmq checks the header: ``v2_decoder.cpp:size_ready``) within a second.
    To fix: ``socket.setsockopt(zmq.MAXMSGSIZE, limit)`` before bind or connect.
    """
    if limits.max_frame is None or trial.observation.exit is not None:
        return
    for script, transcript in _pairs(trial):
        over = [announced_size(frame) for frame in _frames(script) if announced_size(frame) > limits.max_frame]
        if not over or not _watched_close(script) or transcript.reached < Reached.GREETING:
            continue
        if any(isinstance(step, Shake) for step in script.steps) and transcript.reached < Reached.TRAFFIC:
            continue
        if transcript.closed_by not in _BY_TARGET and transcript.closed_by is not ClosedBy.REFUSED:
            raise violated(
                f"A frame of {over[0]:,} octets was accepted; the connection stayed open.",
                Measure("frame size", f"{over[0]:,} accepted", f"<= {limits.max_frame:,}"),
                signature="over the limit accepted",
                advice="Set MAXMSGSIZE on the socket before bind or connect: set later it has no effect.",
            )


@invariant("ZF202", "A frame within the declared limit is refused", severity=Severity.MEDIUM, declared="max_frame")
def frame_within_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """A frame of at most the declared size does not end its connection.

    Why: a limit that is one octet too low (CURVE adds 33) loses honest messages in silence. Measured: honest
    frames of limit - 1 and limit octets after a completed handshake; the target must not close. To fix: raise
    MAXMSGSIZE to what clients were promised.
    """
    if limits.max_frame is None or trial.observation.exit is not None:
        return
    for script, transcript in _pairs(trial):
        frames = _frames(script)
        units = [unit for step in script.steps if isinstance(step, Send) for unit in step.units]
        shaken = any(isinstance(step, Shake) for step in script.steps) and transcript.reached is Reached.TRAFFIC
        if not frames or len(units) != 1 or not shaken or not is_honest_frame(frames[0]) or frames[0].more:
            continue
        size = announced_size(frames[0])
        if limits.max_frame // 2 < size <= limits.max_frame and transcript.closed_by in _BY_TARGET:
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
)
def message_limit(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """All parts of one message together stay under the declared limit (--max-message), or its connection ends.

    Why: MAXMSGSIZE and the high-water mark both leave the number of parts open. Measured: octets of one multipart
    message that were taken while the connection stayed open. To fix: bound whole messages in front of the socket.
    """
    if limits.max_message is None or trial.observation.exit is not None:
        return
    for script, transcript in _pairs(trial):
        if transcript.reached is not Reached.TRAFFIC or transcript.closed_by is not ClosedBy.OPEN:
            continue
        largest = 0
        for step in script.steps:
            units = step.units if isinstance(step, Send) else ()
            if units and all(isinstance(unit, Frame) and unit.more and is_honest_frame(unit) for unit in units):
                total = sum(announced_size(unit) for unit in units if isinstance(unit, Frame)) * step.times  # type: ignore[union-attr]
                largest = max(largest, total)
        # What fits in the buffers of both kernels was sent, but perhaps not taken.
        if min(largest, transcript.sent) > limits.max_message + 8 * (1 << 20):
            raise violated(
                f"One message of {largest:,} octets in parts was taken; the connection stayed open.",
                Measure("message size", f"{largest:,} accepted", f"<= {limits.max_message:,}"),
                signature="whole message over the limit accepted",
                advice="No socket option bounds a whole message: count octets per message in front of the socket.",
            )
