"""The project of examples/gateway: its suite fails as README shows, however it is run, and passes once it is mended."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHOWN = re.compile(r"^ZF\d+  [A-Z]+  .+ finding (ZF\d+-\w{4})$", re.MULTILINE)
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of it, without what other runs left."""
    left = shutil.ignore_patterns(".*", "__pycache__")
    return Path(shutil.copytree(ROOT / "examples" / "gateway", tmp_path / "gateway", ignore=left))


def run(project: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=project,
        env=inherited | {"COLUMNS": "160"} | variables,
        capture_output=True,
        text=True,
        timeout=400,
    )


def expected() -> list[str]:
    """The findings of the output that README shows for it."""
    said = README.split("cd examples/gateway && python -m pytest", 1)[1]
    return SHOWN.findall(said.split("```text", 1)[1].split("```", 1)[0])


def test_its_suite_fails_as_shown_and_passes_once_mended(project: Path) -> None:
    weak = run(project, "-n", "2", "--zmqfuzz-seed=1")
    assert weak.returncode == pytest.ExitCode.TESTS_FAILED, weak.stdout + weak.stderr
    assert sorted(SHOWN.findall(weak.stdout)) == sorted(expected()), weak.stdout
    assert re.search(r"^zmqfuzz: 0 held, 2 findings, 0 inconclusive; [\d,]+ cases; seed 1$", weak.stdout, re.MULTILINE)
    assert re.search(r"script=Script\(\(Connect\(\),\s+Shake\(", weak.stdout), "which example Hypothesis ended with"
    assert "always and only run" not in weak.stdout
    assert "Traceback (most" not in weak.stdout.replace("captured target output", "").split("test summary")[1]
    assert "live.py" not in weak.stdout
    shutil.copy(project / "mended" / "gateway.py", project)
    mended = run(project)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert re.search(r"^zmqfuzz: 3 held, 0 findings, 0 inconclusive", mended.stdout, re.MULTILINE)


def test_readme_shows_a_part_of_it() -> None:
    suite = (ROOT / "examples" / "gateway" / "tests" / "test_gateway.py").read_text(encoding="utf-8")
    (shown,) = (text for text in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S) if "zst.scripts" in text)
    assert shown in suite


VARIANTS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "as it is": ((), {}),
    "only what failed": (("--lf",), {}),
    "two workers": (("-n", "2"), {}),
    "without a cache": (("-p", "no:cacheprovider"), {}),
    "in CI": ((), {"CI": "true"}),
    "in CI, two workers": (("-n", "2"), {"CI": "true"}),
    "an empty CI": ((), {"CI": ""}),
}


@pytest.mark.slow
def test_its_findings_and_items_have_the_same_names_however_it_is_run(project: Path) -> None:
    weak = {
        "tests/test_gateway.py::test_conversations",
        "tests/test_gateway.py::test_families[malformed-message]",
        "tests/test_gateway.py::test_large_frames_are_refused",
    }
    for name, (options, variables) in VARIANTS.items():
        done = run(project, *options, **variables)
        assert sorted(SHOWN.findall(done.stdout)) == sorted(expected()), f"{name}\n{done.stdout}"
        assert set(re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)) == weak, f"{name}\n{done.stdout}"
    shutil.copy(project / "mended" / "gateway.py", project)
    for name in ("as it is", "without a cache", "in CI, two workers"):
        options, variables = VARIANTS[name]
        done = run(project, *options, **variables)
        assert done.returncode == 0, f"{name}\n{done.stdout}"
        assert re.search(r"^zmqfuzz: 3 held, 0 findings, 0 inconclusive", done.stdout, re.MULTILINE), name
