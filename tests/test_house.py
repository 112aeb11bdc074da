"""The house rules that a machine can check: floors, types, form, size, and that every room can be entered alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES = 350

LONGER: dict[str, str] = {
    "zmqfuzz/campaign/repro_player.py": "one script's source, which runs where zmqfuzz is not installed",
}
"""Files that may be longer than LINES, each with its reason."""

_NOT_OURS = {"build", "dist", "__pycache__"}

# Written with brackets, so that this file does not find itself.
PATHS_OF_ONE_MACHINE = re.compile(r"(?<![\w.])[/](work|root|home/\w+|Users/\w+|opt/py\w*)/")
REGISTRIES = re.compile(r"pypi[.]org|python[h]osted|debian[.]org|ubuntu[.]com|--(extra-)?index[-]url|artifact[o]ry")


def run(*words: str) -> None:
    """Run a tool of this environment at the root of the checkout; it must be content."""
    # Without our own variables: a CI service's colours and a developer's PYTHONPATH change what the tools say and see.
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "FORCE_COLOR"}}
    environment |= {"NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(words[:2])} ended with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)


def tracked() -> Iterator[Path]:
    """Every file of the repository: what git tracks or would add; without git, what is not ignored by rule."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if shutil.which("git"):
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            paths = [ROOT / name for name in done.stdout.split("\0") if name]
            yield from (path for path in paths if path.is_file() and not path.is_symlink())
            return
    for folder, folders, names in os.walk(ROOT):
        hidden = [name for name in folders if name.startswith(".") and name != ".ci"]
        for name in {*hidden, *_NOT_OURS, *(name for name in folders if name.endswith(".egg-info"))} & {*folders}:
            folders.remove(name)
        yield from (Path(folder, name) for name in names if not Path(folder, name).is_symlink())


def test_imports_keep_to_the_floors() -> None:
    run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")


def test_types() -> None:
    run("-m", "mypy")


def test_lint() -> None:
    run("-m", "ruff", "check")


def test_format() -> None:
    run("-m", "ruff", "format", "--check")


# Each module in a forked child of a process that has imported no module of ours, only the third parties (once, as
# they cost half a second and may warn as they like).
_ALONE = """
import importlib, os, sys, traceback, warnings
for name in "click hypothesis.stateful jinja2 nacl.bindings pytest rich.console rich.status trio zmq".split():
    importlib.import_module(name)
assert not [name for name in sys.modules if name.partition(".")[0] in ("zmqfuzz", "strategies", "targets")]
failed = False
for name in sys.argv[1:]:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            warnings.simplefilter("error")
            importlib.import_module(name)
            code = 0
        except BaseException:
            print(name, traceback.format_exc(), sep=chr(10), flush=True)
        os._exit(code)
    failed |= os.waitpid(child, 0)[1] != 0
sys.exit(failed)
"""


def modules() -> list[str]:
    names = []
    for path in sorted((ROOT / "zmqfuzz").rglob("*.py")) + sorted(
        path for room in ("strategies", "targets") for path in (ROOT / room).rglob("*.py")
    ):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts if parts[0] == "zmqfuzz" else ("zmqfuzz", *parts)
        names.append(".".join(parts).removesuffix(".__init__"))
    return list(dict.fromkeys(names))


@pytest.mark.parametrize("deep", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["top", "all"])
def test_every_module_imports_alone_without_a_warning(deep: bool) -> None:
    names = modules()
    assert {"zmqfuzz.zmtp.wire", "zmqfuzz.strategies.flood", "zmqfuzz.targets.examples.guard"} < set(names)
    run("-W", "default", "-c", _ALONE, *(name for name in names if deep or name.count(".") < 2))


def test_no_file_is_two_rooms() -> None:
    too_long = {}
    for path in tracked():
        if path.suffix in {".py", ".c"}:
            name = path.relative_to(ROOT).as_posix()
            count = len(path.read_text(encoding="utf-8").splitlines())
            if count > LINES and name not in LONGER:
                too_long[name] = count
            assert name not in LONGER or count > LINES, f"{name} is short again: take it out of LONGER"
    assert not too_long, f"more than {LINES} lines; divide them, or name them in LONGER with the reason: {too_long}"


@pytest.mark.parametrize("forbidden", [PATHS_OF_ONE_MACHINE, REGISTRIES], ids=["paths", "registries"])
def test_nothing_of_one_machine_is_in_the_repository(forbidden: re.Pattern[str]) -> None:
    found = []
    for path in tracked():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(lines, 1)
            if forbidden.search(line)
        ]
    assert not found, "\n".join(found)
