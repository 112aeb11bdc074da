"""A ROUTER service that is told to stop with SIGTERM: it closes its socket, and terminates its context.

Weakness: the socket has libzmq's default LINGER, which waits for ever, and so does the end of the program while
answers wait for a client that does not read, or is gone. With ``--drop`` it has a LINGER of 0 and ends at once, and
a client that is only slow never gets the answers to what was done for it. Hardened: it waits a second, and no longer.
"""

from __future__ import annotations

import argparse
import signal
import sys

import zmq

LINGER = 1000
"""Milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--drop", action="store_true", help="a LINGER of 0")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = LINGER if options.hardened else 0 if options.drop else -1
    router.maxmsgsize = 1 << 16
    router.bind(options.bind)
    print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
    while not stopped:
        if router.poll(50):
            router.send_multipart(router.recv_multipart())
    router.close()
    context.term()


if __name__ == "__main__":
    main()
