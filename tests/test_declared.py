"""Targets in pyproject.toml: what is read, and the one sentence that is said of what is not."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import zmqfuzz
from zmqfuzz.budget import Limits
from zmqfuzz.cli.commands import cli
from zmqfuzz.contract import PROMISES
from zmqfuzz.credentials import Credentials, z85_encode
from zmqfuzz.declared import find, named, read
from zmqfuzz.errors import UsageError
from zmqfuzz.suite import declared_target

FULL = """
[tool.zmqfuzz.targets.gateway]
command = ["python", "server.py", "{endpoint}"]
cwd = "app"
bind = "tcp://127.0.0.1:5555"
socket-type = "router"
ready = "file:run/ready"
start-within = "1min"
stop-signal = "INT"
probe = "python tools/ask.py {endpoint}"
allow-remote = ["192.0.2.1"]
seeds = "recorded"
families = "flood"
exclude = ["stall", "tempo"]

[tool.zmqfuzz.targets.gateway.limits]
max-frame = "1MiB"
max-message = "512 KiB"
memory = "1MB"
rate = "200/s"
held-per-byte = 0.25
descriptors = 3
recover = "500ms"
beside = "0.5"
handshake-within = "1s"
hung-within = "2s"
vanished-within = "1min"
linger = "1500ms"
delivers = 0.9
mem-cap = 1000000

[tool.zmqfuzz.targets.gateway.credentials]
username = "ada"
password = "${GATEWAY_PASSWORD}"

[tool.zmqfuzz.targets.attached]
connect = ["tcp://127.0.0.1:5556", "ipc:///tmp/door"]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_everything_that_can_be_declared(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/ask.py").touch()
    targets = read(write(tmp_path, FULL))
    assert set(targets) == {"gateway", "attached"}
    gateway = targets["gateway"]
    assert gateway.description == {
        "name": "gateway",
        "command": ("python", "server.py", "{endpoint}"),
        "bind": ("tcp://127.0.0.1:5555",),
        "socket_type": "ROUTER",
        "ready": f"file:{tmp_path / 'run/ready'}",
        "start_within": 60.0,
        "stop_signal": "INT",
        "probe": f"python {tmp_path / 'tools/ask.py'} '{{endpoint}}'",
        "allow_remote": ("192.0.2.1",),
    }
    assert (gateway.cwd, gateway.seeds) == (tmp_path / "app", tmp_path / "recorded")
    assert (gateway.families, gateway.exclude) == (("flood",), ("stall", "tempo"))
    assert gateway.contract({}) == Limits(
        max_frame=1 << 20,
        max_message=512 << 10,
        memory=10**6,
        rate=200.0,
        held_per_byte=0.25,
        descriptors=3,
        recover=0.5,
        beside=0.5,
        handshake_within=1.0,
        hung_within=2.0,
        vanished_within=60.0,
        linger=1.5,
        delivers=0.9,
        hard_cap=10**6,
    )
    assert gateway.contract({"max_frame": 7, "memory": None}).max_frame == 7
    assert targets["attached"].description["connect"] == ("tcp://127.0.0.1:5556", "ipc:///tmp/door")
    assert targets["attached"].contract({}) == Limits()


TARGET = "[tool.zmqfuzz.targets.gw]\ncommand = ['x']\n"
WRONG = [
    ("[tool.zmqfuzz]\ntarget = 1", r"tool\.zmqfuzz\.target: there is no such key; did you mean 'targets'\?"),
    (
        "[tool.zmqfuzz]\ntargets = 1",
        r"tool\.zmqfuzz\.targets: 1 is not a table; write \[tool\.zmqfuzz\.targets\.NAME\]",
    ),
    ("[tool.zmqfuzz.targets]\ngw = 'x'", r"targets\.gw: 'x' is not a table; write \[tool\.zmqfuzz\.targets\.gw\]"),
    ("tool.zmqfuzz = 1", r"tool\.zmqfuzz is not a table"),
    ("[tool.zmqfuzz.targets.'a b']\ncommand = ['x']", r"targets\.a b: a target's name is made of letters"),
    ("[tool.zmqfuzz.targets.gw]", r"targets\.gw: there is nothing to test; add command"),
    ("[tool.zmqfuzz.targets.gw]\nbind = 'tcp://*:1'\nconnect = 'tcp://*:1'", r"gw\.bind: .* add command\."),
    (TARGET + "comand = ['x']", r"gw\.comand: there is no such key; did you mean 'command'\?"),
    (TARGET + "start_within = '1s'", r"gw\.start_within: .* did you mean 'start-within'\?"),
    (TARGET + "max-frame = '1MiB'", r"gw\.max-frame: .* did you mean 'limits\.max-frame'\?"),
    (TARGET + "password = 'x'", r"gw\.password: .* did you mean 'credentials\.password'\?"),
    (TARGET + "zzz = 1", r"gw\.zzz: there is no such key; there are command, cwd, .*, credentials\."),
    (TARGET.replace("['x']", "'python -m srv'"), r'gw\.command: .* did you mean \["python", "-m", "srv"\]\?'),
    (TARGET.replace("['x']", "[]"), r"gw\.command: \[\] is not a command; write "),
    (TARGET.replace("['x']", "['x', 1]"), r"gw\.command: \['x', 1\] is not a text or a list of texts"),
    (TARGET + "connect = 5555", r"gw\.connect: 5555 is not a text or a list of texts"),
    (TARGET + "ready = true", r"gw\.ready: True is not a text; write it in quotation marks\."),
    (TARGET + "socket-type = 'RUOTER'", r"gw\.socket-type: there is no socket type 'RUOTER'; did you mean 'ROUTER'\?"),
    (TARGET + "start-within = '1MiB'", r"gw\.start-within: '1MiB' is a size, not a duration; .*for example 60s\."),
    (TARGET + "limits = ['max-frame']", r"gw\.limits: \['max-frame'\] is not a table"),
    (TARGET + "limits.max-fram = 1", r"gw\.limits\.max-fram: there is no such key; did you mean 'max-frame'\?"),
    (TARGET + "limits.max-frame = '1s'", r"gw\.limits\.max-frame: '1s' is a duration, not a size; .*1MiB\."),
    (TARGET + "limits.max-frame = -1", r"gw\.limits\.max-frame: -1 is not a size; write a number"),
    (TARGET + "limits.max-frame = 1.5", r"gw\.limits\.max-frame: 1\.5 is not a size"),
    (TARGET + "limits.memory = true", r"gw\.limits\.memory: True is not a size"),
    (TARGET + "limits.rate = '5 msg'", r"gw\.limits\.rate: '5 msg' is not a rate; .* for example 200/s\."),
    (TARGET + "limits.recover = []", r"gw\.limits\.recover: \[\] is not a duration"),
    (TARGET + "credentials.server_key = 'x'", r"gw\.credentials\.server_key: .* did you mean 'server-key'\?"),
    ("[tool.zmqfuzz\n", r"cannot be read as TOML \(.*\); correct it\."),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=lambda value: None)
def test_what_is_wrong_is_one_sentence_with_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    file = write(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"^pyproject\\.toml: .*{said}"):
        read(file)
    monkeypatch.chdir("/")
    with pytest.raises(UsageError) as raised:
        read(file)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))
    assert str(file) in sentence or str(file).lstrip("/") in sentence


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"credentials\.password: this is not a text") as raised:
        read(write(tmp_path, TARGET + "credentials.password = 31415926"))
    assert "31415926" not in str(raised.value)


def test_the_nearest_file_with_a_table_of_ours_counts(tmp_path: Path) -> None:
    deep = tmp_path / "packages/inner/tests"
    deep.mkdir(parents=True)
    above = write(tmp_path, FULL)
    write(tmp_path / "packages/inner", "[project]\nname = 'inner'\n")
    assert find(deep) == above
    nearer = write(tmp_path / "packages", TARGET)
    assert find(deep) == nearer
    assert named("gw", deep).name == "gw"
    with pytest.raises(UsageError, match=r"there is no target 'gww'; did you mean 'gw'\?$"):
        named("gww", deep)
    with pytest.raises(UsageError, match=r"no target './srv'; there are gw; to .* `zmqfuzz run -- ./srv`\.$"):
        named("./srv", deep)


def test_credentials_come_from_variables_and_files_and_what_is_given_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = read(write(tmp_path, FULL))["gateway"]
    monkeypatch.delenv("GATEWAY_PASSWORD", raising=False)
    with pytest.raises(UsageError, match=r"gateway\.credentials\.password: the variable GATEWAY_PASSWORD is not set"):
        target.credentials({})
    assert target.credentials({"password": "given"}) == Credentials("ada", "given")
    monkeypatch.setenv("GATEWAY_PASSWORD", "lovelace")
    assert target.credentials({"username": None}) == Credentials("ada", "lovelace")
    monkeypatch.setenv("ZMQFUZZ_USERNAME", "charles")
    assert declared_target(target).spec(tmp_path).credentials == Credentials("charles", "lovelace")

    (tmp_path / "server.key").write_text(z85_encode(bytes(range(32))))
    keyed = read(write(tmp_path, TARGET + "credentials.server-key = '@server.key'"))["gw"]
    assert keyed.credentials({}).server_key == bytes(range(32))
    key = "@" + z85_encode(bytes(range(32)))[1:]  # a key that begins as a file's name does
    keyed = read(write(tmp_path, TARGET + f"credentials.server-key = '{key}'"))["gw"]
    assert z85_encode(keyed.credentials({}).server_key) == key
    for wrong, said in (("short", "a key is 40 characters"), ("@none.key", "none.key cannot be read")):
        keyed = read(write(tmp_path, TARGET + f"credentials.server-key = '{wrong}'"))["gw"]
        with pytest.raises(UsageError, match=rf"gw\.credentials\.server-key: .*{said}"):
            keyed.credentials({})


def test_one_table_of_promises_makes_options_keywords_and_keys() -> None:
    names = {promise.name for promise in PROMISES}
    assert names == {field.name for field in dataclasses.fields(Limits)}
    assert names <= set(inspect.signature(zmqfuzz.target).parameters)
    assert isinstance(cli, click.Group)
    options = {name for param in cli.commands["run"].params for name in param.opts}
    assert {f"--{promise.key}" for promise in PROMISES} <= options


def test_the_same_units_in_code() -> None:
    times: dict[str, Any] = {"recover": "0.5min", "handshake_within": "1s", "hung_within": 2, "vanished_within": "3s"}
    target = zmqfuzz.target(["x"], max_frame="512 KiB", memory=1000, rate="120/min", beside=0.5, **times)
    limits = Limits(max_frame=512 << 10, memory=1000, rate=2.0, recover=30.0, beside=0.5)
    promised = dataclasses.replace(limits, handshake_within=1.0, hung_within=2.0, vanished_within=3.0)
    assert target.limits == promised
    with pytest.raises(UsageError, match=r"^rate: '1s' is a duration, not a rate; "):
        zmqfuzz.target(["x"], rate="1s")
    with pytest.raises(UsageError, match=r"^start_within: 'soon' is not a duration; "):
        zmqfuzz.target(["x"], start_within="soon")


def test_reading_loads_nothing_heavy(tmp_path: Path) -> None:
    write(tmp_path, TARGET + "socket-type = 'REP'")
    code = (
        "import sys, pathlib, zmqfuzz.declared\n"
        "zmqfuzz.declared.named('gw', pathlib.Path.cwd())\n"
        "print([n for n in ('trio', 'zmq', 'hypothesis', 'click', 'pytest', 'zmqfuzz.assembly') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
