"""A stored run judged again: the same by the same invariants, otherwise by others, and nothing where nothing is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from zmqfuzz import catalogue
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded
from zmqfuzz.finding import Violation
from zmqfuzz.invariants.liveness import process_alive
from zmqfuzz.reports.baseline import Accepted, write_baseline
from zmqfuzz.reports.shelf import TRIALS
from zmqfuzz.trial import Trial

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "targets" / "examples"
RUN = ("--only", "malformed-message", "--for", "4s", "--stop-after", "1", "--seed", "7", "--inconclusive", "pass")
OWN = """
from zmqfuzz import Measure, Severity, invariant

@invariant("MY101", "A peer was heard", severity=Severity.MEDIUM)
def heard(trial, limits, violated):
    \"\"\"Whoever is heard is too much for us.\"\"\"
    if WHEN:
        raise violated("It was heard.", Measure("peers", "1", "0"), advice="Say nothing.")
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, which found a crash."""
    made = tmp_path_factory.mktemp("checked")
    command = [sys.executable, "-m", "zmqfuzz", "run", *RUN, "--", sys.executable, str(EXAMPLES / "worker_crash.py")]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return made


@pytest.fixture
def own() -> Iterator[None]:
    """What a user's file registers is gone afterwards."""
    before = dict(catalogue._invariants)
    yield
    catalogue._invariants.clear()
    catalogue._invariants.update(before)


def check(folder: Path, *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `zmqfuzz check` says, and its exit code in front."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["zmqfuzz", "check", *words])
    code = guarded(cli)
    return f"{code} {''.join(capsys.readouterr())}"


def test_the_same_invariants_say_the_same(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = check(stored, monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("1 VIOLATED: run ")
    assert re.search(r"  ZF101-\w{4}  CRITICAL  .*: stands, 3 of 3: The process ended with exit code 1", said)
    assert "NEW" not in said
    assert "?" not in said
    said = check(stored, "--fail-on", "critical", monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("1 ")


def test_the_gate_is_that_of_today(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (name,) = Corpus(stored / ".zmqfuzz").ids()
    for days, code, words in ((0, 0, "is known and accepted until"), (-1, 1, "and that has passed (we know)")):
        entry = Accepted(name, "ZF101", "we know", date.today() + timedelta(days=days))
        write_baseline(stored / "known.toml", [entry])
        said = check(stored, "--baseline", "known.toml", monkeypatch=monkeypatch, capsys=capsys)
        assert said.startswith(f"{code} VIOLATED")
        assert words in said


def test_an_invariant_that_has_changed_takes_a_finding_back(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own: None
) -> None:
    def blind(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
        """Sees nothing."""

    blind.__module__ = process_alive.check.__module__
    catalogue.invariant("ZF101", "The process lives", severity=process_alive.severity)(blind)
    said = check(stored, monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("0 HELD: run ")
    assert "NO LONGER, 0 of 3: ZF101 is not broken by what it was confirmed with" in said


@pytest.mark.parametrize("when", ["any(peer.received for peer in trial.transcripts)", "trial.observation.exit"])
def test_an_invariant_of_ones_own_is_a_finding_where_two_processes_show_it(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own: None, when: str
) -> None:
    (stored / "mine.py").write_text(OWN.replace("WHEN", when))
    said = check(stored, "--invariants", "mine.py", monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("1 ")
    (name,) = re.findall(r"  (MY101-\w{4})  MEDIUM    A peer was heard: NEW, judged again: seen in \d+ of", said)
    assert (stored / ".zmqfuzz/findings" / name / "finding.json").exists()


def test_what_one_process_shows_is_in_doubt_and_can_be_played(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own: None
) -> None:
    when = "not hasattr(heard_once, 'done') and trial.observation.exit and not setattr(heard_once, 'done', 1)"
    text = OWN.replace("WHEN", when) + "\ndef heard_once(): pass\n"
    (stored / "once.py").write_text(text)
    accepted = ("--invariants", "once.py", "--fail-on", "critical", "--inconclusive", "fail")
    shutil.copytree(stored, stored.with_name("doubtful"), dirs_exist_ok=True)
    said = check(stored.with_name("doubtful"), *accepted, monkeypatch=monkeypatch, capsys=capsys)
    assert "inconclusive: ROUTER-null-tcp-0: MY101? seen in 1 of what is stored, on 1 of" in said
    (file,) = re.findall(r"zmqfuzz replay (\S+MY101\.zft) --invariants once.py -- ", said)
    assert '"zft"' in (stored.with_name("doubtful") / file).read_text().splitlines()[0]


def test_what_is_damaged_is_said_and_the_rest_is_judged(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(stored / ".zmqfuzz", tmp_path / ".zmqfuzz", symlinks=True)
    (file,) = (tmp_path / ".zmqfuzz/runs").glob(f"*/{TRIALS}")
    file.write_bytes(b'{"event":"trials","z":"AAAA"}\n' + file.read_bytes() + b'{"event":"tri')
    said = check(tmp_path, monkeypatch=monkeypatch, capsys=capsys)
    assert "what is stored of trials cannot be read" in said
    assert "this line is torn or no event" in said
    assert "stands, 3 of 3" in said
    file.unlink()
    said = check(tmp_path, monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("2 zmqfuzz: ")
    assert "has no stored trials" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "is no Python file"), ("1 +", "cannot be loaded (SyntaxError"), ("x = 1", "registers no invariant")],
)
def test_a_file_that_is_wrong_is_one_sentence(
    stored: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    said: str,
) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    heard = check(stored, "--invariants", str(file), monkeypatch=monkeypatch, capsys=capsys)
    assert heard.startswith("2 zmqfuzz: ")
    assert said in heard
    assert len(heard.strip().splitlines()) == 1
