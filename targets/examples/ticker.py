"""A ticker of numbered quotes: PUB, XPUB and PUSH send five thousand a second by themselves, ROUTER answers with one.

Weakness: what a reader that is behind has no room for is dropped, and nobody is told: PUB, XPUB and ROUTER drop it by
themselves at the high-water mark, and of a PUSH, which would hold back its program, the program throws it away.
With --aside it is put aside instead, and sent later: behind newer quotes. With --unnumbered quotes hold no number.
Hardened: XPUB_NODROP and ROUTER_MANDATORY say when a mark is reached; what is dropped is counted, and the count printed
(and written to --count FILE). PUSH waits. With --aside what was put aside goes first.
"""

from __future__ import annotations

import argparse
import collections
import signal
import sys
import time
from pathlib import Path

import zmq

BURST, PAUSE = 50, 0.01
TEXT = b" " + b"q" * 500
MOST = 100_000
"""Quotes that are put aside at most."""


class Ticker:
    """Makes quotes, and counts those that were dropped."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._hardened = options.hardened
        self._numbered = not options.unnumbered
        self._count = options.count
        self._made = 0
        self._dropped = 0
        self._told = 0.0

    def quote(self) -> bytes:
        """The next one."""
        self._made += 1
        number = b"%d" % self._made if self._numbered else b"%x" % (self._made * 0x9E3779B97F4A7C15 % (1 << 64))
        return number + TEXT

    def dropped(self) -> None:
        """One more is lost; say so, ten times a second at most."""
        self._dropped += 1
        if not self._hardened or time.monotonic() < self._told + 0.1:
            return
        self._told = time.monotonic()
        print(f"slow reader: {self._dropped} quotes dropped so far", file=sys.stderr, flush=True)
        if self._count:
            self._count.write_text(f"{self._dropped}\n")


def speak(sock: zmq.Socket[bytes], ticker: Ticker, hardened: bool) -> None:
    """Send quotes by itself."""
    shared = sock.type in (zmq.PUB, zmq.XPUB)
    while True:
        for _ in range(BURST):
            quote = ticker.quote()
            if sock.type == zmq.PUSH and hardened:
                while not sock.poll(500, zmq.POLLOUT):
                    pass  # not for ever: a signal just before the wait would wait too
            try:
                sock.send(quote, zmq.DONTWAIT)
            except zmq.Again:
                ticker.dropped()
                if shared:  # for this reader; the others get it
                    sock.xpub_nodrop = False
                    sock.send(quote, zmq.DONTWAIT)
                    sock.xpub_nodrop = True
        while sock.type == zmq.XPUB and sock.poll(0):
            sock.recv()  # subscriptions
        time.sleep(PAUSE)


def put_aside(sock: zmq.Socket[bytes], ticker: Ticker, hardened: bool) -> None:
    """Send quotes by itself, and later what could not be sent."""
    waiting: collections.deque[bytes] = collections.deque(maxlen=MOST)

    def sent(quote: bytes) -> bool:
        try:
            sock.send(quote, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    while True:
        for _ in range(BURST):
            quote = ticker.quote()
            if (hardened and waiting) or not sent(quote):
                waiting.append(quote)
        while waiting and sent(waiting[0]):
            waiting.popleft()
        while sock.type == zmq.XPUB and sock.poll(0):
            sock.recv()
        time.sleep(PAUSE)


def answer(sock: zmq.Socket[bytes], ticker: Ticker) -> None:
    """Send a quote to whoever asks."""
    while True:
        if not sock.poll(500):
            continue
        *envelope, _ = sock.recv_multipart()
        try:
            sock.send_multipart([*envelope, ticker.quote()], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            ticker.dropped()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--socket", default="PUB", choices=("PUB", "XPUB", "PUSH", "ROUTER"))
    parser.add_argument("--count", type=Path, metavar="FILE", help="write there how many were dropped")
    for name in ("--aside", "--unnumbered", "--hardened"):
        parser.add_argument(name, action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if options.count:
        options.count.write_text("0\n")
    ticker = Ticker(options)
    with zmq.Context() as context, context.socket(getattr(zmq, options.socket)) as sock:
        sock.linger = 0
        sock.maxmsgsize = 1 << 20
        if options.socket in ("PUB", "XPUB"):
            sock.xpub_nodrop = options.hardened or options.aside
        if options.socket == "ROUTER":
            sock.router_mandatory = options.hardened
        sock.bind(options.bind)
        print("listening on", sock.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        if options.socket == "ROUTER":
            answer(sock, ticker)
        (put_aside if options.aside else speak)(sock, ticker, options.hardened)


if __name__ == "__main__":
    main()
