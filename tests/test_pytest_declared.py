"""``pytest --zmqfuzz``, by real pytest runs in processes of their own, against the example programs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

HEAVY = ("hypothesis", "trio", "zmq", "zmqfuzz.catalogue", "zmqfuzz.declared", "zmqfuzz.pytest_declared")

WORKER = f'["{sys.executable}", "-m", "zmqfuzz.targets.examples.worker_crash", "--bind", "{{endpoint}}"'
TARGETS = f"""
[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "--strict-markers -p no:randomly -p no:cacheprovider"

[tool.zmqfuzz.targets.weak]
command = {WORKER}]
socket-type = "ROUTER"
families = "malformed-message"

[tool.zmqfuzz.targets.hardened]
command = {WORKER}, "--hardened"]
families = ["malformed-message", "malformed-greeting"]
limits = {{max-frame = "64 KiB", recover = "10s"}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two declared targets, a test of its own, and no code for zmqfuzz."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(TARGETS)
    (folder / "tests").mkdir()
    (folder / "tests/test_own.py").write_text("def test_own(): pass\n")
    return folder


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env=inherited | {"COLUMNS": "160"} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


def collected(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^\S+::\S+$", done.stdout, re.MULTILINE)


WEAK = ["pyproject.toml::weak::malformed-message"]
HARDENED = ["pyproject.toml::hardened::malformed-message", "pyproject.toml::hardened::malformed-greeting"]
OWN = ["tests/test_own.py::test_own"]


@pytest.mark.parametrize(
    ("options", "items"),
    [
        ((".",), {*OWN, *WEAK, *HARDENED}),
        (("pyproject.toml::hardened", "-k", "greeting", "-m", "zmqfuzz"), {*HARDENED[1:]}),
    ],
)
def test_items_exist_once_at_collection_and_can_be_selected(
    project: Path, options: tuple[str, ...], items: set[str]
) -> None:
    done = run(project, "--zmqfuzz", "--collect-only", "-q", *options)
    assert sorted(collected(done)) == sorted(items), done.stdout + done.stderr


def test_without_the_option_nothing_is_collected_and_nothing_loaded(project: Path, tmp_path: Path) -> None:
    (tmp_path / "spy.py").write_text(
        inspect.cleandoc(f"""
            import sys
            def pytest_unconfigure():
                print("loaded:", [name for name in {HEAVY!r} if name in sys.modules])
        """)
    )
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(tmp_path)}
    plugins = ("-p", "zmqfuzz.pytest_plugin", "-p", "spy", "-o", "addopts=")
    done = run(project, *plugins, "--collect-only", "-q", ".", **variables)
    assert collected(done) == OWN, done.stdout + done.stderr
    assert "loaded: []" in done.stdout


def test_a_weak_target_fails_with_our_text_and_a_hardened_one_passes(project: Path) -> None:
    options = ("--zmqfuzz", "--zmqfuzz-budget=0.5s", "--zmqfuzz-seed=11", "--junitxml=junit.xml", "-v", "-n", "2")
    done = run(project, *options, "-k", "malformed-message or own")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    for passed in (HARDENED[0], *OWN):
        assert re.search(rf"PASSED .*{re.escape(passed)}|{re.escape(passed)} PASSED", done.stdout), done.stdout
    assert re.search(rf"^FAILED {WEAK[0]} - ZF101 ", done.stdout, re.MULTILINE)
    assert "_ weak[malformed-message] _" in done.stdout
    assert done.stdout.count("Transcript (") == 1
    assert "zmqfuzz/items.py" not in done.stdout
    assert f'pytest "{WEAK[0]}" --zmqfuzz --zmqfuzz-seed 11 --zmqfuzz-budget 0.5s\n' in done.stdout
    (header,) = re.findall(r"^zmqfuzz \d.*$", done.stdout, re.MULTILINE)
    assert header.endswith("(0.5s an item), seed 11")
    assert re.search(r"^zmqfuzz: 1 held, 1 finding, 0 inconclusive; [\d,]+ cases; seed 11$", done.stdout, re.MULTILINE)
    cases = ElementTree.parse(project / "junit.xml").iter("testcase")
    assert {case.get("name") for case in cases} == {"test_own", "malformed-message"}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", pytest.ExitCode.USAGE_ERROR, r"--zmqfuzz: no target is declared; add \[tool\.zmqfuzz\.targets\.NAME\] to"),
        (
            "[tool.zmqfuzz.targets.gw]\ncommand = ['x']\nfamilies = 'floot'",
            pytest.ExitCode.INTERRUPTED,
            r"pyproject\.toml: tool\.zmqfuzz\.targets\.gw\.families: .*Did you mean 'flood'\?",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, code: int, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{text}\n")
    done = run(tmp_path, "--zmqfuzz", "-p", "no:randomly")
    assert done.returncode == code, done.stdout + done.stderr
    assert re.search(said, done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
