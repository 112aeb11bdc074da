"""What honest clients get while others attack: their own answers, once each, and in time."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.company import late, lost, mixed, overheard, overtaken, taken, twice
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.measured import Company, Span
from zmqfuzz.trial import Examination

__all__ = ["answered", "answered_once", "in_order", "in_time", "name_kept", "not_overheard", "own_answers"]


def _seen(seen: Examination) -> list[Company]:
    trials = [trial for trial in seen.trials if trial.observation.exit is None]
    found = [trial.observation.company for trial in trials if trial.observation.company is not None]
    return found if len(found) == len(seen.trials) and not seen.doubts else []


def _most(broken: list[Company], every: list[Company]) -> bool:
    """At least two thirds, and one."""
    return bool(broken) and len(broken) * 3 >= len(every) * 2


def _said(span: Span) -> str:
    return f"{span.got:,} of {span.asked:,}, p50 {span.p50 * 1000:,.1f} ms, p99 {span.p99 * 1000:,.1f} ms"


def _served(company: Company) -> Measure:
    spans = (company.alone, company.during, company.after)
    return Measure("answers alone, beside it, after it", "; ".join(map(_said, spans)))


@invariant(
    "ZF701",
    "A client gets what belongs to another",
    severity=Severity.CRITICAL,
    examines="company",
)
def own_answers(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """An answer goes to who asked, and to nobody else, however many ask and leave meanwhile.

    Why: a client that gets another one's answer learns what it must not know, and acts on what is not true. Measured:
    two honest pyzmq clients, in a process of their own, ask questions that each hold a token, alone and beside a crowd
    that asks the same and peers that leave before they are answered; a message with a token of the other client, or of
    the crowd, or one of theirs that comes to the crowd, on two of three fresh processes at least. Only where answers
    hold the token of their question, and where, before, nothing came to a client while only the other one asked:
    programs that tell all what one has said do that then, too. Inconclusive, and told as not covered: answers without a
    token. To fix: keep the routing id with the work that it belongs to, never in a variable that the next message
    changes; answer with the envelope of the request (RFC 28).
    """
    every = _seen(seen)
    broken = [company for company in every if mixed(company)]
    if not _most(broken, every):
        return
    worst = max(broken, key=mixed)
    raise violated(
        f"{mixed(worst)} messages came to one client with what belongs to another.",
        Measure("foreign messages", ", ".join(str(mixed(company)) for company in every), "0"),
        Measure("of these to the attackers", ", ".join(str(company.strays) for company in every)),
        _served(worst),
        signature="answers go to others",
        advice="Keep the routing id with the work it belongs to, never in a variable that the next message changes.",
    )


@invariant(
    "ZF702",
    "A question is answered again",
    severity=Severity.MEDIUM,
    examines="company",
)
def answered_once(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """A question is answered once.

    Why: ZeroMQ delivers a message once or not at all; a client that gets an answer twice takes the second one for that
    to its next question, unless it checks, and what was asked for may have been done twice. Measured: as ZF701; an
    answer with a token that was answered before, on two of three fresh processes at least, where none came twice alone.
    Inconclusive, and told as not covered: answers without a token. To fix: do not send again what may only be late, or
    give requests an id and remember those that were answered.
    """
    every = _seen(seen)
    if not _most([company for company in every if twice(company)], every):
        return
    raise violated(
        f"{max(map(twice, every))} questions were answered again.",
        Measure("answers to what was answered", ", ".join(str(twice(company)) for company in every), "0"),
        _served(max(every, key=twice)),
        signature="answered again",
        advice="Do not repeat work that may only be late; give requests an id, and remember those that were answered.",
    )


@invariant(
    "ZF703",
    "Honest questions are not answered while others attack",
    severity=Severity.MEDIUM,
    examines="company",
    declared="bystander_loss",
)
def answered(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Beside an attack honest clients are answered, but for the declared share (--bystander-loss).

    Why: a service that drops everybody's requests under load lets any peer stop it. Measured: as ZF701; questions that
    were not answered within two seconds while the crowd asked, on two of three fresh processes at least, where all were
    answered before and after, and an echo that nothing attacks was never half a second late. Each client has one
    question open at a time, far below any high-water mark. To fix: bound what waits for each peer, not for all
    together, and leave it in the sockets, which take from each peer in turn.
    """
    every, promised = _seen(seen), limits.bystander_loss
    broken = [company for company in every if promised is not None and lost(company) > promised]
    if promised is None or not _most(broken, every):
        return
    shares = ", ".join(f"{lost(company):.1%}" for company in every)
    raise violated(
        f"Beside the crowd {lost(broken[0]):.1%} of honest questions were not answered.",
        Measure("not answered", shares, f"<= {promised:.1%}"),
        _served(broken[0]),
        signature="not answered beside a crowd",
        advice="Bound what waits for each peer, not for all together; leave it in the socket, which takes in turn.",
    )


@invariant(
    "ZF704",
    "Honest clients wait longer than promised while others attack",
    severity=Severity.MEDIUM,
    examines="company",
    declared="bystander_within",
)
def in_time(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Beside an attack 99 of 100 answers to an honest client come within the declared time (--bystander-within).

    Why: one queue for all lets whoever asks most decide how long everybody waits. Measured: as ZF701; the 99th
    percentile of the slower one of two honest clients while a crowd of four asks as fast as it is let, on three of
    three fresh processes, a question without an answer counted as two seconds. Inconclusive: alone it is not kept
    either, or an echo that nothing attacks, asked in the same moments, takes half of the time: that is the machine.
    To fix: leave what waits in the socket, which takes from each peer in turn, and keep RCVHWM small; no queue of your
    own in front of the work, or one for each peer.
    """
    every, promised = _seen(seen), limits.bystander_within
    if promised is None or not every or not all(late(company, promised) for company in every):
        return
    times = ", ".join(f"{company.during.p99 * 1000:,.0f} ms" for company in every)
    raise violated(
        f"Beside the crowd 1 of 100 honest questions waited {every[0].during.p99 * 1000:,.0f} ms and more.",
        Measure("p99", times, f"<= {promised * 1000:,.0f} ms"),
        Measure("an echo meanwhile", ", ".join(f"{company.during.machine * 1000:,.1f} ms" for company in every)),
        _served(every[0]),
        signature="late beside a crowd",
        advice="Leave what waits in the socket, which takes from each peer in turn, and keep RCVHWM small.",
    )


@invariant(
    "ZF705",
    "What one client said comes to another that asks for something else",
    severity=Severity.CRITICAL,
    examines="company",
    declared="overheard",
)
def not_overheard(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Nobody is sent what another client has said, whatever they ask (--overheard 0).

    Why: a buffer that is used again and not cleared, or of which more is sent than was put there, holds what others
    have said: their passwords, too. Measured: as ZF701; peers ask, beside the two honest clients, what these do not:
    the same question cut short, empty, without its last frame, or with octets that may stand for a length and lie; a
    message to one of them with a token of an honest client counts, on two of three fresh processes at least. Only where
    it is promised: a store is there to tell one what another has put into it, and nobody else can know. Inconclusive,
    and told as not covered: as ZF701. To fix: answer with what this request has put into the buffer, and not with the
    whole of it; compare each length that a message states with the size that it has.
    """
    every, promised = _seen(seen), limits.overheard
    if promised is None or not _most([company for company in every if overheard(company) > promised], every):
        return
    raise violated(
        f"{max(map(overheard, every))} messages came to peers that asked for something else, with what an honest "
        "client had said.",
        Measure(
            "messages with another's words", ", ".join(str(overheard(company)) for company in every), str(promised)
        ),
        signature="told to others",
        advice="Clear buffers that are used again, send of them only what this request has put there, and compare "
        "lengths that a message states with its size.",
    )


@invariant(
    "ZF706",
    "Answers to one client overtake each other while others attack",
    severity=Severity.LOW,
    examines="company",
)
def in_order(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """Where the answers to one client come in the order of its questions, they do beside a crowd, too.

    Why: a connection keeps the order of messages (RFC 28, 29 and 30), and clients that ask several questions at once
    tell the answers apart by it; a program that keeps it until it is busy breaks them in the worst moment. Measured: as
    ZF701; one honest client asks eight questions at once, again and again. A breach is that, on three of three fresh
    processes, answers of such a burst overtake each other beside the crowd, and never alone, before and after it.
    Programs in which they do so alone, as with several workers, promise no order. Inconclusive, and told as not
    covered: answers without a token, or too few bursts that are answered. To fix: one queue, first in, first out, for
    each client; or an id in each answer, and clients that do not rely on the order.
    """
    every = _seen(seen)
    if not every or not all(map(overtaken, every)):
        return
    worst = max(every, key=overtaken)
    beside = worst.bursts[1]
    raise violated(
        f"Beside the crowd the answers to {beside.swapped:,} of {beside.whole:,} bursts of eight questions were out of "
        "order.",
        Measure("bursts out of order", ", ".join(str(overtaken(company)) for company in every), "0"),
        Measure(
            "bursts alone, beside it, after it",
            "; ".join(f"{one.swapped:,} of {one.whole:,}" for one in worst.bursts),
        ),
        signature="answers overtake each other",
        advice="Answer each client in the order it asked, also when much waits; or give answers an id.",
    )


@invariant(
    "ZF707",
    "A stranger takes a client's name, and gets its answers",
    severity=Severity.HIGH,
    examines="company",
)
def name_kept(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """What was for a connected client does not go to another peer that gives the same name (routing id).

    Why: with ROUTER_HANDOVER a ROUTER gives the name, and all that waits for it, to whoever claims it last, and drops
    the client that had it; names are no secret, and NULL checks nobody. Measured: after what ZF701 does; two honest
    clients have names and ask without a pause, and strangers connect with these names; answers with a token of such a
    client come to a stranger, on two of three fresh processes at least, and neither client had lost its connection. Not
    told where answers go to others in any case (ZF701). Inconclusive, and told as not covered: answers without a
    token. To fix: leave ROUTER_HANDOVER off, and let heartbeats (HEARTBEAT_IVL) end a connection whose client comes
    again; where it must be on, admit known keys only (CURVE), and tell clients apart by their key (``User-Id``), not by
    their name.
    """
    every = _seen(seen)
    if not _most([company for company in every if taken(company)], every):
        return
    raise violated(
        f"{max(map(taken, every)):,} answers to a client came to a stranger that had connected with its name.",
        Measure("answers to the stranger", ", ".join(str(taken(company)) for company in every), "0"),
        signature="a name is handed over",
        advice="Leave ROUTER_HANDOVER off; heartbeats end connections whose clients come again.",
    )
