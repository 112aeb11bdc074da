"""Each rule: told about weak source, and not about its hardened twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zmqfuzz.audit.auditor import rules
from zmqfuzz.audit.lines import Certainty, Line
from zmqfuzz.audit.seen import ONLY_RUNNING
from zmqfuzz.finding import Severity

Told = Callable[[str, str], list[Line]]
Look = Callable[[str], list[Line]]

KEY = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
"""The secret key of an example in libzmq's manual (zmq_curve(7)): it protects nothing."""

TWO = (
    "s = context.socket(zmq.REP); o = context.socket(zmq.REQ); {}; "
    's.bind("tcp://127.0.0.1:5"); o.connect("tcp://localhost:5")'
)

TWINS: list[tuple[str, str, str]] = [
    (
        "ZF601",
        's = context.socket(zmq.ROUTER); s.bind("tcp://*:5555")',
        's = context.socket(zmq.ROUTER); s.bind("tcp://127.0.0.1:5555")',
    ),
    (
        "ZF601",
        's = context.socket(zmq.ROUTER); s.bind("tcp://[::]:5555")',
        's = context.socket(zmq.ROUTER); s.curve_server = True; s.bind("tcp://[::]:5555")',
    ),
    (
        "ZF602",
        's = context.socket(zmq.PULL); s.bind("tcp://*:1"); print(s.recv_pyobj())',
        's = context.socket(zmq.PULL); s.bind("tcp://*:1"); print(s.recv_json())',
    ),
    (
        "ZF602",
        's = context.socket(zmq.PULL); s.bind("tcp://*:1"); parts = s.recv_multipart(); pickle.loads(parts[0])',
        's = context.socket(zmq.PULL); s.bind("inproc://a"); parts = s.recv_multipart(); pickle.loads(parts[0])',
    ),
    (
        "ZF603",
        's = context.socket(zmq.PULL); s.bind("tcp://10.0.0.5:1")',
        's = context.socket(zmq.PULL); s.setsockopt(zmq.MAXMSGSIZE, 1 << 20); s.bind("tcp://10.0.0.5:1")',
    ),
    (
        "ZF603",
        's = context.socket(zmq.PULL); s.maxmsgsize = -1; s.bind("tcp://*:1")',
        's = context.socket(zmq.PULL); s.maxmsgsize = 65536; s.bind("tcp://*:1")',
    ),
    (
        "ZF605",
        's = context.socket(zmq.PUB); s.set_hwm(0); s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.PUB); s.set_hwm(100); s.bind("tcp://127.0.0.1:1")',
    ),
    ("ZF606", "s = context.socket(zmq.PUSH); s.linger = -1", "s = context.socket(zmq.PUSH); s.linger = 100"),
    (
        "ZF606",
        's = context.socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.close(); context.term()',
        's = context.socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.close(linger=5); context.term()',
    ),
    (
        "ZF607",
        's = context.socket(zmq.REP); s.handshake_ivl = 0; s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.REP); s.handshake_ivl = 5000; s.bind("tcp://127.0.0.1:1")',
    ),
    (
        "ZF609",
        's = context.socket(zmq.ROUTER); s.bind("tcp://10.0.0.5:1")',
        's = context.socket(zmq.ROUTER); s.setsockopt(zmq.HEARTBEAT_IVL, 1000); s.bind("tcp://10.0.0.5:1")',
    ),
    (
        "ZF610",
        's = context.socket(zmq.ROUTER); s.router_handover = 1; s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.ROUTER); s.router_handover = 0; s.bind("tcp://127.0.0.1:1")',
    ),
    (
        "ZF612",
        """
        import json
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        while True:
            print(json.loads(s.recv()))
        """,
        """
        import json
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        while True:
            try:
                print(json.loads(s.recv()))
            except ValueError:
                continue
        """,
    ),
    (
        "ZF612",
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        try:
            while True:
                print(s.recv_string())
        except Exception:
            pass
        """,
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        while True:
            print(s.recv().decode("utf-8", "replace"))
        """,
    ),
    (
        "ZF612",
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        def run(stop):
            while not stop.is_set():
                print(s.recv_json())
        """,
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        def run(stop):
            while not stop.is_set():
                try:
                    while s.poll(5):
                        print(s.recv_json())
                except ValueError:
                    continue
        """,
    ),
    (
        "ZF612",
        """
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        while True:
            print(s.recv_json())
        """,
        """
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        found = 0
        while found < 5:
            found += s.recv_json()
        while True:
            try:
                first = s.recv_json()
                break
            except zmq.Again:
                pass
        """,
    ),
    (
        "ZF606",
        's = context.socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.close(); context.term()',
        's = context.socket(zmq.PUSH); s.bind("tcp://127.0.0.1:1"); s.send(b""); s.close(); context.term()',
    ),
    (
        "ZF614",
        's = context.socket(zmq.ROUTER); s.bind("tcp://127.0.0.1:1"); who, empty, what = s.recv_multipart()',
        's = context.socket(zmq.ROUTER); s.bind("tcp://127.0.0.1:1"); who, *parts = s.recv_multipart()',
    ),
    (
        "ZF614",
        's = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1"); parts = s.recv_multipart(); print(parts[1])',
        """
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1"); parts = s.recv_multipart()
        if len(parts) == 2:
            print(parts[1])
        """,
    ),
    (
        "ZF620",
        's = context.socket(zmq.SUB); s.connect("tcp://feed.example:1")',
        's = context.socket(zmq.SUB); s.curve_serverkey = os.environ["KEY"]; s.connect("tcp://feed.example:1")',
    ),
    (
        "ZF622",
        's = context.socket(zmq.PULL)\ns.bind("tcp://127.0.0.1:1")\ns.maxmsgsize = 1024',
        's = context.socket(zmq.PULL)\ns.maxmsgsize = 1024\ns.bind("tcp://127.0.0.1:1")\ns.linger = 0',
    ),
    (
        "ZF625",
        's = context.socket(zmq.SUB); s.conflate = 1; s.connect("tcp://127.0.0.1:1"); s.recv_multipart()',
        's = context.socket(zmq.SUB); s.conflate = 1; s.connect("tcp://127.0.0.1:1"); s.recv()',
    ),
    (
        "ZF630",
        's = context.socket(zmq.REP); s.curve_server = True; s.bind("tcp://*:1")',
        """
        from zmq.auth.thread import ThreadAuthenticator
        auth = ThreadAuthenticator(context); auth.configure_curve(domain="*", location="allowed")
        s = context.socket(zmq.REP); s.curve_server = True; s.bind("tcp://*:1")
        """,
    ),
    (
        "ZF632",
        "secret, public = zmq.curve_keypair()\ns = context.socket(zmq.REQ); s.curve_secretkey = secret",
        "public, secret = zmq.curve_keypair()\ns = context.socket(zmq.REQ); s.curve_secretkey = secret",
    ),
    (
        "ZF632",
        's = context.socket(zmq.REQ); s.curve_serverkey = os.environ["K"]; s.curve_server = True',
        """
        def lock(s, serves):
            if serves:
                s.curve_server = True
            else:
                s.curve_serverkey = os.environ["K"]
        lock(context.socket(zmq.REQ), False)
        """,
    ),
    (
        "ZF633",
        f's = context.socket(zmq.REP); s.curve_secretkey = b"{KEY}"',
        's = context.socket(zmq.REP); s.curve_secretkey = os.environb[b"KEY"]',
    ),
    ("ZF633", f'SERVER_SECRET = "{KEY}"', f'SERVER_PUBLIC = "{KEY}"'),
    (
        "ZF633",
        's = context.socket(zmq.REQ); s.plain_password = b"hunter2"',
        's = context.socket(zmq.REQ); s.plain_password = open("password").read()',
    ),
    (
        "ZF640",
        's = context.socket(zmq.REQ); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.recv()',
        's = context.socket(zmq.REQ); s.rcvtimeo = 500; s.connect("tcp://127.0.0.1:1"); s.send(b""); s.recv()',
    ),
    (
        "ZF640",
        's = context.socket(zmq.REQ); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.recv()',
        's = context.socket(zmq.REQ); s.connect("tcp://127.0.0.1:1"); s.send(b"")\nif s.poll(500): s.recv()',
    ),
    (
        "ZF641",
        "s = context.socket(zmq.ROUTER); m = s.get_monitor_socket()",
        "s = context.socket(zmq.ROUTER); m = s.get_monitor_socket(); m.recv_multipart()",
    ),
    ("ZF642", "s = context.socket(zmq.PUB); s.setsockopt(zmq.DROP, 1)", "s = context.socket(zmq.PUB); s.sndhwm = 5"),
    (
        "ZF605",
        's = context.socket(zmq.PUB); s.sndhwm = 10 * 1024 * 1024; s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.PUB); s.sndhwm = 10 * 1024; s.bind("tcp://127.0.0.1:1")',
    ),
    (
        "ZF644",
        "s = context.socket(zmq.REP); s.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)",
        "s = context.socket(zmq.REP); s.setsockopt(zmq.TCP_KEEPALIVE, 1); s.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)",
    ),
    (
        "ZF644",
        "s = context.socket(zmq.REP); s.heartbeat_timeout = 900",
        "s = context.socket(zmq.REP); s.heartbeat_ivl = 300; s.heartbeat_timeout = 900",
    ),
    ("ZF644", "context.set(zmq.MAX_MSGSZ, 4096)", "context.set(zmq.MAX_SOCKETS, 4096)"),
    ("ZF644", "s = context.socket(zmq.REP); s.conflate = True", "s = context.socket(zmq.SUB); s.conflate = True"),
    ("ZF644", "s = context.socket(zmq.PULL); s.sndhwm = 5", "s = context.socket(zmq.PULL); s.rcvhwm = 5"),
    (
        "ZF644",
        "s = context.socket(zmq.PULL)\ncontext.linger = 0",
        "context.linger = 0\ns = context.socket(zmq.PULL)",
    ),
    (
        "ZF644",
        "s = context.socket(zmq.PULL)\ncontext.set(zmq.IO_THREADS, 4)\nt = context.socket(zmq.PULL)",
        "context.set(zmq.IO_THREADS, 4)\ns = context.socket(zmq.PULL)",
    ),
    (
        "ZF645",
        TWO.format("o.maxmsgsize = 99"),
        TWO.format("o.maxmsgsize = s.maxmsgsize = 99"),
    ),
    ("ZF645", TWO.format("s.curve_server = True"), TWO.format("s.curve_server = True; o.curve_serverkey = KEY")),
    ("ZF645", TWO.format("s.heartbeat_ivl = 900"), TWO.format("s.heartbeat_ivl = o.heartbeat_ivl = 900")),
    ("ZF649", 'OPTIONS = {"ZMQ_DROP": 1}', 'OPTIONS = {"ZMQ_SNDHWM": 1}'),
    ("ZF649", 'TRANSPORT = "zmq:curve"', 'TRANSPORT = "tcp"'),
    (
        "ZF643",
        's = context.socket(zmq.SUB); s.connect("curve://feed.example:1")',
        's = context.socket(zmq.SUB); s.connect("tcp://feed.example:1")',
    ),
]


@pytest.mark.parametrize(("code", "weak", "hardened"), TWINS, ids=lambda text: text[:5] if text[:2] == "ZF" else "")
def test_weak_source_is_told_and_its_hardened_twin_is_not(told: Told, code: str, weak: str, hardened: str) -> None:
    assert told(weak, code)
    assert not told(hardened, code)


def test_every_rule_has_twins() -> None:
    elsewhere = {"ZF634", "ZF635", "ZF646", "ZF650", "ZF690", "ZF691"}  # of files, and of suppressions
    elsewhere |= {rule.code for rule in ONLY_RUNNING}  # test_running.py
    assert {rule.code for rule in rules()} == {code for code, _, _ in TWINS} | elsewhere


def test_the_table_of_the_documentation_is_the_catalogue() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    wanted = "".join(f"| {rule.code} | {rule.severity} | {rule.title} |\n" for rule in rules())
    head = "| code | severity | what a finding says |\n|---|---|---|\n"
    assert f"<!-- rules -->\n{head}{wanted}<!-- /rules -->\n" in text, wanted


def test_every_rule_says_why_how_and_what_to_do() -> None:
    for rule in rules():
        assert "Why:" in rule.doc, rule.code
        assert "To fix:" in rule.doc.replace("\n", " "), rule.code


def test_a_monitor_that_another_thread_gets_is_not_told(told: Told) -> None:
    source = """
        import threading
        s = context.socket(zmq.ROUTER)
        m = s.get_monitor_socket()
        threading.Thread(target=print, args=(m,)).start()
        """
    assert not told(source, "ZF641")


def test_the_end_of_another_program_is_not_that_of_this_one(told: Told, tmp_path: Path) -> None:
    source = 's = zmq.Context.instance().socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b"")'
    (tmp_path / "other.py").write_text("import zmq\nzmq.Context.instance().term()\n")
    assert not told(source, "ZF606")
    assert told(source + "\nzmq.Context.instance().term()", "ZF606")


def test_attributes_of_a_class_of_its_own_are_no_options(told: Told) -> None:
    assert not told("s = context.socket(zmq.PUB)\ns.signing_key = b''", "ZF642")
    (line,) = told("s = context.socket(zmq.PUB)\ns.maxmsgsiz = 5", "ZF642")
    assert line.certainty is Certainty.LIKELY


def test_a_lock_that_is_set_too_late_is_worse(told: Told) -> None:
    source = 's = context.socket(zmq.REP)\ns.bind("tcp://*:1")\ns.curve_server = True'
    (line,) = told(source, "ZF622")
    assert line.severity is Severity.HIGH


def test_pickles_are_judged_by_who_can_send_them(told: Told) -> None:
    def severity(bind: str, more: str = "") -> Severity:
        source = f"s = context.socket(zmq.PULL)\n{bind}\n{more}\nprint(s.recv_pyobj())"
        (line,) = told(source, "ZF602")
        return line.severity

    assert severity('s.bind("tcp://*:1")') is Severity.CRITICAL
    assert severity('s.bind("tcp://127.0.0.1:1")') is Severity.HIGH
    assert severity('s.bind("ipc:///run/own/a")') is Severity.MEDIUM
    assert severity('s.bind("tcp://*:1")', "s.curve_server = True") is Severity.MEDIUM


def test_yaml_and_numpy_are_told_only_where_they_execute(told: Told) -> None:
    head = 'import yaml, numpy\ns = context.socket(zmq.PULL); s.bind("tcp://*:1"); data = s.recv()\n'
    assert told(head + "yaml.load(data, Loader=yaml.Loader)", "ZF602")
    assert told(head + "numpy.load(data, allow_pickle=True)", "ZF602")
    assert not told(head + "yaml.load(data, Loader=yaml.SafeLoader)", "ZF602")
    assert not told(head + "yaml.safe_load(data); numpy.load(data)", "ZF602")


def test_no_secret_is_ever_shown(look: Look) -> None:
    source = f"""
        SECRET_KEY = "{KEY}"
        s = context.socket(zmq.REP)
        s.curve_secretkey = SECRET_KEY
        s.plain_password = b"hunter2"
        """
    found = [line for line in look(source) if line.code == "ZF633"]
    assert len(found) == 2
    assert not any(KEY in str(line) or "hunter2" in str(line) for line in found)


def test_a_secret_key_that_others_can_read_is_told(told: Told, tmp_path: Path) -> None:
    key = tmp_path / "server.key_secret"
    key.write_text("metadata\n")
    key.chmod(0o644)
    (line,) = told("", "ZF634")
    assert line.path.name == "server.key_secret"
    key.chmod(0o600)
    assert not told("", "ZF634")
    assert told('import zmq.auth\nzmq.auth.create_certificates("keys", "a")', "ZF634")
    assert not told(
        'import zmq.auth\nos.makedirs("keys", mode=0o700)\nzmq.auth.create_certificates("keys", "a")', "ZF634"
    )
    assert not told('import zmq.auth\nos.umask(0o77)\nzmq.auth.create_certificates("keys", "a")', "ZF634")


def test_an_ipc_endpoint_where_everybody_may_write_is_told(told: Told, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    source = f's = context.socket(zmq.REP); s.bind("ipc://{folder}/door")'
    folder.chmod(0o777)
    assert told(source, "ZF635")
    folder.chmod(0o700)
    assert not told(source, "ZF635")


def test_options_that_another_version_may_have_are_not_told_where_that_is_asked(told: Told) -> None:
    source = """
        s = context.socket(zmq.PUB)
        try:
            s.setsockopt(zmq.SOME_FUTURE_OPTION, 1)
        except AttributeError:
            pass
        """
    assert not told(source, "ZF642")
    (line,) = told("s = context.socket(zmq.PUB)\ns.setsockopt(zmq.ZMQ_LINGER, 1)", "ZF642")
    assert "zmq.LINGER" in line.remedy
