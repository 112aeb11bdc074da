"""What was seen without a promise: only what the octets of a trial prove."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zmqfuzz.assembly import Spec, run
from zmqfuzz.budget import MIB, Limits
from zmqfuzz.campaign.envelope import Envelope
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.trial import (
    ClosedBy,
    Direction,
    Entry,
    Exit,
    Observation,
    Reached,
    Sample,
    Stop,
    Surface,
    Transcript,
    Trial,
)
from zmqfuzz.zmtp.wire import Fill, Frame, Greeting, Raw, encode

OPEN, FIN, RST, US = ClosedBy.OPEN, ClosedBy.FIN, ClosedBy.RST, ClosedBy.US
GREETING = encode(Greeting())
ANSWER = Entry(0.5, Direction.RECEIVED, b"\0\1x", note="frame MORE=0 size=1")
SENT = Entry(0.1, Direction.SENT, b"\0\1x")


def rss(mib: float) -> Sample:
    return Sample(0.0, 0, int(mib * MIB), 0, 5, 2, 0.0)


def trial(
    *steps: Step,
    entries: tuple[Entry, ...] = (SENT,),
    sent: int = 0,
    closed_by: ClosedBy = OPEN,
    kind: str = "ROUTER",
    reached: Reached = Reached.TRAFFIC,
    seen: Observation | None = None,
    times: int = 1,
) -> Trial:
    transcript = Transcript("attacker", entries, closed_by, sent, 0, reached)
    attack = Attack((Script((Connect(), *steps), times=times),))
    surface = Surface("tcp://127.0.0.1:1", kind)
    return Trial(attack, surface, (transcript,) * times, seen or Observation(), 1.0)


def noted(*trials: Trial) -> Envelope:
    envelope = Envelope()
    for one in trials:
        envelope.note(one)
    return envelope


SHAKE = Shake("DEALER")
KIB = Send((Frame(Fill(1024)),))
BIG = Send((Frame(Fill(16 * MIB)),))
PARTS = Send((Frame(Fill(1024), more=True),), times=20 * 1024)
TWO = Send((Frame(Fill(100), more=True), Frame(Fill(1000))))

TAKEN = [
    (trial(SHAKE, KIB, entries=(SENT, ANSWER), sent=1200), 1024, 1024),
    (trial(SHAKE, TWO, entries=(SENT, ANSWER), sent=1200), 1000, 1100),
    (trial(SHAKE, KIB, entries=(SENT,), sent=1200), 0, 0),  # it may lie in a buffer, unread
    (trial(SHAKE, KIB, entries=(ANSWER, SENT), sent=1200), 0, 0),  # that was an answer to something else
    (trial(SHAKE, KIB, TWO, entries=(SENT, ANSWER), sent=2400), 0, 0),  # to which of them?
    (trial(SHAKE, KIB, entries=(SENT, ANSWER), sent=1200, kind="PUB"), 0, 0),  # it sends without being asked
    (trial(SHAKE, KIB, entries=(SENT, ANSWER), sent=900), 0, 0),  # the target did not take all of it
    (trial(SHAKE, KIB, entries=(SENT, ANSWER), sent=1200, closed_by=US), 0, 0),
    (trial(SHAKE, BIG, sent=17 * MIB, kind="PULL"), 16 * MIB, 16 * MIB),  # more than any buffer holds
    (trial(SHAKE, BIG, sent=17 * MIB, kind="PULL", closed_by=RST), 0, 0),
    (trial(SHAKE, PARTS, sent=21 * MIB, kind="PULL"), 0, 20 * MIB),
    (trial(SHAKE, Send((Frame(Fill(9), declared_size=MIB),)), entries=(SENT, ANSWER), sent=2 * MIB), 0, 0),
    (trial(KIB, entries=(SENT, ANSWER), sent=1200), 0, 0),  # no honest handshake
    (trial(SHAKE, KIB, entries=(SENT, ANSWER), sent=1200, seen=Observation(exit=Exit(code=1))), 0, 0),
]


@pytest.mark.parametrize(("one", "frame", "message"), TAKEN)
def test_what_was_taken_was_read(one: Trial, frame: int, message: int) -> None:
    envelope = noted(one)
    assert (envelope.frame, envelope.message) == (frame, message)


def test_the_largest_counts_and_the_smallest_refused() -> None:
    small = trial(SHAKE, KIB, entries=(SENT, ANSWER), sent=1200)
    smaller = trial(SHAKE, Send((Frame(Fill(10)),)), entries=(SENT, ANSWER), sent=100)
    refused = [trial(SHAKE, Send((Frame(Fill(size)),)), closed_by=FIN) for size in (5000, 4000)]
    envelope = noted(small, smaller, *refused)
    said = "frames of up to 1 KiB taken (one of 4,000 octets was refused)"
    assert envelope.observed(Limits()) == [said, "messages of up to 1 KiB taken"]
    assert envelope.observed(Limits(max_frame=1)) == ["messages of up to 1 KiB taken"]
    assert envelope.observed(Limits(max_frame=1, max_message=1)) == []
    for another_reason in (trial(SHAKE, Send((Frame(Fill(5)),)), closed_by=FIN), trial(SHAKE, KIB, closed_by=FIN)):
        assert "refused" not in noted(small, another_reason).observed(Limits())[0]


def ended(at: float, said: bytes = GREETING, closed_by: ClosedBy = FIN) -> tuple[Entry, ...]:
    """Our octets at 1 s, the end ``at`` seconds."""
    entries = (Entry(1.0, Direction.SENT, said), Entry(1.1, Direction.RECEIVED, GREETING))
    return (*entries, Entry(at, Direction.NOTE, b"", note=closed_by.value))


HALF = Send((Raw(GREETING[:12]),))
SILENT = [
    (trial(HALF, Wait(9), entries=ended(3, GREETING[:12]), sent=12, closed_by=FIN), {Reached.GREETING: (2.0, 2.0)}),
    (trial(SHAKE, Wait(9), entries=ended(5, closed_by=RST), closed_by=RST), {Reached.TRAFFIC: (4.0, 4.0)}),
    (trial(SHAKE, Expect("close", 9), entries=ended(2), closed_by=FIN, times=3), {Reached.TRAFFIC: (1.0, 1.0)}),
    (trial(Send((Raw(b"GET /"),)), entries=ended(3, b"GET /"), sent=5, closed_by=FIN), {}),
    (trial(HALF, ShutdownWrite(), entries=ended(3, GREETING[:12]), sent=12, closed_by=FIN), {}),
    (trial(SHAKE, KIB, entries=ended(3), closed_by=FIN), {}),  # perhaps for what it sent
    (trial(SHAKE, entries=ended(3), closed_by=FIN, reached=Reached.GREETING), {}),
    (trial(Shake("DEALER", identity=b"a"), entries=ended(3), closed_by=FIN), {}),  # perhaps for another of that name
    (trial(SHAKE, entries=ended(3), closed_by=FIN, kind="PAIR"), {}),  # it serves one peer only
    (trial(SHAKE, Wait(9), entries=(SENT,), closed_by=OPEN), {}),
]


@pytest.mark.parametrize(("one", "idle"), SILENT)
def test_a_silent_peer_that_was_cut(one: Trial, idle: dict[Reached, tuple[float, float]]) -> None:
    assert noted(one).idle == idle


def test_from_the_shortest_to_the_longest_silence() -> None:
    trials = [trial(SHAKE, Wait(9), entries=ended(at), closed_by=FIN) for at in (2.5, 1.25, 3)]
    assert noted(*trials).observed(Limits()) == ["peers that fell silent after it cut after 0.25 to 2.00 s"]


def test_memory_from_the_first_to_the_largest() -> None:
    seen = [Observation(rss(low), series=(rss(low), rss(high))) for low, high in ((20, 30), (25, 64.5), (10, 11))]
    trials = [trial(seen=one) for one in seen]
    envelope = noted(*trials)
    assert envelope.observed(Limits()) == ["resident memory up to 64.5 MiB (20.0 MiB before)"]
    assert envelope.observed(Limits(memory=1)) == []
    assert noted(trial(seen=Observation(series=(rss(1),)))).observed(Limits()) == []  # nobody could look


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((Stop("SIGTERM", 0.03, True), Stop("SIGTERM", 0.512, True)), "ends 0.03 to 0.51 s after SIGTERM"),
        (
            (Stop("SIGINT", 0.03, True), Stop("SIGINT", 5.01, False)),
            "still running 5 s after SIGINT (promise an end with --linger)",
        ),
        (
            (Stop("SIGTERM", 10.0, False),),
            "still running 10 s after SIGTERM, also with nobody connected (promise an end with --linger)",
        ),
    ],
)
def test_how_it_ended_each_time_it_was_told_to_stop(ends: tuple[Stop, ...], said: str) -> None:
    envelope = Envelope()
    for stop in ends:
        envelope.stopped(trial(seen=Observation(exit=Exit(code=0), stop=stop)))
    assert envelope.observed(Limits()) == [said]
    assert envelope.observed(Limits(linger=1.0)) == []


# Promises nothing, and has limits all the same.
SERVER = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
    router.maxmsgsize, router.handshake_ivl, router.linger = 65536, 200, 0
    router.bind(sys.argv[1])
    while True:
        router.send_multipart(router.recv_multipart())
"""


def test_a_real_server_that_promises_nothing(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    spec = Spec((sys.executable, str(tmp_path / "server.py"), "{endpoint}"))
    played = (
        (SHAKE, Send((Frame(Fill(65536)),)), Expect("message", 10)),
        (SHAKE, Send((Frame(Fill(65537)),)), Expect("close", 10)),
        (Send((Raw(GREETING[:12]),)), Expect("close", 10)),
    )
    envelope = Envelope()

    async def play() -> None:
        async with spec.harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            for steps in played:
                envelope.note(await harness.trial(Attack((Script((Connect(), *steps)),)), surface.key))

    run(play)
    memory, frames, messages, silence = envelope.observed(Limits())
    assert memory.startswith("resident memory up to ")
    assert frames == "frames of up to 64 KiB taken (one of 65,537 octets was refused)"
    assert messages == "messages of up to 64 KiB taken"
    assert silence.startswith("peers that fell silent in the handshake cut after ")
    assert 0.05 < envelope.idle[Reached.GREETING][0] < 10  # libzmq's timer began when it accepted the connection
