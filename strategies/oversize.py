"""Too much: frames at and over the size limit, announced sizes, messages of very many parts."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, ending, greeted, peers, waited_out
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.measure import announced_size, unit_size
from zmqfuzz.zmtp.wire import Fill, Frame

_ANNOUNCED = (2**16, 2**20, 2**24, 2**30, 2**31, 2**32, 2**40, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 41, 2**64 - 1)
_VOLUMES = (0, 1024, 64 * 1024, MIB, 20 * MIB)
_PART_SIZES = (1024, 0, 1, 16, 33, 34, 200, 255, 256, 8192, 8193, 65536)
"""The simplest has memory of its own, as libzmq keeps up to 33 octets in the message itself (``msg.hpp:max_vsm_size``):
what is not freed with it is not seen by its size."""

_MOST_PARTS = 200_000
_LARGEST = 32 * MIB


@strategy("oversized-frame", needs=Reached.TRAFFIC, promises=("max_frame",))
def oversized_frame(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Frames at the exact size limit, one octet over it, and frames that announce more than they bring."""
    limit = situation.limits.max_frame
    if limit is not None and draw.choice((True, True, True, False)):
        over, within = draw.choice((limit + 1, limit + 33, 2 * limit)), max(0, draw.choice((limit, limit - 1)))
        alone = situation.surface.side == "connect" or limit > _LARGEST // 2
        sizes = draw.choice(((over,), (over,), (within,)) if alone else ((over, within), (over,)))
        return tuple(_frame(draw, situation, _about(draw, size)) for size in sizes)
    if draw.boolean():
        frame = Frame(Fill(draw.choice(BOUNDARIES)), long=draw.choice((None, True)))
    else:
        announced = draw.choice(_ANNOUNCED)
        frame = Frame(Fill(min(draw.choice(_VOLUMES), announced)), declared_size=announced)
    return (_frame(draw, situation, frame),)


def _about(draw: Draw, size: int) -> Frame:
    """A frame of a size at the limit; one that is too large to be sent is announced, and only begun."""
    whole = size <= _LARGEST
    return Frame(Fill(min(size, _LARGEST)), long=draw.choice((None, True)), declared_size=None if whole else size)


def _frame(draw: Draw, situation: Situation, frame: Frame) -> Script:
    """A peer that sends it, and waits to be refused where it should be; a busy target may take a while for that."""
    limit, announced = situation.limits.max_frame, announced_size(frame)
    promised = limit is not None and limit // 2 < announced <= limit
    over = limit is not None and announced > limit
    waits = Expect("close", within=2.0 if over else 0.3 if promised else 0.02)
    return Script((*greeted(draw, situation), Send((frame,)), waits))


@strategy("multipart", needs=Reached.TRAFFIC, promises=("max_message",), weight=2)
def multipart(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Messages of few to very many parts, of one size or two, with and without an end, from several peers."""
    volume = draw.choice((64 * 1024, 4 * MIB, 20 * MIB, 12 * MIB))
    size = draw.choice(_PART_SIZES)
    units = [Frame(Fill(size), more=True)]
    if draw.boolean():
        units.append(Frame(Fill(draw.choice(_PART_SIZES)), more=draw.boolean()))
    per_round = sum(map(unit_size, units))
    times = max(1, min(volume // per_round, _MOST_PARTS // len(units)))
    count = peers(draw, situation, (1, 1, 2, 4))
    steps: list[Step] = [*greeted(draw, situation), Send(tuple(units), times=max(1, times // count))]
    if draw.choice((False, False, True)):
        steps.append(Send((Frame(b"", more=False),)))
    steps.extend(waited_out(draw, situation))
    if draw.choice((False, False, True)):
        steps.extend(ending(draw, situation))
    return (Script(tuple(steps), times=count),)
