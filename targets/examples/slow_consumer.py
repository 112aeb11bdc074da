"""A PULL that needs a millisecond for each message, as for a row in a table, and says nothing.

Weakness: a receive high-water mark of 0, or (--queue) a queue of its own between the socket and the work, without a
bound: what comes faster is taken from the sender at once, and waits in memory.
Hardened: 64 messages wait for each sender, in the socket or in the queue; then the sender waits.
"""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import threading
import time

import zmq

WORK = 0.001
BOUND = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--queue", action="store_true", help="a thread of its own receives")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    waiting: queue.Queue[bytes] = queue.Queue(BOUND if options.hardened else 0)

    def work() -> None:
        while True:
            waiting.get()
            time.sleep(WORK)

    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.linger = 0
        pull.maxmsgsize = 1 << 20
        pull.rcvhwm = BOUND if options.hardened or options.queue else 0
        pull.bind(options.bind)
        print("listening on", pull.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        if options.queue:
            threading.Thread(target=work, daemon=True).start()
        while True:
            if not pull.poll(500):  # not for ever: a signal just before the wait would wait too
                continue
            if options.queue:
                waiting.put(pull.recv())
            else:
                pull.recv()
                time.sleep(WORK)


if __name__ == "__main__":
    main()
