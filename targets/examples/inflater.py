"""A log collector: a REP that is sent lines compressed with zlib, and counts them.

Weakness: whatever a batch becomes is made in memory; 60 KiB from a stranger are 60 MiB, as often as it likes.
Hardened: a batch of more than 1 MiB is refused as soon as that is made.
"""

from __future__ import annotations

import argparse
import signal
import sys
import zlib

import zmq

LARGEST = 1 << 20


def lines(batch: bytes, most: int) -> int:
    """Lines in a batch that becomes ``most`` octets at most (0: any number). Raises ValueError, zlib.error."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(batch, most)
    if not unpacker.eof:
        raise ValueError("too large, or cut short")
    return text.count(b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.REP) as sock:
        sock.linger = 0
        sock.maxmsgsize = LARGEST
        sock.bind(options.bind)
        print("listening on", sock.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        total = 0
        while True:
            if not sock.poll(500):  # not for ever: a signal just before the wait would wait too
                continue
            batch, *_ = sock.recv_multipart()
            try:
                total += lines(batch, LARGEST if options.hardened else 0)
                sock.send(b"%d lines" % total)
            except (ValueError, zlib.error):
                sock.send(b"not a batch")


if __name__ == "__main__":
    main()
