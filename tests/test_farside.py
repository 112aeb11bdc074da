"""The other side of a connection, as the kernel tells it: held by a process, waiting to be accepted, gone."""

from __future__ import annotations

import os
import socket
import time

import pytest
import trio

from zmqfuzz.farside import FarSide, Held
from zmqfuzz.writer import vanish


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_is_held_from_accept_to_close(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server, socket.socket(family) as ours:
        ours.connect(server.getsockname())
        far = FarSide(trio.socket.from_stdlib_socket(ours.dup()))
        assert far.look() is None, "the kernel has it, no process"
        theirs, _ = server.accept()
        assert far.look() == Held(os.fstat(theirs.fileno()).st_ino, 0)
        assert vanish(trio.socket.from_stdlib_socket(ours.dup())) == ""
        theirs.send(b"are you there?")
        time.sleep(0.01)
        assert far.look() == Held(os.fstat(theirs.fileno()).st_ino, 14)
        theirs.close()
        assert far.look() is None, "the listener is there, and is not meant"


def test_an_ipv4_connection_of_a_socket_that_listens_to_both() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.create_connection(("127.0.0.1", server.getsockname()[1])) as ours,
        server.accept()[0] as theirs,
    ):
        seen = FarSide(trio.socket.from_stdlib_socket(ours.dup())).look()
        assert seen == Held(os.fstat(theirs.fileno()).st_ino, 0)


def test_one_that_is_not_connected_has_no_other_side() -> None:
    with socket.socket() as alone, pytest.raises(OSError, match="not connected"):
        FarSide(trio.socket.from_stdlib_socket(alone.dup()))
