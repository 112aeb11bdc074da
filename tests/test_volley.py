"""Many short scripts on one poll loop: the same on the wire, and in the transcript, as by a task for each peer."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
import zmq

from zmqfuzz.assembly import Spec, run
from zmqfuzz.brevity import plays
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.campaign.volleys import Magazine, apart, together
from zmqfuzz.catalogue import Situation, select_families
from zmqfuzz.endpoints import Place, connect
from zmqfuzz.injector import inject
from zmqfuzz.script import (
    Attack,
    Close,
    Connect,
    Expect,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import ClosedBy, Direction, Observation, Reached, Stage, Surface, Transcript, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Property, Raw

EXAMPLES = Path(__file__).parent.parent / "targets" / "examples"
TYPE = Property(b"Socket-Type", b"PUSH")
SHAKEN = (Connect(), Shake("PUSH", identity=b"me"))
SCRIPTS = (
    Script((*SHAKEN, Send((Frame(b"one"),), times=3), Close())),
    Script((*SHAKEN, Send((Frame(b"begun", more=True),)), Reset()), label="victim"),
    Script(
        (
            Connect(),
            Expect("bytes", 0.1),
            Send((Greeting(),)),
            Expect("ready", 0.1),
            Send((Raw(b"\xff\xff"),)),
            Expect("close", 0.2),
        )
    ),
    Script((Connect(), Expect("bytes", 0.1), Send((Raw(b"\xff" + bytes(8)),)), ShutdownWrite(), Expect("close", 0.5))),
    Script((*SHAKEN, Send((Command(b"PING", b"\0\0ctx"),)), Expect("message", 0.5))),
    Script((*SHAKEN, Reset(), *SHAKEN, Send((Frame(Fill(30_000)),)), Wait(0.01))),
    Script((Connect(), Shake("PUSH", instead=(Command(b"READY", properties=(TYPE,)),)), Wait(0.02))),
    Script((Send((Frame(b"never"),)), Wait(0.0), Close())),
    Script((Connect(), Send((Greeting(), Raw(b"\xff")), chunk=3), Wait(0.01), Reset())),
    Script((*SHAKEN, Send((Frame(b"now and then"),), times=4, every=0.005), Close())),
    Script((*SHAKEN, StopReading(), Send((Command(b"PING", b"\0\0"),)), Wait(0.02), Close())),
    Script((*SHAKEN, StopReading(), Send((Frame(b"x", reserved=0x80),)), Expect("close", 0.1))),
)


@pytest.fixture(params=["tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc"])
def pull(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, zmq.Socket[bytes]]]:
    """A PULL of libzmq's own that is read by nobody, and its endpoint."""
    with zmq.Context() as context, context.socket(zmq.PULL) as sock:
        sock.linger, sock.ipv6 = 0, "[" in request.param
        sock.bind(f"ipc://{os.path.relpath(tmp_path / 'door')}" if request.param == "ipc" else request.param)
        yield str(sock.getsockopt_string(zmq.LAST_ENDPOINT)), sock


def play(endpoint: str, attack: Attack) -> tuple[Transcript, ...]:
    async def main() -> tuple[Transcript, ...]:
        return await inject(attack, partial(_dial, endpoint), Meter(), place=Place.at(endpoint))

    return trio.run(main)


async def _dial(endpoint: str, buffer: int | None = None, /) -> trio.socket.SocketType:
    return await connect(endpoint, buffer)


def seen(transcript: Transcript) -> object:
    """What does not depend on time: all that was sent, with its notes, and how far it got."""
    sent = [msgspec.structs.replace(entry, at=0.0) for entry in transcript.entries if entry.direction is Direction.SENT]
    received = b"".join(entry.data for entry in transcript.entries if entry.direction is Direction.RECEIVED)
    acted, breaches = sorted(transcript.acted), transcript.breaches
    return sent, received, transcript.label, transcript.closed_by, transcript.reached, acted, breaches


def test_a_script_does_the_same_as_a_peer_of_its_own(pull: tuple[str, zmq.Socket[bytes]]) -> None:
    endpoint, _ = pull
    for script in SCRIPTS:
        assert plays(script)
        (one,), (other,) = play(endpoint, Attack((script,))), play(endpoint, Attack((script,), at_once=1))
        assert seen(one) == seen(other)


def test_all_are_played_in_order_however_few_at_once(pull: tuple[str, zmq.Socket[bytes]]) -> None:
    endpoint, sock = pull
    scripts = tuple(Script((Connect(), Shake("PUSH"), Send((Frame(b"%d" % n),)), Close())) for n in range(200))
    transcripts = play(endpoint, Attack(scripts, at_once=16))
    assert len(transcripts) == 200
    assert all(transcript.reached is Reached.TRAFFIC for transcript in transcripts)
    assert {sock.recv() for _ in range(200) if sock.poll(5000)} == {b"%d" % n for n in range(200)}


def test_what_a_script_waits_for_ends_its_wait(pull: tuple[str, zmq.Socket[bytes]]) -> None:
    """One after the other, in vain, they would take 40 s or more; the injector gives them 20."""
    endpoint, _ = pull
    waiting = Script((Connect(), Expect("bytes", 0.5), Send((Greeting(),)), Expect("greeting", 0.5), Close()))
    for transcript in play(endpoint, Attack((waiting,) * 80, at_once=1)):
        assert transcript.reached >= Reached.GREETING
        assert transcript.closed_by is ClosedBy.US


def test_scripts_that_rest_do_not_keep_others_waiting(pull: tuple[str, zmq.Socket[bytes]]) -> None:
    """Three at a time would take 40 s; the injector gives them 20."""
    endpoint, _ = pull
    if "[" in endpoint:
        pytest.skip("the same loop as over IPv4")
    resting = Script((Connect(), Shake("PUSH"), Expect("message", 0.6), Close()))
    for transcript in play(endpoint, Attack((resting,) * 200, at_once=3)):
        assert transcript.reached is Reached.TRAFFIC
        assert transcript.closed_by is ClosedBy.US


def test_what_a_script_leaves_open_stays_open_until_all_have_ended(pull: tuple[str, zmq.Socket[bytes]]) -> None:
    endpoint, _ = pull
    staying = Script((Connect(), Shake("PUSH")))
    first, *_, last = play(endpoint, Attack((staying, *SCRIPTS[:4], staying), at_once=2))
    for transcript in (first, last):
        assert transcript.closed_by is ClosedBy.OPEN
        assert transcript.acted == {Stage.TRAFFIC}


def test_nothing_is_left_open_when_it_is_cancelled() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with zmq.Context() as context, context.socket(zmq.PULL) as sock:
        endpoint = sock.bind_to_random_port("tcp://127.0.0.1")
        place = Place.at(f"tcp://127.0.0.1:{endpoint}")
        scripts = (Script((Connect(), Shake("PUSH"), Wait(0.5))),) * 500

        async def main() -> None:
            with trio.move_on_after(0.3):
                await inject(Attack(scripts, at_once=8), _dial, Meter(), place=place)  # type: ignore[arg-type]

        trio.run(main)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # trio keeps one for its threads


def test_what_the_target_does_not_take_at_once_is_sent_when_it_does(tmp_path: Path) -> None:
    octets, taken = 8 * 64 * 1024, 0
    path = os.path.relpath(tmp_path / "door")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()

        def read_late() -> None:
            nonlocal taken
            sock, _ = door.accept()
            with sock:
                time.sleep(0.2)
                while data := sock.recv(65536):
                    taken += len(data)

        reader = threading.Thread(target=read_late)
        reader.start()
        script = Script((Connect(), *(Send((Raw(Fill(65536)),)) for _ in range(8)), Close()))
        (transcript,) = play(f"ipc://{path}", Attack((script,), at_once=1))
        reader.join()
    assert transcript.sent == taken == octets
    assert not any("took" in entry.note for entry in transcript.entries)


def test_a_closed_door_is_told() -> None:
    transcripts = play("tcp://127.0.0.1:9", Attack((SCRIPTS[0],) * 3, at_once=2))
    assert [transcript.closed_by for transcript in transcripts] == [ClosedBy.REFUSED] * 3


def test_long_and_particular_scripts_are_not_for_it() -> None:
    assert not plays(Script((*SHAKEN, Wait(5.0))))
    assert not plays(Script((*SHAKEN, Send((Frame(Fill(1 << 20)),)))))
    assert not plays(Script((*SHAKEN, Send((Frame(b"slowly"),), chunk=1, every=0.1))))
    assert not plays(Script((*SHAKEN, Vanish())))


def test_a_volley_is_drawn_put_together_and_taken_apart() -> None:
    surface = Surface("tcp://127.0.0.1:1", "PULL")
    (family,) = select_families(["malformed-message"])
    magazine = Magazine(Guide(family, Situation(surface, Limits(), Budget())), random.Random(1), size=40)
    attacks = magazine.volley()
    assert len(attacks) == 40
    whole = together(attacks)
    played = [script for script in whole.scripts for _ in range(script.times)]
    transcripts = tuple(Transcript(str(n), (), ClosedBy.US, 0, 0, Reached.NOTHING) for n, _ in enumerate(played))
    parts = apart(Trial(whole, surface, transcripts, Observation(), 4.0), attacks)
    assert [part.attack for part in parts] == list(attacks)
    assert [transcript for part in parts for transcript in part.transcripts] == list(transcripts)
    magazine.took(0.7)
    assert len(magazine.volley()) == 80
    magazine.took(0.01)
    assert len(magazine.volley()) == 320


def test_what_a_volley_shows_is_told_as_one_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is played alone before: a worker that dies in a volley is found by taking the volley apart."""
    monkeypatch.setattr("zmqfuzz.campaign.search.FIRST_ALONE", 1)
    told: list[Event] = []

    async def main() -> Outcome:
        command = (sys.executable, str(EXAMPLES / "worker_crash.py"))
        async with Spec(command).harness() as harness:
            plan = Plan(select_families(["malformed-message", "envelope"]), 30.0, 1, stop_after=1)
            return await Campaign(harness, plan, told.append).run()

    (finding,) = run(main).findings
    assert finding.code == "ZF101"
    assert finding.confirmed >= 2
    assert sum(script.times for script in finding.attack.scripts) <= 2
    assert any(isinstance(event, Found) for event in told)
