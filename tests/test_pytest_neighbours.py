"""Beside the plugins that others have installed: nobody's tests change, by real pytest runs in a venv of its own.

Slow, and needs a package index; without one it is skipped.
"""

from __future__ import annotations

import inspect
import os
import re
import socket
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = (
    *("pytest-asyncio", "pytest-trio", "anyio", "pytest-randomly", "pytest-timeout", "pytest-cov", "pytest-xdist"),
    "schemathesis",
)

OURS = """
import gateway, mended, zmqfuzz
from hypothesis import given, settings, strategies as st
from zmqfuzz import strategies as zst
from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.zmtp.wire import Frame

weak = zmqfuzz.target(gateway.serve, name="gateway")
hardened = zmqfuzz.target(mended.serve, name="mended")
asks = Script((Connect(), Shake("DEALER"), Send((Frame(b"get", more=True), Frame(b"a"))), Expect("message")))

@weak.parametrize(families="malformed-message")
def test_weak(attack):
    attack.run(stop_after=1)

@hardened.parametrize(families="malformed-message")
def test_hardened(attack):
    attack.run(cases=10)

@settings(max_examples=10, deadline=None)
@given(script=zst.scripts(messages=st.lists(st.binary(max_size=8), min_size=1, max_size=3), odd=st.nothing()))
def test_own(script):
    hardened.check(hardened.play(script))

@pytest.mark.asyncio
async def test_in_a_loop_of_asyncio():
    hardened.check(hardened.play(asks))

@pytest.mark.trio
async def test_in_a_loop_of_trio():
    hardened.check(hardened.play(asks))
"""

THEIRS = """
import anyio, asyncio, gateway, time, trio, schemathesis
from hypothesis import given, strategies as st

@pytest.mark.asyncio
async def test_asyncio():
    await asyncio.sleep(0.01)

@pytest.mark.trio
async def test_trio(nursery):
    nursery.start_soon(trio.sleep, 0.01)

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(anyio_backend):
    await anyio.sleep(0.01)

@given(number=st.integers())
def test_property(number):
    assert number == int(str(number))

answers = {"responses": {"200": {"description": "ok"}}}
wants = {"parameters": [{"name": "n", "in": "query", "schema": {"type": "integer"}}]}
document = {"openapi": "3.0.0", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"get": answers | wants}}}

@schemathesis.openapi.from_dict(document).parametrize()
def test_api(case):
    assert case.path == "/x"

@pytest.mark.xfail(strict=True)
@pytest.mark.timeout(1)
def test_timeout():
    time.sleep(60)

def test_covered():
    assert gateway.answer({}, [b"get", b"a"]) == [b""]
"""

INI = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
timeout = 120
addopts = --cov=gateway --cov-report=term -p no:cacheprovider
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the neighbours, and all that this one has."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    installed = subprocess.run([python, "-m", "pip", "install", "-q", *NEIGHBOURS], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"the neighbours cannot be installed: {installed.stderr.strip()[-200:]}")
    (room,) = folder.glob("lib/python*/site-packages")
    here = sysconfig.get_paths()["purelib"]
    (room / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return python


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "-n 2"])
def test_ours_and_theirs_are_what_they_are_alone(python: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    for name, text in (("test_ours", OURS), ("test_theirs", THEIRS)):
        (tmp_path / f"{name}.py").write_text("import pytest\n" + inspect.cleandoc(text) + "\n")
    for name, place in (("gateway.py", "gateway.py"), ("mended.py", "mended/gateway.py")):
        (tmp_path / name).write_text((ROOT / "examples" / "gateway" / place).read_text())
    (tmp_path / "pytest.ini").write_text(INI)
    ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [str(python), "-m", "pytest", "-rA", "--zmqfuzz-budget=2s", *options]
    environment = inherited | {"COLUMNS": "160"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    out = done.stdout
    words = {name: word for word, name in re.findall(r"^([A-Z]+) test_\w+\.py::(\S+)", out, re.MULTILINE)}
    assert {name: word for name, word in words.items() if word != "PASSED"} == {
        "test_weak[malformed-message]": "FAILED",
        "test_timeout": "XFAIL",
    }, out + done.stderr
    assert len(words) == 13
    assert "finding ZF101-cw3b" in out
    assert re.search(r"^gateway\.py +\d+ +\d+ +\d+%$", out, re.MULTILINE), "covered"
    assert re.search(r"^zmqfuzz: 4 held, 1 finding, 0 inconclusive", out, re.MULTILINE)


FIXED = """
import zmqfuzz

fixed = zmqfuzz.target(["python", "-m", "zmqfuzz.targets.examples.pull", "--bind", "tcp://127.0.0.1:PORT"])

@fixed.parametrize(families="churn")
def test_fixed(attack):
    attack.run(cases=1)
"""


@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "1")], ids=["alone", "a worker"])
def test_a_worker_whose_port_is_taken_says_how_to_share_the_machine(tmp_path: Path, options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        suite = inspect.cleandoc(FIXED).replace("PORT", str(taken.getsockname()[1]))
        (tmp_path / "test_fixed.py").write_text(suite + "\n")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120).stdout
    assert "Address already in use" in out, out
    assert ("give {endpoint} a place in the command" in out) == ("1" in options)
