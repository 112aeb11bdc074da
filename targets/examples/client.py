"""A client: a DEALER that connects and asks a server (REP or ROUTER) for a tick every 100 ms, for ever.

Weakness: one socket for ever. After a protocol error libzmq gives a connected endpoint up silently and never tries
again (libzmq #4196), so one bad answer from the address it trusts leaves it deaf until it is restarted.
Hardened: a lazy pirate. When no reply came for a second the socket is closed and a new one connects.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

import zmq

INTERVAL, PATIENCE = 0.1, 1.0


def connect(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.maxmsgsize = 1 << 20
    dealer.connect(endpoint)
    return dealer


def ask(dealer: zmq.Socket[bytes], number: int) -> bool:
    """Send one request; whether its reply came before the next one is due."""
    deadline = time.monotonic() + INTERVAL
    try:
        dealer.send_multipart([b"", b"tick %d" % number], zmq.NOBLOCK)
    except zmq.Again:  # nobody there, or too much unsent
        pass
    answered = False
    while (left := deadline - time.monotonic()) > 0:
        if dealer.poll(int(left * 1000) + 1):
            answered = dealer.recv_multipart()[:1] == [b""] or answered
    return answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", required=True, metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context:
        dealer, served, asked = connect(context, options.connect), False, 0
        heard = time.monotonic()
        while True:
            asked += 1
            answered, now = ask(dealer, asked), time.monotonic()
            heard = now if answered else heard
            if answered != served and (answered or now - heard > PATIENCE):
                served = answered
                print("served by" if served else "no answer from", options.connect, file=sys.stderr, flush=True)
            if options.hardened and now - heard > PATIENCE:
                dealer.close()
                dealer, heard = connect(context, options.connect), now


if __name__ == "__main__":
    main()
