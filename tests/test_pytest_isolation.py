"""Who shares a process with whom, a finding that needs a history, and Hypothesis' own profiles, by real pytest runs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = '''
"""Ends at the third message of a kind, whoever sent the others."""
import sys, zmq


def serve(endpoint):
    turns = 0
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        while True:
            peer, *parts = router.recv_multipart()
            if parts == [b"third"] and (turns := turns + 1) == 3:
                sys.exit("the third")
            router.send_multipart([peer, *parts])
'''

CONFTEST = """
import program, pytest, zmqfuzz
from hypothesis import settings

settings.register_profile("few", max_examples=7, deadline=None, database=None)

@pytest.fixture(scope="session")
def zmq_target():
    return zmqfuzz.target(program.serve)
"""

SUITE = """
import program, pytest, zmqfuzz
from hypothesis import given, settings, strategies as st
from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.zmtp.wire import Frame

def play(target, *texts):
    for text in texts:
        script = Script((Connect(), Shake("DEALER"), Send((Frame(text),)), Expect("message")))
        target.check(target.play(script))

class TestApart:
    def test_one(self, zmq_target): play(zmq_target, b"hello", b"third")
    def test_two(self, zmq_target): play(zmq_target, b"third")
    def test_three(self, zmq_target): play(zmq_target, b"hello", b"third")

@pytest.mark.zmqfuzz(isolation="session")
class TestTogether:
    def test_one(self, zmq_target): play(zmq_target, b"hello", b"third")
    def test_two(self, zmq_target): play(zmq_target, b"third")
    def test_three(self, zmq_target): play(zmq_target, b"hello", b"third")
    def test_four(self, zmq_target): play(zmq_target, b"hello")

words = st.sampled_from([b"hello", b"third", b"other"])

@settings(max_examples=30)
@given(word=words, number=st.integers())
def test_drawn(zmq_target, word, number):
    play(zmq_target, word)

@pytest.mark.zmqfuzz(isolation="case")
@given(word=words, number=st.integers())
def test_alone(zmq_target, word, number):
    play(zmq_target, word)

@given(text=st.binary(max_size=8))
def test_profile(zmq_target, text):
    play(zmq_target, text)

@pytest.mark.zmqfuzz(isolation="case")
@zmqfuzz.target(program.serve, name="fresh").parametrize(families="malformed-message")
def test_family(attack):
    attack.run(cases=4)
"""


def run(folder: Path, *options: str) -> str:
    for name, text in (("program", PROGRAM), ("conftest", CONFTEST), ("test_it", SUITE)):
        (folder / f"{name}.py").write_text(inspect.cleandoc(text) + "\n")
    ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:randomly", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=folder, env=inherited | {"COLUMNS": "160"}, capture_output=True, text=True, timeout=300
    )
    return done.stdout + done.stderr


def text(out: str, test: str) -> str:
    return re.split(r"^_{3,} \S+ _{3,}$", out.split(f"_ {test} _", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_a_finding_that_needs_a_history_is_made_smaller_over_it(tmp_path: Path) -> None:
    out = run(tmp_path, "--hypothesis-profile=few", "--zmqfuzz-budget=3s")
    words = dict(re.findall(r"^test_it\.py::(\S+) ([A-Z]+)", out, re.MULTILINE))
    failed = {"TestTogether::test_three", "test_drawn"}
    assert {name for name, word in words.items() if word != "PASSED"} == failed, out
    assert len(words) == 11
    for test in ("TestTogether.test_three", "test_drawn"):
        assert "history   after 2 earlier attacks on the same process" in text(out, test)
        assert "zmqfuzz replay ZF101-" in text(out, test)
    assert 'pytest "test_it.py::test_drawn"' in text(out, "test_drawn")
    assert 'pytest "test_it.py' not in text(out, "TestTogether.test_three"), "alone it shows nothing"
    assert "word=b'third'" in text(out, "test_drawn")
    (found,) = (tmp_path / ".zmqfuzz" / "findings").glob("ZF101-*")
    again = subprocess.run(
        [sys.executable, "-m", "zmqfuzz", "replay", found.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert again.returncode == 1
    assert "STILL THERE" in again.stdout


def test_hypothesis_profiles_say_how_many_examples_are_played(tmp_path: Path) -> None:
    assert "1 held, 0 findings, 0 inconclusive; 7 cases" in run(tmp_path, "-k", "profile", "--hypothesis-profile=few")
    assert "write @settings(deadline=None) above the test, or in a profile" in run(tmp_path, "-k", "profile")
    seeded = run(tmp_path, "-k", "profile", "--hypothesis-profile=few", "--hypothesis-seed=5")
    assert "7 cases" in seeded
