"""A door that answers nothing we know: whether what is sent to it is still taken, asked of real processes."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.catalogue import invariants
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack, Connect, Script, Send, Shake
from zmqfuzz.trial import READING, Trial
from zmqfuzz.zmtp.wire import Frame

ZF102 = invariants()["ZF102"]
EXAMPLE = Path(__file__).resolve().parent.parent / "targets" / "examples" / "one_at_a_time.py"

SILENT = """
import json, sys, time, traceback, zmq
way = sys.argv[1]
sock = zmq.Context().socket(zmq.ROUTER)
sock.linger = 0
sock.bind("tcp://127.0.0.1:*")
number = 0
while True:
    if way == "waits":
        time.sleep(3600)
    frames = sock.recv_multipart()
    try:
        json.loads(frames[-1])["op"]
    except Exception:
        number += 1
        if way == "tells" or (way == "ends" and frames[-1][:4] == b"fata"):
            traceback.print_exc()
        if way == "slow":
            traceback.print_exc()
            time.sleep(0.05)
        if way == "ends" and frames[-1][:4] == b"fata":
            time.sleep(3600)
"""

FATAL = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(b"", more=True), Frame(b"fatal"))))),))


async def played(command: tuple[str, ...], attack: Attack) -> tuple[str, Trial, Trial]:
    """The level of calibration; a trial without an attack, and one with it."""
    async with Spec(command).harness() as harness:
        (surface,) = harness.surfaces(await harness.standing())
        level = (await harness.calibrate(surface.key)).level
        play = partial(_last, harness, surface.key)
        return level, await play(Attack(())), await play(attack)


async def _last(harness: Harness, key: str, attack: Attack) -> Trial:
    return (await harness.fresh_trials((attack,), key, recover=1.0))[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "broken"), [("ignores", False), ("tells", False), ("ends", True), ("waits", False), ("slow", False)]
)
def test_who_reads_on_is_told_from_who_has_stopped(way: str, broken: bool, tmp_path: Path) -> None:
    program = tmp_path / "silent.py"
    program.write_text(SILENT)
    level, calm, trial = trio.run(played, (sys.executable, str(program), way), FATAL)
    assert level in ("handshake", READING)
    assert level == "handshake" or way != "waits"
    limits = Spec(()).limits
    assert ZF102.judge(calm, limits) is None
    violation = ZF102.judge(trial, limits)
    assert (violation is not None) is broken
    if violation is not None:
        assert "takes no more messages off its socket" in violation.sentence


@pytest.mark.slow
@pytest.mark.parametrize("form", [(), ("--hardened",)])
def test_a_task_that_every_message_ends(form: tuple[str, ...]) -> None:
    level, calm, trial = trio.run(played, (sys.executable, str(EXAMPLE), *form), FATAL)
    assert level == ("application" if form else "handshake")
    limits = Spec(()).limits
    assert ZF102.judge(calm, limits) is None
    violation = ZF102.judge(trial, limits)
    assert (violation is None) is bool(form)
    if violation is not None:
        assert violation.signature == "deaf at reading"
        assert "it has written of an error" in violation.sentence
