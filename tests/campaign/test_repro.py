"""The script is run for real: it delivers to a pyzmq socket the octets that the attack means."""

from __future__ import annotations

import ast
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from hypothesis import given, settings

from tests.campaign.test_plain import attacks
from zmqfuzz.campaign.repro import cannot_play, repro_script
from zmqfuzz.finding import Finding, Severity
from zmqfuzz.script import Attack, Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Wait
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Framing, Greeting, Greeting1, Property, Raw, Unit, encode

EMPTY = Attack(())


def attack_of(*units: Unit, times: int = 1, chunk: int | None = None, peers: int = 1, every: float = 0.0) -> Attack:
    steps = (Connect(), Shake("DEALER", identity=b""), Send(units, times, chunk, every))
    return Attack((Script(steps, times=peers),))


def finding_of(attack: Attack, side: str = "bind", **changes: object) -> Finding:
    surface = Surface("tcp://127.0.0.1:5555", "ROUTER", side=side)
    finding = Finding("ZF203-aaaa", "ZF203", "t", Severity.HIGH, "s", "g", (), surface, attack, attack, "app")
    return replace(finding, **changes)  # type: ignore[arg-type]


def run(
    folder: Path, attack: Attack, *arguments: str, side: str = "bind", history: tuple[Attack, ...] = ()
) -> subprocess.CompletedProcess[str]:
    path = folder / "repro.py"
    path.write_text(repro_script(finding_of(attack, side, history=history), attack))
    # -I -S: no site-packages, nothing but the standard library.
    command = [sys.executable, "-I", "-S", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def router(endpoint: str = "tcp://127.0.0.1:*") -> Iterator[tuple[str, list[list[bytes]]]]:
    """A ROUTER in a thread; what it receives, without the routing id."""
    context = zmq.Context()
    sock = context.socket(zmq.ROUTER)
    sock.setsockopt(zmq.LINGER, 0)
    sock.bind(endpoint)
    address = sock.getsockopt_string(zmq.LAST_ENDPOINT)
    received: list[list[bytes]] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if sock.poll(20):
                peer, *message = sock.recv_multipart()
                received.append(message)
                if message == [b"ping"]:
                    sock.send_multipart([peer, b"pong"])
        sock.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address, received
    finally:
        stop.set()
        thread.join()
        context.term()


def sink() -> tuple[str, list[bytes], threading.Thread]:
    """A bare TCP listener that says nothing and keeps every connection's octets."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5.0)
    got: list[bytes] = []

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.settimeout(5.0)
            octets = b""
            try:
                while data := sock.recv(1 << 20):
                    octets += data
            except ConnectionResetError:
                pass
            got.append(octets)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}", got, thread


def test_messages_arrive_as_the_attack_means_them(tmp_path: Path) -> None:
    attack = attack_of(Frame(b"a\xff", more=True), Frame(Fill(70_000, 0x41)), Frame(b""), times=3)
    with router() as (address, received):
        done = run(tmp_path, attack, address, "0.5")
    assert done.returncode == 0, done.stderr
    assert received == [[b"a\xff", b"A" * 70_000], [b""]] * 3
    assert "ROUTER" in done.stdout
    assert "connection still open" in done.stdout


def test_what_comes_back_is_printed_and_waited_for(tmp_path: Path) -> None:
    steps = (Connect(), Shake("DEALER"), Send((Frame(b"ping"),)), Expect("message", 5.0), Send((Frame(b"after"),)))
    with router() as (address, received):
        done = run(tmp_path, Attack((Script(steps),)), address, "0.3")
    assert received == [[b"ping"], [b"after"]]
    lines = done.stdout.splitlines()
    pong = next(number for number, line in enumerate(lines) if "70 6f 6e 67" in line)
    assert pong < next(number for number, line in enumerate(lines) if "61 66 74 65 72" in line)


def test_several_peers_small_writes_identity_and_history(tmp_path: Path) -> None:
    attack = attack_of(Frame(b"x" * 30), times=2, chunk=1, peers=5)
    with router() as (address, received):
        done = run(tmp_path, attack, address, "0.3", history=(attack_of(Frame(b"before")),))
    assert received == [[b"before"], *[[b"x" * 30]] * 10]
    assert "5 x connection still open" in done.stdout


def test_an_ipc_endpoint_and_a_close_by_us(tmp_path: Path) -> None:
    attack = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(b"hello"),)), Wait(0.2), Close())),))
    with router(f"ipc://{tmp_path}/door") as (address, received):
        done = run(tmp_path, attack, address, "0.3")
    assert received == [[b"hello"]]
    assert "closed by us" in done.stdout


def test_a_target_that_connects_to_us(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.connect(address)
    messages = []

    def receive() -> None:
        if dealer.poll(10_000):
            messages.append(dealer.recv_multipart())

    thread = threading.Thread(target=receive)
    thread.start()
    attack = Attack((Script((Connect(), Shake("ROUTER"), Send((Frame(b"to you"),)))),))
    done = run(tmp_path, attack, address, "0.5", side="connect")
    thread.join()
    context.destroy(0)
    assert messages == [[b"to you"]], done.stdout + done.stderr


UNITS: tuple[Unit, ...] = (
    Greeting(major=9, filler=b"\x01" * 31),
    Command(b"READY", properties=(Property(b"Socket-Type", b"DEALER", value_size=2**31),)),
    Frame(Fill(300, 0x00), more=True, declared_size=2**63),
    Raw(Fill(100_000)),
    Raw(b"\x07" * 200 + b"tail"),
)


@pytest.mark.parametrize(("chunk", "every"), [(None, 0.0), (None, 0.01), (7, 0.0), (500_000, 0.0)])
@pytest.mark.parametrize("ending", [Close(), ShutdownWrite(), Reset()])
def test_the_octets_are_those_of_the_encoder(
    tmp_path: Path, chunk: int | None, every: float, ending: Close | ShutdownWrite | Reset
) -> None:
    address, got, thread = sink()
    steps = (Connect(), Send(UNITS, 9, chunk, every), Wait(0.3), ending)
    done = run(tmp_path, Attack((Script(steps),)), address, "0")
    thread.join()
    assert done.returncode == 0, done.stderr
    assert got == [b"".join(encode(unit) for unit in UNITS) * 9]


def test_frames_after_an_old_greeting_are_framed_as_zmtp_1_0(tmp_path: Path) -> None:
    address, got, thread = sink()
    steps = (Connect(), Send((Greeting1(b"id"), Frame(b"one"))), Send((Frame(b"two"),)), Wait(0.1), Close())
    run(tmp_path, Attack((Script(steps),)), address, "0")
    thread.join()
    assert got == [b"".join(encode(unit, Framing.V1) for unit in (Greeting1(b"id"), Frame(b"one"), Frame(b"two")))]


def test_a_reset_is_a_reset_and_a_close_by_the_target_is_told(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            # Not before the peer is connected: else its connect() is what fails.
            assert sock.recv(2) == b"hi"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve)
    thread.start()
    steps = (Connect(), Send((Raw(b"hi"),)), Expect("close", 5.0), Send((Raw(b"late"),)))
    started = time.monotonic()
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    done = run(tmp_path, Attack((Script(steps),)), address, "0")
    thread.join()
    assert time.monotonic() - started < 4.0
    assert "target reset (RST)" in done.stdout


def test_large_repeats_are_streamed_and_stay_symbolic(tmp_path: Path) -> None:
    attack = attack_of(Frame(Fill(255), more=True), times=409_600)
    assert len(repro_script(finding_of(attack), attack)) < 20_000
    listener = socket.create_server(("127.0.0.1", 0))
    count = 0

    def serve() -> None:
        nonlocal count
        with listener, listener.accept()[0] as sock:
            while data := sock.recv(1 << 20):
                count += len(data)

    thread = threading.Thread(target=serve)
    thread.start()
    steps = (Connect(), *attack.scripts[0].steps[2:], Close())
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (120 << 20, 120 << 20))\n"
    path = tmp_path / "repro.py"
    played = Attack((Script(steps),))
    path.write_text(repro_script(finding_of(played), played).replace("import ipaddress\n", code + "import ipaddress\n"))
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    done = subprocess.run([sys.executable, str(path), address, "0"], capture_output=True, timeout=60, check=False)
    thread.join()
    assert done.returncode == 0, done.stderr
    assert count == 409_600 * 257


def test_a_mechanism_it_cannot_do_is_said_in_one_sentence(tmp_path: Path) -> None:
    attack = Attack((Script((Connect(), Shake("DEALER", mechanism="PLAIN"))),))
    done = run(tmp_path, attack, "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.strip() == cannot_play(attack)
    assert "PLAIN" in cannot_play(attack)
    assert cannot_play(attack_of(Frame())) == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "endpoint"),
        (("udp://1.2.3.4:5",), "tcp://"),
        (("tcp://127.0.0.1:none",), "tcp://"),
        (("tcp://127.0.0.1:5", "soon"), "seconds"),
        (("tcp://192.0.2.1:5",), "--allow-remote"),
    ],
)
def test_wrong_arguments_are_explained(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run(tmp_path, attack_of(Frame()), *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_that_is_not_there_gives_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    done = run(tmp_path, attack_of(Frame()), address, "0")
    assert done.returncode == 1
    assert "not connected" in done.stdout


def test_hostile_text_cannot_become_code() -> None:
    evil = '"""\nimport os\n# -*- coding: utf-7 -*-\r\x0c\u2028os.abort()'
    attack = Attack((Script((Connect(), Expect(evil), Shake(evil)), label=evil),))
    names = {"title": evil, "sentence": evil, "id": evil, "code": evil}
    for played in (attack, Attack((Script((Shake("DEALER", mechanism=evil),)),))):
        tree = ast.parse(repro_script(finding_of(played, **names), played))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "abort"]


@given(attacks)
@settings(max_examples=100, deadline=None)
def test_every_attack_gives_a_script_that_compiles(attack: Attack) -> None:
    compile(repro_script(finding_of(attack), attack), "repro.py", "exec")
