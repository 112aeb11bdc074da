"""The command line as its users meet it: real processes, exit codes as --help says, one clear sentence each."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from zmqfuzz.catalogue import families
from zmqfuzz.cli.choosing import LOOKS

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "targets" / "examples"
PY = sys.executable
CRASH = (PY, str(EXAMPLES / "worker_crash.py"))
REP = (PY, str(EXAMPLES / "rep.py"))
OK, FOUND, USAGE, INCONCLUSIVE, NOT_STARTED, NOTHING = 0, 1, 2, 3, 4, 5
PROGRAMS = {
    "dies.py": "raise SystemExit('the configuration is missing')",
    "idle.py": "import time; time.sleep(600)",
    "silent.py": """
import socket
door, kept = socket.create_server(("127.0.0.1", 0)), []
while True:
    kept.append(door.accept())
""",
    "curve.py": """
import time, zmq
router = zmq.Context().socket(zmq.ROUTER)
router.curve_server, router.curve_secretkey = True, zmq.curve_keypair()[1]
router.bind("tcp://127.0.0.1:*")
time.sleep(600)
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where zmqfuzz is run: with the programs, and files that are no findings."""
    made = tmp_path_factory.mktemp("cli")
    for name, text in PROGRAMS.items():
        (made / name).write_text(text)
    (made / "cut.zft").write_text('{"zft": 1, "strategy": "flood"}\n{"script": "attacker"}\n{"step": "conn')
    (made / "other.zft").write_text("MZ\x90\n")
    broken = made / "broken/findings/ZF101-abcd"
    broken.mkdir(parents=True)
    (broken / "finding.json").write_text('{"finding": 1, "id": "ZF101-abcd"')
    return made


def zmqfuzz(folder: Path, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    command = [PY, "-m", "zmqfuzz", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, errors="replace")
    assert "Traceback" not in done.stderr
    assert "zmqfuzz itself failed" not in done.stderr
    return done


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ALL = ",".join([*families(), *LOOKS])
FREE = f"tcp://127.0.0.1:{_free_port()}"
BAD: list[Any] = [
    (("run",), USAGE, "Nothing to test"),
    (("run", "--", "no-such-command"), NOT_STARTED, "'no-such-command' was not found"),
    (("run", "--", PY, "dies.py"), NOT_STARTED, "exit code 1 before it listened.*the configuration is missing"),
    (("run", "--start-within", "1s", "--", PY, "idle.py"), NOT_STARTED, "opened no listening socket within 1 s"),
    (("run", "--start-within", "2s", "--", PY, "silent.py"), NOT_STARTED, "does not speak ZMTP"),
    (("run", "--connect", FREE), NOT_STARTED, "refused.*start the target first"),
    (("run", "--start-within", "2s", "--connect", FREE, "--", *REP), NOT_STARTED, "it listens on .*correct --connect"),
    (("run", "--connect", "localhost"), USAGE, "names no transport"),
    (("run", "--connect", "tcp://127.0.0.1:99999"), USAGE, "port '99999'"),
    (("run", "--connect", "tcp://192.0.2.1:5555"), USAGE, "--allow-remote 192.0.2.1"),
    (("run", "--bind", FREE), USAGE, "add -- COMMAND"),
    (("run", "--pid", "99999999"), USAGE, "no process 99999999"),
    (("run", "--only", "floods", "--", *REP), USAGE, "Did you mean 'flood'"),
    (("run", "--exclude", ALL, "--", *REP), NOTHING, "Nothing was selected"),
    (("run", "--xyzzy", "--", *REP), USAGE, "No such option"),
    (("run", "--max-frame", "1XB", "--", *REP), USAGE, "--max-frame: '1XB' is not a size"),
    (("run", "--for", "soon", "--", *REP), USAGE, "--for: 'soon' is not a duration"),
    (("run", "--cases", "0", "--", *REP), USAGE, "--cases"),
    (("run", "--ready", "soon", "--", *REP), USAGE, "no readiness"),
    (("run", "--probe", "/nowhere/probe", "--for", "1s", "--", *REP), USAGE, "--probe: '/nowhere/probe'"),
    (("explain", "ZF999"), USAGE, "no code 'ZF999'"),
    (("replay", "ZF101-zzzz"), USAGE, "no finding 'ZF101-zzzz'"),
    (("replay", "cut.zft"), USAGE, "cut.zft:3: not JSON"),
    (("replay", "other.zft"), USAGE, "other.zft"),
    (("replay", "ZF101-abcd", "--store", "broken"), USAGE, "finding.json: not JSON"),
    (("frobnicate",), USAGE, "No such command"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), BAD, ids=lambda value: None)
def test_a_mistake_is_one_sentence_and_its_own_exit_code(
    folder: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = zmqfuzz(folder, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert re.search(sentence, done.stderr, re.DOTALL), done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(("zmqfuzz: ", "Error: "))]
    assert len(said) == 1
    assert said[0].endswith((".", ":", "?")), "a whole sentence"


def test_a_probe_command_that_cannot_be_read(folder: Path) -> None:
    assert zmqfuzz(folder, "run", "--probe", "ask 'unbalanced", "--cases", "1", "--", *REP).returncode == USAGE


def test_a_socket_type_that_there_is_not(folder: Path) -> None:
    done = zmqfuzz(folder, "run", "--socket-type", "RUOTER", "--cases", "2", "--for", "1s", "--", *REP)
    assert done.returncode == USAGE


def test_a_remote_endpoint_to_listen_at_that_was_allowed(folder: Path) -> None:
    remote = ("--allow-remote", "192.0.2.1", "--bind", "tcp://192.0.2.1:5555")
    assert "--allow-remote" not in zmqfuzz(folder, "run", *remote, "--", *REP).stderr


def test_help_names_every_exit_code(folder: Path) -> None:
    for arguments, code in ((("run", "--help"), 0), ((), 2)):
        done = subprocess.run([PY, "-m", "zmqfuzz", *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == code
        assert set(re.findall(r"^ +(\d+)  \w", done.stdout + done.stderr, re.MULTILINE)) == {
            "0",
            "1",
            "2",
            "3",
            "4",
            "5",
            "70",
            "130",
        }
    assert zmqfuzz(folder, "--version").stdout.startswith("zmqfuzz, version ")


def test_list_and_explain(folder: Path) -> None:
    listed = zmqfuzz(folder, "list").stdout
    codes = re.findall(r"^  (ZF\d+)  \S", listed, re.MULTILINE)
    assert len(codes) >= 9
    assert len(re.findall(r"^  [a-z]+(?:-[a-z]+)*  +[A-Z].*\.$", listed, re.MULTILINE)) >= 8
    for spelling in ("ZF203", "zf203-7q2k"):
        explained = zmqfuzz(folder, "explain", spelling).stdout
        assert explained.startswith("ZF203  HIGH  ")
        assert all(word in explained for word in ("Why:", "Measured", "To fix:"))


def crash(folder: Path, store: str, *options: str) -> subprocess.CompletedProcess[str]:
    limits = ("--only", "malformed-message", "--for", "8s", "--stop-after", "1", "--store", store)
    return zmqfuzz(folder, "run", *limits, *options, "--", *CRASH)


@pytest.fixture(scope="module")
def found(folder: Path) -> tuple[str, subprocess.CompletedProcess[str]]:
    done = crash(folder, "kept", "--seed", "7")
    (name,) = [path.name for path in (folder / "kept/findings").iterdir()]
    return name, done


def test_a_run_finds_saves_and_tells(folder: Path, found: tuple[str, subprocess.CompletedProcess[str]]) -> None:
    name, done = found
    assert done.returncode == FOUND, done.stdout
    assert done.stderr == ""
    for text in (f"finding {name}", "ZF101  CRITICAL", "3/3 on fresh processes", "ValueError", "To fix", "VIOLATED"):
        assert text in done.stdout
    assert f"zmqfuzz replay {name}" in done.stdout
    files = {path.name for path in (folder / "kept/findings" / name).iterdir()}
    assert files >= {"finding.json", "transcript.zft", "original.zft", "repro.py", "target.log"}


def test_a_finding_is_replayed_by_id_and_by_file(
    folder: Path, found: tuple[str, subprocess.CompletedProcess[str]]
) -> None:
    name, _ = found
    for what in (name, f"kept/findings/{name}/transcript.zft"):
        done = zmqfuzz(folder, "replay", what, "--store", "kept", "--times", "1")
        assert done.returncode == FOUND, done.stdout + done.stderr
        assert done.stdout.startswith(f"STILL THERE  {name}")
        assert "(1 of 1 on " in done.stdout


def test_in_the_mended_program_it_is_fixed(folder: Path, found: tuple[str, subprocess.CompletedProcess[str]]) -> None:
    name, _ = found
    done = zmqfuzz(folder, "replay", name, "--store", "kept", "--times", "1", "--", *CRASH, "--hardened")
    assert done.returncode == OK, done.stdout + done.stderr
    assert done.stdout.startswith(f"FIXED  {name}")
    gone = zmqfuzz(folder, "replay", name, "--store", "kept", "--", PY, "dies.py")
    assert gone.returncode == NOT_STARTED


@pytest.mark.slow
def test_a_seed_repeats_the_attacks_and_another_draws_others(
    folder: Path, found: tuple[str, subprocess.CompletedProcess[str]]
) -> None:
    assert found[1].returncode == FOUND
    originals = [_original(folder, "kept")]
    for store, seed in (("again", "7"), ("else", "8")):
        crash(folder, store, "--seed", seed)
        originals.append(_original(folder, store))
    assert originals[0] == originals[1] != originals[2]


def _original(folder: Path, store: str) -> str:
    (path,) = (folder / store / "findings").glob("*/original.zft")
    lines = path.read_text().splitlines()
    assert lines[-1] == '{"end": true}'
    return re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", "\n".join(lines))


@pytest.mark.parametrize("cases", [5])
def test_so_many_cases_and_no_more(folder: Path, cases: int) -> None:
    arguments = ("--only", "malformed-message", "--cases", str(cases), "--seed", "7")
    done = zmqfuzz(folder, "run", *arguments, "--", *REP)
    assert done.returncode == OK, done.stdout
    assert f"HELD: {cases} attacks on REP-null-tcp-0" in done.stdout
    assert "seed 7" in done.stdout


def test_a_server_that_wants_a_key_is_inconclusive(folder: Path) -> None:
    done = zmqfuzz(folder, "run", "--for", "5s", "--seed", "1", "--", PY, "curve.py")
    assert done.returncode == INCONCLUSIVE, done.stdout
    assert "INCONCLUSIVE" in done.stdout
    assert "never got to traffic" in done.stdout


@pytest.fixture(scope="module")
def greeted_only(folder: Path) -> subprocess.CompletedProcess[str]:
    return zmqfuzz(folder, "run", "--only", "malformed-greeting", "--cases", "5", "--", PY, "curve.py")


def test_where_no_honest_client_could_be_asked_service_is_not_said_to_have_held(
    greeted_only: subprocess.CompletedProcess[str],
) -> None:
    assert "ZF102" not in "".join(line for line in greeted_only.stdout.splitlines() if line.startswith("  held"))
    assert "no honest client asked, CURVE" in greeted_only.stdout


def test_a_server_that_wants_a_key_is_inconclusive_for_every_family(
    greeted_only: subprocess.CompletedProcess[str],
) -> None:
    assert greeted_only.returncode == INCONCLUSIVE


def test_the_demo_shows_what_it_promises_in_under_a_minute(folder: Path) -> None:
    started = time.monotonic()
    done = zmqfuzz(folder, "demo", "--store", "demo")
    assert time.monotonic() - started < 60
    assert done.returncode == FOUND, done.stdout + done.stderr
    for text in ("ZF203", "Transcript (", "control", "Owner", "To fix", "Reproduce", "VIOLATED"):
        assert text in done.stdout
    assert re.search(r"zmqfuzz replay ZF203-\w{4} -- .* --hardened", done.stdout)
