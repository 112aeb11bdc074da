"""A form of 64 octets: REP, a request is written into it from the left, and the form is sent back.

Weakness: it is one form for all, and is not cleared, so behind a short request stands the rest of what somebody else
has written before. Hardened: only what this request has written is sent back.
"""

from __future__ import annotations

import argparse
import signal
import sys

import zmq

SIZE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    form = bytearray(b" " * SIZE)
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.maxmsgsize = 1 << 16
        socket.bind(options.bind)
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if socket.poll(500):  # not for ever: a signal just before the wait would wait too
                written = socket.recv_multipart()[-1][:SIZE]
                form[: len(written)] = written
                socket.send(bytes(form[: len(written)] if options.hardened else form))


if __name__ == "__main__":
    main()
