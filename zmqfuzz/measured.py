"""What examinations with a clock of their own have measured, as plain data: numbers, no judgement."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Beside", "Bursts", "Company", "Feed", "Flow", "Kept", "Rest", "Service", "Span"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Resident memory that a target gained while messages waited in it: ``grown`` octets in ``seconds``.

    ``size``: octets of one message on the wire. ``rounds``: what each of them added, of ``each`` messages, which
    were ``asked`` for (else it speaks by itself). ``worked``: seconds that it went on with what it had taken when
    the last of it was; None: that was not looked at.
    """

    size: float
    grown: int
    seconds: float
    rounds: tuple[int, ...] = ()
    each: int = 0
    asked: bool = False
    worked: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """What two honest clients got of what they ``asked``, one question at a time each, in ``seconds``.

    ``lost``: not answered in two seconds; ``twice``: answers to what was answered; ``foreign``: with what belongs to
    another; ``other``: with nothing of the question, where answers have that. ``p50`` and ``p99``: seconds that an
    answer took, one that never came as two; ``machine``: the latter of an echo that nothing attacks.
    """

    asked: int
    got: int
    lost: int
    twice: int
    foreign: int
    other: int
    seconds: float
    p50: float
    p99: float
    machine: float


@dataclass(frozen=True, slots=True)
class Bursts:
    """Several questions at once of one honest client: how often, how often all was answered, and of these ``swapped``:
    not in their order.
    """

    bursts: int = 0
    whole: int = 0
    swapped: int = 0


@dataclass(frozen=True, slots=True)
class Company:
    """Two honest clients ``alone``, ``during`` an attack, and ``after`` it.

    ``carries``: how answers tell whose they are (empty: they do not). ``private``: before, nothing came to who had not
    asked, and one answer to who had. ``strays``: messages to the attackers with what belongs to an honest client.
    ``overheard``: such to peers that then asked something else than honest ones do; None: none did.
    ``bursts``: of a client that asks several questions at once, alone, beside the attack, and after it. ``taken``:
    messages to attackers with what belongs to honest clients that are connected, and whose names those gave as theirs.
    """

    carries: str
    private: bool
    alone: Span
    during: Span
    after: Span
    strays: int
    overheard: int | None = None
    bursts: tuple[Bursts, ...] = ()
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Feed:
    """What a reader got that stood ``still`` for so many seconds and then read on, of what a target sends.

    ``sent``: messages that were for it, as far as is known; ``missing``: of these never came, as ``by`` says how that
    is known (empty: it is not, and ``why`` says why). ``paused``: the target sent less meanwhile, or took no more
    questions. ``cut``: it ended the connection. ``full``: so many were sent that any usual mark is reached.
    ``numbered``: messages hold a number that grows by one; ``late``: those that came behind later ones, to any reader.
    ``told``: by how much grew what the program says of drops, in the end, and ``before``, when there were none; None:
    that was not asked for, or could not be known.
    """

    still: float
    got: int
    sent: int
    missing: int = 0
    by: str = ""
    why: str = ""
    paused: bool = False
    cut: bool = False
    full: bool = False
    numbered: bool = False
    late: int = 0
    told: int | None = None
    before: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """What an honest client got of what it ``wanted``, in ``seconds``: answers, or messages that it only reads.

    ``at``: when it began, in seconds since the attack began.
    """

    got: int
    wanted: int
    seconds: float
    what: str = "answer"
    at: float = 0.0

    @property
    def share(self) -> float:
        """Of what it wanted; a publisher that was in a hurry gives more than 1."""
        return self.got / max(self.wanted, 1)


@dataclass(frozen=True, slots=True)
class Flow:
    """What a target took of ``offered`` messages from ``peers`` in ``seconds``: ``taken``, and ``later`` afterwards.

    ``by``: how that was counted, in words. ``other``: answers that are unlike those an honest peer gets alone.
    ``paused``: connections of which it did not take all octets; ``cut``: those that it closed. ``cpu``: seconds that
    it was at work. ``honest``: what a bystander got of what it asked; None: nobody is answered.
    """

    peers: int
    offered: int
    taken: int
    seconds: float
    by: str
    later: int = 0
    other: int = 0
    paused: int = 0
    cut: int = 0
    cpu: float = 0.0
    honest: Service | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """An honest client beside ``open`` connections that an attack held and that said nothing any more.

    ``before`` and ``after`` them only in an examination.
    """

    open: int
    during: Service
    before: Service | None = None
    after: Service | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """How busy a target is in a time in which nobody is connected.

    ``cpu``: share of a processor; ``running``: share of looks at which one of its threads ran, or waited for a
    processor, which a busy machine does not change where a thread never rests.
    """

    cpu: float
    running: float
