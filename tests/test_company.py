"""Honest clients beside a crowd: whose an answer is, how often it comes, and how long it takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import zmq

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.bursts import AT_ONCE, Burster, Flight
from zmqfuzz.bystanding import CARRIES, Asker, Tally, carried, quantile, question
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.catalogue import invariants
from zmqfuzz.companion import Companion
from zmqfuzz.company import (
    COMPANY,
    asks_alike,
    comparable,
    crowd,
    late,
    lost,
    mark_of,
    mixed,
    overheard,
    overtaken,
    parted,
    taken,
    told,
    twice,
)
from zmqfuzz.measured import Bursts, Company, Span
from zmqfuzz.script import Attack, Send
from zmqfuzz.trial import Examination, Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Frame

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
DOOR = Surface("tcp://127.0.0.1:5555", "ROUTER")
CALM = Span(500, 500, 0, 0, 0, 0, 1.0, 0.001, 0.01, 0.002)
FINE = Company("last", True, CALM, CALM, CALM, 0)


def during(company: Company = FINE, /, **changed: Any) -> Company:
    return replace(company, during=replace(company.during, **changed))


def judged(code: str, every: tuple[Company, ...], limits: Limits | None = None) -> bool:
    trials = tuple(Trial(Attack(()), DOOR, (), Observation(company=one), 1.0) for one in every)
    return invariants()[code].judge(Examination("company", trials), limits or Limits()) is not None


def test_a_token_is_carried_in_the_way_that_fits() -> None:
    assert carried([b"", b"hello"], "last", b"T") == [b"", b"T"]
    assert carried([b"", b"hello"], "append", b"T") == [b"", b"hello T"]
    assert carried([b"hello"], "json", b"T") is None
    assert carried([b"[1]"], "json", b"T") is None
    (document,) = carried([b'{"op": "get", "id": 7}'], "json", b"T") or []
    assert json.loads(document) == {"op": "get", "id": "T"}
    assert question([b"a", b"b"], "", b"T") == [b"a", b"b"]


def test_quantiles_are_of_what_was_seen() -> None:
    assert quantile([], 0.99) == 0.0
    assert quantile([1.0], 0.99) == 1.0
    assert quantile([float(value) for value in range(1, 101)], 0.99) == 99.0


@contextmanager
def server() -> Iterator[tuple[zmq.Socket[bytes], Callable[[], zmq.Socket[bytes]]]]:
    """A ROUTER, and what makes a DEALER that is connected to it."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        port = router.bind_to_random_port("tcp://127.0.0.1")

        def make() -> zmq.Socket[bytes]:
            sock = context.socket(zmq.DEALER)
            sock.linger = 0
            sock.connect(f"tcp://127.0.0.1:{port}")
            return sock

        yield router, make


def test_what_comes_is_counted_by_its_token() -> None:
    with server() as (router, make):
        asker, tally = Asker(make, b"ours", 0.0), Tally()

        def answer(*bodies: bytes) -> None:
            for body in bodies:
                router.send_multipart([who, body])
            for _ in bodies:
                assert asker.sock.poll(5000)
                asker.take("last", (b"theirs",), tally)

        asker.ask([b"x"], "last", tally)
        assert router.poll(5000)
        who, token = router.recv_multipart()
        assert token == b"ours00000001"
        answer(b"theirs00000009", b"busy", token, token)
        assert (tally.got, tally.foreign, tally.other, tally.twice) == (1, 1, 1, 1)
        asker.ask([b"x"], "last", tally)
        assert router.poll(5000)
        who, token = router.recv_multipart()
        asker.give_up(tally)
        answer(token)  # late, and not twice
        assert (tally.asked, tally.got, tally.lost, tally.twice) == (2, 1, 1, 1)
        asker.sock.close()


def test_what_belongs_to_another() -> None:
    assert mixed(during(foreign=2)) == 2
    assert mixed(replace(FINE, strays=3)) == 3
    assert not mixed(replace(during(foreign=2), private=False))  # it tells all what one has said
    assert not mixed(replace(during(foreign=2), carries=""))
    assert judged("ZF701", (during(foreign=1), FINE, during(foreign=1)))
    assert not judged("ZF701", (during(foreign=1), FINE, FINE))
    assert not judged("ZF701", (FINE,) * 3)


def test_what_is_answered_again() -> None:
    assert twice(during(twice=4)) == 4
    assert not twice(replace(during(twice=4), alone=replace(CALM, twice=1)))  # it does that alone, too
    assert judged("ZF702", (during(twice=1),) * 3)
    assert not judged("ZF702", (during(twice=1), FINE, FINE))


def test_what_is_not_answered() -> None:
    some, promise = during(lost=5), Limits(bystander_loss=0.0)
    assert lost(some) == 0.01
    assert not lost(during(some, machine=0.9))  # nobody would be in time
    assert not lost(replace(some, after=replace(CALM, lost=1)))
    assert judged("ZF703", (some,) * 3, promise)
    assert not judged("ZF703", (some,) * 3, Limits(bystander_loss=0.02))
    assert not judged("ZF703", (some,) * 3)


def test_what_is_late() -> None:
    slow, promise = during(p99=0.3), Limits(bystander_within=0.1)
    assert late(slow, 0.1)
    assert not late(during(slow, machine=0.06), 0.1)
    assert not comparable(replace(slow, alone=replace(CALM, p99=0.2)), 0.1)
    assert judged("ZF704", (slow,) * 3, promise)
    assert not judged("ZF704", (slow, slow, during(slow, machine=0.06)), promise)
    assert not judged("ZF704", (slow,) * 3)
    assert "300.0 ms beside a crowd" in told(slow)


def test_what_is_overheard() -> None:
    told_others, promise = replace(FINE, overheard=2), Limits(overheard=0)
    assert overheard(told_others) == 2
    assert not overheard(FINE), "nobody has asked for anything else"
    assert not overheard(replace(told_others, private=False))
    assert not overheard(replace(told_others, carries=""))
    assert judged("ZF705", (told_others, FINE, told_others), promise)
    assert not judged("ZF705", (told_others, FINE, FINE), promise)
    assert not judged("ZF705", (told_others,) * 3, Limits(overheard=2))
    assert not judged("ZF705", (told_others,) * 3)
    assert not judged("ZF701", (told_others,) * 3), "a store tells one what another has put there"


def test_listeners_ask_what_honest_clients_do_not() -> None:
    first, _, later = parted(crowd(DOOR, "REQ", (b"hello",), "append", b"mark", listens=True))
    assert (len(first.scripts), len(later.scripts)) == (2, 1)
    assert first.scripts == parted(crowd(DOOR, "REQ", (b"hello",), "append", b"mark"))[0].scripts
    asked = {step.units for step in later.scripts[0].steps if isinstance(step, Send)}
    bodies = {frame.body for units in asked for frame in units[1:] if isinstance(frame, Frame)}
    assert {b"", b"h", b"\xffello mark00000000", b"9999o mark00000000"} <= bodies
    assert b"hello mark00000000" not in bodies
    assert parted(Attack(()))[2].scripts == ()


KEPT = Bursts(20, 20, 0)


@pytest.mark.parametrize(
    ("bursts", "broken"),
    [
        ((KEPT, Bursts(20, 20, 3), KEPT), True),
        ((KEPT, KEPT, KEPT), False),
        ((Bursts(20, 20, 1), Bursts(20, 20, 3), KEPT), False),  # alone they come in any order, too: several workers
        ((KEPT, Bursts(20, 20, 3), Bursts(20, 20, 1)), False),
        ((Bursts(4, 4, 0), Bursts(20, 20, 3), KEPT), False),  # too few to know
        ((KEPT, Bursts(20, 2, 2), KEPT), True),
        ((KEPT, Bursts(20, 20, 1), KEPT), False),
        ((), False),
    ],
)
def test_what_is_told_as_out_of_order(bursts: tuple[Bursts, ...], broken: bool) -> None:
    one = replace(FINE, bursts=bursts)
    assert judged("ZF706", (one,) * 3) is broken
    assert not judged("ZF706", (one, one, replace(FINE, bursts=(KEPT,) * 3)))
    assert not judged("ZF706", (replace(one, carries=""),) * 3)


def test_what_goes_to_a_namesake() -> None:
    one = replace(FINE, taken=4)
    assert judged("ZF707", (one, one, FINE))
    assert not judged("ZF707", (one, FINE, FINE))
    assert not judged("ZF707", (replace(one, private=False),) * 3)
    assert not judged("ZF707", (replace(one, strays=2),) * 3)  # answers go to others in any case: ZF701


def test_the_order_of_answers_is_looked_at_in_bursts() -> None:
    with server() as (router, make):
        burster, flight = Burster(make, b"ours", lambda token: [b"", token], 60.0), Flight()
        for order in (1, -1):
            while not burster.waits:
                burster.go_on(flight, more=True)
            asked = []
            for _ in range(AT_ONCE):
                assert router.poll(5000)
                asked.append(router.recv_multipart())
            for message in [asked[0], *asked[1:][::order], [asked[0][0], b"busy"], asked[0]]:  # and again, and others
                router.send_multipart(message)
                assert burster.sock.poll(5000)
                burster.take(flight)
        assert (flight.bursts, flight.whole, flight.swapped) == (2, 2, 1)
        burster.sock.close()


@pytest.mark.parametrize("kind", ["REQ", "DEALER"])
def test_a_crowd_asks_the_same(kind: str) -> None:
    attack = crowd(DOOR, kind, (b"", b"hello"), "last", b"mark")
    assert attack.strategy == COMPANY
    assert mark_of(attack) == b"mark"
    units = next(step for step in attack.scripts[0].steps if type(step).__name__ == "Send")
    assert Frame(b"mark00000000") in getattr(units, "units", ())
    assert "zmqfuzz replay" in cannot_play(attack)
    assert not mark_of(Attack(()))
    assert asks_alike(DOOR, kind, (b"x",))
    assert not asks_alike(DOOR, "SUB", ())


@pytest.mark.parametrize(
    "form",
    [
        pytest.param((), marks=pytest.mark.slow),
        ("--handover",),
        *(pytest.param((word,), marks=pytest.mark.slow) for word in ("--newest-first", "--hardened")),
    ],
)
def test_a_desk(form: tuple[str, ...]) -> None:
    async def session() -> Company | None:
        async with Spec((sys.executable, str(EXAMPLES / "desk.py"), *form)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            await harness.calibrate(surface.key)
            companion = Companion(harness)
            assert companion.asks(surface)
            return (await companion.crowd(surface.key)).observation.company

    seen = trio.run(session)
    assert seen is not None
    assert seen.carries in CARRIES
    assert seen.private
    assert (mixed(seen) == 0) is bool(form)
    assert (taken(seen) > 0) is ("--handover" in form)
    assert (overtaken(seen) > 0) is ("--newest-first" in form)
    assert seen.alone.asked
