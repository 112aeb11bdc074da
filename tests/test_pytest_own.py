"""Tests that play attacks themselves, by a real pytest run: what they amount to, what is expected, what marks say."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

PROGRAM = r'''
"""Answers; what it is sent says how it ends."""
import os, pathlib, sys, zmq


def serve(endpoint):
    pathlib.Path(f"{os.getpid()}.pid").touch()
    turns = 0
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        while True:
            peer, *parts = router.recv_multipart()
            if parts == [b"die"]:
                sys.exit("\x1b]0;owned\x07 dies")
            if parts == [b"third"] and (turns := turns + 1) == 3:
                sys.exit("the third")
            if parts == [b"once"] and not os.path.exists("died"):
                pathlib.Path("died").touch()
                sys.exit("once")
            router.send_multipart([peer, *parts])
'''

CONFTEST = """
import pytest, zmqfuzz
import program

@zmqfuzz.invariant("MY001", "It repeats a secret", severity=zmqfuzz.Severity.LOW)
def secret(trial, limits, violated):
    if any(b"secret" in entry.data for one in trial.transcripts for entry in one.entries if entry.direction == "<-"):
        raise violated("It said the secret.", signature="said")

@zmqfuzz.metric("largest answer", unit="octets")
def largest(trial):
    entries = (entry for one in trial.transcripts for entry in one.entries)
    return max((len(entry.data) for entry in entries if entry.direction == "<-"), default=None)

@pytest.fixture(scope="session")
def zmq_target():
    return zmqfuzz.target(program.serve)
"""

SUITE = """
import os, program, pytest, subprocess, sys, time, trio, zmqfuzz
from hypothesis import given, settings
from hypothesis.stateful import rule
from zmqfuzz import strategies as zst
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.zmtp.wire import Frame

known = pytest.mark.zmqfuzz_known

def saying(text):
    return Script((Connect(), Shake("DEALER"), Send((Frame(text),)), Expect("message")))

def play(target, *texts):
    for text in texts:
        target.check(target.play(saying(text)))

def test_held(zmq_target):
    play(zmq_target, b"hello", b"x" * 100)

def test_in_a_loop_of_trio(zmq_target):
    async def play_there():
        play(zmq_target, b"hello")

    trio.run(play_there)

def test_needs_what_was_before(zmq_target):
    play(zmq_target, b"hello", *[b"third"] * 4)

@pytest.mark.zmqfuzz(isolation="case")
def test_alone(zmq_target):
    play(zmq_target, *[b"third"] * 4)

def test_only_once(zmq_target):
    play(zmq_target, b"once", b"hello")

@known("ZF101", match="exit code 1", reason="issue 7", until="2999-12-31")
def test_known(zmq_target):
    zmq_target.check(zmq_target.play(Attack((saying(b"die"),), "flood")))

@known("ZF101", match="signal", reason="issue 8", until="2999-12-31")
def test_another(zmq_target):
    play(zmq_target, b"die")

@known("ZF101", reason="issue 10", until="2999-12-31")
def test_gone(zmq_target):
    play(zmq_target, b"hello")

def test_own_invariant(zmq_target):
    play(zmq_target, b"secret")

@pytest.mark.zmqfuzz(fail_on="high")
def test_own_invariant_is_minor(zmq_target, zmqfuzz_run):
    play(zmq_target, b"secret")
    zmqfuzz_run.note("the secret is known")
    print("kept as", zmqfuzz_run.attach("secret.bin", bytes(3)))

@given(attack=zst.attacks(families="malformed-greeting"))
@settings(deadline=200)
def test_deadline(zmq_target, attack):
    zmq_target.play(attack)

def test_of_another_kind(zmq_target):
    zmq_target.play(Script((Connect(), Shake("SUB"))))

def test_audit(zmq_audit):
    (door,) = zmq_audit
    assert (door.type, door.verb, door.options["MAXMSGSIZE"], door.line) == ("ROUTER", "bind", -1, "program.py:9")
    zmq_audit.check("info")

def test_audit_of_no_python():
    len(zmqfuzz.target(["sleep", "60"], bind="tcp://127.0.0.1:9", start_within="100ms").audit())

@pytest.fixture
def started(tmp_path):
    words = [sys.executable, "-c", "import program, sys; program.serve(sys.argv[1])", f"ipc://{tmp_path}/there"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        while not os.path.exists(words[-1].removeprefix("ipc://")):
            time.sleep(0.05)
        yield process, words[-1]
        process.kill()

@zmqfuzz.target(connect="{endpoint}", name="mine").parametrize(families="churn")
def test_attached_to_a_fixture(attack, started):
    process, endpoint = started
    attack.run(cases=3, endpoint=endpoint, pid=process.pid)
    assert process.poll() is None

def test_attached(started):
    process, endpoint = started
    play(zmqfuzz.target(connect=endpoint, pid=process.pid), b"die")

class Machine(zmqfuzz.ZmtpMachine):
    target = zmqfuzz.target(program.serve)

    @rule()
    def die(self):
        self.shaken("alice")
        self.play("alice", Send((Frame(b"die"),)))

TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=5, stateful_step_count=3, deadline=None, database=None)

def test_assertion_of_its_own(zmq_target):
    trial = zmq_target.play(saying(b"hello"))
    assert trial.transcripts[0].received == 0
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(inspect.cleandoc(text) + "\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:randomly -p no:cacheprovider\n")


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env=inherited | {"COLUMNS": "160"} | variables,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("own")
    write(folder, program=PROGRAM, conftest=CONFTEST, test_own=SUITE)
    done = run(folder, "-v", "-rA", "--zmqfuzz-seed=3", "--zmqfuzz-budget=2s", "--junitxml=junit.xml")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return done.stdout, folder


def word(out: str, test: str) -> str:
    (found,) = re.findall(rf"^test_own\.py::{test} ([A-Z]+)", out, re.MULTILINE)
    return str(found)


def text(out: str, test: str) -> str:
    return re.split(r"^_{3,} \S+ _{3,}$", out.split(f"_ {test} _", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_each_test_has_its_word(ran: tuple[str, Path]) -> None:
    out, _ = ran
    assert re.search("^test_own.py::TestMachine::runTest FAILED", out, re.MULTILINE), "once its rules draw it"
    assert re.search(r"^test_own.py::test_attached_to_a_fixture\[churn\] PASSED", out, re.MULTILINE)
    words = {
        **dict.fromkeys(("held", "of_another_kind", "in_a_loop_of_trio", "alone", "own_invariant_is_minor"), "PASSED"),
        **dict.fromkeys(("needs_what_was_before", "another", "gone", "own_invariant"), "FAILED"),
        **dict.fromkeys(("deadline", "assertion_of_its_own", "audit", "attached"), "FAILED"),
        **dict.fromkeys(("only_once", "audit_of_no_python"), "INCONCLUSIVE"),
        "known": "KNOWN",
    }
    assert {name: word(out, f"test_{name}") for name in words} == words, out


def test_what_it_amounts_to_is_said_once_and_without_a_traceback(ran: tuple[str, Path]) -> None:
    out, folder = ran
    assert re.search(r"^INCONCLUSIVE test_own.py::test_only_once - ZF101\? seen once, then 0 of 2", out, re.MULTILINE)
    assert re.search(r"^KNOWN test_own.py::test_known - ZF101-\w+, ZF101 \(exit code 1\), known until 2999", out, re.M)
    assert "history   after 2 earlier attacks on the same process" in text(out, "test_needs_what_was_before")
    assert "2/2 on fresh processes" in text(out, "test_another")
    assert "ZF101 was expected (issue 10) and not found. If it is mended, remove the mark" in text(out, "test_gone")
    assert "MY001  LOW  It repeats a secret" in text(out, "test_own_invariant")
    assert re.search(r"PytestWarning: MY001 It said the secret.* \(less than high\)", out)
    assert "shook hands as SUB at the door of a ROUTER socket; it talks to DEALER and REQ" in out
    assert "@settings(deadline=None)" in text(out, "test_deadline")
    assert "assert trial.transcripts[0].received == 0" in text(out, "test_assertion_of_its_own")
    assert "attached: there was no fresh process to confirm it on" in text(out, "test_attached")
    assert "program.py:9:1  ZF603  INFO  seen  ROUTER" in text(out, "test_audit")
    assert "No socket of sleep was recorded: it is not Python" in out
    assert "state.die()" in text(out, "TestMachine.runTest")
    assert re.search(r"^zmqfuzz: observed: largest answer \d+ to \d+ octets", out, re.MULTILINE)
    for test in ("test_another", "test_gone", "test_audit", "TestMachine.runTest"):
        assert "Traceback" not in text(out, test)
        assert "live.py" not in text(out, test)
    assert "\x1b" not in out
    assert r"\x1b]0;owned\x07 dies" in out
    (last,) = re.findall(r"^zmqfuzz: \d.*$", out, re.MULTILINE)
    assert re.fullmatch(r"zmqfuzz: 6 held, [23] findings, 1 known, 2 inconclusive; \d+ cases; seed 3", last)
    cases = list(ElementTree.parse(folder / "junit.xml").iter("testcase"))
    skipped = {case.get("name") for case in cases if case.find("skipped") is not None}
    assert skipped == {"test_known", "test_only_once", "test_audit_of_no_python"}
    (held,) = (case for case in cases if case.get("name") == "test_held")
    assert [one.get("name") for one in held.iter("property")] == ["zmqfuzz:largest answer"]


def test_nothing_of_the_target_is_left_and_what_a_test_adds_is_kept(ran: tuple[str, Path]) -> None:
    out, folder = ran
    pids = [path.stem for path in folder.glob("*.pid")]
    assert len(pids) > 3
    assert not [pid for pid in pids if Path("/proc", pid).exists()]
    (notes,) = (folder / ".zmqfuzz" / "runs").glob("*-pytest-*/notes.jsonl")
    assert '"test": "test_own.py::test_own_invariant_is_minor", "note": "the secret is known"' in notes.read_text()
    assert f"kept as {notes.parent / 'secret.bin'}" in out
    assert (folder / ".zmqfuzz" / ".gitignore").read_text() == "*\n"


FAMILY = """
import os, program, pytest, subprocess, sys, time, trio, zmqfuzz
@pytest.mark.zmqfuzz_known("ZF101", reason="issue 7", until="2999-12-31")
@zmqfuzz.target(program.serve).parametrize(families="flood")
def test_family(attack):
    attack.run(cases=2)
"""


@pytest.mark.slow
def test_what_is_recorded_is_played_again_where_it_is_asked_for_or_expected(ran: tuple[str, Path]) -> None:
    _, folder = ran
    write(folder, test_family=FAMILY)
    (secret,) = (folder / ".zmqfuzz" / "findings").glob("MY001-*")
    asked = run(folder, "test_family.py", f"--zmqfuzz-replay={secret.name}")
    assert re.search(r"_ test_family\[flood\] _+\nMY001  LOW  It repeats a secret", asked.stdout), asked.stdout
    expected = run(folder, "test_family.py", "--zmqfuzz-budget=1s")
    assert re.search(r"^KNOWN test_family.py::test_family\[flood\] - ZF101-", expected.stdout, re.M), expected.stdout
    assert "0 findings, 1 known" in expected.stdout, "no flood has drawn it: it was recorded"
    write(folder, program=PROGRAM.replace('[b"die"]', "[]").replace("*parts]", "b'no']"))
    mended = run(folder, "test_family.py", "--zmqfuzz-budget=1s")
    assert "ZF101 was expected (issue 7) and not found. If it is mended, remove the mark" in mended.stdout
    assert run(folder, "test_family.py", f"--zmqfuzz-replay={secret.name}").returncode == 0, "not searched, not gone"
