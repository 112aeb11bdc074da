"""A ROUTER in front of four worker threads (``zmq.proxy``): each doubles the number it is sent.

Weakness: what is no number raises in the worker that gets it, and ends that thread; the others go on, until a fourth
such message has ended the last of them.
Hardened: what one message can raise is caught for that message, and its sender gets an error.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import NoReturn

import zmq

WORKERS = 4


def doubled(parts: list[bytes]) -> bytes:
    (body,) = parts
    return b"%d" % (2 * int(body[:100]))


def work(context: zmq.Context[zmq.Socket[bytes]], hardened: bool) -> NoReturn:
    rep = context.socket(zmq.REP)
    rep.linger = 0
    rep.connect("inproc://work")
    while True:
        parts = rep.recv_multipart()
        try:
            reply = doubled(parts)
        except ValueError:
            if not hardened:
                raise
            reply = b"error: expected a number"
        rep.send(reply)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    context = zmq.Context()
    front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    front.linger = 0
    front.maxmsgsize = 1 << 16
    front.rcvhwm = 64
    front.bind(options.bind)
    back.bind("inproc://work")
    for _ in range(WORKERS):
        threading.Thread(target=work, args=(context, options.hardened), daemon=True).start()
    print("listening on", front.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
    zmq.proxy(front, back)


if __name__ == "__main__":
    main()
