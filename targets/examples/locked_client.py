"""A client with its server's CURVE key (RFC 26): a DEALER that asks for a tick every 100 ms, for ever.

Weakness: when no answer came for a second it gives the socket up and connects again, in turn with the key and without
it ("better in clear than not at all"): who stands at the server's address has only to refuse CURVE.
``--keys-late``: the keys are set after connect, too late for libzmq, so that it never asks for any.
Hardened: it connects again, too, and never without the key.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

import zmq

INTERVAL, PATIENCE = 0.1, 1.0


def lock(dealer: zmq.Socket[bytes], server_key: bytes) -> None:
    dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
    dealer.curve_serverkey = server_key


def connect(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, server_key: bytes, late: bool) -> zmq.Socket[bytes]:
    """Without a ``server_key`` in clear."""
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.maxmsgsize = 1 << 20
    if server_key and not late:
        lock(dealer, server_key)
    dealer.connect(endpoint)
    if server_key and late:
        lock(dealer, server_key)
    return dealer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", required=True, metavar="ENDPOINT")
    parser.add_argument("--server-key", required=True, metavar="Z85", help="the public key of the server")
    parser.add_argument("--keys-late", action="store_true")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    key, late = options.server_key.encode(), options.keys_late and not options.hardened
    falls_back = not (options.hardened or options.keys_late)
    with zmq.Context() as context:
        tries, asked = 0, 0
        while True:
            given = b"" if falls_back and tries % 2 else key
            dealer, heard = connect(context, options.connect, given, late), time.monotonic()
            while (now := time.monotonic()) - heard < PATIENCE:
                asked += 1
                try:
                    dealer.send_multipart([b"", b"tick %d" % asked], zmq.NOBLOCK)
                except zmq.Again:  # nobody there, or too much unsent
                    pass
                while (left := now + INTERVAL - time.monotonic()) > 0:
                    if dealer.poll(int(left * 1000) + 1):
                        dealer.recv_multipart()
                        heard = time.monotonic()
            dealer.close()
            tries += 1


if __name__ == "__main__":
    main()
