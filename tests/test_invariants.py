"""Each invariant, judged from trials made by hand, on both sides of its limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zmqfuzz.budget import MIB, Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Violation
from zmqfuzz.invariants.liveness import assertion_in
from zmqfuzz.script import Attack, Close, Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.trial import (
    ClosedBy,
    Examination,
    Exit,
    Observation,
    ProbeResult,
    Reached,
    Sample,
    Surface,
    Transcript,
    Trial,
)
from zmqfuzz.zmtp.wire import Fill, Frame, Unit

DOOR = Surface("tcp://127.0.0.1:5555", "ROUTER")
BASE = 20 * MIB


def judge(code: str, seen: Trial | Examination, limits: Limits | None = None) -> Violation | None:
    return invariants()[code].judge(seen, limits or Limits())


def sample(rss: float = 0.0, *, sent: float = 0, descriptors: int = 10, virtual: float = 100) -> Sample:
    """``rss`` and ``virtual`` are MiB above the baseline."""
    return Sample(0.0, int(sent * MIB), BASE + int(rss * MIB), int(virtual * MIB), descriptors, 3, 0.1)


def trial(
    observation: Observation | None = None,
    *,
    sent: float = 0.0,
    steps: tuple[Step, ...] = (),
    closed_by: ClosedBy = ClosedBy.OPEN,
    reached: Reached = Reached.TRAFFIC,
    surface: Surface = DOOR,
) -> Trial:
    transcript = Transcript("attacker", (), closed_by, int(sent * MIB), 0, reached)
    return Trial(Attack((Script(steps),)), surface, (transcript,), observation or Observation(sample()), 1.0)


# ZF101, ZF102


@pytest.mark.parametrize(
    ("exit_", "log", "sentence", "signature"),
    [
        (Exit(code=1), "", "ended with exit code 1", "ended with exit code 1"),
        (Exit(code=0), "bye\n", "ended with exit code 0", "ended with exit code 0"),
        (Exit(signal=11), "", "was killed by SIGSEGV", "was killed by SIGSEGV"),
        (Exit(signal=64), "", "was killed by SIGRTMAX", "SIGRTMAX"),
        (Exit(signal=99), "", "was killed by signal 99", "signal 99"),
        (Exit(), "", "was gone", "was gone"),
        (Exit(code=1), "Traceback\n  File\nValueError: \xff secret\n", "with ValueError", "exit code 1 ValueError"),
        (Exit(code=1), "zmq.error.Again: x\n", "with zmq.error.Again", "zmq.error.Again"),
    ],
)
def test_a_process_that_ended(exit_: Exit, log: str, sentence: str, signature: str) -> None:
    violation = judge("ZF101", trial(Observation(exit=exit_, log_tail=log)))
    assert violation is not None
    assert sentence in violation.sentence
    assert signature in violation.signature
    assert "secret" not in violation.sentence + violation.signature


ASSERTIONS = [
    (
        "x\nAssertion failed: !more (src/fq.cpp:114)\n",
        ("!more", "fq.cpp"),
    ),
    (
        "Assertion failed: check () (/project/zeromq-4.3.5/src/msg.cpp:414)\nAborted",
        ("check ()", "msg.cpp"),
    ),
    (
        "Assertion failed: (_flags & 1) == 0 (./src/yqueue.hpp:33)",
        ("(_flags & 1) == 0", "yqueue.hpp"),
    ),
    ("Too many open files (src/ip.cpp:543)\n", ("Too many open files", "ip.cpp")),
    ("noise\nBad file descriptor (/b/libzmq/src/epoll.cpp:100)\nmore", ("Bad file descriptor", "epoll.cpp")),
]


@pytest.mark.parametrize(("log", "named"), ASSERTIONS)
def test_assertions_of_libzmq_of_both_kinds_are_named(log: str, named: tuple[str, str]) -> None:
    assert assertion_in(log) == named
    violation = judge("ZF101", trial(Observation(exit=Exit(signal=6), log_tail=log)))
    assert violation is not None
    assert violation.signature == f"libzmq assertion {named[0]} {named[1]}"
    assert "libzmq" in violation.advice


@pytest.mark.parametrize("log", ["", "AssertionError: no", "I said (src/ip.cpp:5) twice", "see main.py (line 3)"])
def test_other_words_are_no_assertion_of_libzmq(log: str) -> None:
    assert assertion_in(log) is None


def test_alive_or_killed_by_us_is_no_crash() -> None:
    assert judge("ZF101", trial()) is None
    assert judge("ZF101", trial(Observation(exit=Exit(signal=9), killed_at_cap=True))) is None


YES, NO = ProbeResult("application", True, 0.1), ProbeResult("application", False, 5.0, "no answer within 5.0 s")


@pytest.mark.parametrize(
    ("observation", "broken"),
    [
        (Observation(), False),
        (Observation(probes=(YES,)), False),
        (Observation(probes=(NO, YES)), False),
        (Observation(probes=(NO,)), True),
        (Observation(probes=(YES, NO)), True),
        (Observation(probes=(NO,), exit=Exit(code=1)), False),
        (Observation(probes=(NO,), killed_at_cap=True), False),
    ],
)
def test_deaf_is_who_does_not_answer_and_lives(observation: Observation, broken: bool) -> None:
    assert (judge("ZF102", trial(observation)) is not None) is broken


def test_a_client_that_does_not_come_back_is_told_as_such() -> None:
    door = replace(DOOR, side="connect")
    violation = judge("ZF102", trial(Observation(probes=(NO,)), surface=door))
    assert violation is not None
    assert violation.signature == "does not come back"


# ZF201, ZF202, ZF207


def sent_frame(unit: Unit, *, times: int = 1, shake: bool = True, within: float = 2.0) -> tuple[Step, ...]:
    shaken: tuple[Step, ...] = (Shake("DEALER"),) if shake else ()
    return (Connect(), *shaken, Send((unit,), times), Expect("close", within))


OPEN, FIN, RST = ClosedBy.OPEN, ClosedBy.FIN, ClosedBy.RST
PROMISE = Limits(max_frame=1000)


@pytest.mark.parametrize(
    ("steps", "closed_by", "reached", "broken"),
    [
        (sent_frame(Frame(Fill(1001))), OPEN, Reached.TRAFFIC, True),
        (sent_frame(Frame(Fill(1001), more=True, long=True)), OPEN, Reached.TRAFFIC, True),
        (sent_frame(Frame(Fill(5), declared_size=1001)), OPEN, Reached.TRAFFIC, True),
        (sent_frame(Frame(Fill(1001)), shake=False), OPEN, Reached.GREETING, True),
        (sent_frame(Frame(Fill(1001))), FIN, Reached.TRAFFIC, False),
        (sent_frame(Frame(Fill(1001))), RST, Reached.TRAFFIC, False),
        (sent_frame(Frame(Fill(1000))), OPEN, Reached.TRAFFIC, False),
        (sent_frame(Frame(Fill(1001)), within=0.5), OPEN, Reached.TRAFFIC, False),
        (sent_frame(Frame(Fill(1001)))[:3], OPEN, Reached.TRAFFIC, False),
        ((*sent_frame(Frame(Fill(1001))), Close()), ClosedBy.US, Reached.TRAFFIC, False),
        (sent_frame(Frame(Fill(1001))), OPEN, Reached.GREETING, False),
        (sent_frame(Frame(Fill(1001)), shake=False), OPEN, Reached.CONNECTED, False),
        (sent_frame(Frame(Fill(1001))), ClosedBy.REFUSED, Reached.NOTHING, False),
    ],
)
def test_a_frame_over_the_limit(steps: tuple[Step, ...], closed_by: ClosedBy, reached: Reached, broken: bool) -> None:
    seen = trial(steps=steps, closed_by=closed_by, reached=reached)
    assert (judge("ZF201", seen, PROMISE) is not None) is broken
    assert judge("ZF201", seen) is None, "no promise, no judgement"
    assert judge("ZF201", replace(seen, observation=Observation(exit=Exit(code=1))), PROMISE) is None


@pytest.mark.parametrize(
    ("unit", "closed_by", "reached", "broken"),
    [
        (Frame(Fill(1000)), FIN, Reached.TRAFFIC, True),
        (Frame(Fill(999)), RST, Reached.TRAFFIC, True),
        (Frame(Fill(1001)), FIN, Reached.TRAFFIC, False),
        (Frame(Fill(1000)), OPEN, Reached.TRAFFIC, False),
        (Frame(Fill(100)), FIN, Reached.TRAFFIC, False),
        (Frame(Fill(1000), reserved=8), FIN, Reached.TRAFFIC, False),
        (Frame(Fill(999), declared_size=1000), FIN, Reached.TRAFFIC, False),
        (Frame(Fill(1000), command=True), FIN, Reached.TRAFFIC, False),
        (Frame(Fill(1000), more=True), FIN, Reached.TRAFFIC, False),
        (Frame(Fill(1000)), FIN, Reached.GREETING, False),
    ],
)
def test_a_frame_within_the_limit(unit: Frame, closed_by: ClosedBy, reached: Reached, broken: bool) -> None:
    seen = trial(steps=sent_frame(unit), closed_by=closed_by, reached=reached)
    assert (judge("ZF202", seen, PROMISE) is not None) is broken
    assert judge("ZF202", seen) is None


@pytest.mark.parametrize(
    ("unit", "sent", "closed_by", "broken"),
    [
        (Frame(Fill(MIB), more=True), 20.0, OPEN, True),
        (Frame(Fill(MIB), more=True), 8.9, OPEN, False),
        (Frame(Fill(MIB), more=True), 20.0, FIN, False),
        (Frame(Fill(MIB)), 20.0, OPEN, False),
        (Frame(Fill(MIB), more=True, declared_size=5), 20.0, OPEN, False),
    ],
)
def test_a_message_in_parts_over_its_limit(unit: Frame, sent: float, closed_by: ClosedBy, broken: bool) -> None:
    seen = trial(steps=sent_frame(unit, times=20), sent=sent, closed_by=closed_by)
    assert (judge("ZF207", seen, Limits(max_message=MIB)) is not None) is broken
    assert judge("ZF207", seen) is None


# ZF203, ZF206


def holding(grown: float, sent: float, *, at_half: float | None = None, virtual: float = 100) -> Trial:
    """``grown`` MiB held for ``sent`` MiB; ``at_half`` of it when half had been sent."""
    half = grown / 2 if at_half is None else at_half
    series = (sample(), sample(half, sent=sent / 2), sample(grown, sent=sent))
    held = sample(grown, sent=sent, virtual=virtual)
    return trial(Observation(sample(), held, sample(), series), sent=sent)


def held(*trials: Trial, control: float = 0.0, doubts: tuple[str, ...] = ()) -> Examination:
    return Examination("held", trials, (holding(control, 40),), (), doubts)


HELD = [
    (held(holding(40, 40)), True),
    (held(holding(24, 40)), True),
    (held(holding(23.9, 40)), False),  # too little to tell from a program's own growth
    (held(holding(30, 61)), False),  # just under half an octet for each
    (held(holding(40, 40, at_half=39)), False),  # a queue that filled up to its high-water mark
    (held(holding(40, 40), control=40), False),  # honest traffic is kept just as well
    (held(holding(40, 40), control=20.1), False),
    (held(holding(40, 40), control=19.9), True),
    (held(holding(1, 40, virtual=100_000)), False),  # an announced size is not growth
    (held(holding(40, 40), holding(40, 40), holding(40, 40)), True),
    (held(holding(40, 40), holding(40, 40), holding(3, 40)), False),  # on one of three processes it was not so
    (held(holding(40, 40), doubts=("the machine was busy",)), False),
    (Examination("held", ()), False),
]


@pytest.mark.parametrize(("seen", "broken"), HELD)
def test_memory_held_in_step_with_what_is_sent(seen: Examination, broken: bool) -> None:
    violation = judge("ZF203", seen)
    assert (violation is not None) is broken
    if violation is not None:
        assert {measure.name for measure in violation.measures} >= {"held per octet sent", "control", "resident memory"}


def test_what_is_held_and_not_seen_is_not_judged() -> None:
    assert judge("ZF203", held(trial(Observation(), sent=40))) is None
    suspects = invariants()["ZF203"].suspects
    assert suspects is not None
    assert suspects(holding(7, 10), Limits())
    assert not suspects(holding(5, 5), Limits())
    assert not suspects(holding(7, 15), Limits())
    assert not suspects(trial(Observation(), sent=40), Limits())


@pytest.mark.parametrize(
    ("peak", "limits", "capped", "broken"),
    [
        (30, Limits(memory=BASE + 30 * MIB), False, False),
        (31, Limits(memory=BASE + 30 * MIB), False, True),
        (9000, Limits(), False, False),
        (1, Limits(), True, True),
    ],
)
def test_the_declared_memory(peak: float, limits: Limits, capped: bool, broken: bool) -> None:
    seen = trial(Observation(sample(), series=(sample(), sample(peak), sample()), killed_at_cap=capped))
    assert (judge("ZF206", seen, limits) is not None) is broken
