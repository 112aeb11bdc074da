"""The attack beside which honest clients ask. Pure.

A crowd that asks the same as they do, peers that leave, and such that give the names of honest clients as their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zmqfuzz.budget import Limits
from zmqfuzz.bystanding import CARRIES, question
from zmqfuzz.measured import Company
from zmqfuzz.script import Attack, Close, Connect, Expect, Script, Send, Shake, Step, Wait
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Frame, Unit

__all__ = [
    "BURSTS",
    "CLAIMED",
    "COMPANY",
    "FEW",
    "LASTS",
    "LISTENS",
    "asks_alike",
    "comparable",
    "crowd",
    "fair",
    "late",
    "lost",
    "mark_of",
    "mixed",
    "names_of",
    "overheard",
    "overtaken",
    "parted",
    "promises",
    "taken",
    "told",
    "twice",
]

COMPANY = "company"
"""Instead of the name of a family."""

LASTS, BURSTS = 2.5, 1.5
"""Seconds of the attack in which questions are asked one at a time; and then several at once."""

MARK = "mark of "
"""Before the mark in the label of a script: how its messages are known where they should not come."""

LISTENER = "listener"
LISTENS, LISTENS_WITHIN = 1.5, 0.05
"""Seconds for which some ask what honest clients do not, and that they wait for each answer."""

MOST_MACHINE = 0.5
"""Share of a promised time that an echo which nothing attacks may take: more is the machine's."""

_CROWD, _LEAVERS, _LISTENERS = 4, 4, 2
_ROUNDS = 20
_TIMES = 100_000
MOST_ECHO = 0.5
"""Seconds that the slowest answers of an echo may take where answers in two seconds are counted."""

_VISITS = 10
CLAIMED = 0.6
"""Seconds that strangers stay who come with the names of honest clients."""

_NAMES, _NAMESAKE = 2, "namesake, "

FEW, SWAPPED = 8, 2
"""Bursts that must have been answered alone before their order is judged, and of those beside the attack be out of it.
"""


def mark_of(attack: Attack) -> bytes:
    """What the messages of the attack hold; empty: nothing."""
    labels = (script.label.partition(MARK)[2] for script in attack.scripts)
    return next((label.encode() for label in labels if label), b"")


def names_of(mark: bytes) -> tuple[bytes, ...]:
    """The routing ids of honest clients, which the attackers know."""
    return tuple(b"%d of " % number + mark for number in range(_NAMES))


def asks_alike(surface: Surface, kind: str, parts: Sequence[bytes]) -> bool:
    """Whether several honest clients can ask at this door, and are answered."""
    return surface.side == "bind" and kind in ("REQ", "DEALER") and bool(parts)


def promises(limits: Limits) -> bool:
    """Whether something is promised that is only seen beside a crowd."""
    return any(one is not None for one in (limits.bystander_within, limits.bystander_loss, limits.overheard))


def crowd(
    surface: Surface, kind: str, parts: Sequence[bytes], mode: str, mark: bytes, *, listens: bool = False
) -> Attack:
    """Peers that ask as honest ones do, as fast as they are let; and such that leave before they are answered.

    ``listens``: and, afterwards, some that ask something else.
    """
    asked = question(parts, mode if mode in CARRIES else "", mark + b"%08x" % 0)
    units = _message(asked, kind)
    opening: tuple[Step, ...] = (Connect(), Shake("DEALER", mechanism=surface.mechanism))
    asks = Script((*opening, Send(units, times=_TIMES), Wait(4 * LASTS)), _CROWD, f"crowd, {MARK}{mark.decode()}")
    visit = (*opening, Send(units, times=4), Wait(0.01), Close())
    leaves = Script(visit * _VISITS, _LEAVERS, f"leaver, {MARK}{mark.decode()}")
    scripts = [asks, leaves, *(_namesakes(opening, mark) if surface.socket_type in ("ROUTER", "REP") else ())]
    if not listens:
        return Attack(tuple(scripts), strategy=COMPANY)
    pries = [
        step for odd in _odd(asked) for step in (Send(_message(odd, kind)), Expect("message", within=LISTENS_WITHIN))
    ]
    listeners = Script((*opening, *pries * _ROUNDS), _LISTENERS, f"{LISTENER}, {MARK}{mark.decode()}")
    return Attack((*scripts, listeners), strategy=COMPANY)


def _namesakes(opening: tuple[Step, ...], mark: bytes) -> Iterator[Script]:
    """Peers that connect with the names of honest clients, and stay."""
    for name in names_of(mark):
        steps = (replace(step, identity=name) if isinstance(step, Shake) else step for step in opening)
        yield Script((*steps, Wait(CLAIMED)), label=f"{_NAMESAKE}{MARK}{mark.decode()}")


def _message(frames: Sequence[bytes], kind: str) -> tuple[Unit, ...]:
    frames = [b"", *frames] if kind == "REQ" else list(frames)  # RFC 28: an empty delimiter
    return tuple(Frame(frame, more=place < len(frames)) for place, frame in enumerate(frames, 1))


def _odd(asked: Sequence[bytes]) -> list[list[bytes]]:
    """The question with something wrong in its length: shorter, or with what may stand for a length, which lies."""
    *before, last = asked
    shorter = [last[:size] for size in dict.fromkeys((0, 1, len(last) // 2, len(last) - 1)) if size >= 0]
    lies = [lie + last[len(lie) :] for lie in (b"\xff", b"\x04\x00", b"\x00\x00\x04\x00", b"9999")]
    return [[*before, frame] for frame in (*shorter, *lies)] + ([before] if before else [])


def parted(attack: Attack) -> tuple[Attack, Attack, Attack]:
    """What is played beside the honest clients; beside those that have names; and what afterwards: the listeners."""

    def those(*labels: str) -> Attack:
        return replace(attack, scripts=tuple(one for one in attack.scripts if one.label.startswith(labels)))

    named, later = those(_NAMESAKE), those(LISTENER)
    first = tuple(one for one in attack.scripts if one not in (*named.scripts, *later.scripts))
    return replace(attack, scripts=first), named, later


def mixed(company: Company) -> int:
    """Messages with what belongs to another, where answers tell whose they are and came to nobody else before."""
    if not (company.carries and company.private):
        return 0
    return company.alone.foreign + company.during.foreign + company.after.foreign + company.strays


def overheard(company: Company) -> int:
    """Messages with what honest clients had said, to who asked something else, where answers tell whose they are."""
    return (company.overheard or 0) if company.carries and company.private else 0


def twice(company: Company) -> int:
    """Answers to what was answered, where that had not been before."""
    if not (company.carries and company.private) or company.alone.twice:
        return 0
    return company.during.twice + company.after.twice


def overtaken(company: Company) -> int:
    """Bursts beside the attack whose answers were not in their order, where all were before and after it; else 0."""
    if not (company.carries and company.private) or len(company.bursts) != 3:
        return 0
    calm, beside, later = company.bursts
    if calm.whole < FEW or later.whole < FEW or calm.swapped or later.swapped:
        return 0
    return beside.swapped if beside.swapped >= SWAPPED else 0


def taken(company: Company) -> int:
    """Answers to an honest client that came to a stranger with its name, where nothing else goes to others."""
    return company.taken if company.carries and company.private and not mixed(company) else 0


def lost(company: Company) -> float:
    """Share of questions that were not answered beside the attack, where all were before and after; else 0."""
    if company.alone.lost or company.after.lost or not company.after.got or not fair(company):
        return 0.0
    return company.during.lost / max(company.during.asked, 1)


def fair(company: Company) -> bool:
    """Whether the machine left an echo that nothing attacks so much time that none of its answers was nearly lost."""
    return company.during.machine <= MOST_ECHO


def late(company: Company, promised: float) -> bool:
    """Whether answers took longer than promised beside the attack, and not by the machine's fault."""
    return company.during.p99 > promised and comparable(company, promised)


def comparable(company: Company, promised: float) -> bool:
    """Whether the promise was kept alone, and by far by an echo that nothing attacks: else the machine is busy."""
    machine = max(company.alone.machine, company.during.machine)
    return company.alone.p99 <= promised and machine <= MOST_MACHINE * promised


def told(company: Company) -> str:
    """What the honest clients got, in a few words."""
    spans = company.alone, company.during
    times = [f"{span.p50 * 1000:,.1f} and {span.p99 * 1000:,.1f} ms" for span in spans]
    unanswered = f", {company.during.lost} of {company.during.asked:,} not answered" if company.during.lost else ""
    return f"honest clients' p50 and p99 {times[0]} alone, {times[1]} beside a crowd{unanswered}"
