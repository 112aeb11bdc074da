"""Two purses that are never one object: what the attack may spend, and what the target may use."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KEPT_OF_PEER", "LEAK_FLOOR", "MIB", "SURE_ROUNDS", "TOLERANCE", "WAITING", "Budget", "Limits"]

MIB = 1 << 20

LEAK_FLOOR = 3 * MIB
"""Octets that must stay behind over the rounds of an examination; an allocator's retention drifts by less (2 MiB over
20,000 openings measured on libzmq 4.3.5) and levels off."""

KEPT_OF_PEER = 40 * 1024
"""Octets more for each peer that is there at once: what is kept of 200 came to 25 KiB of each, on a busy machine, in
the rounds after the second, and not evenly."""

SURE_ROUNDS = 12
"""Rounds that tell a leak from what libzmq and its allocator come to keep: of 200 peers at once that is 3, 2, 1, 0.7,
0.5 MiB ... more with each round, and has come to its end after ten (measured, 4.3.5)."""

TOLERANCE = 1.0
"""Seconds by which a promised end may be late: libzmq's timers fire within 0.15 s of it, on a busy machine later."""

WAITING = 0.75
"""Share of a trial's time that peers may spend waiting for a promised end."""

MOST_PROMISED = 60.0
"""Seconds of a promised end that is waited out, at most; libzmq gives a handshake 30 (``ZMQ_HANDSHAKE_IVL``)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an attack may spend: wall seconds for a trial, peers at once, octets on the wire.

    ``connections``: peers at once that do little but hold one, in attacks that are about their number; more than the
    1024 descriptors that Linux gives a program unless told otherwise (getrlimit(2)).
    """

    trial_seconds: float = 20.0
    peers: int = 64
    examine_bytes: int = 64 * MIB
    connections: int = 1200

    @classmethod
    def waiting_out(cls, limits: Limits) -> Budget:
        """As much time for a trial as the longest promised end asks for that is waited out at all."""
        times = (limits.handshake_within, limits.hung_within, limits.vanished_within)
        longest = max((time for time in times if time is not None and time <= MOST_PROMISED), default=0.0)
        usual = cls()
        return usual if longest <= usual.longest else cls(trial_seconds=(longest + 1.1 * TOLERANCE) / WAITING)

    @property
    def longest(self) -> float:
        """The longest promised time, in seconds, that a trial can wait out."""
        return WAITING * self.trial_seconds - TOLERANCE

    def patience(self, promised: float | None) -> float | None:
        """Seconds that a peer waits for an end ``promised`` within so many; None: not promised, or too long to wait."""
        return None if promised is None or promised > self.longest else promised + TOLERANCE


@dataclass(frozen=True, slots=True)
class Limits:
    """What the target promises. ``None``: not declared, so not judged.

    ``max_frame``, ``max_message``, ``memory`` in octets; ``memory`` bounds the resident set of the whole process
    tree. ``rate`` is messages a second, of all peers together, and ``burst`` how many may be taken at once beyond
    it. ``held_per_byte`` is judged without a declaration: no program means to keep what one stranger sends, in step
    with what is sent, where the same volume of honest traffic is not kept. ``descriptors`` may stay behind.
    ``recover`` is how long, in seconds, the target may take to serve again after an attack. ``hard_cap`` is not a
    promise: above it the target is killed to protect the machine. ``beside`` is the share of what an honest client
    gets alone that it must get beside connections that others hold open and silent. A peer is let go of, in
    seconds, ``handshake_within`` of its connecting where it stalls in the handshake, ``hung_within`` of its last
    octets where it has stopped answering, ``vanished_within`` where it has vanished without a sign. Told to stop,
    the target ends within ``linger`` seconds and a grace, and ``delivers`` this share (1: all) of what it had
    accepted to peers that read on. Beside an attack, 99 of 100 answers to honest clients take no longer than
    ``bystander_within`` seconds, and no larger share of them than ``bystander_loss`` is missing; of what these say, no
    more than ``overheard`` messages come to others. ``drops``: how it says that it drops messages for who is behind
    (:mod:`zmqfuzz.dropping`). ``expose``: where it may listen (:mod:`zmqfuzz.binds`), and nowhere
    else.
    :data:`zmqfuzz.contract.PROMISES` is how each is declared.
    """

    max_frame: int | None = None
    max_message: int | None = None
    memory: int | None = None
    rate: float | None = None
    burst: int | None = None
    held_per_byte: float = 0.5
    descriptors: int = 2
    recover: float = 5.0
    beside: float = 0.7
    handshake_within: float | None = None
    hung_within: float | None = None
    vanished_within: float | None = None
    linger: float | None = None
    delivers: float | None = None
    bystander_within: float | None = None
    bystander_loss: float | None = None
    overheard: int | None = None
    drops: str | None = None
    expose: tuple[str, ...] | None = None
    hard_cap: int = 2048 * MIB
