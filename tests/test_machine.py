"""The state machine finds what an example is weak in and not what its twin is not, as a user's suite would have it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

import zmqfuzz
from zmqfuzz.engine import Engine
from zmqfuzz.errors import UsageError
from zmqfuzz.machine import ZmtpMachine
from zmqfuzz.script import Await, Connect, Expect, Send, Shake, Signal
from zmqfuzz.trial import Reached, Trial
from zmqfuzz.zmtp.wire import Frame

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "targets" / "examples"
SUITE = """
import sys
import zmqfuzz
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import rule
from zmqfuzz.script import Expect, Send
from zmqfuzz.zmtp.wire import Frame

COMMAND = [sys.executable, "-m", "zmqfuzz.targets.examples.worker_crash"]
QUICK = settings(max_examples=20, stateful_step_count=6, deadline=None, database=None, derandomize=True,
                 suppress_health_check=list(HealthCheck))


class Weak(zmqfuzz.ZmtpMachine):
    target = zmqfuzz.target(COMMAND)

    @rule(peer=zmqfuzz.ZmtpMachine.peers)
    def ask(self, peer):
        self.shaken(peer)
        self.play(peer, Send((Frame(b"", more=True), Frame(b"abc"))), Expect("message", within=5))


class Hardened(Weak):
    target = zmqfuzz.target([*COMMAND, "--hardened"])


TestWeak, TestHardened = Weak.TestCase, Hardened.TestCase
TestWeak.settings = TestHardened.settings = QUICK
"""


@pytest.mark.slow
def test_a_suite_finds_the_weak_program_and_passes_the_hardened_one(tmp_path: Path) -> None:
    (tmp_path / "test_server.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "test_server.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "TestWeak" in done.stdout.partition("short test summary")[2]
    assert "ZF101  CRITICAL  The process does not survive what a peer sends" in done.stdout
    assert "zmqfuzz replay ZF101-" in done.stdout
    assert "state.teardown()" in done.stdout, "Hypothesis tells the rules that led there"
    (finding,) = (tmp_path / ".zmqfuzz" / "findings").iterdir()
    replay = [sys.executable, "-m", "zmqfuzz", "replay", finding.name]
    again = subprocess.run(replay, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert again.stdout.startswith("STILL THERE"), again.stdout + again.stderr


def test_the_readme_s_machine_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if block.startswith("# tests/test_conversations.py")]
    command = repr([sys.executable, str(EXAMPLES / "worker_crash.py"), "--hardened"])
    quick = "\nfrom hypothesis import settings\nTestServer.settings = settings(max_examples=5, deadline=None)\n"
    (tmp_path / "test_it.py").write_text(code.replace('["python", "my_server.py"]', command) + quick)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


class Echo(ZmtpMachine):
    target = zmqfuzz.target([sys.executable, str(EXAMPLES / "plain.py"), "router"])
    seen: list[Trial] = []  # noqa: RUF012

    def check(self, trial: Trial) -> None:
        self.seen.append(trial)


def test_what_is_written_down_is_played_in_that_order() -> None:
    machine = Echo()
    try:
        for number in range(4):
            peer = ("alice", "bob")[number % 2]
            machine.shaken(peer)
            machine.play(peer, Send((Frame(b"%d" % number),)), Expect("message", within=20))
        first, second = machine.attack().scripts
        assert [type(step) for step in first.steps[:5]] == [Connect, Shake, Send, Expect, Signal]
        assert isinstance(second.steps[0], Await)
        machine.teardown()
        (trial,) = Echo.seen
        assert [item.label for item in trial.transcripts] == ["alice", "bob"]
        assert trial.reached is Reached.TRAFFIC
        sent = sorted((entry.at, entry.data) for item in trial.transcripts for entry in item.entries if entry.data)
        assert [data[-1:] for _, data in sent if data[:2] == b"\0\1"] == [
            b"0",
            b"0",
            b"1",
            b"1",
            b"2",
            b"2",
            b"3",
            b"3",
        ]
        assert not any("nobody signalled" in entry.note for item in trial.transcripts for entry in item.entries)
    finally:
        pids = live_engine(machine).call(lambda: _pids(machine))
        machine._played_on().close()
    assert pids
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def live_engine(machine: Echo) -> Engine:
    return machine._played_on()._living().engine


async def _pids(machine: Echo) -> tuple[int, ...]:
    return tuple((await live_engine(machine).harness.standing()).running.pids())


def test_a_machine_without_a_target_and_one_that_does_not_start_say_so(tmp_path: Path) -> None:
    class Nothing(ZmtpMachine):
        pass

    class Gone(ZmtpMachine):
        target = zmqfuzz.target([sys.executable, "-c", "raise SystemExit('no licence')"])

    with pytest.raises(UsageError, match="set target ="):
        Nothing()
    with pytest.raises(zmqfuzz.TargetDidNotStart, match="no licence"):
        run_state_machine_as_test(Gone, settings=settings(max_examples=1, database=None))
