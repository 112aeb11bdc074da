"""``zmqfuzz doctor``: what it says is so on this machine, and what it requires."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import zmq

from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded
from zmqfuzz.doctor import CHECKS, Examined, examine
from zmqfuzz.doctor_kernel import Fact, no, ok, warn


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, dict[str, str]], list[str]]:
    """One examination by the command line: exit code, facts, what is missing."""
    folder = tmp_path_factory.mktemp("doctor")
    words = ["doctor", "--json", "--require", "python,memory,engine,draft"]
    done = subprocess.run(
        [sys.executable, "-m", "zmqfuzz", *words], cwd=folder, capture_output=True, text=True, timeout=120
    )
    plain = json.loads(done.stdout)
    assert not list(folder.iterdir()), "it writes nothing"
    return done.returncode, plain["facts"], plain["missing"]


def test_each_fact_is_what_can_be_seen_otherwise(seen: tuple[int, dict[str, dict[str, str]], list[str]]) -> None:
    _, facts, _ = seen
    assert list(facts) == list(CHECKS)
    assert zmq.zmq_version() in facts["libzmq"]["says"]
    assert f"pyzmq {zmq.__version__}" in facts["libzmq"]["says"]
    assert (facts["curve"]["state"] == "ok") == zmq.has("curve")
    assert (facts["draft"]["state"] == "ok") == zmq.has("draft")
    assert facts["engine"]["state"] == facts["memory"]["state"] == facts["cap"]["state"] == "ok"
    assert f"{len(os.sched_getaffinity(0))} core" in facts["timing"]["says"]
    assert "trio " in facts["packages"]["says"]
    for name, fact in facts.items():
        assert fact["state"] in ("ok", "warn", "no"), name
        assert bool(fact["remedy"]) == (fact["state"] != "ok"), name


def test_what_is_required_and_not_ok_is_exit_code_3(
    seen: tuple[int, dict[str, dict[str, str]], list[str]],
) -> None:
    code, facts, missing = seen
    wanted = [name for name in ("python", "memory", "engine", "draft") if facts[name]["state"] != "ok"]
    assert missing == wanted
    assert code == (3 if wanted else 0)


@pytest.mark.parametrize(
    ("given", "said"), [("vanis", "did you mean 'vanish'?"), ("xxxxxx", "there are python, "), (",", "names nothing")]
)
def test_a_check_that_is_not_known_is_one_sentence(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zmqfuzz", "doctor", "--require", given])
    assert guarded(cli) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_warning_does_not_meet_a_requirement() -> None:
    facts = {"a": ok("fine"), "b": warn("slow", "wait"), "c": no("none", "get one")}
    assert Examined(facts).missing(("a", "b", "c")) == ["b", "c"]
    assert Fact("ok", "x").remedy == ""


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqfuzz.doctor.CHECKS", {"disk": CHECKS["disk"], "broken": lambda store: 1 / 0})
    (tmp_path / "file").touch()
    facts = examine(tmp_path / "file" / "below").facts
    assert facts["disk"].state == "no"
    assert "ZeroDivisionError" in facts["broken"].says
    assert examine(tmp_path / "new" / "folder").facts["disk"].state in ("ok", "warn")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_an_old_table_of_advisories_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Later(date):
        @classmethod
        def today(cls) -> Later:
            return cls(2030, 1, 1)

    monkeypatch.setattr("zmqfuzz.doctor.CHECKS", {"advisories": CHECKS["advisories"]})
    assert examine(tmp_path).facts["advisories"].state in ("ok", "warn")
    monkeypatch.setattr("zmqfuzz.doctor.date", Later)
    fact = examine(tmp_path).facts["advisories"]
    assert fact.state == "warn"
    assert "days old" in fact.remedy
