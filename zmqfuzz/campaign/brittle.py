"""A door that answers the first honest client of a fresh process, and not the next: the question is the attack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from zmqfuzz.campaign.judging import judge_trial
from zmqfuzz.campaign.known import Lane
from zmqfuzz.campaign.search import Catch
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Frame

__all__ = ["ask_twice"]

ANSWER = 1.0


async def ask_twice(harness: Harness, lanes: Sequence[Lane], caught: Callable[[Lane, Catch], Awaitable[None]]) -> None:
    """Where an honest client was answered once, and then no more: does one question make the door deaf?"""
    for lane in {lane.surface.key: lane for lane in lanes}.values():
        once = harness.asking.once(lane.surface.key)
        if once and (catch := await _second_client(harness, lane.surface)) is not None:
            await caught(lane, catch)


async def _second_client(harness: Harness, surface: Surface) -> Catch | None:
    """What a fresh process shows that was asked by one peer, and then by an honest client; None: nothing."""
    kind, parts = harness.asking.exchange(surface.key)
    frames = (b"", *parts) if kind == "REQ" else parts  # RFC 28: an empty delimiter
    units = tuple(Frame(frame, more=place < len(frames)) for place, frame in enumerate(frames, 1))
    steps = (Connect(), Shake(kind, mechanism=surface.mechanism), Send(units), Expect("message", ANSWER))
    attack = Attack((Script(steps, label="client"),), strategy="control")
    (trial,) = await harness.fresh_trials((attack,), surface.key)
    violation = judge_trial(trial, harness)
    return Catch(violation, attack, trial, attack) if violation is not None else None
