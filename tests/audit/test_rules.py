"""Each rule: told about weak source, and not about its hardened twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit.twins import KEY, TWINS
from zmqfuzz.audit.auditor import rules
from zmqfuzz.audit.lines import Certainty, Line
from zmqfuzz.audit.seen import ONLY_RUNNING
from zmqfuzz.finding import Severity

Told = Callable[[str, str], list[Line]]
Look = Callable[[str], list[Line]]


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
