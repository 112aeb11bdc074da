"""Connects to this machine's ports from a network namespace of our own, as another machine on a wire of its own would.

Contract: a veth(4) pair with one end in a new namespace, addresses out of 198.18.0.0/15 (RFC 2544, for tests; a /30 of
it), taken down at the end; when zmqfuzz is killed the namespace ends with its only process, and both ends with it.
That needs CAP_NET_ADMIN and ip(8). IPv4 only. A listener of our own on the same wire is the control: nothing is said of
the ports before it was reached. What cannot be done is a sentence, and never an error.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Elsewhere", "connect_from_elsewhere"]

WITHIN = 10.0
"""Seconds for each step; a busy machine takes a tenth of one."""

CONNECTS_WITHIN = 1.0
"""Seconds for one connection: over a wire within the machine an answer takes less than a millisecond."""

COMES_UP = 5.0
"""Seconds until the control is reached: the kernel lets a new wire carry something a moment later."""

_NEW_NETWORK = 0x40000000
_DEATH_SIGNAL = 1
"""``CLONE_NEWNET`` (unshare(2)) and ``PR_SET_PDEATHSIG`` (prctl(2))."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """``reached`` says of each port whether it could be connected to; ``why``: it could not be tried."""

    reached: dict[int, bool] = field(default_factory=dict)
    why: str = ""


def connect_from_elsewhere(ports: Iterable[int]) -> Elsewhere:
    """Try each port once, from the other end of a wire. Blocks for some 100 ms."""
    tool = shutil.which("ip") or next((path for path in ("/usr/sbin/ip", "/sbin/ip") if os.access(path, os.X_OK)), "")
    if not tool:
        return Elsewhere(why="ip(8) is not installed (iproute2)")
    number = random.SystemRandom().randrange(1 << 15)
    name = f"zf{os.getpid():x}{number:x}"[:14]
    first = f"198.{18 + (number >> 14)}.{(number >> 6) & 255}.{(number & 63) * 4}"
    near, far = (f"{first.rpartition('.')[0]}.{int(first.rpartition('.')[2]) + step}" for step in (1, 2))
    order = {"tool": tool, "name": f"{name}p"[:15], "far": far, "near": near, "ports": sorted(set(ports))}
    words, pipe = [sys.executable, "-m", "zmqfuzz.elsewhere"], subprocess.PIPE
    try:
        with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as child:
            try:
                return _tried(child, tool, name, near, order)
            finally:
                child.kill()
                subprocess.run([tool, "link", "del", name], capture_output=True, check=False)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Elsewhere(why=f"it failed ({type(error).__name__})")


def _tried(child: subprocess.Popen[str], tool: str, name: str, near: str, order: dict[str, Any]) -> Elsewhere:
    assert child.stdin is not None
    assert child.stdout is not None
    said = child.stdout.readline().strip()
    if said != "apart":
        return Elsewhere(why=f"no network namespace can be made here ({said or 'its process ended'})")
    for words in (
        ("link", "add", name, "type", "veth", "peer", "name", order["name"], "netns", str(child.pid)),
        ("address", "add", f"{near}/30", "dev", name),
        ("link", "set", name, "up"),
    ):
        done = subprocess.run([tool, *words], capture_output=True, text=True, timeout=WITHIN, check=False)
        if done.returncode != 0:
            return Elsewhere(why=f"no pair of interfaces can be made here ({_last(done.stderr)})")
    patience = 2 * WITHIN + COMES_UP + CONNECTS_WITHIN * len(order["ports"])
    with socket.create_server((near, 0)) as control:
        asked = json.dumps(order | {"control": control.getsockname()[1]})
        answer, _ = child.communicate(asked + "\n", timeout=patience)
    plain = json.loads(answer)
    return Elsewhere({int(port): bool(reached) for port, reached in plain["reached"].items()}, str(plain["why"]))


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["ip(8) failed"])[-1].removeprefix("RTNETLINK answers: ")


def main() -> None:
    """The process on the other side: says ``apart``, reads its order, answers with one line of JSON."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if libc.unshare(_NEW_NETWORK) != 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        return
    print("apart", flush=True)
    order = json.loads(sys.stdin.readline())
    why = ""
    for words in (("address", "add", f"{order['far']}/30", "dev", order["name"]), ("link", "set", order["name"], "up")):
        done = subprocess.run([order["tool"], *words], capture_output=True, text=True, timeout=WITHIN, check=False)
        why = why or (_last(done.stderr) if done.returncode != 0 else "")
    if not why and not _comes_up(order["near"], order["control"]):
        why = "the wire carries nothing; a firewall may drop what comes in"
    reached = {} if why else {port: _reached(order["near"], port) for port in order["ports"]}
    print(json.dumps({"reached": reached, "why": why}), flush=True)


def _comes_up(host: str, port: int) -> bool:
    """Whether the control is reached, in the time that it has."""
    deadline = time.monotonic() + COMES_UP
    while time.monotonic() < deadline:
        if _reached(host, port, 0.2):
            return True
        time.sleep(0.02)
    return False


def _reached(host: str, port: int, within: float = CONNECTS_WITHIN) -> bool:
    try:
        socket.create_connection((host, port), within).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
