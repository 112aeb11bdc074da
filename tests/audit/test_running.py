"""The rules that look at a running program, each from both sides: one run of all weak sockets, one of their twins."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from zmqfuzz.audit.joined import Proof, Shown, by_behaviour, by_run
from zmqfuzz.audit.lines import Certainty, Line
from zmqfuzz.audit.running import lines_of
from zmqfuzz.audit.seen import FEW_FILES, SEEN_CODES
from zmqfuzz.finding import Severity
from zmqfuzz.opened import Recorded, read
from zmqfuzz.shim import environment

SAFE = "s.maxmsgsize = 9; s.handshake_ivl = 5; s.tcp_keepalive = 1; s.linger = 0"
WILD, NEAR = "tcp://0.0.0.0:*", "tcp://127.0.0.1:*"

ASK = (
    f"r = c.socket(zmq.REP); r.bind('{NEAR}'); s = c.socket(zmq.REQ); s.connect(r.last_endpoint); s.send(b''); "
    "r.recv(); r.send(b'')"
)
MEET = "o, s = c.socket(zmq.PUSH), c.socket(zmq.PULL); {}; " + f"s.bind('{NEAR}'); o.connect(s.last_endpoint)"

TWINS: list[tuple[str, str, str]] = [
    ("ZF601", f"s = c.socket(zmq.PUB); {SAFE}; s.bind('{WILD}')", f"s = c.socket(zmq.PUB); {SAFE}; s.bind('{NEAR}')"),
    (
        "ZF602",
        f"s = c.socket(zmq.PULL); s.bind('{NEAR}'); s.rcvtimeo = 1\ntry: s.recv_pyobj()\nexcept zmq.Again: pass",
        f"s = c.socket(zmq.PULL); s.bind('{NEAR}'); s.rcvtimeo = 1\ntry: s.recv_json()\nexcept zmq.Again: pass",
    ),
    ("ZF603", f"s = c.socket(zmq.PULL); s.bind('{NEAR}')", f"s = c.socket(zmq.PULL); {SAFE}; s.bind('{NEAR}')"),
    ("ZF605", f"s = c.socket(zmq.PUB); s.bind('{NEAR}'); s.set_hwm(0)", f"s = c.socket(zmq.PUB); s.bind('{NEAR}')"),
    (
        "ZF606",
        "s = c.socket(zmq.PUSH); s.connect('tcp://127.0.0.1:9'); s.close()",
        "s = c.socket(zmq.PUSH); s.connect('tcp://127.0.0.1:9'); s.close(linger=5)",
    ),
    (
        "ZF607",
        f"s = c.socket(zmq.REP); s.handshake_ivl = 0; s.bind('{NEAR}')",
        f"s = c.socket(zmq.REP); s.handshake_ivl = 9; s.bind('{NEAR}')",
    ),
    (
        "ZF608",
        f"s = c.socket(zmq.SUB); s.heartbeat_ivl = 900; s.bind('{NEAR}')",
        f"s = c.socket(zmq.PUB); s.heartbeat_ivl = 900; s.bind('{NEAR}')",
    ),
    (
        "ZF609",
        f"s = c.socket(zmq.ROUTER); s.bind('{WILD}')",
        f"s = c.socket(zmq.ROUTER); s.heartbeat_ivl = 900; s.bind('{WILD}')",
    ),
    (
        "ZF610",
        f"s = c.socket(zmq.ROUTER); s.router_handover = 1; s.bind('{NEAR}')",
        "s = c.socket(zmq.ROUTER); s.router_handover = 1; s.bind('inproc://handover')",
    ),
    ("ZF617", f"s = c.socket(zmq.PUSH); s.bind('{WILD}')", f"s = c.socket(zmq.PUSH); s.bind('{NEAR}')"),
    (
        "ZF620",
        "s = c.socket(zmq.SUB); s.linger = 0; s.connect('tcp://192.0.2.1:5')",
        "s = c.socket(zmq.SUB); s.linger = 0; s.connect('tcp://127.0.0.1:5')",
    ),
    (
        "ZF622",
        f"s = c.socket(zmq.REP); s.bind('{NEAR}'); s.curve_server = 1",
        f"s = c.socket(zmq.REP); s.maxmsgsize = 5; s.bind('{NEAR}'); s.linger = 4",
    ),
    (
        "ZF623",
        f"few(); s = c.socket(zmq.REP); s.bind('{NEAR}'); many()",
        f"many(); s = c.socket(zmq.REP); s.bind('{NEAR}')",
    ),
    (
        "ZF625",
        f"s = c.socket(zmq.PUB); s.conflate = 1; s.bind('{NEAR}'); s.send_multipart([b'a', b'b'])",
        f"s = c.socket(zmq.PUB); s.conflate = 1; s.bind('{NEAR}'); s.send(b'a')",
    ),
    (
        "ZF630",
        f"s = c.socket(zmq.REP); s.curve_secretkey = KEY; s.curve_server = 1; s.bind('{NEAR}')",
        "zap = c.socket(zmq.REP); zap.bind('inproc://zeromq.zap.01'); s = c.socket(zmq.REP); "
        f"s.curve_secretkey = KEY; s.curve_server = 1; s.bind('{NEAR}')",
    ),
    (
        "ZF644",
        f"s = c.socket(zmq.REP); s.tcp_keepalive_idle = 5; s.bind('{NEAR}')",
        f"s = c.socket(zmq.REP); s.tcp_keepalive = 1; s.tcp_keepalive_idle = 5; s.bind('{NEAR}')",
    ),
    ("ZF644", "c.set(zmq.MAX_MSGSZ, 4096)", "c.set(zmq.MAX_SOCKETS, 512)"),
    ("ZF644", "s = c.socket(zmq.PULL); c.set(zmq.IO_THREADS, 2)", "c.set(zmq.IO_THREADS, 2); s = c.socket(zmq.PULL)"),
    ("ZF644", "s = c.socket(zmq.PULL); c.linger = 0", "c.linger = 0; s = c.socket(zmq.PULL)"),
    ("ZF644", "s = c.socket(zmq.ROUTER); s.conflate = 1", "s = c.socket(zmq.PUSH); s.conflate = 1"),
    (
        "ZF644",
        "s = c.socket(zmq.PUB)\ntry: s.router_mandatory = 1\nexcept zmq.ZMQError: pass",
        "s = c.socket(zmq.ROUTER); s.router_mandatory = 1",
    ),
    (
        "ZF605",
        f"s = c.socket(zmq.PUB); s.sndhwm = 64 << 20; s.bind('{NEAR}')",
        f"s = c.socket(zmq.PUB); s.sndhwm = 64 << 10; s.bind('{NEAR}')",
    ),
    ("ZF640", f"{ASK}; s.recv()", f"{ASK}; s.rcvtimeo = 9000; s.recv()"),
    ("ZF640", f"{ASK}; s.recv_string()", f"{ASK}; s.poll(9000); s.recv_string()"),
    ("ZF640", f"{ASK}; s.recv()", f"{ASK}; p = zmq.Poller(); p.register(s, zmq.POLLIN); p.poll(9000); s.recv()"),
    (
        "ZF641",
        "s = c.socket(zmq.ROUTER); m = s.get_monitor_socket(); s.disable_monitor(); m.close(0)",
        "s = c.socket(zmq.ROUTER); m = s.get_monitor_socket(); m.poll(0); s.disable_monitor(); m.close(0)",
    ),
    (
        "ZF642",
        "s = c.socket(zmq.PUB)\ntry: s.zmq_drop = 1\nexcept AttributeError: pass",
        "s = c.socket(zmq.PUB); s.sndhwm = 5",
    ),
    ("ZF645", MEET.format("o.maxmsgsize = 99"), MEET.format("o.maxmsgsize = s.maxmsgsize = 99")),
    ("ZF645", MEET.format("s.plain_server = 1"), MEET.format("o.sndhwm = 9")),
    ("ZF645", MEET.format("s.heartbeat_ivl = 900"), MEET.format("s.heartbeat_ivl = s.heartbeat_ttl = 900")),
    (
        "ZF645",
        "o, s = c.socket(zmq.PUSH), c.socket(zmq.PULL); o.sndhwm, s.rcvhwm = 9, 0; s.bind('inproc://a'); "
        "o.connect('inproc://a')",
        "o, s = c.socket(zmq.PUSH), c.socket(zmq.PULL); o.sndhwm, s.rcvhwm = 9, 9; s.bind('inproc://a'); "
        "o.connect('inproc://a')",
    ),
    (
        "ZF647",
        f"s = c.socket(zmq.PULL); s.bind('{NEAR}')",
        f"s = c.socket(zmq.PULL); {SAFE}; s.plain_server = 1; s.heartbeat_ivl = 900; s.set_hwm(9); s.bind('{NEAR}')",
    ),
]

HEAD = """
import resource, zmq
KEY = zmq.curve_keypair()[1]
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
def few():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, HARD))
def many():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, HARD))
many()
"""


def recorded(folder: Path, sources: list[str]) -> tuple[Path, Recorded]:
    """Runs each source as a function of one program, with a context of its own."""
    program, records = folder / "program.py", folder / "records"
    records.mkdir(parents=True)
    parts = [f"def f{number}(c):\n" + textwrap.indent(source, "    ") for number, source in enumerate(sources)]
    calls = [f"c = zmq.Context()\nf{number}(c)\nc.destroy(linger=0)" for number in range(len(sources))]
    program.write_text("\n".join([HEAD, *parts, *calls]) + "\n")
    env = {**os.environ, **environment(records, os.environ)}
    subprocess.run([sys.executable, str(program)], env=env, check=True, timeout=60)
    return program, read(records)


def told(folder: Path, sources: list[str]) -> list[set[str]]:
    """The codes that are told of each of the sources."""
    program, seen = recorded(folder, sources)
    text = program.read_text().splitlines()
    starts = [next(row for row, line in enumerate(text, 1) if line == f"def f{n}(c):") for n in range(len(sources))]
    found: list[set[str]] = [set() for _ in sources]
    for line in lines_of(seen):
        assert line.path == program
        assert line.certainty is Certainty.SEEN
        found[max(n for n, start in enumerate(starts) if start < line.line)].add(line.code)
    return found


@pytest.mark.skipif(
    0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FEW_FILES, reason="so few descriptors are allowed here"
)
def test_each_rule_tells_of_the_weak_socket_and_not_of_its_twin(tmp_path: Path) -> None:
    weak = told(tmp_path / "weak", [source for _, source, _ in TWINS])
    hardened = told(tmp_path / "hardened", [source for _, _, source in TWINS])
    for (code, *_), bad, good in zip(TWINS, weak, hardened, strict=True):
        assert code in bad, (code, bad)
        assert code not in good, (code, good)
    assert {code for code, *_ in TWINS} == SEEN_CODES


def line(code: str, number: int, **more: object) -> Line:
    base = Line(code, Severity.MEDIUM, Certainty.LIKELY, Path("program.py"), number, 1, number, "S.", "R.", "PULL")
    return Line(**{**{name: getattr(base, name) for name in base.__slots__}, **more})


def test_a_run_confirms_refutes_or_does_not_probe_what_the_source_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [
        f"s = c.socket(zmq.PULL); s.bind('{NEAR}')",
        f"s = c.socket(zmq.PULL); s.maxmsgsize = 9; s.bind('{NEAR}')",
    ]
    program, seen = recorded(tmp_path, sources)
    monkeypatch.chdir(tmp_path)
    first, second = (number for number, text in enumerate(program.read_text().splitlines(), 1) if "bind(" in text)
    static = [line("ZF603", first), line("ZF603", second), line("ZF603", 1), line("ZF633", first)]
    found = by_run(static, lines_of(seen), seen)
    words = [(one.code, one.line, one.certainty, one.evidence.partition(":")[0]) for one in found]
    assert words[:4] == [
        ("ZF603", first, Certainty.SEEN, "confirmed"),
        ("ZF603", second, Certainty.LIKELY, "refuted in this run"),
        ("ZF603", 1, Certainty.LIKELY, "not probed"),
        ("ZF633", first, Certainty.LIKELY, "not probed"),
    ]
    assert found[1].severity is Severity.INFO
    assert not [one for one in found[4:] if one.code == "ZF603"]


def test_attacks_confirm_refute_or_leave_open() -> None:
    lines = [line("ZF603", 1), line("ZF607", 2), line("ZF612", 3), line("ZF633", 4)]
    wire = Shown(limits=(("tcp://127.0.0.1:5", None), ("tcp://127.0.0.1:6", 99)))
    doors = [line("ZF603", 1, endpoint=f"tcp://127.0.0.1:{port}") for port in (5, 6, 7)]
    assert [one.evidence for one in by_behaviour(doors, wire)] == [
        "confirmed by a probe: no limit below 64 MiB",
        "refuted by a probe: it takes 99 octets",
        "",
    ]
    shown = Shown(
        (Proof("ZF201", "ZF201-abcd", "PULL"), Proof("ZF311", "ZF311-efgh", "PUB")), (("ZF311", 5), ("ZF101", 7)), "r"
    )
    found = by_behaviour(lines, shown)
    assert [one.evidence for one in found] == [
        "confirmed by finding ZF201-abcd",
        "refuted by ZF311, which held (5 checks, r)",
        "probed and not shown by attacks: ZF101 (7) held",
        "",
    ]
