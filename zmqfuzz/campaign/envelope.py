"""What a target was seen to take and to use, where it promises nothing: an observation, never a verdict.

Contract: only what the attacks of the run showed anyway; no attack is made for it. What was not seen is not said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zmqfuzz.budget import MIB, Limits
from zmqfuzz.campaign.objectives import Extremes
from zmqfuzz.company import told as told_of
from zmqfuzz.measured import Company, Flow
from zmqfuzz.older import is_old
from zmqfuzz.rating import told
from zmqfuzz.scale import is_honest_frame
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, ShutdownWrite, StopReading, Wait
from zmqfuzz.trial import ClosedBy, Direction, Observation, Reached, Stop, Surface, Transcript, Trial
from zmqfuzz.zmtp.measure import announced_size
from zmqfuzz.zmtp.patterns import ONE_PEER
from zmqfuzz.zmtp.wire import Frame, Greeting, encode

__all__ = ["Envelope"]

BUFFERS = 8 * MIB
"""What the buffers of both kernels may hold that the target has not read (as for ZF207); more than this was read."""

_ANSWERING = ("REP", "ROUTER", "SERVER")
"""Socket types that send a peer nothing before they have read something of it (RFC 28, RFC 41)."""

_QUIET = (Connect, Shake, Wait, Expect, StopReading)


@dataclass(slots=True)
class Envelope:
    """Extremes over all trials that were noted; 0 and empty: not seen. Sizes in octets, times in seconds.

    ``rest`` and ``peak``: resident memory before the first attack, and the largest. ``frame`` and ``message``: the
    largest that were taken while the connection stayed open; ``refused``: the smallest honest frame that ended its
    connection. ``idle``: the shortest and the longest silence after which the target ended the connection of a
    peer that had done nothing wrong, by where it fell silent: in its greeting (GREETING), or in TRAFFIC. ``ends``: how
    it ended, each time it was told to stop. ``flows``: what it took of floods that were counted. ``companies``: what
    honest clients got beside a crowd. ``places`` and ``libraries``: where it listens, and which libzmq it runs, in
    words. ``metrics``: those of the user's own.
    """

    rest: int = 0
    peak: int = 0
    frame: int = 0
    message: int = 0
    refused: int = 0
    idle: dict[Reached, tuple[float, float]] = field(default_factory=dict)
    ends: list[Stop] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    companies: list[Company] = field(default_factory=list)
    places: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    metrics: Extremes = field(default_factory=Extremes)
    _last: Observation | None = field(default=None, repr=False, compare=False)

    def note(self, trial: Trial) -> None:
        """Learn from one trial."""
        self.metrics.note(trial)
        observation = trial.observation
        if observation is not self._last:  # the trials of one volley share theirs
            self._last = observation
            if observation.baseline is not None:
                self.rest = self.rest or observation.baseline.rss
                self.peak = max(self.peak, observation.peak_rss)
        if observation.exit is not None or observation.killed_at_cap:
            return
        for script, transcript in trial.pairs:
            if transcript.closed_by is ClosedBy.OPEN:
                self._open(script, transcript, trial.surface.socket_type)
            elif transcript.closed_by.by_target:
                self._cut(script, transcript, trial.surface)

    def stopped(self, trial: Trial) -> None:
        """Learn from a trial at whose end the target was told to stop."""
        if trial.observation.stop is not None:
            self.ends.append(trial.observation.stop)

    def _open(self, script: Script, transcript: Transcript, kind: str) -> None:
        """A connection that stayed open: what was sent on it was not refused, if it has been read."""
        if transcript.sent <= min(self.frame, self.message) or transcript.reached is not Reached.TRAFFIC:
            return
        sends = list(_sends_after_handshake(script))
        answered = transcript.sent <= BUFFERS and kind in _ANSWERING and len(sends) == 1 and _answered(transcript)
        surely_read = 0 if answered else BUFFERS
        for frames, times in map(_honest_message, sends if answered or transcript.sent > BUFFERS else ()):
            sizes = [announced_size(frame) for frame in frames]
            largest, whole = max(sizes, default=0), sum(sizes) * times
            if surely_read < largest <= transcript.sent:
                self.frame = max(self.frame, largest)
            if surely_read < whole <= transcript.sent:
                self.message = max(self.message, whole)

    def _cut(self, script: Script, transcript: Transcript, surface: Surface) -> None:
        """A connection that the target ended, and not because its peer had sent FIN."""
        if any(isinstance(step, ShutdownWrite) for step in script.steps):
            return
        sends = list(_sends_after_handshake(script))
        if len(sends) == 1 and sends[0].times == 1 and transcript.reached is Reached.TRAFFIC:
            unit = sends[0].units[0] if len(sends[0].units) == 1 else None
            if isinstance(unit, Frame) and is_honest_frame(unit) and not unit.more:
                size = announced_size(unit)
                self.refused = min(self.refused or size, size)
        unsaid = surface.socket_type in ONE_PEER or is_old(surface)
        where = None if unsaid else _silent(script, transcript, surface.mechanism or "NULL")
        silence = _silence(transcript)
        if where is not None and silence is not None:
            least, most = self.idle.get(where, (silence, silence))
            self.idle[where] = (min(least, silence), max(most, silence))

    def observed(self, limits: Limits) -> list[str]:
        """What was seen of all that ``limits`` does not declare, and how a rate was kept, each in a few words."""
        said = []
        if self.peak and limits.memory is None:
            said.append(f"resident memory up to {self.peak / MIB:,.1f} MiB ({self.rest / MIB:,.1f} MiB before)")
        if self.frame and limits.max_frame is None:
            refused = f" (one of {_size(self.refused)} was refused)" if self.refused > self.frame else ""
            said.append(f"frames of up to {_size(self.frame)} taken{refused}")
        if self.message and limits.max_message is None:
            said.append(f"messages of up to {_size(self.message)} taken")
        for where, words in ((Reached.GREETING, "in the handshake"), (Reached.TRAFFIC, "after it")):
            if where in self.idle:
                least, most = self.idle[where]
                said.append(f"peers that fell silent {words} cut after {least:.2f} to {most:.2f} s")
        if self.ends and limits.linger is None:
            said.append(_ended(self.ends))
        if self.places and limits.expose is None:
            said.append(f"listens at {' and '.join(self.places)}")
        return [*said, *map(told, self.flows), *map(told_of, self.companies), *self.libraries, *self.metrics.told()]


def _ended(ends: list[Stop]) -> str:
    """How it ended when it was told to stop, with nobody connected and beside peers that do not read."""
    times = [stop.seconds for stop in ends if stop.ended]
    if len(times) < len(ends):
        waited = max(stop.seconds for stop in ends if not stop.ended)
        alone = "" if ends[0].ended else ", also with nobody connected"
        return f"still running {waited:.0f} s after {ends[0].signal}{alone} (promise an end with --linger)"
    return f"ends {min(times):.2f} to {max(times):.2f} s after {ends[0].signal}"


def _sends_after_handshake(script: Script) -> Iterator[Send]:
    shaken = False
    for step in script.steps:
        shaken = shaken or isinstance(step, Shake)
        if shaken and isinstance(step, Send):
            yield step


def _honest_message(step: Send) -> tuple[list[Frame], int]:
    """The frames of one message that tells the truth about itself, and how often they come; none: it is no such."""
    frames = [unit for unit in step.units if isinstance(unit, Frame) and is_honest_frame(unit)]
    if len(frames) != len(step.units) or not all(frame.more for frame in frames[:-1]):
        return [], 0
    return frames, step.times if frames[-1].more else 1


def _answered(transcript: Transcript) -> bool:
    """Whether the last thing on the wire was a frame of the target's."""
    last = next((entry for entry in reversed(transcript.entries) if entry.direction is not Direction.NOTE), None)
    return last is not None and last.direction is Direction.RECEIVED and last.note.startswith("frame ")


def _silent(script: Script, transcript: Transcript, mechanism: str) -> Reached | None:
    """Where a peer that had done nothing wrong said no more: in its greeting, or in TRAFFIC; None: it was no such."""
    shakes = [step for step in script.steps if isinstance(step, Shake)]
    if shakes:
        # With an identity another may have taken its place; with anything else it lied.
        plain = all(step == Shake(step.socket_type, mechanism=step.mechanism) for step in shakes)
        quiet = plain and all(isinstance(step, _QUIET) for step in script.steps)
        return Reached.TRAFFIC if quiet and transcript.reached is Reached.TRAFFIC else None
    greeting = encode(Greeting(mechanism=mechanism.encode()))  # another's is refused, silent or not
    if transcript.sent > len(greeting) or not all(isinstance(step, (*_QUIET, Send)) for step in script.steps):
        return None  # a half-closed connection is closed in return
    said = b"".join([entry.data for entry in transcript.entries if entry.direction is Direction.SENT])
    return Reached.GREETING if said and greeting.startswith(said) else None


def _silence(transcript: Transcript) -> float | None:
    """Seconds from our last octets to when the end was seen; None: it cannot be told."""
    ends = [entry.at for entry in transcript.entries if entry.note == transcript.closed_by.value]
    said = [entry.at for entry in transcript.entries if entry.direction is Direction.SENT]
    return max(0.0, ends[-1] - said[-1]) if ends and said else None


def _size(octets: int) -> str:
    """Exact: a limit is a matter of one octet."""
    for unit, name in ((MIB, "MiB"), (1024, "KiB")):
        if octets and octets % unit == 0:
            return f"{octets // unit:,} {name}"
    return "1 octet" if octets == 1 else f"{octets:,} octets"
