"""Configuration files beside the sources: each rule about a weak one, and not about its hardened twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqfuzz.audit.auditor import audit
from zmqfuzz.audit.configs import read_config
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.policy import Policy

KEY = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"

TWINS: list[tuple[str, str, str, str]] = [
    ("ZF649", "a.env", "export ZMQ_DROP=1\n", "export ZMQ_SNDHWM=1\nZMQ_HOST=here\nZMQ_PORT=5555\n"),
    ("ZF649", "a.yaml", "zmq:\n  socket_options:\n    TCP_SYNCNT: 3\n", "zmq:\n  socket_options:\n    TCP_MAXRT: 3\n"),
    ("ZF649", "a.toml", "[zmq]\nMAX_MSGSZ = 4096\n", "[zmq]\nMAXMSGSIZE = 4096\n"),
    ("ZF649", "a.ini", "[broker]\nZMQ_MAXMSGSIZ = 5\n", "[broker]\nZMQ_MAXMSGSIZE = 5\n"),
    ("ZF649", "a.json", '{"zmq": {"transport": "zmq:curve"}}', '{"zmq": {"transport": "tcp"}}'),
    ("ZF650", "a.yaml", 'bind:\n  - "tcp://*:5555"\n', 'bind:\n  - "tcp://127.0.0.1:5555"\n'),
    ("ZF650", "a.json", '{"front": "tcp://0.0.0.0:1", "x": 1}', '{"front": "tcp://0.0.0.0:1", "curve_server": true}'),
    ("ZF650", "a.cfg", "[zmq]\nrcvhwm = 0\n", "[zmq]\nrcvhwm = 100\n"),
    ("ZF634", "a.toml", f'[zmq]\nsecret_key = "{KEY}"\n', f'[zmq]\npublic_key = "{KEY}"\n'),
    ("ZF634", "a.ini", "[zmq]\nplain_password = hunter2\n", "[zmq]\nplain_password = ${PASSWORD}\n"),
]


def told(folder: Path, name: str, text: str, mode: int = 0o644) -> list[Line]:
    (folder / name).write_text(text)
    (folder / name).chmod(mode)
    return list(audit([folder], Policy()).lines)


@pytest.mark.parametrize(("code", "name", "weak", "hardened"), TWINS)
def test_a_weak_file_is_told_and_its_twin_is_not(
    tmp_path: Path, code: str, name: str, weak: str, hardened: str
) -> None:
    (line,) = [one for one in told(tmp_path, name, weak) if one.code == code]
    assert line.path.name == name
    assert weak.splitlines()[line.line - 1].strip()
    assert code not in {one.code for one in told(tmp_path, name, hardened)}


def test_modes_decide(tmp_path: Path) -> None:
    secret = f"[zmq]\nsecret_key = '{KEY}'\n"
    assert [one.code for one in told(tmp_path, "a.toml", secret, 0o600)] == []
    assert [one.code for one in told(tmp_path, "a.toml", "[zmq]\nport = 5\n", 0o666)] == ["ZF646"]
    assert [one.code for one in told(tmp_path, "a.toml", "[zmq]\nport = 5\n", 0o644)] == []
    tmp_path.chmod(0o777)
    assert [one.code for one in told(tmp_path, "a.toml", "[zmq]\nport = 5\n", 0o644)] == ["ZF646"]
    tmp_path.chmod(0o1777)
    assert [one.code for one in told(tmp_path, "a.toml", "[zmq]\nport = 5\n", 0o644)] == []
    assert not any(KEY in str(one) for one in told(tmp_path, "a.toml", secret))


def test_a_folder_of_allowed_keys_that_anybody_may_add_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    source = "import zmq.auth.thread as t, zmq\na = t.ThreadAuthenticator(zmq.Context())\n"
    (tmp_path / "a.py").write_text(f"{source}a.configure_curve(domain='*', location='{tmp_path / 'allowed'}')\n")
    (tmp_path / "allowed").chmod(0o777)
    assert [one.code for one in audit([tmp_path], Policy()).lines] == ["ZF646"]
    (tmp_path / "allowed").chmod(0o755)
    assert not audit([tmp_path], Policy()).lines


def test_what_is_not_about_zeromq_is_left_alone(tmp_path: Path) -> None:
    for name, text in (("a.yaml", "DROP: 1\nhwm: 0\n"), ("b.json", "{}"), ("c.toml", "\xff")):
        (tmp_path / name).write_text(text)
        assert read_config(tmp_path / name) is None
    config = read_config(Path(__file__).parents[2] / "pyproject.toml")
    assert config is not None
    (tmp_path / "pyproject.toml").write_text(Path(config.path).read_text())
    assert not audit([tmp_path / "pyproject.toml"], Policy()).lines
