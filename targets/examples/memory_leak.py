"""A collector: a ROUTER that counts JSON events, acknowledges each, and keeps what it cannot read for a later look.

Weakness: the dead letters are kept in a list that nothing ever empties; every malformed message adds to it, and the
memory stays taken when its sender has long gone.
Hardened: the newest dead letters are kept, at most 256 KiB of them; the older ones are counted and dropped.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections import deque

import zmq


class DeadLetters:
    """Messages that could not be read: all of them, or the newest ``limit`` octets."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.letters: deque[bytes] = deque()
        self.octets = 0
        self.dropped = 0

    def add(self, letter: bytes) -> None:
        """Keep a letter, and forget the oldest ones where that is too much."""
        self.letters.append(letter)
        self.octets += cost(letter)
        while self.limit is not None and self.octets > self.limit:
            self.octets -= cost(self.letters.popleft())
            self.dropped += 1


def cost(letter: bytes) -> int:
    return len(letter) + 64  # the object around the octets: tiny letters are not free


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    dead = DeadLetters(256 * 1024 if options.hardened else None)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.maxmsgsize = 1 << 20
        router.rcvhwm = 64
        router.bind(options.bind)
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        events = 0
        while True:
            if not router.poll(500):  # not for ever: a signal just before the wait would wait too
                continue
            *envelope, body = router.recv_multipart()
            try:
                json.loads(body)
                events += 1
                reply = b"events: %d" % events
            except (ValueError, RecursionError):
                dead.add(body)
                reply = b"kept for a later look"
            router.send_multipart([*envelope[:2], reply])


if __name__ == "__main__":
    main()
