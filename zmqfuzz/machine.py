"""A Hypothesis state machine whose rules are what ZMTP peers do, and whose runs end in the engine's judgement.

Contract: rules only write down what each named peer does, in one order; ``teardown`` plays the whole run as one
:class:`~zmqfuzz.script.Attack`, in that order, and raises the Violation of the first invariant that does not hold. So
a run is plain data: Hypothesis shrinks it, and ``zmqfuzz replay`` plays it. One process of the target serves the runs
of a test until something is found; then each run gets a fresh one. A subclass adds its own rules::

    class Server(zmqfuzz.ZmtpMachine):
        target = zmqfuzz.target(["python", "my_server.py"])

        @rule(peer=zmqfuzz.ZmtpMachine.peers)
        def ask_for_the_time(self, peer):
            self.play(peer, Send((Frame(b"", more=True), Frame(b"time"))), Expect("message"))

    TestServer = Server.TestCase
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from zmqfuzz.errors import UsageError
from zmqfuzz.script import (
    Attack,
    Await,
    Close,
    Connect,
    Expect,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    Signal,
    Step,
)
from zmqfuzz.suite import SuiteTarget
from zmqfuzz.trial import Trial
from zmqfuzz.zmtp.wire import Command, Frame, Unit, peer_type

__all__ = ["ZmtpMachine"]

TURN = 1.0
"""Seconds a peer waits for its turn."""

_bodies = st.binary(max_size=64)
_frames = st.builds(
    Frame,
    _bodies,
    more=st.booleans(),
    command=st.booleans(),
    long=st.sampled_from([None, True]),
    declared_size=st.none() | st.sampled_from([0, 1, 255, 256, 2**31, 2**63 - 1, 2**64 - 1]),
    reserved=st.sampled_from([0, 8, 0x80]),
)
_names = st.sampled_from([b"PING", b"PONG", b"SUBSCRIBE", b"CANCEL", b"READY", b"ERROR", b"WHAT", b""])


class ZmtpMachine(RuleBasedStateMachine):
    """Several named peers against the first door of ``target``; subclass it, set ``target``, add rules of your own."""

    target: ClassVar[SuiteTarget | None] = None
    peers: ClassVar[st.SearchStrategy[str]] = st.sampled_from(("alice", "bob", "carol"))
    """Who a rule's ``peer`` may be. All are connections of their own."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        import pytest

        test: Any = cls.TestCase
        test.pytestmark = [pytest.mark.zmqfuzz]
        test.runTest = _judged(test.runTest)

    def __init__(self) -> None:
        super().__init__()
        self._turns: list[tuple[str, Step]] = []
        self._open: dict[str, bool] = {}  # connected, and whether its handshake was done
        self._door = self._played_on().surface

    @classmethod
    def _played_on(cls) -> SuiteTarget:
        if cls.target is None:
            raise UsageError(f"{cls.__name__} has no target; set target = zmqfuzz.target([...]) in the class.")
        return cls.target

    # what peers do

    def play(self, peer: str, *steps: Step) -> None:
        """Write down that ``peer`` does ``steps`` next, after everything that was written down before."""
        self._turns += [(peer, step) for step in steps]

    def shaken(self, peer: str) -> None:
        """See to it that ``peer`` is connected and has done an honest handshake."""
        if peer not in self._open:
            self.play(peer, Connect())
        if not self._open.get(peer, False):
            door = self._door
            self.play(peer, Shake(peer_type(door.socket_type)[0], mechanism=door.mechanism if door.known else "NULL"))
        self._open[peer] = True

    @rule(peer=peers)
    def connect(self, peer: str) -> None:
        """A connection, and nothing on it; one that was open is reset."""
        self.play(peer, Connect())
        self._open[peer] = False

    @rule(peer=peers)
    def handshake(self, peer: str) -> None:
        """An honest handshake."""
        self.shaken(peer)

    @rule(peer=peers, parts=st.lists(_bodies, min_size=1, max_size=5))
    def message(self, peer: str, parts: list[bytes]) -> None:
        """A well-framed message."""
        self.shaken(peer)
        units: tuple[Unit, ...] = tuple(Frame(part, more=place < len(parts)) for place, part in enumerate(parts, 1))
        self.play(peer, Send(units), Expect("message", within=0.005))

    @rule(peer=peers, frame=_frames)
    def malformed_frame(self, peer: str, frame: Frame) -> None:
        """A frame that may lie about its size, have reserved bits, or begin a message that has no end."""
        self.shaken(peer)
        self.play(peer, Send((frame,)), Expect("close", within=0.005))

    @rule(peer=peers, name=_names, data=st.binary(max_size=20))
    def command(self, peer: str, name: bytes, data: bytes) -> None:
        """A command in traffic."""
        self.shaken(peer)
        self.play(peer, Send((Command(name, data),)))

    @rule(peer=peers)
    def half_close(self, peer: str) -> None:
        """FIN from us; the peer still reads."""
        self.play(peer, *([ShutdownWrite()] if peer in self._open else []))

    @rule(peer=peers, rst=st.booleans())
    def leave(self, peer: str, rst: bool) -> None:
        """FIN or RST; whatever the peer does next, it connects again."""
        if self._open.pop(peer, None) is not None:
            self.play(peer, Reset() if rst else Close())

    @rule(peer=peers, rst=st.booleans())
    def reconnect(self, peer: str, rst: bool) -> None:
        """Gone, and back with an honest handshake."""
        self.leave(peer, rst)
        self.shaken(peer)

    # the end of a run

    def attack(self) -> Attack:
        """What was written down: a script for each peer, and signals that keep the order between them."""
        steps: dict[str, list[Step]] = {}
        last = ""
        for number, (peer, step) in enumerate(self._turns):
            if last and last != peer:
                steps[last].append(Signal(f"turn {number}"))
                steps.setdefault(peer, []).append(Await(f"turn {number}", within=TURN))
            steps.setdefault(peer, []).append(step)
            last = peer
        return Attack(tuple(Script(tuple(each), label=peer) for peer, each in steps.items()), strategy="machine")

    def check(self, trial: Trial) -> None:
        """Called with what was seen, once the invariants held; for assertions of your own."""

    def teardown(self) -> None:
        """Play the run, and raise the Violation that it shows. Raises ZmqfuzzError."""
        __tracebackhide__ = True
        target, attack = self._played_on(), self.attack()
        if attack.scripts and not target.spent(attack):  # the end of a run is no place to reject it
            trial = target.play(attack)
            target.check(trial)
            self.check(trial)


def _judged(run: Callable[[Any], None]) -> Callable[[Any], None]:
    """``run`` of a TestCase, which ends in what it amounts to: unittest shows pytest's hooks no exception."""

    @functools.wraps(run)
    def judged(self: Any) -> None:
        __tracebackhide__ = True
        from zmqfuzz.live import end

        try:
            run(self)
        except Exception as error:
            end(error)
        else:
            end(None)
        finally:
            machine: type[ZmtpMachine] = run._hypothesis_state_machine_class  # type: ignore[attr-defined]
            if machine.target is not None:
                machine.target.close()

    return judged
