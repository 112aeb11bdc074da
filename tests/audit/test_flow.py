"""What is followed: names, texts, functions, classes and files, to the socket and its endpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zmqfuzz.audit.auditor import audit
from zmqfuzz.audit.lines import Certainty, Line
from zmqfuzz.audit.policy import Policy
from zmqfuzz.finding import Severity

Told = Callable[[str, str], list[Line]]

WILDCARDS = {
    "f-string": 'host = "*"; s = context.socket(zmq.PUB); s.bind(f"tcp://{host}:{os.getpid()}")',
    "percent": 's = context.socket(zmq.PUB); s.bind("tcp://%s:%d" % ("0.0.0.0", 5))',
    "format": 's = context.socket(zmq.PUB); s.bind("tcp://{}:{port}".format("*", port=5))',
    "plus": 's = context.socket(zmq.PUB); s.bind("tcp://" + "*" + ":5")',
    "random port": 's = context.socket(zmq.PUB); s.bind_to_random_port("tcp://*")',
    "with": 'with context.socket(zmq.PUB) as s:\n    s.bind("tcp://*:5")',
    "with context": 'with zmq.Context() as c, c.socket(zmq.PUB) as s:\n    s.bind("tcp://*:5")',
    "instance": 's = zmq.Context.instance().socket(zmq.PUB); s.bind("tcp://*:5")',
    "asyncio": 'import zmq.asyncio as z\ns = z.Context().socket(zmq.PUB); s.bind("tcp://*:5")',
    "green": 'import zmq.green as g\ns = g.Context().socket(g.PUB); s.bind("tcp://*:5")',
    "from": 'from zmq import Context, PUB\ns = Context().socket(PUB); s.bind("tcp://*:5")',
    "socket class": 's = zmq.Socket(context, zmq.PUB); s.bind("tcp://*:5")',
    "wrapper": 'def make(kind):\n    s = context.socket(kind)\n    return s\ns = make(zmq.PUB)\ns.bind("tcp://*:5")',
    "parameter": 'def serve(where):\n    s = context.socket(zmq.PUB)\n    s.bind(where)\nserve("tcp://*:5")',
    "self": """
        class Server:
            def __init__(self):
                self.socket = context.socket(zmq.PUB)
            def start(self, port):
                self.socket.bind(f"tcp://*:{port}")
        """,
    "base class": """
        class Base:
            def __init__(self, kind):
                self.socket = context.socket(kind)
        class Server(Base):
            def __init__(self):
                super().__init__(zmq.PUB)
                self.socket.bind("tcp://*:5")
        """,
    "stream": """
        from zmq.eventloop.zmqstream import ZMQStream
        stream = ZMQStream(context.socket(zmq.PUB))
        stream.bind("tcp://*:5")
        """,
    "loop": 'for where in ("inproc://a", "tcp://*:5"):\n    s = context.socket(zmq.PUB)\n    s.bind(where)',
}
DEFAULTS = {
    "argument": 'def serve(host="*"):\n    s = context.socket(zmq.PUB)\n    s.bind(f"tcp://{host}:5")',
    "environment": 's = context.socket(zmq.PUB); s.bind(os.environ.get("WHERE", "tcp://*:5"))',
    "argparse": """
        import argparse
        parser = argparse.ArgumentParser(); parser.add_argument("--bind-to", default="tcp://*:5")
        args = parser.parse_args()
        s = context.socket(zmq.PUB); s.bind(args.bind_to)
        """,
    "click": """
        import click
        @click.command()
        @click.option("--host", default="0.0.0.0")
        def serve(host):
            s = context.socket(zmq.PUB); s.bind(f"tcp://{host}:5")
        """,
    "dataclass": """
        from dataclasses import dataclass
        @dataclass
        class Settings:
            where: str = "tcp://*:5"
        def serve():
            settings = Settings()
            s = context.socket(zmq.PUB); s.bind(settings.where)
        """,
}


@pytest.mark.parametrize("source", WILDCARDS.values(), ids=WILDCARDS)
def test_a_wildcard_is_seen_through(told: Told, source: str) -> None:
    (line,) = told(source, "ZF601")
    assert (line.socket, line.certainty, line.severity) == ("PUB", Certainty.SURE, Severity.HIGH)
    assert line.endpoint.startswith("tcp://")


@pytest.mark.parametrize("source", DEFAULTS.values(), ids=DEFAULTS)
def test_a_wildcard_that_is_a_default_is_likely(told: Told, source: str) -> None:
    (line,) = told(source, "ZF601")
    assert line.certainty is Certainty.LIKELY


def test_a_socket_made_in_another_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "making.py").write_text("import zmq\ndef make():\n    return zmq.Context().socket(zmq.ROUTER)\n")
    (tmp_path / "using.py").write_text('from .making import make\nserver = make()\nserver.bind("tcp://*:1")\n')
    lines = [line for line in audit([tmp_path], Policy()).lines if line.code == "ZF601"]
    assert [(line.path.name, line.line, line.column, line.socket) for line in lines] == [("using.py", 3, 1, "ROUTER")]


def test_an_option_set_by_a_function_that_gets_the_socket_counts(told: Told) -> None:
    source = """
        def limit(socket):
            socket.setsockopt(zmq.MAXMSGSIZE, 1024)
        s = context.socket(zmq.PULL)
        limit(s)
        s.bind("tcp://*:1")
        """
    assert not told(source, "ZF603")


def test_what_an_unknown_function_may_set_makes_what_is_lacking_only_likely(told: Told) -> None:
    bare = 's = context.socket(zmq.PULL)\ns.bind("tcp://*:1")'
    given = f"import elsewhere\n{bare}\nelsewhere.prepare(s)"
    assert [line.certainty for line in told(bare, "ZF603")] == [Certainty.SURE]
    assert [line.certainty for line in told(given, "ZF603")] == [Certainty.LIKELY]


def test_a_name_that_is_used_again_is_another_socket(told: Told) -> None:
    source = """
        s = context.socket(zmq.PUB)
        s.bind("tcp://127.0.0.1:1")
        s = context.socket(zmq.SUB)
        s.set_hwm(0)
        s.bind("tcp://127.0.0.1:2")
        """
    (line,) = told(source, "ZF605")
    assert (line.socket, line.endpoint) == ("SUB", "tcp://127.0.0.1:2")


def test_branches_that_exclude_each_other_are_no_order(told: Told) -> None:
    source = """
        def start(server):
            s = context.socket(zmq.PULL)
            if server:
                s.bind("tcp://127.0.0.1:1")
            else:
                s.maxmsgsize = 1024
        """
    assert not told(source, "ZF622")


def test_received_data_is_followed_into_callbacks_and_functions(told: Told) -> None:
    source = """
        from zmq.eventloop.zmqstream import ZMQStream
        class Server:
            def __init__(self):
                self.stream = ZMQStream(context.socket(zmq.PULL))
                self.stream.bind("tcp://*:1")
                self.stream.on_recv(self.take)
            def take(self, parts):
                head, body = parts
                return self.load(body)
            def load(self, data):
                return pickle.loads(data)
        """
    (line,) = told(source, "ZF602")
    assert (line.severity, line.certainty) == (Severity.CRITICAL, Certainty.SURE)


FACTORY = """
    class Context:
        def __init__(self):
            self.context = zmq.Context()
        def socket(self, kind):
            made = self.context.socket(kind)
            made.maxmsgsize = 64
            return made
    def listen(kind, where):
        made = Context().socket(kind)
        made.bind(where)
        return made
    a = listen(zmq.PULL, "tcp://*:5")
    b = Context().socket(zmq.PUB)
    b.bind("inproc://b")
    b.set_hwm(0)
    """


def test_each_call_of_a_factory_is_a_socket_of_its_own(look: Callable[[str], list[Line]]) -> None:
    found = {(line.code, line.socket, line.endpoint) for line in look(FACTORY)}
    assert found == {("ZF601", "PULL", "tcp://*:5"), ("ZF609", "PULL", "tcp://*:5"), ("ZF605", "PUB", "inproc://b")}
