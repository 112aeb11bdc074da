"""Runs that are stored, reported, judged and killed, as users meet them: real processes and the command line."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

from tests import junit_shape
from tests.sarif_shape import check
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded
from zmqfuzz.reports.shelf import EVENTS, OUTCOME, read_run

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "targets" / "examples"
CRASH = (sys.executable, str(EXAMPLES / "worker_crash.py"))
SHORT = ("--only", "malformed-message", "--for", "4s", "--stop-after", "1", "--seed", "7")


def zmqfuzz(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zmqfuzz", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, errors="replace")
    assert "Traceback" not in done.stderr
    return done


Inside = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    """``inside(*words)`` runs zmqfuzz in this process: exit code, standard output and error."""

    def ran(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["zmqfuzz", *words])
        code = guarded(cli)
        return (code, *capsys.readouterr())

    return ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run has found something, and has written all reports."""
    made = tmp_path_factory.mktemp("stored")
    done = zmqfuzz(made, "run", *SHORT, "--report", "out", "--", *CRASH)
    assert done.returncode == 1, done.stdout + done.stderr
    return made


def finding(folder: Path) -> str:
    (name,) = [path.name for path in (folder / ".zmqfuzz/findings").iterdir()]
    return name


def test_a_run_writes_its_reports_and_they_can_be_made_again(folder: Path, inside: Inside) -> None:
    name = finding(folder)
    files = {
        "jsonl": "report.jsonl",
        "html": "report.html",
        "junit": "junit.xml",
        "json": "report.json",
        "markdown": "summary.md",
    }
    assert {path.name for path in (folder / "out").iterdir()} == {*files.values(), "findings.sarif"}
    for format_, file in files.items():
        code, text, _ = inside("report", "--format", format_, "-o", "-")
        assert code == 0
        assert text == (folder / "out" / file).read_text()
        assert name in text
    check(json.loads(inside("report", "--format", "sarif")[1]))
    junit_shape.check((folder / "out/junit.xml").read_text())
    page = folder / inside("report")[1].strip()
    assert page.name == "report.html"
    (run,) = (folder / ".zmqfuzz/runs").iterdir()
    assert page.parent == run
    assert read_run(run).outcome.gate is not None


def test_what_is_accepted_passes_also_where_nothing_can_be_stored(folder: Path, inside: Inside) -> None:
    name, day = finding(folder), str(date.today() + timedelta(days=30))
    file = ("--baseline", "b.toml")
    assert inside("baseline", "update", name, "--reason", "we know", "--until", day, *file)[0] == 0
    assert inside("baseline", "show", *file)[1].startswith(f"{name}  accepted until {day}")
    (folder / "file").touch()
    store = ("--store", "file/below")
    # It does not count for --stop-after, so that a new one beside it would be found; --cases ends the run.
    limits = (*SHORT, "--cases", "40", "--inconclusive", "pass", "--baseline", "b.toml", "--report", "known.xml")
    done = zmqfuzz(folder, "run", *limits, *store, "--", *CRASH)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name} is known and accepted until {day}: we know" in done.stdout
    assert done.stdout.count("the run is not stored: ") == 1
    assert f"finding {name}" in done.stdout
    assert "  Not saved: " in done.stdout
    (case,) = Tree.parse(folder / "known.xml").findall(".//testcase[@name='malformed-message']")
    assert case.find("skipped") is not None
    assert inside("baseline", "prune", name, *file)[1] == f"{name} is removed\n"
    assert inside("baseline", "prune", name, *file)[0] == 2


def test_a_run_that_was_killed_is_reported_as_such(folder: Path, inside: Inside) -> None:
    store = folder / "killed"
    command = [sys.executable, "-m", "zmqfuzz", "run", "--for", "60s", "--store", str(store), "--"]
    running = subprocess.Popen([*command, *CRASH, "--hardened"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any('"slice"' in path.read_text() for path in store.glob(f"runs/*/{EVENTS}")):
                break
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    (run,) = (store / "runs").iterdir()
    assert not (run / OUTCOME).exists()
    code, text, _ = inside("report", str(run), "--format", "junit")
    assert code == 0
    (case,) = Tree.fromstring(text).findall(".//testcase[@name='the run']")
    assert "did not come to its end" in Tree.tostring(case, encoding="unicode")
    assert read_run(run).outcome.cases


def test_two_runs_are_compared(folder: Path, inside: Inside) -> None:
    name = finding(folder)
    (old,) = (folder / ".zmqfuzz/runs").iterdir()
    assert inside("report", "diff")[0] == 2  # there is none before
    new = old.with_name("2999-01-01T00-00-00Z-worker_crash.py")
    shutil.copytree(old, new)
    try:
        code, text, _ = inside("report", "diff")
        assert code == 0
        assert text.splitlines()[0] == f"from {old.name} (violated) to {new.name} (violated)"
        assert text.splitlines()[1] == f"  still there: {name}"
        events = [line for line in (old / EVENTS).read_text().splitlines() if '"found"' not in line]
        (new / EVENTS).write_text("\n".join(events) + "\n")
        code, text, _ = inside("report", "diff", new.name, old.name)
        assert code == 1
        assert f"  new: {name} CRITICAL " in text
        code, text, _ = inside("report", old.name, "--against", new.name, "--format", "markdown")
        assert f"new: {name}" in text
    finally:
        shutil.rmtree(new)


def test_a_target_that_does_not_start_is_an_error_in_the_report(folder: Path) -> None:
    done = zmqfuzz(folder, "run", "--report", "dead.xml", "--", sys.executable, "-c", "raise SystemExit(3)")
    assert done.returncode == 4
    (error,) = Tree.parse(folder / "dead.xml").findall(".//error")
    assert "ended with exit code 3 before it listened" in (error.text or "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "nothing"), "no run 'nothing'"),
        (("report", "--store", "empty"), "run `zmqfuzz run` first"),
        (("report", "-o", "no/such/folder.html"), "could not be written"),
        (("report", "-o", "report.pdf"), "names no format"),
        (("run", "--report", "report.pdf", "--", *CRASH), "names no format"),
        (("run", "--baseline", "nowhere.toml", "--", *CRASH), "no baseline nowhere.toml"),
        (("run", "--baseline-update", "--", *CRASH), "add --baseline FILE"),
        (("baseline", "show"), "Give --baseline FILE"),
        (("baseline", "update", "ZF101", "--reason", "r", "--until", "2020-01-01", "--baseline", "b"), "has passed"),
    ],
)
def test_a_mistake_is_one_sentence(inside: Inside, words: tuple[str, ...], said: str) -> None:
    code, _, error = inside(*words)
    assert code == 2, error
    assert said in error
    assert error.count("zmqfuzz: ") == 1


def test_how_a_target_ends_is_in_the_reports_too(tmp_path: Path) -> None:
    server = (sys.executable, str(EXAMPLES / "shutdown.py"), "--hardened")
    done = zmqfuzz(
        tmp_path, "run", "--only", "shutdown", "--linger", "2s", "--for", "8s", "--report", "out", "--", *server
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / ".zmqfuzz/runs").iterdir()
    (row,) = json.loads((run / OUTCOME).read_text())["cases"]
    assert (row["family"], row["tested"]) == ("shutdown", True)
    assert "shutdown" in Tree.parse(tmp_path / "out" / "junit.xml").getroot().iter("testcase").__next__().attrib["name"]
