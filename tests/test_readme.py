"""What README.md says is so: its tables, its commands and options, its example."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import click
import pytest

from zmqfuzz import Limits
from zmqfuzz.catalogue import Family, Invariant, families, invariants
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import EXIT_CODES
from zmqfuzz.declared import read
from zmqfuzz.errors import UsageError
from zmqfuzz.reports.baseline import read_baseline
from zmqfuzz.reports.settings import settings
from zmqfuzz.script import Attack
from zmqfuzz.trial import Observation, Sample, Surface, Trial

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def ours(entry: Family | Invariant) -> bool:
    """Whether it is zmqfuzz's own, and not of a package that is installed beside it."""
    function = entry.draw if isinstance(entry, Family) else entry.check
    return function.__module__.startswith("zmqfuzz.")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def table(name: str) -> list[str]:
    """The rows between the marks, without the two lines of the head."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert match is not None
    return match[1].splitlines()[2:]


def test_the_table_of_families_is_the_catalogue() -> None:
    wanted = [f"| `{family.name}` | {family.summary} |" for family in families().values() if ours(family)]
    assert table("families") == wanted, "should be:\n" + "\n".join(wanted)


def test_the_table_of_invariants_is_the_catalogue() -> None:
    wanted = []
    for entry in filter(ours, invariants().values()):
        when = f"with `--{entry.declared.replace('_', '-')}`" if entry.declared else "always"
        when = "with a key or password" if entry.locked else when
        wanted.append(f"| {entry.code} | {entry.severity} | {entry.title} | {when} |")
    assert table("invariants") == wanted, "should be:\n" + "\n".join(wanted)


def test_the_table_of_exit_codes_is_what_help_prints() -> None:
    wanted = re.findall(r"^ +(\d+)  (.+)$", EXIT_CODES, re.MULTILINE)
    found = re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE)
    assert [(code, text.replace("`", "")) for code, text in found] == wanted


def commands(group: click.Group) -> list[click.Command]:
    """All of them, with those of groups inside."""
    found: list[click.Command] = []
    for command in group.commands.values():
        found += commands(command) if isinstance(command, click.Group) else [command]
    return found


def test_what_the_recipes_for_ci_say_exists() -> None:
    assert isinstance(cli, click.Group)
    known = {name for command in commands(cli) for param in command.params for name in param.opts}
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--junitxml", "--zmqfuzz", "--bind"}
    assert {"--report", "--baseline", "--inconclusive"} <= spoken <= known
    named = {tuple(words.split()) for words in re.findall(r"zmqfuzz ((?:baseline )?[a-z]+)(?= )", text)}
    assert {("run",), ("report",), ("baseline", "update")} <= named


def test_what_is_declared_for_ci_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    declared, accepted = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(declared, encoding="utf-8")
    assert read(tmp_path / "pyproject.toml")["gateway"].contract({}) == Limits(max_frame=1 << 20, memory=200 << 20)
    assert settings(tmp_path).fail_on == "medium"
    file = tmp_path / "baseline.toml"
    file.write_text(accepted.replace("2027-03-01", str(date.today())), encoding="utf-8")
    assert [entry.id for entry in read_baseline(file)] == ["ZF203-5whe"]


def test_every_command_and_option_exists() -> None:
    assert isinstance(cli, click.Group)
    named = set(re.findall(r"(?:\$ |`|bin/)zmqfuzz (?!-)([a-z]+)\b", README))
    assert {"run", "demo", "replay", "list", "explain"} <= named
    assert named <= set(cli.commands)
    known = {name for command in commands(cli) for param in command.params for name in param.opts}
    # What belongs to the programs of the examples and to pip, git, pytest and Hypothesis.
    known |= {"--help", "--hardened", "--drop", "--per-connection", "--secret-key", "--run-slow", "--hypothesis-seed"}
    known |= {"--one-queue"}
    known |= {"--host", "--nworkers", "--nthreads"}  # and to dask
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    plugin = {name for name in spoken if name.startswith("--zmqfuzz")}
    assert spoken - plugin <= known
    helped = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(name in helped.stdout for name in plugin)


def test_what_is_declared_can_be_read(tmp_path: Path) -> None:
    declared, _ = blocks("toml")
    (tmp_path / "pyproject.toml").write_text(declared, encoding="utf-8")
    gateway = read(tmp_path / "pyproject.toml")["gateway"]
    assert gateway.contract({}) == Limits(max_frame=1 << 20, memory=200 << 20, recover=0.5)
    wrong = next(block for block in blocks("text") if "did you mean" in block)
    (tmp_path / "pyproject.toml").write_text(declared.replace("max-frame", "max-fram"), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read(tmp_path / "pyproject.toml")
    assert str(raised.value).endswith(wrong.strip().removeprefix("zmqfuzz: pyproject.toml"))


def test_the_two_commands_are_the_first_two_sh_blocks() -> None:
    first, second = blocks("sh")  # and there is no third: .ci/run takes the second
    for line in (first, second):
        assert line.count("\n") == 1
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert first.endswith("&& .venv/bin/zmqfuzz demo\n")
    assert second.endswith("&& .venv/bin/python -m pytest -n 4\n")
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=10)


def test_the_finding_that_is_shown_has_the_catalogue_s_words() -> None:
    shown = next(block for block in blocks("text") if "Transcript" in block)
    entry = invariants()[shown[:5]]
    assert shown.startswith(f"{entry.code}  {entry.severity.upper()}  {entry.title} ")


def test_every_folder_at_the_top_is_named() -> None:
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    if found.returncode != 0:
        pytest.skip("no git, or no clone: what belongs to the repository is not known")
    folders = {name.split("/")[0] for name in found.stdout.splitlines() if "/" in name}
    assert folders <= set(re.findall(r"^\| `([\w.]+)/` \|", README, re.MULTILINE))


def example() -> str:
    (code,) = [block for block in blocks("python") if block.startswith("# my_checks.py")]
    return code


def test_the_example_works_as_an_installed_package(tmp_path: Path) -> None:
    (tmp_path / "my_checks.py").write_text(example(), encoding="utf-8")
    _, points = blocks("toml")
    place = tmp_path / "mine-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    written = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", points).replace('"', "")
    (place / "entry_points.txt").write_text(written, encoding="utf-8")

    def zmqfuzz(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
        command = [sys.executable, "-P", "-m", "zmqfuzz", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = zmqfuzz("list")
    assert "  silence                Peers that connect, say nothing, and stay.\n" in listed
    assert "  MY101  threads-end " in listed
    assert "There are no more threads after" in zmqfuzz("explain", "MY101")
    target = [sys.executable, "-m", "zmqfuzz.targets.examples.rep"]
    ran = zmqfuzz("run", "--only", "silence", "--for", "20s", "--cases", "3", "--", *target)
    assert "HELD: 3 attacks" in ran
    assert "MY101 threads-end" in ran


def test_the_example_s_invariant_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The catalogue is the process's own: what the example registers must not stay for other tests.
    for name in ("_families", "_invariants"):
        monkeypatch.setattr(f"zmqfuzz.catalogue.{name}", {})
    path = tmp_path / "my_checks.py"
    path.write_text(example(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("my_checks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def trial(after: int) -> Trial:
        samples = [Sample(0.0, 0, 1, 1, 1, threads, 0.0) for threads in (4, after)]
        seen = Observation(baseline=samples[0], settled=samples[1])
        return Trial(Attack(()), Surface("tcp://127.0.0.1:1"), (), seen, 1.0)

    assert module.threads_end.judge(trial(4), Limits()) is None
    assert "6 threads" in str(module.threads_end.judge(trial(6), Limits()))
