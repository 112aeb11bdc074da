"""``zmqfuzz audit``: suppressions, policy, forms of output, exit codes, files that cannot be read."""

from __future__ import annotations

import cProfile
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from zmqfuzz.audit.auditor import audit, rules
from zmqfuzz.audit.policy import Policy
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded

WEAK = 'import zmq\ns = zmq.Context().socket(zmq.PUB)\ns.set_hwm(0)\ns.bind("tcp://127.0.0.1:1")\n'
CLEAN = WEAK.replace("0)", "10)", 1)

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, in an empty folder of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zmqfuzz", *words])
        assert isinstance(cli, click.Command)
        code = guarded(cli)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def codes(source: str, folder: Path) -> list[str]:
    (folder / "program.py").write_text(source, encoding="utf-8")
    return [line.code for line in audit([folder], Policy()).lines]


def test_a_finding_says_where_what_how_sure_and_what_to_do(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WEAK)
    code, out, _ = command("audit")
    assert code == 1
    assert "program.py:3:1  ZF605  MEDIUM  sure  PUB  tcp://127.0.0.1:1\n    SNDHWM" not in out
    assert re.search(
        r"^program\.py:3:1  ZF605  MEDIUM  sure  PUB  tcp://127\.0\.0\.1:1\n    HWM is 0.*\n    To fix: ", out
    )
    assert "1 finding (1 medium) in 1 Python file, 1 with ZeroMQ, 1 socket" in out


def test_exit_codes(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CLEAN)
    assert command("audit")[0] == 0
    (tmp_path / "program.py").write_text(WEAK)
    assert command("audit")[0] == 1
    assert command("audit", "--fail-on", "high")[0] == 0
    (tmp_path / "broken.py").write_text("def broken(:\n")
    assert command("audit")[0] == 1  # a finding wins over what is inconclusive
    (tmp_path / "program.py").write_text(CLEAN)
    assert command("audit")[0] == 3
    assert command("audit", "nowhere")[0] == 2
    (tmp_path / "empty").mkdir()
    assert command("audit", "empty")[0] == 5


def test_zeromq_without_a_socket_is_inconclusive(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import zmq\nmake = getattr(zmq.Context(), 'sock' + 'et')\n")
    code, out, _ = command("audit")
    assert code == 3
    assert "no place was seen where a socket is created" in out


BROKEN: list[tuple[bytes, str]] = [
    (b"def broken(:\n", "It is not valid Python: invalid syntax at line 1."),
    (b"x = '\xff'\n", "It is not valid Python"),
    (b"# coding: nonsense\n", "It is not valid Python: unknown encoding"),
    (b"x = 1\0\n", "source code string cannot contain null bytes"),
    (b"x = " + b"(" * 5000 + b")" * 5000, "It is not valid Python: too many nested parentheses"),
    (b"x = " + b"-" * 100_000 + b"1", "nested too deeply"),
]


@pytest.mark.parametrize(("data", "sentence"), BROKEN, ids=["syntax", "octets", "coding", "null", "nested", "deep"])
def test_a_file_that_cannot_be_read_is_told_and_the_others_are_audited(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    (tmp_path / "program.py").write_text(WEAK)
    (tmp_path / "broken.py").write_bytes(data)
    found = audit([tmp_path], Policy())
    assert [line.code for line in found.lines] == ["ZF605"]
    (unreadable,) = found.unreadable
    assert unreadable.path.name == "broken.py"
    assert sentence in unreadable.sentence
    assert found.doubts == (f"{unreadable.path} was not audited. {unreadable.sentence}",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_the_right_to_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WEAK)
    (tmp_path / "program.py").chmod(0)
    assert "Permission denied" in audit([tmp_path], Policy()).unreadable[0].sentence


def test_a_fifo_does_not_hold_the_audit(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WEAK)
    os.mkfifo(tmp_path / "pipe.py")
    found = audit([tmp_path], Policy())
    assert "not a regular file" in found.unreadable[0].sentence


def test_deep_and_long_sources_are_walked(tmp_path: Path) -> None:
    source = WEAK + "x = " + " + ".join(["y"] * 600) + "\n" + "if x:\n" * 1 + "    pass\n"
    source += "".join("    " * depth + f"if y{depth}:\n" for depth in range(90)) + "    " * 90 + "pass\n"
    source += "def a(x): return b(x)\ndef b(x): return a(x)\nc = a(c)\n"
    source += "class A(A): pass\n"
    assert codes(source, tmp_path) == ["ZF605"]


def test_two_modules_that_import_from_each_other_are_no_endless_loop(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import zmq\nfrom two import socket\nfrom two import other as socket\n")
    (tmp_path / "two.py").write_text(
        "import zmq\nfrom one import socket as other\nfrom one import *\nsocket.bind('x')\n"
    )
    assert audit([tmp_path], Policy()).sockets == 0


@pytest.mark.parametrize(
    "source",
    [
        WEAK.replace("(0)\n", "(0)  # zmqfuzz: ignore[ZF605] one writer only\n"),
        WEAK.replace("s.set_hwm", "# zmqfuzz: ignore[ZF605]: one writer only\n# and more\ns.set_hwm"),
        WEAK.replace("(0)\n", "(0)  # zmqfuzz: ignore[ZF601, zf605] - one writer only\n"),
        WEAK.replace("(0)\n", "(\n    0  # zmqfuzz: ignore[ZF605] one writer only\n)\n"),
    ],
    ids=["behind", "above", "several", "within"],
)
def test_a_suppression_with_a_reason(tmp_path: Path, source: str) -> None:
    (tmp_path / "program.py").write_text(source)
    found = audit([tmp_path], Policy())
    assert found.lines == ()
    assert [(each.line.code, each.reason) for each in found.suppressed] == [("ZF605", "one writer only")]


def test_a_suppression_without_a_reason_suppresses_nothing_and_is_told(tmp_path: Path) -> None:
    assert codes(WEAK.replace("(0)\n", "(0)  # zmqfuzz: ignore[ZF605]\n"), tmp_path) == ["ZF605", "ZF690"]
    assert codes(WEAK.replace("(0)\n", "(0)  # zmqfuzz: ignore all of it\n"), tmp_path) == ["ZF605", "ZF690"]


def test_a_suppression_of_nothing_is_told(tmp_path: Path) -> None:
    assert codes(WEAK.replace("(0)\n", "(0)  # zmqfuzz: ignore[ZF601] not here\n"), tmp_path) == ["ZF605", "ZF691"]
    assert codes(CLEAN + 'text = "# zmqfuzz: ignore[ZF605]"\n', tmp_path) == []


def policy(text: str, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(text)


OVERRIDE = '[[tool.zmqfuzz.audit.overrides]]\ncode = "ZF605"\nseverity = "{}"\nreason = "one writer"\n'


def test_a_policy_changes_a_severity_with_a_reason(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WEAK)
    policy(OVERRIDE.format("info"), tmp_path)
    code, out, _ = command("audit")
    assert code == 0
    assert "ZF605  INFO" in out
    policy(OVERRIDE.format("off"), tmp_path)
    code, out, _ = command("audit", "--json")
    assert code == 0
    (suppressed,) = json.loads(out)["suppressed"]
    assert (suppressed["code"], suppressed["reason"]) == ("ZF605", "one writer")
    for kept in ('paths = ["elsewhere/*"]', 'sockets = ["SUB"]', 'endpoints = ["ipc://*"]'):
        policy(f"{OVERRIDE.format('off')}{kept}\n", tmp_path)
        assert command("audit")[0] == 1
    for fits in ('sockets = ["PUB"]', 'endpoints = ["tcp://127.0.0.1:*"]'):
        policy(f"{OVERRIDE.format('off')}{fits}\n", tmp_path)
        assert command("audit")[0] == 0


def test_a_policy_leaves_files_out(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CLEAN)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "weak.py").write_text(WEAK)
    assert command("audit")[0] == 1
    assert command("audit", "--exclude", "examples/*")[0] == 0
    policy('[tool.zmqfuzz.audit]\nexclude = ["examples/*"]\n', tmp_path)
    assert command("audit")[0] == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[tool.zmqfuzz.audit]\nexclud = ["a"]', "did you mean 'exclude'?"),
        ('[tool.zmqfuzz.audit]\nexclude = "a"', "exclude in [tool.zmqfuzz.audit] of"),
        ("[tool.zmqfuzz]\naudit = 1", "is not a table"),
        ('[[tool.zmqfuzz.audit.overrides]]\ncode = "ZF605"\nseverity = "low"', "gives no reason"),
        ('[[tool.zmqfuzz.audit.overrides]]\ncode = "ZF101"\nreason = "x"', "no code of an audit"),
        (OVERRIDE.format("bad"), "needs a severity"),
        ("[tool.zmqfuzz.audit]\noverrides = 3", "is not a list of tables"),
        ("[tool.zmqfuzz.audit]\noverrides = [3]", "is not a table"),
    ],
)
def test_a_wrong_policy_is_one_sentence(command: Command, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "program.py").write_text(CLEAN)
    policy(text, tmp_path)
    code, out, err = command("audit")
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


def sarif(tmp_path: Path, command: Command) -> dict[str, Any]:
    command("audit", "--sarif", "audit.sarif")
    loaded: dict[str, Any] = json.loads((tmp_path / "audit.sarif").read_text())
    return loaded


def test_sarif_has_what_code_scanning_needs(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a b.py").write_text(WEAK)
    (tmp_path / "kept.py").write_text(WEAK.replace("(0)\n", "(0)  # zmqfuzz: ignore[ZF605] one writer only\n"))
    (tmp_path / "broken.py").write_text("def broken(:\n")
    log = sarif(tmp_path, command)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == [rule.code for rule in rules()]
    levels = {"error", "warning", "note"}
    open_, kept = run["results"]
    for result in (open_, kept):
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "ZF605"
        assert result["level"] in levels
        assert result["message"]["text"]
    where = open_["locations"][0]["physicalLocation"]
    assert where["artifactLocation"] == {"uri": "a%20b.py", "uriBaseId": "%SRCROOT%"}
    assert where["region"] == {"startLine": 3, "startColumn": 1}
    assert "suppressions" not in open_
    assert kept["suppressions"] == [{"kind": "inSource", "justification": "one writer only"}]
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "not valid Python" in notice["message"]["text"]


def test_a_fingerprint_survives_lines_above_it_and_tells_twins_apart(command: Command, tmp_path: Path) -> None:
    def prints() -> list[str]:
        return [r["partialFingerprints"]["zmqfuzzAudit/v1"] for r in sarif(tmp_path, command)["runs"][0]["results"]]

    (tmp_path / "program.py").write_text(WEAK + WEAK)
    before = prints()
    assert len(set(before)) == 2
    (tmp_path / "program.py").write_text("# a new line\n\n" + WEAK + WEAK)
    assert prints() == before


def test_sarif_that_cannot_be_written_is_one_sentence(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CLEAN)
    code, _, err = command("audit", "--sarif", "no/such/folder.sarif")
    assert code == 2
    assert "could not be written" in err


def test_json_holds_every_field(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WEAK)
    _, out, _ = command("audit", "--json")
    (finding,) = json.loads(out)["findings"]
    assert finding | {"sentence": "", "remedy": ""} == {
        "evidence": None,
        "code": "ZF605",
        "severity": "medium",
        "certainty": "sure",
        "path": "program.py",
        "line": 3,
        "column": 1,
        "socket": "PUB",
        "endpoint": "tcp://127.0.0.1:1",
        "sentence": "",
        "remedy": "",
    }


def test_what_a_source_holds_cannot_move_the_cursor(command: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WEAK.replace("tcp://127.0.0.1:1", "tcp://127.0.0.1:1\\x1b[2J"))
    assert "\x1b" not in command("audit")[1]


def test_rules_are_listed_and_explained(command: Command) -> None:
    listed = command("list")[1]
    for rule in rules():
        assert f"{rule.code}  {rule.title}" in listed
        code, out, _ = command("explain", rule.code.lower())
        assert code == 0
        assert out.startswith(f"{rule.code}  {rule.severity.upper()}  {rule.title}")


def test_the_same_source_gives_the_same_lines_in_the_same_order(tmp_path: Path) -> None:
    hosts = "for host in ('*', '127.0.0.1', '[::]', '0.0.0.0'):\n    s.bind(f'tcp://{host}:5')\n"
    (tmp_path / "program.py").write_text(WEAK + hosts)
    found = {audit([tmp_path], Policy()).lines for _ in range(5)}
    assert len(found) == 1


def test_work_grows_with_the_source_and_no_faster(tmp_path: Path) -> None:
    body = WEAK + "".join(f"def f{n}(x):\n    y = x + {n}\n    return f{n}(y, s)\n" for n in range(5))

    def calls(files: int) -> int:
        folder = tmp_path / str(files)
        folder.mkdir()
        for number in range(files):
            (folder / f"part{number}.py").write_text(body)
        profile = cProfile.Profile()
        profile.runcall(audit, [folder], Policy())
        return sum(entry.callcount for entry in profile.getstats())

    few, many = calls(100), calls(200)
    assert many < 2 * few * 1.3
