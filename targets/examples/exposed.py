"""A REP service for peers on the same machine, over tcp and perhaps an ipc socket.

Weakness: it binds to every address of the machine, so every network that the machine is in reaches it. With ``--ipc``
it also makes a socket that every user of the machine may connect to (its umask is 0), and with ``--late`` it opens the
second door only after a while. Hardened: it binds to the loopback address, and its ipc socket is for its own user only.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import zmq

LATE = 1.5
"""Seconds until the second door is opened with ``--late``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", default="*")
    parser.add_argument("--ipc", metavar="ENDPOINT", help="a second door, such as ipc:///tmp/x or ipc://@name")
    parser.add_argument("--late", action="store_true", help="first 127.0.0.1 only; every address after a while")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    os.umask(0o077 if options.hardened else 0)
    context = zmq.Context()
    server = context.socket(zmq.REP)
    server.linger = 0
    server.maxmsgsize = 1 << 16
    server.bind(f"tcp://{'127.0.0.1' if options.hardened or options.late else '*'}:{options.port}")
    if options.ipc:
        server.bind(options.ipc)
    print("listening on", server.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
    opens = time.monotonic() + LATE if options.late and not options.hardened else float("inf")
    while True:
        if server.poll(100):
            server.send_multipart(server.recv_multipart())
        if time.monotonic() > opens:
            server.bind("tcp://*:*")
            opens = float("inf")


if __name__ == "__main__":
    main()
