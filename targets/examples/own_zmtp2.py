"""A REP that echoes, in ZMTP 2.0 (RFC 15) on plain sockets: another implementation, and one that knows no ZMTP 3.

    python own_zmtp2.py [--bind tcp://127.0.0.1:5555] [--hardened]

Weak: a request without an empty frame in front ends the program. With --hardened such a request is dropped, and a
message of more than 64 KiB ends its connection.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading

GREETING = b"\xff" + bytes(8) + b"\x7f\x01\x04" + b"\0\0"
"""Signature, revision 1 (ZMTP 2.0), socket type REP, and an identity of no octets as the first frame."""

MORE, LONG = 1, 2
LARGEST = 64 * 1024
NO_LIMIT = 1 << 40


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many octets. Raises ConnectionError: there are no more."""
    parts = []
    while size:
        part = connection.recv(min(size, 65536))
        if not part:
            raise ConnectionError("closed")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def message(connection: socket.socket, limit: int) -> list[bytes]:
    """The frames of one message. Raises ConnectionError."""
    frames: list[bytes] = []
    while True:
        (flags,) = exactly(connection, 1)
        size = int.from_bytes(exactly(connection, 8 if flags & LONG else 1), "big")
        limit -= size + 1
        if limit < 0:
            raise ConnectionError("too large")
        frames.append(exactly(connection, size))
        if not flags & MORE:
            return frames


def serve(connection: socket.socket, *, hardened: bool) -> None:
    """Answer one peer until it leaves."""
    try:
        with connection:
            connection.sendall(GREETING)
            if exactly(connection, 12)[:1] != b"\xff":
                return
            message(connection, LARGEST)  # its identity
            while True:
                frames = message(connection, LARGEST if hardened else NO_LIMIT)
                if b"" not in frames and not hardened:
                    print(f"no delimiter in {len(frames)} frames", file=sys.stderr, flush=True)
                    os._exit(3)
                if b"" in frames and len(frames) < 100:
                    body = frames[-1][:100]
                    connection.sendall(bytes((MORE, 0, 0, len(body))) + body)
    except OSError:
        return


def main() -> None:
    """Listen for ever."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="tcp://127.0.0.1:5555")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    host, _, port = options.bind.removeprefix("tcp://").rpartition(":")
    listener = socket.create_server((host, 0 if port == "*" else int(port)), backlog=1000)
    print("listening at tcp://{}:{}".format(*listener.getsockname()), file=sys.stderr, flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection,), kwargs={"hardened": options.hardened}, daemon=True).start()


if __name__ == "__main__":
    main()
