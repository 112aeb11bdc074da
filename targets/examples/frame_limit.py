"""A ROUTER echo service that promises never to accept a frame larger than ``--max-frame`` (64 KiB).

Weakness: MAXMSGSIZE is never set, so any size is accepted and echoed. Two subtler forms of the same defect:
``--off-by-one`` sets it one octet too high; ``--too-late`` sets it after bind, where libzmq has already copied the
options into the listener and the call does nothing. ``--too-low`` refuses what was promised: one octet less.
Hardened: MAXMSGSIZE is the promise, set before bind; libzmq disconnects whoever announces more.
"""

from __future__ import annotations

import argparse
import signal
import sys

import zmq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--max-frame", type=int, default=65536, metavar="OCTETS")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--hardened", action="store_true")
    form.add_argument("--off-by-one", action="store_true")
    form.add_argument("--too-late", action="store_true")
    form.add_argument("--too-low", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.rcvhwm = 16
        if options.hardened:
            router.maxmsgsize = options.max_frame
        elif options.off_by_one:
            router.maxmsgsize = options.max_frame + 1
        elif options.too_low:
            router.maxmsgsize = options.max_frame - 1
        router.bind(options.bind)
        if options.too_late:
            router.maxmsgsize = options.max_frame
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if router.poll(500):  # not for ever: a signal just before the wait would wait too
                router.send_multipart(router.recv_multipart())


if __name__ == "__main__":
    main()
