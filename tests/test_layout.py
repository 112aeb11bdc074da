"""The two catalogues at the front door are the packages inside: links, mapping and wheel agree (DESIGN C)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import zmqfuzz.strategies
import zmqfuzz.targets

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
ROOMS = {name: folder for name, folder in SETUPTOOLS["package-dir"].items() if "." in name}
JUNK = shutil.ignore_patterns("__pycache__", "*.pyc")


@pytest.mark.parametrize(("package", "folder"), ROOMS.items())
def test_a_mapped_folder_is_what_its_link_points_at(package: str, folder: str) -> None:
    link = ROOT / package.replace(".", "/")
    assert link.is_symlink(), "a checkout without links; clone again with core.symlinks=true"
    assert not link.readlink().is_absolute()
    assert link.resolve() == (ROOT / folder).resolve()


def test_every_folder_with_an_init_is_packaged() -> None:
    tops = {"zmqfuzz": ROOT / "zmqfuzz"} | {package: ROOT / folder for package, folder in ROOMS.items()}
    found = {
        ".".join((package, *init.parent.relative_to(top).parts))
        for package, top in tops.items()
        for init in top.rglob("__init__.py")
    }
    assert found == set(SETUPTOOLS["packages"])


def test_the_top_level_names_were_not_imported() -> None:
    assert zmqfuzz.strategies.__name__ == "zmqfuzz.strategies"
    assert zmqfuzz.targets.__name__ == "zmqfuzz.targets"
    # From the root of the checkout they can be imported by accident: a second copy, with a catalogue of its own.
    assert not {"strategies", "targets"} & set(sys.modules)


def copy(to: Path, *, links: bool) -> Path:
    """What a build sees of the checkout, without what earlier builds left; ``links=False``: as a ZIP download."""
    to.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to)
    for folder in ("strategies", "targets", "zmqfuzz"):
        shutil.copytree(ROOT / folder, to / folder, symlinks=True, ignore=JUNK)
    if not links:
        for package in ROOMS:
            link = to / package.replace(".", "/")
            there = str(link.readlink())
            link.unlink()
            link.write_text(there, encoding="utf-8")
    return to


@pytest.mark.parametrize("links", [True, False], ids=["checkout", "download"])
def test_the_wheel_holds_zmqfuzz_only_and_all_of_it(tmp_path: Path, links: bool) -> None:
    source = copy(tmp_path / "source", links=links)
    words = ["-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", str(tmp_path), str(source)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {"zmqfuzz/py.typed", "zmqfuzz/advisories.toml", "zmqfuzz/cli/workflow.yml"}
    wanted.add("zmqfuzz/reports/report.html.j2")
    for package, folder in SETUPTOOLS["package-dir"].items():
        for path in (ROOT / folder).rglob("*.[pcj]*"):
            if path.suffix in {".py", ".c", ".java"}:
                wanted.add(str(PurePosixPath(package.replace(".", "/"), path.relative_to(ROOT / folder).as_posix())))
    assert held == wanted
    assert {"zmqfuzz/strategies/flood.py", "zmqfuzz/targets/examples/cserver.c"} < held
