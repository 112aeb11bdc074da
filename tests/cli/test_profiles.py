"""Options by one word: what it sets, what wins over it, and what is said of a wrong one."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import click
import pytest

from zmqfuzz.cli.campaigning import campaign_command
from zmqfuzz.cli.commands import cli, run_command
from zmqfuzz.cli.exits import guarded
from zmqfuzz.profiles import KEYS, PROFILES

DECLARED = """
[tool.zmqfuzz.profiles.night]
for = "2h"
until-plateau = "45min"
families = ["flood", "churn"]
fail-on = "high"
stop-after = 3
baseline = "known.toml"
[tool.zmqfuzz.profiles.ci]
for = "1min"
"""


def params(command: click.Command, *words: str) -> dict[str, object]:
    """What the command would be called with."""
    with command.make_context("x", list(words)) as context:
        return dict(context.params)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text(DECLARED)
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    return tmp_path


def test_a_declared_profile_sets_what_the_command_has(folder: Path) -> None:
    run, campaign = (params(one, "--profile", "night", "gateway") for one in (run_command, campaign_command))
    for found in (run, campaign):
        assert found["seconds"] == 7200.0
        assert found["only"] == "flood,churn"
        assert found["fail_on"] == "high"
        assert found["stop_after"] == 3
        assert found["baseline"] == folder / "known.toml"
    assert campaign["plateau"] == 2700.0
    assert "plateau" not in run


def test_what_is_given_wins_in_any_order() -> None:
    for words in (("--for", "9s", "--profile", "night"), ("--profile", "night", "--for", "9s")):
        assert params(run_command, *words, "gateway")["seconds"] == 9.0


def test_ours_are_there_and_can_be_changed() -> None:
    assert params(campaign_command, "--profile", "overnight", "n")["plateau"] == 5400.0
    found = params(run_command, "--profile", "ci", "n")
    assert (found["seconds"], found["inconclusive"]) == (60.0, "fail")
    assert params(run_command, "n")["seconds"] == 60.0
    for name in PROFILES:
        assert set(PROFILES[name]) <= set(KEYS)
        params(run_command, "--profile", name, "n")


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("", "overnigt", "did you mean 'overnight'?"),
        ("", "x", "there are quick, ci, deep, overnight."),
        ("[tool.zmqfuzz.profiles.a]\nforr = 1", "a", "profiles.a.forr: there is no such key; did you mean 'for'?"),
        ("[tool.zmqfuzz.profiles.a]\nfor = 'long'", "a", "profiles.a.for: 'long' is not a duration"),
        ("[tool.zmqfuzz.profiles.a]\nfail-on = 'bad'", "a", "profiles.a.fail-on: 'bad' is not one of"),
        ("[tool.zmqfuzz.profiles.a]\nfor = true", "a", "profiles.a.for: True is not a text or a number"),
        ("[tool.zmqfuzz.profiles.a]\ncases = 0", "a", "profiles.a.cases: 0 is not in the range"),
        ("[tool.zmqfuzz.profiles]\na = 1", "a", "profiles.a is no table"),
        ("[tool.zmqfuzz]\nprofiles = 1", "a", "tool.zmqfuzz.profiles is not a table"),
    ],
)
def test_a_wrong_one_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, word: str, said: str
) -> None:
    (folder / "pyproject.toml").write_text(text or "[tool.zmqfuzz]\n")
    monkeypatch.setattr(sys, "argv", ["zmqfuzz", "run", "--profile", word, "--", "true"])
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        assert guarded(cli) == 2
    assert said in heard.getvalue()
    assert len(heard.getvalue().strip().splitlines()) == 1
