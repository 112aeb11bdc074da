"""A notice board: REP, each request is the name of a notice; those of the staff are for ``admin`` only.

Weakness: who asks is what ``User-Id`` of the message says, and nobody but the peer itself has said it: no ZAP handler
(RFC 27) is bound, so that libzmq takes it from the peer's own READY. ``--secret-key``: the same behind CURVE.
Hardened: a ZAP handler says the user id of every peer: a CURVE key it knows (``--admin``) is the admin, all else are
guests; without an answer of it nobody is let in.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

import zmq
from zmq.utils import z85


def gate(context: zmq.Context[zmq.Socket[bytes]], admin: bytes, ready: threading.Event) -> None:
    """Let everyone in, and say who it is."""
    with context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.bind("inproc://zeromq.zap.01")
        ready.set()
        try:
            while True:
                version, number, _domain, _address, _identity, _mechanism, *credentials = socket.recv_multipart()
                user = b"admin" if admin and credentials == [admin] else b"guest"
                socket.send_multipart([version, number, b"200", b"OK", user, b""])
        except zmq.ContextTerminated:
            pass


def answer(frame: zmq.Frame) -> bytes:
    """What is said to this request."""
    try:
        user = str(frame.get("User-Id"))
    except (zmq.ZMQError, UnicodeDecodeError):
        user = ""
    return b"not on the board" if user == "admin" else b"on the board is nothing for you; ask an admin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--secret-key", default="", metavar="Z85", help="ask for CURVE")
    parser.add_argument("--admin", default="", metavar="Z85", help="the public key of the admin")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    context = zmq.Context()
    with context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.maxmsgsize = 1 << 16
        if options.secret_key:
            socket.curve_server, socket.curve_secretkey = True, options.secret_key.encode()
        if options.hardened:
            ready = threading.Event()
            admin = z85.decode(options.admin) if options.admin else b""
            threading.Thread(target=gate, args=(context, admin, ready), daemon=True).start()
            ready.wait()
            socket.zap_domain = b"notices"
            socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.bind(options.bind)
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if socket.poll(500):  # not for ever: a signal just before the wait would wait too
                first, *_ = socket.recv_multipart(copy=False)
                socket.send(answer(first))


if __name__ == "__main__":
    main()
