"""What a slice had no time for is settled by the next one: a finding, or a doubt that says what was tried."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from zmqfuzz.assembly import Spec
from zmqfuzz.campaign.again import waiting_from_plain, waiting_to_plain
from zmqfuzz.campaign.events import Waiting
from zmqfuzz.overnight.task import Task, play
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Wait
from zmqfuzz.zmtp.wire import Frame

CRASH = (sys.executable, "-m", "zmqfuzz.targets.examples.worker_crash", "--bind", "{endpoint}")
DOOR = "ROUTER-null-tcp-0"


def waiting(*frames: Frame, history: tuple[Attack, ...] = ()) -> Waiting:
    steps = (Connect(), Shake("DEALER"), Send(frames), Wait(0.05))
    return Waiting(DOOR, "flood", "ZF101", Attack((Script(steps),), "flood"), history, f"{DOOR}: ZF101? seen")


def settled(*ones: Waiting) -> list[dict[str, Any]]:
    """The records of a slice that settles and plays nothing else."""
    spec = Spec(command=CRASH, inventory=False)
    return play(Task(1, spec, families=("flood",), seconds=30.0, again=ones, settle=True))


def test_it_is_played_first_and_becomes_a_finding_or_a_doubt() -> None:
    deadly, harmless = waiting(Frame(b"x")), waiting(Frame(b"", more=True), Frame(b"x"))
    records = settled(harmless, deadly)
    (found,) = [record for record in records if record["event"] == "found"]
    assert found["finding"]["code"] == "ZF101"
    assert (found["finding"]["confirmed"], found["finding"]["tried"]) == (3, 3)
    (ended,) = [record for record in records if record["event"] == "ended"]
    assert ended["seen"][0] == [f"{DOOR}: ZF101? seen once, then not when it was played again"]
    assert ended["waiting"] == []


@pytest.mark.parametrize("history", [(), (Attack((Script((Connect(), Wait(0.1))),), "flood"),)])
def test_it_comes_back_as_it_was(history: tuple[Attack, ...]) -> None:
    one = waiting(Frame(b"x"), history=history)
    assert waiting_from_plain(json.loads(json.dumps(waiting_to_plain(one)))) == one
    assert waiting_from_plain({"door": "d"}) is None
