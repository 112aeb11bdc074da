"""The pytest plugin, by real pytest runs in processes of their own, against the example programs."""

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

import zmqfuzz

HEAVY = ("hypothesis", "trio", "zmq", "scapy", "rich", "click", "zmqfuzz.catalogue", "zmqfuzz.contract")

PROGRAMS = {
    "curve.py": """
        import sys, zmq
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.curve_server = True
            router.curve_secretkey = zmq.curve_keypair()[1]
            router.bind(sys.argv[1])
            while True:
                router.recv_multipart()
    """,
    "dies.py": r"""
        import sys
        # For a terminal: its title, C1 controls, text from right to left. For XML: NUL, no UTF-8, U+FFFE, a surrogate.
        raw = b"\x1b]0;owned\x07\x00\xff\xc2\x9b31m\xe2\x80\xae\xef\xbf\xbe\xed\xa0\x80]]></failure>&x;"
        sys.stderr.buffer.write(raw + b" the configuration is missing\n")
        sys.exit(1)
    """,
}

SUITE = """
import sys
import zmqfuzz

PYTHON = sys.executable
WORKER = [PYTHON, "-m", "zmqfuzz.targets.examples.worker_crash", "--bind", "{endpoint}"]
weak = zmqfuzz.target(WORKER, socket_type="ROUTER")
hardened = zmqfuzz.target([*WORKER, "--hardened"], socket_type="ROUTER", max_frame="1MiB", recover="5s")
curve = zmqfuzz.target([PYTHON, "curve.py", "{endpoint}"])
missing = zmqfuzz.target(["/no/such/program"])
dies = zmqfuzz.target(["python", "dies.py"])
CLIENT = ["python", "-m", "zmqfuzz.targets.examples.client", "--hardened", "--connect", "{endpoint}"]
client = zmqfuzz.target(CLIENT, bind="{endpoint}")

@weak.parametrize(families=["malformed-message"])
def test_weak(attack):
    attack.run(stop_after=1)
@hardened.parametrize(families=["malformed-message"])
def test_hardened(attack):
    attack.run(cases=15)
@curve.parametrize(families=["flood"])
def test_curve(attack):
    attack.run(cases=3)
@missing.parametrize(families="flood")
def test_missing(attack):
    attack.run()
@dies.parametrize(families="flood")
def test_dies(attack):
    attack.run()
@missing.parametrize(families="flood")
def test_forgets(attack):
    pass
@hardened.parametrize(families="plain-handshake")
def test_does_not_fit(attack):
    attack.run()
@client.parametrize(families="malformed-message")
def test_client(attack):
    attack.run(cases=1)
"""

# What pytest-xdist does with every report on its way to the main process: it takes plain values only.
THROUGH_A_PIPE = """
import ast
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    hook = item.config.hook
    plain = repr(hook.pytest_report_to_serializable(config=item.config, report=report))
    return hook.pytest_report_from_serializable(config=item.config, data=ast.literal_eval(plain))
"""


def write(folder: Path, **files: str) -> None:
    for name, text in (*PROGRAMS.items(), *files.items()):
        path = folder / (name if name.endswith(".py") else f"{name}.py")
        path.write_text(inspect.cleandoc(text) + "\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:randomly -p no:cacheprovider\n")


def environment(**more: str) -> dict[str, str]:
    ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"COLUMNS": "160"} | more


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


@dataclass
class Session:
    """A finished pytest run: its exit code, its output, its JUnit file."""

    code: int
    out: str
    xml: bytes
    folder: Path

    def case(self, name: str) -> ElementTree.Element:
        return next(case for case in ElementTree.fromstring(self.xml).iter("testcase") if case.get("name") == name)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("suite")
    write(folder, test_suite=SUITE, conftest=THROUGH_A_PIPE)
    done = run(folder, "-v", "-ra", "--zmqfuzz-budget=1s", "--zmqfuzz-seed=11", "--junitxml=junit.xml")
    return Session(done.returncode, done.stdout, (folder / "junit.xml").read_bytes(), folder)


def test_a_weak_target_fails_with_our_text_once_without_a_traceback_and_a_hardened_one_passes(session: Session) -> None:
    assert session.code == pytest.ExitCode.TESTS_FAILED
    assert "test_weak[malformed-message] FAILED" in session.out
    assert "test_hardened[malformed-message] PASSED" in session.out
    assert "\nFAILED test_suite.py::test_weak[malformed-message] - ZF101 " in session.out
    assert session.out.count("The process does not survive what a peer sends") == 1
    assert session.out.count("Transcript (") == 1
    assert "zmqfuzz/suite.py" not in session.out
    assert "zmqfuzz/items.py" not in session.out
    assert "attack.run(" not in session.out.replace("never called attack.run()", "")


def test_the_text_ends_with_how_to_see_it_again(session: Session) -> None:
    (found,) = os.listdir(session.folder / ".zmqfuzz" / "findings")
    assert found.startswith("ZF101-")
    again = session.out[session.out.index("  See it again") :].splitlines()
    assert again[1] == f"    zmqfuzz replay {found}"
    nodeid = "test_suite.py::test_weak[malformed-message]"
    assert again[2] == f'    pytest "{nodeid}" --zmqfuzz-seed 11 --zmqfuzz-budget 1s'


def test_what_cannot_be_tested_has_a_word_of_its_own_and_is_a_skip_to_others(session: Session) -> None:
    assert re.search(r"test_curve\[flood\] INCONCLUSIVE \(.*flood never got to traffic", session.out)
    assert re.search(r"^INCONCLUSIVE test_suite.py::test_curve\[flood\] - \S+-curve-", session.out, re.MULTILINE)
    assert "1 inconclusive" in session.out.splitlines()[-1]
    skipped = session.case("test_curve[flood]").find("skipped")
    assert skipped is not None
    assert "never got to traffic" in skipped.get("message", "")


def test_what_fits_no_door_is_skipped_and_a_program_that_connects_is_given_a_free_endpoint(session: Session) -> None:
    assert re.search(
        r"test_does_not_fit\[plain-handshake\] SKIPPED \(plain-handshake: Nothing was selected", session.out
    )
    assert "test_client[malformed-message] PASSED" in session.out


def test_a_target_that_does_not_start_is_one_sentence(session: Session) -> None:
    (line,) = re.findall(r"^zmqfuzz: The command .*$", session.out, re.MULTILINE)
    assert "'/no/such/program' was not found" in line
    failure = session.case("test_missing[flood]").find("failure")
    assert failure is not None
    assert (failure.text or "").strip() == line.strip()


def test_control_characters_reach_neither_the_terminal_nor_the_xml(session: Session) -> None:
    assert r"\x1b]0;owned\x07\x00" in session.out
    assert not set("\x1b\x07\0\x9b\u202e\ufffe") & set(session.out)
    text = "".join(session.case("test_dies[flood]").itertext())
    assert "]]></failure>&x;" in text
    assert not set("\x1b\x07\0\x9b\u202e\ufffe") & set(text)
    assert "the configuration is missing" in text
    assert "#x1B" not in text  # what pytest itself writes for a raw one


def test_junit_holds_the_text_once(session: Session) -> None:
    failure = session.case("test_weak[malformed-message]").find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("ZF101 ")
    assert "\n" not in failure.get("message", "")
    assert session.xml.decode().count("The process does not survive what a peer sends") == 1
    assert "zmqfuzz replay ZF101-" in (failure.text or "")


def test_the_last_line_counts_and_the_header_names_versions_and_seed(session: Session) -> None:
    (header,) = re.findall(r"^zmqfuzz \d.*$", session.out, re.MULTILINE)
    expected = rf"zmqfuzz {zmqfuzz.__version__}: libzmq [\d.]+, profile quick \(1s an item\), seed 11"
    assert re.fullmatch(expected, header)
    (last,) = re.findall(r"^zmqfuzz: \d.*$", session.out, re.MULTILINE)
    assert re.fullmatch(r"zmqfuzz: 2 held, 1 finding, 1 inconclusive, 2 could not run; [\d,]+ cases; seed 11", last)
    assert "test_forgets[flood] never called attack.run(): nothing was tested" in session.out


def test_items_exist_at_collection_and_can_be_selected(tmp_path: Path) -> None:
    suite = """
import zmqfuzz
@zmqfuzz.target(["x"]).parametrize(exclude="flood")
def test_x(attack): attack.run()
def test_other(): pass"""
    write(tmp_path, test_all=suite)
    out = run(tmp_path, "--collect-only", "-q").stdout
    names = set(re.findall(r"^test_all.py::test_x\[(.+)\]$", out, re.MULTILINE))
    assert {"malformed-greeting", "multipart"} < names
    assert "flood" not in names
    assert re.search(r"^zmqfuzz \d.*profile quick \(5s an item\), seed \d+$", out, re.MULTILINE)
    selected = run(tmp_path, "--collect-only", "-q", "-k", "multipart").stdout
    assert re.findall(r"^test_all.*$", selected, re.MULTILINE) == ["test_all.py::test_x[multipart]"]
    unmarked = run(tmp_path, "-q", "-m", "not zmqfuzz")
    assert "1 passed" in unmarked.stdout
    assert "zmqfuzz" not in unmarked.stdout


@pytest.mark.parametrize(
    ("variables", "options", "code", "text"),
    [
        ({"CI": "true"}, (), 1, "FAILED test_curve.py::test_curve[flood] - INCONCLUSIVE: "),
        ({"CI": "true"}, ("--zmqfuzz-inconclusive=pass",), 0, "1 passed"),
        ({"CI": ""}, (), 0, "1 inconclusive in"),
    ],
)
def test_what_becomes_of_the_inconclusive_can_be_chosen(
    tmp_path: Path, variables: dict[str, str], options: tuple[str, ...], code: int, text: str
) -> None:
    suite = """
import sys, zmqfuzz
@zmqfuzz.target([sys.executable, "curve.py", "{endpoint}"]).parametrize(families="flood")
def test_curve(attack):
    attack.run(cases=1)
"""
    write(tmp_path, test_curve=suite)
    done = run(tmp_path, "-ra", "--zmqfuzz-budget=1s", *options, **variables)
    assert done.returncode == code
    assert text in done.stdout
    assert ("INCONCLUSIVE" in done.stdout) == (not options)


def test_an_exception_from_a_signal_handler_leaves_no_target_and_the_next_item_runs(tmp_path: Path) -> None:
    """As pytest-timeout raises one."""
    suite = """
import os, signal, sys, time
import pytest, zmqfuzz

class Late(Exception): pass

def late(*_): raise Late

target = zmqfuzz.target([sys.executable, "-m", "zmqfuzz.targets.examples.pull", "--bind", "{endpoint}"])

@target.parametrize(families="malformed-greeting")
def test_first(attack):
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    with pytest.raises(Late):
        attack.run()

@target.parametrize(families="malformed-greeting")
def test_second(attack):
    attack.run(cases=2)
"""
    write(tmp_path, test_late=suite)
    done = run(tmp_path, "--zmqfuzz-budget=60s")
    assert "2 passed" in done.stdout, done.stdout


def test_ctrl_c_stops_the_target_and_the_session(tmp_path: Path) -> None:
    program = """
import os, pathlib, sys, zmq
with zmq.Context() as context, context.socket(zmq.PULL) as pull:
    pull.bind(sys.argv[1])
    pathlib.Path(f"{os.getpid()}.pid").touch()
    while True:
        pull.recv_multipart()
"""
    suite = """
import sys, zmqfuzz
@zmqfuzz.target([sys.executable, "pull.py", "{endpoint}"]).parametrize(families="malformed-greeting")
def test_pull(attack):
    attack.run()
"""
    write(tmp_path, pull=program, test_pull=suite)
    command = [sys.executable, "-c", "import signal, sys, pytest; signal.signal(signal.SIGINT, "]
    command[-1] += "signal.default_int_handler); sys.exit(pytest.main(['--zmqfuzz-budget=60s']))"
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("*.pid")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "zmqfuzz stopped the target" in out
    pids = [path.stem for path in tmp_path.glob("*.pid")]
    assert pids
    assert not [pid for pid in pids if Path("/proc", pid).exists()]


def test_a_suite_that_does_not_use_zmqfuzz_pays_nothing_and_sees_nothing(tmp_path: Path) -> None:
    spy = f"""
import sys
def pytest_unconfigure():
    print("loaded:", [name for name in {HEAVY!r} if name in sys.modules], "zmqfuzz.items" in sys.modules)
"""
    write(tmp_path, test_plain="def test_plain(): pass\n", conftest=spy)
    # Without the other plugins of this environment, which may load what they like.
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for option in ("--collect-only", "--verbose"):
        out = run(tmp_path, "-p", "zmqfuzz.pytest_plugin", option, **variables).stdout
        assert "loaded: [] True" in out
        assert "zmqfuzz" not in out.replace("zmqfuzz-", "").split("loaded:")[0]


def test_a_wrong_option_is_one_sentence(tmp_path: Path) -> None:
    budget, seed = run(tmp_path, "--zmqfuzz-budget=soon"), run(tmp_path, ZMQFUZZ_SEED="lucky")
    assert budget.returncode == seed.returncode == pytest.ExitCode.USAGE_ERROR
    assert "'soon' is not a duration" in budget.stderr
    assert "ZMQFUZZ_SEED: 'lucky' is no whole number; give one" in seed.stderr
    assert "Traceback" not in budget.stderr + seed.stderr
