"""``zmqfuzz init``: what it writes is run, and what is there is never changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded
from zmqfuzz.declared import read

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "zmqfuzz.targets.examples.rep", "--bind", "{endpoint}")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    folder = tmp_path / "my shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def init(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zmqfuzz", "init", *words])
    return guarded(cli)


def test_what_it_writes_is_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "shop"   # ours\nversion = "1"\n')
    assert init(monkeypatch, "shop", "--", *COMMAND) == 0
    text = (project / "pyproject.toml").read_text()
    assert text.startswith('[project]\nname = "shop"   # ours\nversion = "1"\n\n[tool.zmqfuzz.targets.shop]\n')
    declared = read(project / "pyproject.toml")["shop"]
    assert declared.description["command"] == COMMAND
    assert declared.contract({}).expose == ("tcp://127.0.0.1:*", "ipc:///*")
    (test,) = (project / "tests").iterdir()
    assert test.name == "test_shop_robustness.py"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "ZMQFUZZ_", "PYTEST_"))}
    words = [sys.executable, "-m", "pytest", "-v", "--zmqfuzz", "-k", "exposure or mistake"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pyproject.toml::shop::exposure PASSED" in done.stdout
    assert "test_what_connects_by_mistake_does_no_harm PASSED" in done.stdout
    workflow = (project / ".github/workflows/zmqfuzz.yml").read_text()
    assert "- run: zmqfuzz run shop --for 5m --report zmqfuzz-report\n" in workflow


def test_the_workflow_is_the_recommended_one() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    recommended = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    assert (ROOT / "zmqfuzz" / "cli" / "workflow.yml").read_text(encoding="utf-8") == recommended


def test_what_is_there_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(monkeypatch, "--", "python", "server.py") == 0
    declared = read(project / "pyproject.toml")
    assert list(declared) == ["my-shop"], "of the folder"
    capsys.readouterr()
    before = {file: file.read_text() for file in project.rglob("*") if file.is_file()}
    assert init(monkeypatch, "other.one", "--", "./other", "tcp://*:{port}") == 0
    said = capsys.readouterr().out
    assert '[tool.zmqfuzz.targets."other.one"]' in said
    assert '# expose = ["tcp://127.0.0.1:*"' in said, "what binds to all is not declared to be narrow"
    assert "+      - run: zmqfuzz run other.one" in said
    after = {file: file.read_text() for file in project.rglob("*") if file.is_file()}
    new = project / "tests" / "test_other_one_robustness.py"
    assert {file: text for file, text in after.items() if file != new} == before


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (("shop",), "", "init needs the command"),
        (("a b", "--", "x"), "", "cannot name a target"),
        (("shop", "--", "x"), "[project\n", "cannot be read as TOML"),
        (("shop", "--", "x"), "tool = 1\n", "cannot be read as TOML"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: tuple[str, ...],
    text: str,
    said: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (project / "pyproject.toml").write_text(text)
    assert init(monkeypatch, *words) == 2
    assert said in capsys.readouterr().err
    assert [file.name for file in project.iterdir()] == ["pyproject.toml"]
    assert (project / "pyproject.toml").read_text() == text
