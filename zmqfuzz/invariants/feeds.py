"""What a target sends comes in its order, and what is dropped of it is told."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.dropping import LOG, NUMBER, promised
from zmqfuzz.feeds import silent, swapped
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.measured import Feed
from zmqfuzz.trial import Examination

__all__ = ["drops_told", "feed_in_order"]

_ADVICE = {
    "PUB": "Set XPUB_NODROP, and send with DONTWAIT: EAGAIN says that somebody's mark is reached. Count it, say so, "
    "and decide what becomes of the message.",
    "ROUTER": "Set ROUTER_MANDATORY, and send with DONTWAIT: EAGAIN says that the mark of this peer is reached, "
    "EHOSTUNREACH that it has gone. Count both, and say so.",
}
_ELSE = "The socket holds back its program, and loses nothing: count what meets EAGAIN and is thrown away, and say so."


def _feeds(seen: Examination) -> list[Feed]:
    if seen.doubts or any(trial.observation.exit is not None for trial in seen.trials):
        return []
    found = [trial.observation.feed for trial in seen.trials if trial.observation.feed is not None]
    return found if len(found) == len(seen.trials) else []


@invariant(
    "ZF212",
    "Messages are dropped for who is behind, and it does not say so",
    severity=Severity.MEDIUM,
    examines="drops",
    declared="drops",
)
def drops_told(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """What is dropped at a high-water mark is told, in the way that was declared (--drops).

    Why: PUB and XPUB drop silently for a reader whose mark is reached, ROUTER does where ROUTER_MANDATORY is not set
    (zmq_socket(3)); nobody learns that data is missing until somebody asks for it. PUSH, DEALER and PAIR hold back
    their program instead: what it throws away there, it knows of. Measured: a reader stands still for up to ten
    seconds while the target goes on sending to it, and then reads on. What was surely dropped is counted: messages that
    another reader of the same PUB got between two that this one got, too; numbers in messages that else grow by one;
    or, at doors that answer, questions without an answer where each had one. A breach is ten messages and more, on
    three fresh processes, none where everybody reads, and nothing said of it: ``log:REGEX``, no line of its output
    matches (or the number in the group of it does not grow) within eleven seconds on one of them and three on the
    others, nor when it is then told to stop; ``counter:CMD``, the first number that the command prints does not grow;
    ``never``, nothing may be dropped. Not covered, with the reason: messages that are alike and hold no number; a
    reader that is cut; fewer messages than reach a mark; REP, whose peers have one question open. Inconclusive: output
    that matched before anything was dropped, a command that prints no number. To fix: XPUB_NODROP (``xpub_nodrop``),
    ROUTER_MANDATORY (``router_mandatory``), and a count of what meets EAGAIN.
    """
    feeds = _feeds(seen)
    if limits.drops is None or not feeds or not all(map(silent, feeds)):
        return
    way, said = promised(limits.drops)
    worst = max(feeds, key=lambda feed: feed.missing)
    kind = seen.trials[0].surface.socket_type
    silence = {LOG: f"no line matched '{said}'", NUMBER: f"the number of '{said}' did not grow"}
    raise violated(
        f"Of {worst.sent:,} messages {worst.missing:,} were dropped for a reader that stood still for "
        f"{worst.still:.1f} s, {f'and {silence[way]}' if way in silence else 'where none is to be'}.",
        Measure("dropped", ", ".join(f"{feed.missing:,} of {feed.sent:,}" for feed in feeds)),
        Measure("known by", worst.by),
        Measure("declared", limits.drops),
        signature="dropped" if way not in silence else "dropped without a word",
        advice=_ADVICE.get(kind.removeprefix("X"), _ELSE),
    )


@invariant(
    "ZF708",
    "Messages of a feed overtake each other while one reader stands still",
    severity=Severity.LOW,
    examines="order",
)
def feed_in_order(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """A feed whose messages are numbered comes in its order, also when a reader stands still for a time.

    Why: a connection keeps the order of messages (zmq_socket(3)), and whoever numbers them tells readers to rely on it;
    what a program puts aside when a socket is full, and sends later, comes behind what is newer. Measured: one reader
    alone; then a reader that stands still for up to four seconds and reads on, at PUB and XPUB beside the first one, at
    PUSH, which gives each message to one of them, alone. Only where each message of the first holds a number, in
    digits or octets, that is one more than that before. A breach is two messages and more, on each of three fresh
    processes, that come behind one with a larger number and were not there before, and none where everybody reads.
    Not covered: feeds without such a number, in which two messages of the same content cannot be told apart; and fewer
    messages than reach a mark. That two readers of one PUB get the same order is not looked at besides: it hands each
    message to all of them at once (libzmq ``src/dist.cpp``). To fix: keep what cannot be sent yet in one queue, first
    in, first out, and send nothing newer before it; or drop it.
    """
    feeds = _feeds(seen)
    if not feeds or not all(map(swapped, feeds)):
        return
    worst = max(feeds, key=swapped)
    raise violated(
        f"{worst.late:,} messages came behind later ones when a reader had stood still for {worst.still:.1f} s.",
        Measure("messages behind later ones", ", ".join(f"{feed.late:,}" for feed in feeds), "0"),
        Measure("where everybody reads", "0"),
        signature="a feed overtakes itself",
        advice="Keep what cannot be sent yet in one queue, first in, first out, and send nothing newer before it.",
    )
