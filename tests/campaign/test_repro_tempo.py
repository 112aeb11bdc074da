"""A repro script's tempo and roles: signals between peers, slow readers, peers that vanish."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from tests.campaign.test_repro import router, run
from zmqfuzz.script import (
    Attack,
    Await,
    Connect,
    Expect,
    ReadOn,
    Script,
    Send,
    Shake,
    Signal,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.zmtp.wire import Frame


def test_signals_interleave_the_peers(tmp_path: Path) -> None:
    def said(text: bytes) -> Send:
        return Send((Frame(text),))

    first = (Connect(), Shake("DEALER"), said(b"ping"), Expect("message", 9.0), Signal("go"), Await("back", 9.0))
    second = (Connect(), Shake("DEALER"), Await("go", 9.0), said(b"ping"), Expect("message", 9.0), Signal("back"))
    attack = Attack((Script((*first, said(b"3"))), Script((*second, Await("never", 0.2), Await("never", 0.2)))))
    with router() as (address, received):
        done = run(tmp_path, attack, address, "0.3")
    assert received == [[b"ping"], [b"ping"], [b"3"]], done.stdout + done.stderr
    assert done.stdout.count("nobody signalled 'never'") == 2


def test_reading_is_stopped_slowed_and_taken_up(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[int] = []

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.settimeout(0.5)
            for _ in range(2):
                try:
                    while sum(taken) < 1 << 20:
                        taken.append(sock.send(bytes(1024)))
                except TimeoutError:
                    taken.append(0)
                sock.settimeout(20)

    thread = threading.Thread(target=serve)
    thread.start()
    steps = (Connect(2048), StopReading(), Wait(1.5), ReadOn(50_000), Wait(0.5), ReadOn(), Expect("close", 20.0))
    done = run(tmp_path, Attack((Script(steps),)), f"tcp://127.0.0.1:{listener.getsockname()[1]}", "0")
    thread.join()
    assert 0 < sum(taken[: taken.index(0)]) < 65_536, "nothing was read, and little could wait"
    assert sum(taken) == 1 << 20, done.stdout + done.stderr
    assert f"received {1 << 20}" in done.stdout


def test_who_cannot_vanish_says_so_and_who_can_is_silent(tmp_path: Path) -> None:
    attack = Attack((Script((Connect(), Shake("DEALER"), Vanish(), Send((Frame(b"on"),)))),))
    with router(f"ipc://{tmp_path}/door") as (address, received):
        done = run(tmp_path, attack, address, "0.2")
    assert received == [[b"on"]]
    assert "cannot vanish here: this is no tcp connection" in done.stdout
    with router() as (address, received):
        done = run(tmp_path, attack, address, "0.2")
    assert received == []
    assert "1 x vanished" in done.stdout
    assert "cannot vanish here: " not in done.stdout
