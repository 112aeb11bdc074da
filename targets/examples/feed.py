"""A feed of quotes of 1 KiB: PUB, XPUB, PUSH and DEALER send thousands a second by themselves, ROUTER and REP answer.

Weakness: a high-water mark of 0, which is no mark at all. What one reader does not read is kept for it in memory, and
grows with every quote for as long as its connection is there.
Hardened: libzmq's usual mark of 1000 messages for each reader. What does not fit is dropped for that reader only, or
(PUSH, DEALER) is not sent: its production waits.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time

import zmq

QUOTE = b"q" * 1024
BURST, PAUSE = 100, 0.01


def speak(sock: zmq.Socket[bytes]) -> None:
    """Send quotes by itself; where no reader takes any more, wait."""
    while True:
        for _ in range(BURST):
            with contextlib.suppress(zmq.Again):
                sock.send(QUOTE)
        if isinstance(sock, zmq.Socket) and sock.type == zmq.XPUB:
            while sock.poll(0):
                sock.recv()  # subscriptions
        time.sleep(PAUSE)


def answer(sock: zmq.Socket[bytes]) -> None:
    """Send a quote to whoever asks."""
    while True:
        if not sock.poll(500):  # not for ever: a signal just before the wait would wait too
            continue
        *envelope, _ = sock.recv_multipart()
        sock.send_multipart([*envelope, QUOTE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--socket", default="PUB", choices=("PUB", "XPUB", "PUSH", "DEALER", "ROUTER", "REP"))
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(getattr(zmq, options.socket)) as sock:
        sock.linger = 0
        sock.sndtimeo = 100
        sock.maxmsgsize = 1 << 20
        sock.rcvhwm = 64
        sock.sndhwm = 1000 if options.hardened else 0
        sock.bind(options.bind)
        print("listening on", sock.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        (answer if options.socket in ("ROUTER", "REP") else speak)(sock)


if __name__ == "__main__":
    main()
