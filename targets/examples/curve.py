"""An echo service behind CURVE (RFC 26) for those who have its key: ``curve.py [--zap allow|none|slow|dead]``.

Prints its public key. Weak: the keys are set after bind, too late for libzmq, so the port is open to everyone, in
clear. ``--hardened`` sets them before, and a ZAP handler (RFC 27) in a thread lets in the
client of ``--allow``, or all. ``--second ENDPOINT`` is bound, too: weak, as the first of the two, before the keys are
set, so that only the other one is locked.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time

import zmq
from zmq.utils import z85

DOMAIN = b"echo"


def gate(context: zmq.Context[zmq.Socket[bytes]], mode: str, allowed: bytes, ready: threading.Event) -> None:
    """Answer every request (RFC 27); ``slow`` after a second, ``dead`` never."""
    with context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.bind("inproc://zeromq.zap.01")
        ready.set()
        try:
            while mode == "dead":
                time.sleep(0.5)
            while True:
                version, number, _domain, _address, _identity, _mechanism, *credentials = socket.recv_multipart()
                if mode == "slow":
                    time.sleep(1.0)
                good = not allowed or credentials == [allowed]
                status = (b"200", b"OK") if good else (b"400", b"No")
                socket.send_multipart([version, number, *status, b"client" if good else b"", b""])
        except zmq.ContextTerminated:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--socket", choices=("REP", "ROUTER"), default="REP")
    parser.add_argument("--secret-key", default="", metavar="Z85", help="without one it makes a pair at each start")
    parser.add_argument("--allow", default="", metavar="Z85", help="the only client let in by the ZAP handler")
    parser.add_argument("--zap", choices=("allow", "none", "slow", "dead"), default="allow")
    parser.add_argument("--second", default="", metavar="ENDPOINT", help="another endpoint of the same socket")
    parser.add_argument("--hardened", action="store_true", help="set the keys before bind")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    secret = options.secret_key.encode() or zmq.curve_keypair()[1]
    context = zmq.Context()
    with context.socket(zmq.SocketType[options.socket]) as socket:
        socket.linger = 0
        if options.zap != "none":
            ready = threading.Event()
            allowed = z85.decode(options.allow) if options.allow else b""
            threading.Thread(target=gate, args=(context, options.zap, allowed, ready), daemon=True).start()
            ready.wait()
        first, last = (options.second, options.bind) if options.second else (options.bind, "")
        if not options.hardened:
            socket.bind(first)
        socket.curve_server, socket.curve_secretkey = True, secret
        socket.zap_domain = DOMAIN
        if options.hardened:
            socket.bind(first)
        if last:
            socket.bind(last)
        key = zmq.curve_public(secret).decode()
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), "key", key, file=sys.stderr, flush=True)
        while True:
            if socket.poll(500):  # not for ever: a signal just before the wait would wait too
                message = socket.recv_multipart()
                try:
                    socket.send_multipart(message, zmq.NOBLOCK)
                except zmq.ZMQError:  # the one who asked is gone
                    pass


if __name__ == "__main__":
    main()
