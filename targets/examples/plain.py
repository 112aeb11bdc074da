"""Every socket type with libzmq's default options, doing what comes naturally: ``plain.py SOCKET_TYPE``.

rep, router and pair echo; pull, sub and xsub read and forget; pub and xpub publish a tick every 50 ms; push hands out
work; req and dealer ask whoever connects. There is no hardened form: this is what the defaults give.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

import zmq

TYPES = ("dealer", "pair", "pub", "pull", "push", "rep", "req", "router", "sub", "xpub", "xsub")
ECHOES = {"pair", "rep", "router"}
SPEAKS = {  # what it says unasked, and how often
    "dealer": ([b"", b"task %d"], 0.05),
    "pub": ([b"tick %d"], 0.05),
    "push": ([b"work %d"], 0.01),
    "req": ([b"task %d"], 1.0),
    "xpub": ([b"tick %d"], 0.05),
}


def run(socket: zmq.Socket[bytes], kind: str) -> None:
    parts, interval = SPEAKS.get(kind, ([], 3600.0))
    said, due = 0, time.monotonic()
    while True:
        now = time.monotonic()
        if parts and now >= due:
            due = now + interval
            try:
                socket.send_multipart([part % said if b"%" in part else part for part in parts], zmq.NOBLOCK)
                said += 1
            except zmq.ZMQError:  # nobody there, or all of them full
                due = now + 0.05
        # Never for long: a signal just before the wait would wait too.
        if socket.poll(int(min(max(0.0, due - now), 0.5) * 1000) + 1):
            try:
                message = socket.recv_multipart(zmq.NOBLOCK)
                if kind in ECHOES:
                    socket.send_multipart(message, zmq.NOBLOCK)
                elif kind == "req":  # answered: the next question need not wait
                    due = now + 0.05
            except zmq.Again:  # the one who asked does not read
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("socket_type", choices=TYPES, type=str.lower)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    kind = options.socket_type
    with zmq.Context() as context, context.socket(getattr(zmq, kind.upper())) as socket:
        socket.linger = 0
        socket.ipv6 = "[" in options.bind
        if kind == "req":  # else one peer that leaves without an answer ends the conversation with everyone
            socket.req_relaxed = socket.req_correlate = True
        socket.bind(options.bind)
        if kind == "sub":
            socket.subscribe(b"")
        elif kind == "xsub":
            socket.send(b"\x01")
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        run(socket, kind)


if __name__ == "__main__":
    main()
