"""What the families of the grammar cover: every name, version, length, moment and role, and soon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.script import Attack, Close, Connect, Reset, Send, Shake, ShutdownWrite, Step
from zmqfuzz.strategies.pieces import COMMANDS, IDENTITIES
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.connection import Connection, FrameReceived, GreetingReceived
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Greeting1, Greeting2, Property, Raw, Unit, encode

GRAMMAR = ("churn", "commands", "envelope", "foreign-opening", "identity", "metadata", "subscription", "version-mix")
MANY = 1500


def situation(socket_type: str, side: str) -> Situation:
    return Situation(Surface("tcp://127.0.0.1:1", socket_type, side=side), Limits(), Budget())


def drawn(name: str, count: int = MANY, socket_type: str = "ROUTER", side: str = "bind") -> Iterator[Attack]:
    where = situation(socket_type, side)
    for seed in range(count):
        yield Attack(families()[name].draw(RandomDraw(seed), where), name, seed)


def steps(name: str, count: int = MANY, socket_type: str = "ROUTER", side: str = "bind") -> Iterator[Step]:
    for attack in drawn(name, count, socket_type, side):
        for script in attack.scripts:
            yield from script.steps


def units(name: str, count: int = MANY, socket_type: str = "ROUTER", side: str = "bind") -> Iterator[Unit]:
    for step in steps(name, count, socket_type, side):
        if isinstance(step, Send):
            yield from step.units


@pytest.mark.parametrize("side", ["bind", "connect"])
@pytest.mark.parametrize("name", GRAMMAR)
def test_the_first_ten_attacks_differ_in_more_than_their_octets(name: str, side: str) -> None:
    """By the kinds of their steps and units alone: a short run plays few."""
    shapes = set()
    for attack in drawn(name, 10, side=side):
        kinds = [
            tuple(type(unit) for unit in step.units) if isinstance(step, Send) else type(step)
            for script in attack.scripts
            for step in script.steps
        ]
        shapes.add(str(kinds))
    assert len(shapes) >= 7


@pytest.mark.parametrize("name", GRAMMAR)
def test_peers_leave_in_every_way_and_stay(name: str) -> None:
    last = {type(script.steps[-1]) for attack in drawn(name, 300) for script in attack.scripts}
    ways = {Close, Reset} if name == "churn" else {Close, Reset, ShutdownWrite}
    assert ways < last | {Connect}
    assert name == "churn" or last - ways, "some stay"


def test_every_command_stands_in_every_state() -> None:
    seen: set[tuple[bytes, str]] = set()
    times: set[int] = set()
    ttls: set[int] = set()
    for attack in drawn("commands", 4000):
        (script,) = attack.scripts
        state = "traffic" if any(isinstance(step, Shake) for step in script.steps) else "greeting"
        for step in script.steps:
            if not isinstance(step, Send):
                continue
            for unit in step.units:
                if isinstance(unit, Command):
                    seen.add((unit.name, state))
                    times.add(step.times)
                    if unit.name == b"PING" and unit.name_size is None and len(unit.data) >= 2:
                        ttls.add(int.from_bytes(unit.data[:2], "big"))
            last = step.units[-1]
            if isinstance(last, Frame) and not last.command:
                if last.more:
                    state = "message"
                elif step.times > 1000:
                    state = "pressure"
    wanted = {(name, state) for name in COMMANDS for state in ("greeting", "traffic", "message", "pressure")}
    assert wanted <= seen
    assert {0, 1, 655, 656, 657, 16384, 65535} <= ttls
    assert max(times) >= 1000


def test_versions_of_every_kind_speak_either_framing() -> None:
    greetings = [unit for unit in units("version-mix") if isinstance(unit, Greeting | Greeting1 | Greeting2)]
    shaken = {step.version for step in steps("version-mix") if isinstance(step, Shake)}
    assert shaken >= {(3, 0), (3, 1)}
    assert {unit.long for unit in greetings if isinstance(unit, Greeting1)} == {False, True}
    assert {unit.revision for unit in greetings if isinstance(unit, Greeting2)} == {0, 1, 2, 3, 255}
    assert {unit.major for unit in greetings if isinstance(unit, Greeting)} >= {0, 1, 2, 3, 4, 255}
    mixed = set()
    for attack in drawn("version-mix", 300):
        (script,) = attack.scripts
        versions = {type(unit) for step in script.steps if isinstance(step, Send) for unit in step.units}
        mixed.add(frozenset(versions & {Greeting, Greeting1, Greeting2}))
    assert any(len(versions) > 1 for versions in mixed), "another version on reconnect"


def test_topics_are_subscribed_and_cancelled_in_both_ways_short_and_long() -> None:
    legacy, named, long = set(), set(), set()
    for unit in units("subscription", socket_type="XPUB"):
        if isinstance(unit, Command):
            named.add(unit.name)
        elif isinstance(unit, Frame) and isinstance(unit.body, bytes) and unit.declared_size:
            long.add((unit.command, unit.declared_size >= 300_000))
        elif isinstance(unit, Frame) and isinstance(unit.body, bytes):
            legacy.add(unit.body[:1])
    assert named == {b"SUBSCRIBE", b"CANCEL"}
    assert legacy >= {b"\0", b"\1", b"\2", b"\xff", b""}
    assert long == {(False, False), (False, True), (True, False), (True, True)}


def test_topics_in_bulk_are_frames_of_their_own() -> None:
    sent = [unit.data for unit in units("subscription", 200, "XPUB") if isinstance(unit, Raw)]
    longest = max([data for data in sent if isinstance(data, bytes)], key=len)
    reader = Connection()
    reader.receive_data(encode(Greeting()) + encode(Command(b"READY")) + longest)
    topics = []
    while (event := reader.next_event()) is not None:
        if isinstance(event, FrameReceived):
            topics.append(event.frame.body)
    assert len(set(topics)) == len(topics) >= 256


def test_identities_are_kept_taken_and_changed() -> None:
    names = {step.identity for step in steps("identity") if isinstance(step, Shake)}
    assert names >= set(IDENTITIES)
    shared = changed = 0
    for attack in drawn("identity", 300):
        called = [{step.identity for step in script.steps if isinstance(step, Shake)} for script in attack.scripts]
        shared += len(called) > 1 and bool(set.intersection(*called))
        changed += any(len(ones) > 1 for ones in called)
    assert shared > 10
    assert changed > 10


def test_envelopes_with_and_without_a_delimiter_and_to_any_depth() -> None:
    depths = {step.times for step in steps("envelope") if isinstance(step, Send) and len(step.units) == 1}
    assert depths >= {1, 2, 3, 17, 255, 256, 1000, 10_000}
    bodies = {unit.body for unit in units("envelope") if isinstance(unit, Frame) and not unit.more}
    assert b"" in bodies
    assert len(bodies) > 100


def test_metadata_is_known_forged_repeated_and_very_much() -> None:
    properties: list[Property] = []
    counts = set()
    for step in steps("metadata"):
        if isinstance(step, Shake):
            properties += step.properties
        elif isinstance(step, Send):
            counts.add(step.times)
            for unit in step.units:
                if isinstance(unit, Command):
                    properties += unit.properties
    names = {item.name for item in properties}
    assert names >= {b"User-Id", b"user-id", b"USER-ID", b"Routing-Id", b"__fd", b"", b"Socket-Type", b"SOCKET-TYPE"}
    assert max(counts) == 100_000
    assert {len(item.value) for item in properties} >= {0, 1, 255, 256, 65536}


@pytest.mark.parametrize("side", ["bind", "connect"])
def test_foreign_openings_are_those_of_the_side_that_is_expected(side: str) -> None:
    firsts = []
    for attack in drawn("foreign-opening", side=side):
        for script in attack.scripts:
            sends = [step for step in script.steps if isinstance(step, Send)]
            firsts.append(encode(sends[0].units[0]))
    asks = sum(first.startswith((b"GET ", b"\x16\3", b"PROXY", b"AMQP")) for first in firsts)
    answers = sum(first.startswith((b"HTTP/", b"220 ", b"+PONG", b"\x15\3")) for first in firsts)
    assert (asks > answers > 0) if side == "bind" else (answers > asks > 0)
    assert len(set(firsts)) > 300


def test_no_foreign_opening_is_read_as_a_greeting_of_version_three() -> None:
    for attack in drawn("foreign-opening", 300):
        for script in attack.scripts:
            send = next(step for step in script.steps if isinstance(step, Send))
            reader = Connection()
            reader.receive_data(encode(send.units[0]))
            event = reader.next_event()
            assert not isinstance(event, GreetingReceived) or event.version in ("1.0", "2.0")


@pytest.mark.parametrize("side", ["bind", "connect"])
def test_churn_connects_again_within_bounds(side: str) -> None:
    connections = []
    for attack in drawn("churn", 300, side=side):
        (script,) = attack.scripts
        connections.append(script.times * sum(isinstance(step, Connect) for step in script.steps))
    assert max(connections) == (64 if side == "bind" else 3)
