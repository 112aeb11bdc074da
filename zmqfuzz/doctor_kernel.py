"""What the kernel lets this user see and do, each thing tried on processes and sockets of our own."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import resource
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from zmqfuzz.budget import Budget
from zmqfuzz.elsewhere import connect_from_elsewhere
from zmqfuzz.farside import FarSide
from zmqfuzz.processes import Watch
from zmqfuzz.writer import vanish

__all__ = ["KERNEL", "Fact", "no", "ok", "warn"]

SPARE = 64
FEW_PORTS = 4096
"""Ephemeral ports below which a flood of short connections runs out of them (each is kept for a minute, RFC 9293)."""

_PIDFD_GETFD = 438
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_SUBREAPER = 36
"""``pidfd_getfd(2)`` on every architecture; ``unshare(2)``; ``prctl(2)``."""

_PYTHON = (sys.executable, "-I", "-c")
_UNSHARE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
ok = libc.unshare({flags}) == 0
print("" if ok else os.strerror(ctypes.get_errno()))
"""
_SUBREAPER = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print("" if libc.prctl({option}, 1, 0, 0, 0) == 0 else os.strerror(ctypes.get_errno()))
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing: ``no`` means that what depends on it is not done, ``warn`` that it may be wrong or slow."""

    state: Literal["ok", "warn", "no"]
    says: str
    remedy: str = ""


def ok(says: str) -> Fact:
    """It works."""
    return Fact("ok", says)


def warn(says: str, remedy: str) -> Fact:
    """It works, with a drawback."""
    return Fact("warn", says, remedy)


def no(says: str, remedy: str) -> Fact:
    """It does not work."""
    return Fact("no", says, remedy)


def _memory() -> Fact:
    with Watch([os.getpid()]) as watch:
        seen = watch.sample()
    if seen is None or seen.rss <= 0 or seen.descriptors <= 0:
        return no("resident memory and descriptors of a process cannot be read", "mount /proc; see hidepid in proc(5)")
    said = "resident and virtual memory, descriptors, threads, processor time"
    return ok(f"{said}, shares (PSS)" if Path("/proc/self/smaps_rollup").exists() else said)


def _child(code: str) -> str:
    """What a Python process of its own prints; a sentence where it fails."""
    try:
        done = subprocess.run([*_PYTHON, code], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}"
    return done.stdout.strip()


def _cap() -> Fact:
    why = _child(_SUBREAPER.format(option=_SET_SUBREAPER))
    if why:
        return no(f"PR_SET_CHILD_SUBREAPER: {why}", "processes that a target leaves behind may survive a run")
    return ok("the warden keeps all that a target starts, and kills it above --mem-cap")


def _diagnostics() -> Fact:
    async def look() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as door:
            ours = trio.socket.socket()
            try:
                await ours.connect(door.getsockname())
                theirs, _ = door.accept()
                with theirs:
                    return FarSide(ours).look() is not None
            finally:
                ours.close()

    if trio.run(look):
        return ok("the other side of a connection is seen (sock_diag)")
    return no("sock_diag does not answer", "whether a vanished peer is let go of is not seen; load inet_diag, tcp_diag")


def _descriptors() -> Fact:
    """Whether the descriptor of another process of ours can be looked at."""
    code = "import socket, sys; s = socket.socket(); print(s.fileno(), flush=True); sys.stdin.read()"
    with subprocess.Popen([*_PYTHON, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        number = int(child.stdout.readline() or -1)
        libc = ctypes.CDLL(None, use_errno=True)
        handle = os.pidfd_open(child.pid)
        taken = libc.syscall(_PIDFD_GETFD, handle, number, 0)
        why = os.strerror(ctypes.get_errno())
        os.close(handle)
        if taken >= 0:
            os.close(taken)
        child.communicate()
    if taken >= 0:
        return ok("descriptors of a running program can be looked at (pidfd_getfd)")
    return no(f"pidfd_getfd: {why}", "kernel options of its sockets are not seen; Linux 5.6, ptrace of own processes")


def _vanish() -> Fact:
    """A loopback connection goes silent, and what the other side sends is not acknowledged any more."""

    async def silent() -> tuple[str, int]:
        with socket.create_server(("127.0.0.1", 0)) as door:
            ours = trio.socket.socket()
            try:
                await ours.connect(door.getsockname())
                theirs, _ = door.accept()
                with theirs:
                    if why := vanish(ours):
                        return why, 0
                    theirs.sendall(b"x")
                    await trio.sleep(0.05)
                    left = array.array("i", [0])
                    fcntl.ioctl(theirs.fileno(), termios.TIOCOUTQ, left)
                    return "", left[0]
            finally:
                ours.close()

    why, unanswered = trio.run(silent)
    if why or not unanswered:
        return no(f"peers cannot vanish: {why or 'what was sent to one was acknowledged'}", "ZF313 is not covered here")
    return ok("peers vanish as by a cut cable (IP_MINTTL; no root needed)")


def _namespaces() -> Fact:
    why = _child(_UNSHARE.format(flags=_NEW_USER | _NEW_NETWORK))
    if why:
        return no(f"a user and network namespace: {why}", "nothing of zmqfuzz needs it; user.max_user_namespaces > 0")
    return ok("a user and network namespace can be made")


def _elsewhere() -> Fact:
    with socket.create_server(("0.0.0.0", 0)) as door:
        port = door.getsockname()[1]
        seen = connect_from_elsewhere([port])
    if seen.why:
        remedy = "ZF652 still judges where a program listens; this needs CAP_NET_ADMIN (mostly root) and ip(8)"
        return no(f"connecting from another network namespace: {seen.why}", remedy)
    if not seen.reached.get(port):
        return warn("a wildcard was not reached from another network namespace", "a firewall drops what is new here")
    return ok("ports are tried from another network namespace (veth)")


def _loopback() -> Fact:
    try:
        with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname(), 5):
            return ok("connections over loopback")
    except OSError as error:
        return no(f"loopback: {error.strerror}", "nothing can be attacked over tcp; ip link set lo up")


def _ipv6() -> Fact:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return ok("IPv6 on loopback")
    except OSError as error:
        return no(f"IPv6: {error.strerror}", "IPv6 endpoints cannot be attacked; net.ipv6.conf.lo.disable_ipv6=0")


def _files() -> Fact:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = float("inf") if hard == resource.RLIM_INFINITY else hard
    said = f"descriptors: {soft:,}, at most {'any number' if most == float('inf') else f'{most:,}'}"
    wanted = Budget().connections + SPARE
    if most < wanted:
        return warn(said, f"attacks hold fewer than {Budget().connections:,} connections; ulimit -Hn {wanted}")
    return ok(said)


def _ports() -> Fact:
    try:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        return warn("the range of ephemeral ports cannot be read", "mount /proc/sys")
    said = f"{high - low + 1:,} ephemeral ports ({low} to {high})"
    if high - low < FEW_PORTS:
        return warn(said, "churn may run out of them; net.ipv4.ip_local_port_range='32768 60999'")
    return ok(said)


KERNEL: dict[str, Callable[[], Fact]] = {
    "loopback": _loopback,
    "memory": _memory,
    "cap": _cap,
    "sockets": _diagnostics,
    "descriptors": _descriptors,
    "vanish": _vanish,
    "namespaces": _namespaces,
    "elsewhere": _elsewhere,
    "ipv6": _ipv6,
    "files": _files,
    "ports": _ports,
}
"""By name, in the order in which they are told."""
