"""Whether a door answers a peer otherwise that says in its metadata who it is, read from scripts and answers. Pure.

libzmq keeps each property of a peer's READY or INITIATE as a property of its messages (4.3.5
``src/mechanism.cpp:parse_metadata``, ``src/stream_engine_base.cpp:mechanism_ready``), also User-Id, which RFC 27 has a
ZAP handler say, where no handler has said it. So ``zmq_msg_gets`` gives what the peer likes to be called.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import Trial
from zmqfuzz.zmtp.wire import Unit

__all__ = ["CLAIMANT", "HARMLESS", "NOT_THEIRS", "PLAIN_PEER", "Comparison", "compared"]

PLAIN_PEER, CLAIMANT = "says nothing of itself", "says who it is"
"""The labels of the peers of one comparison."""

NOT_THEIRS = (b"User-Id", b"Peer-Address")
"""Properties that are for the server to say, never for the peer."""

HARMLESS = b"X-Zmqfuzz"
"""One that is for the peer to say (RFC 23: names that begin with X-), and that no program knows."""

_FEWEST_PLAIN, _FEWEST_CLAIMANTS = 3, 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers to one question: ``usual`` to all who said nothing of themselves, ``claimed`` to all who did.

    ``name`` and ``value`` is what they said.
    """

    usual: bytes
    claimed: bytes
    name: str
    value: bytes

    @property
    def believed(self) -> bool:
        """Whether it makes a difference."""
        return self.usual != self.claimed


def compared(trial: Trial) -> Comparison | None:
    """None: nothing can be said, as not all were answered, or answers to the same differ by themselves."""
    plain: list[bytes] = []
    claimed: list[bytes] = []
    questions: set[tuple[Unit, ...]] = set()
    said: set[tuple[bytes, bytes]] = set()
    controls = 0
    for script, saw in trial.pairs:
        asked = _asks(script)
        if asked is None:
            return None
        if len(saw.answers) != 1:
            return None
        shake, question = asked
        questions.add(question)
        ours = {(one.name, one.value) for one in shake.properties if one.name in NOT_THEIRS}
        said |= ours
        (claimed if ours else plain).append(saw.answers[0])
        controls += bool(shake.properties) and not ours
    enough = len(plain) >= _FEWEST_PLAIN and len(claimed) >= _FEWEST_CLAIMANTS and controls > 0
    if not enough or len(questions) != 1 or len(said) != 1 or len(set(plain)) != 1 or len(set(claimed)) != 1:
        return None
    ((name, value),) = said
    return Comparison(plain[0], claimed[0], name.decode("ascii"), value)


def _asks(script: Script) -> tuple[Shake, tuple[Unit, ...]] | None:
    """Its honest handshake, and its one question; None: it does something else."""
    shakes = [step for step in script.steps if isinstance(step, Shake)]
    sends = [step for step in script.steps if isinstance(step, Send)]
    keeps = any(isinstance(step, Expect) and step.keep for step in script.steps)
    once = sum(isinstance(step, Connect) for step in script.steps) == len(shakes) == len(sends) == 1
    if script.label not in (PLAIN_PEER, CLAIMANT) or not (once and keeps) or shakes[0].instead:
        return None
    asks = sends[0].times == 1 and sends[0].chunk is None
    return (shakes[0], sends[0].units) if asks else None
