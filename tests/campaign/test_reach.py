"""The reach map: where scripts act, as planned and as recorded, and what is told of each cell."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.reach import Reach, acted_in, planned, reachable, rows_from, summary, table
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.script import Attack, Close, Connect, Expect, Reset, Script, Send, Shake, Step, StopReading, Wait
from zmqfuzz.trial import ClosedBy, Observation, Reached, Stage, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Greeting1, Raw, encode

NULL = Surface("tcp://127.0.0.1:1", "ROUTER")
PLAIN = replace(NULL, mechanism="PLAIN")
CURVE = replace(NULL, mechanism="CURVE")
STRANGER = replace(CURVE, known=False)
CLIENT = replace(PLAIN, side="connect")
OPENING = encode(Greeting())
ROUTER = (Path(__file__).resolve().parents[2] / "targets" / "examples" / "router.py").as_posix()
BEGUN = Send((Frame(b"", more=True),))
LIE = Command(b"HELLO")


@pytest.mark.parametrize(
    ("surface", "steps", "stages"),
    [
        (NULL, (Connect(),), "connected"),
        (NULL, (Connect(), Shake("DEALER")), "traffic"),
        (NULL, (Connect(), Shake("DEALER"), Close()), "traffic"),
        (NULL, (Connect(), Shake("DEALER"), BEGUN, Reset()), "traffic message"),
        (NULL, (Connect(), Shake("DEALER"), BEGUN, Send((Frame(b"end"),)), Close()), "traffic message"),
        (NULL, (Connect(), Shake("DEALER"), Send((Frame(b"ab", declared_size=9),))), "traffic message"),
        (NULL, (Connect(), Shake("DEALER"), Send((Frame(b"ab", declared_size=9), Raw(b"1234567")))), "traffic"),
        (NULL, (Connect(), Shake("DEALER"), Send((Frame(reserved=8),)), Close()), "traffic"),
        (NULL, (Connect(), Shake("DEALER"), Connect()), "traffic connected"),
        (NULL, (Connect(), Shake("DEALER", mechanism="PLAIN"), Close()), ""),
        (NULL, (Connect(), Send((Greeting(),)), Send((LIE,))), "connected handshake"),
        (NULL, (Connect(), Send((Greeting(), LIE)), Close()), "connected"),
        (NULL, (Connect(), Send((Raw(OPENING[:10]),)), Wait(0.02), Reset()), "connected"),
        (NULL, (Connect(), Send((Raw(OPENING[:12]),)), Wait(0.02), Reset()), "connected greeting"),
        (NULL, (Connect(), Send((Raw(OPENING[:12]),)), Reset()), "connected"),
        (NULL, (Connect(), Send((Raw(OPENING[:12]),)), StopReading(), Wait(0.02), Reset()), "connected"),
        (NULL, (Connect(), Send((Raw(OPENING[:12]),)), Send((Raw(OPENING[12:]),)), Reset()), "connected handshake"),
        (NULL, (Connect(), Send((Raw(b"GET / HTTP/1.1\r\n"),)), Close()), "connected"),
        (NULL, (Connect(), Send((Greeting1(),)), Close()), "connected"),
        (PLAIN, (Connect(), Send((Greeting(mechanism=b"PLAIN"),)), Close()), "connected greeting"),
        (PLAIN, (Connect(), Shake("DEALER", mechanism="PLAIN", instead=(LIE,))), "greeting"),
        (PLAIN, (Connect(), Shake("DEALER", mechanism="PLAIN", honest=1, instead=(LIE,))), "handshake"),
        (PLAIN, (Connect(), Shake("DEALER", mechanism="PLAIN", stranger=True), Close()), ""),
        (CLIENT, (Connect(), Send((Greeting(mechanism=b"PLAIN"),)), Close()), "connected handshake"),
        (CLIENT, (Connect(), Shake("DEALER", mechanism="PLAIN", instead=(LIE,))), "handshake"),
        (CURVE, (Connect(), Shake("DEALER", mechanism="CURVE"), BEGUN, Close()), "traffic message"),
        (STRANGER, (Connect(), Shake("DEALER", mechanism="CURVE"), BEGUN, Close()), ""),
        (STRANGER, (Connect(), Shake("DEALER", mechanism="CURVE", instead=(LIE,))), "greeting"),
        (STRANGER, (Connect(), Shake("DEALER", mechanism="CURVE", honest=1, instead=(LIE,))), ""),
    ],
)
def test_where_a_script_acts(surface: Surface, steps: tuple[Step, ...], stages: str) -> None:
    assert planned((Script(steps),), surface) == {Stage(word) for word in stages.split()}
    assert not planned((Script(steps, label="bystander"),), surface)


def situation(surface: Surface) -> Situation:
    return Situation(surface, Limits(), Budget())


def mapped(surface: Surface, name: str, *trials: Trial) -> dict[str, tuple[bool, int, str]]:
    reach = Reach()
    reach.expect(families()[name], situation(surface))
    for trial in trials:
        reach.note(trial)
    assert rows_from(reach.to_plain()) == reach.rows()
    return {row.stage: (row.reachable, row.count, row.why) for row in reach.rows()}


def test_each_cell_that_cannot_be_reached_says_why() -> None:
    assert mapped(NULL, "curve-traffic")["traffic"] == (False, 0, "it attacks CURVE only")
    assert mapped(STRANGER, "stall")["message"] == (False, 0, "it needs the door's key or password")
    assert mapped(NULL, "malformed-handshake")["greeting"] == (False, 0, "its READY follows its greeting at once")
    assert mapped(replace(NULL, version="2.0"), "oversized-frame")["handshake"][2] == "ZMTP 2.0 has no handshake"
    assert mapped(NULL, "oversized-frame")["handshake"] == (False, 0, "not where this family attacks")
    assert mapped(NULL, "stall")["refused"][2] == "only a target that says ERROR gets there"


def played(name: str, steps: tuple[Step, ...], reached: Reached, *acted: Stage) -> Trial:
    transcript = Transcript("attacker", (), ClosedBy.FIN, 1, 1, reached, acted=frozenset(acted))
    honest = replace(transcript, label="bystander", acted=frozenset({Stage.MESSAGE}))
    return Trial(Attack((Script(steps),), name), NULL, (transcript, honest), Observation(), 0.1)


def test_each_cell_that_was_not_reached_says_why() -> None:
    steps = (Connect(), Shake("DEALER"), BEGUN, Close())
    assert mapped(NULL, "stall")["traffic"] == (True, 0, "no attack was played")
    once = played("stall", steps, Reached.GREETING, Stage.CONNECTED)
    seen = mapped(NULL, "stall", once, once)
    assert seen["connected"] == (True, 2, "")
    ends = "target closed (FIN) in 2"
    assert seen["message"] == (True, 0, f"2 attacks went for it and got to greeting at best ({ends})")
    assert seen["handshake"] == (True, 0, "none of the 2 attacks there was time for went there")


def test_the_summary_counts_reachable_cells_and_the_table_marks_them() -> None:
    reach = Reach()
    reach.expect(families()["foreign-opening"], situation(NULL))
    reach.expect(families()["oversized-frame"], situation(NULL))
    reach.note(played("oversized-frame", (Connect(),), Reached.TRAFFIC, Stage.TRAFFIC, Stage.GREETING))
    rows = reach.rows()
    total = sum(row.reachable for row in rows)
    assert summary(rows).startswith(
        f"reach 1/{total}: {total - 1} not reached: foreign-opening connected at NULL ROUTER"
    )
    lines = table(rows)
    (line,) = [line for line in lines if line.strip().startswith("oversized-frame ") and ":" not in line]
    assert line.split() == ["oversized-frame", "MISSED", "1", ".", "1", "MISSED", "."]
    assert "  foreign-opening connected: no attack was played" in lines


@pytest.mark.parametrize("family", [pytest.param(family, id=name) for name, family in families().items()])
@pytest.mark.parametrize("side", ["bind", "connect"])
def test_every_family_can_reach_something_at_a_door_it_attacks(family: object, side: str) -> None:
    entry = families()[getattr(family, "name", "")]
    surface = replace(NULL, mechanism=entry.mechanism or "NULL", side=side)
    if entry.locked:
        assert not reachable(entry, situation(surface)), "nobody has a key to this door"
        surface = replace(surface, mechanism="CURVE", lock="CURVE")
    assert reachable(entry, situation(surface))
    assert not reachable(replace(entry, mechanism="GSSAPI"), situation(surface))


def test_what_is_planned_is_recorded_with_a_live_libzmq() -> None:
    scripts = (
        (Connect(), Expect("bytes"), Reset()),
        (Connect(), Send((Raw(OPENING[:12]),)), Expect("greeting"), Reset()),
        (Connect(), Send((Greeting(),)), Expect("ready"), Close()),
        (Connect(), Shake("DEALER"), Close()),
        (Connect(), Shake("DEALER"), BEGUN, Wait(0.01), Reset()),
        (Connect(), Shake("DEALER"), BEGUN, Connect(), Wait(0.01)),
    )

    async def session() -> list[frozenset[Stage]]:
        async with Spec((sys.executable, ROUTER)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            found = []
            for steps in scripts:
                trial = await harness.trial(Attack((Script(steps),)), surface.key)
                assert acted_in(trial) == planned((Script(steps),), surface), steps
                found.append(acted_in(trial))
            return found

    assert {stage for acted in trio.run(session) for stage in acted} == set(Stage) - {Stage.REFUSED}


def test_aimed_draws_go_where_the_family_has_not_been() -> None:
    family, reach, numbers = families()["stall"], Reach(), random.Random(5)
    reach.expect(family, situation(NULL))
    guide = Guide(family, situation(NULL), reach)
    for _ in range(60):
        attack = guide.attack(numbers)
        acted = planned(attack.scripts, NULL)
        wanted = reach.wanted(family, NULL)
        transcript = Transcript("attacker", (), ClosedBy.OPEN, 1, 1, Reached.TRAFFIC, acted=acted)
        reach.note(Trial(attack, NULL, (transcript,), Observation(), 0.1))
        assert reach.wanted(family, NULL) == wanted - acted
    assert not reach.wanted(family, NULL)


@pytest.mark.parametrize("name", ["stall", "malformed-message"])
def test_a_seed_repeats_the_draws_that_have_no_aim(name: str) -> None:
    family, reach = families()[name], Reach()
    reach.expect(family, situation(NULL))
    guides = Guide(family, situation(NULL)), Guide(family, situation(NULL)), Guide(family, situation(NULL), reach)
    drawn = [[guide.attack(numbers) for _ in range(40)] for guide in guides for numbers in [random.Random(9)]]
    assert drawn[0] == drawn[1]
    same = sum(one == other for one, other in zip(drawn[0], drawn[2], strict=True))
    assert same < 40
    assert all(attack.strategy == name for attack in drawn[2])
