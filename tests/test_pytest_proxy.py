"""The fixture ``zmq_proxy`` in a real pytest run: the README's test, what a failed test shows, what cannot be done."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")

CLIENT = """
import zmq

class Client:
    '''Asks anew, on a new socket, when an answer does not come in time.'''

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def request(self, body, timeout=20):
        with zmq.Context() as context, context.socket(zmq.REQ) as req:
            req.linger = 0
            req.connect(self.endpoint)
            req.send(body)
            if not req.poll(timeout * 1000):
                raise TimeoutError
            return req.recv()
"""

CONFTEST = """
import threading, types
import pytest, zmq

@pytest.fixture
def broker():
    over = threading.Event()
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.bind("tcp://127.0.0.1:*")
        def serve():
            while not over.is_set():
                if rep.poll(20):
                    rep.recv()
                    rep.send(b"ok")
        thread = threading.Thread(target=serve)
        thread.start()
        yield types.SimpleNamespace(endpoint=rep.getsockopt_string(zmq.LAST_ENDPOINT))
        over.set()
        thread.join()
"""

MORE = """
import threading
from my_client import Client

def test_that_fails(zmq_proxy, broker):
    proxy = zmq_proxy(broker.endpoint)
    assert Client(proxy.endpoint).request(b"x") == b"other"

def test_what_cannot_be_done(zmq_proxy, tmp_path):
    zmq_proxy(f"ipc://{tmp_path}/far").fault.vanish(side="server")

def test_nothing_is_left():
    assert not [thread.name for thread in threading.enumerate() if "proxy" in thread.name]
"""

ASIDE = """
import sys

def test_the_engine_is_loaded_where_it_is_used():
    assert not [name for name in sys.modules if name.startswith("zmqfuzz.proxy") or name == "trio"]
"""


def readme_test() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "zmq_proxy" in block]
    return str(code)


def pytest_in(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("suite")
    files = {
        "test_aside.py": ASIDE,
        "my_client.py": CLIENT,
        "conftest.py": CONFTEST,
        "test_client.py": readme_test(),
        "test_more.py": MORE,
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return pytest_in(folder, "--zmqfuzz-inconclusive", "warn")


def test_the_client_of_the_readme_survives_a_hung_broker(said: str) -> None:
    assert "PASSED test_client.py::test_client_survives_a_hung_broker" in said
    assert "PASSED test_more.py::test_nothing_is_left" in said


def test_a_failed_test_shows_what_passed(said: str) -> None:
    assert "FAILED test_more.py::test_that_fails - AssertionError" in said
    assert re.search(r"Captured zmq_proxy tcp://127\.0\.0\.1:\d+ call -", said)
    assert re.search(r"#1 <- message 1, part 2, 2 octets", said)


def test_what_cannot_be_done_is_inconclusive(said: str) -> None:
    assert re.search(r"INCONCLUSIVE test_more.py::test_what_cannot_be_done .*an ipc connection has no segments", said)


def test_who_does_not_use_it_does_not_pay(said: str) -> None:
    assert "PASSED test_aside.py::test_the_engine_is_loaded_where_it_is_used" in said
