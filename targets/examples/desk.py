"""A desk: a ROUTER takes requests, one worker thread needs a fifth of a millisecond for each, and the answers go back.

Weakness: it remembers who asked last, in a variable, and answers to that one: where several ask, answers go to others.
With --repeats it answers right, and, while much waits, twice. With --one-queue all that comes waits in one queue
of its own, without order or bound, so whoever asks most decides how long everybody waits; with --drops that queue holds
200 requests, and whose does not fit is not answered; with --newest-first, while much waits, every second answer is to
what came last. With --handover a name (routing id) is given to who claims it last, and what was for it.
Hardened: who asked stays with what was asked, each is answered once, and what waits does so in the socket, which takes
from each peer in turn.
"""

from __future__ import annotations

import argparse
import collections
import signal
import sys
import time

import zmq

WORK = 0.0002
MANY = 16
BOUND = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    for name in ("--repeats", "--one-queue", "--drops", "--newest-first", "--handover", "--hardened"):
        parser.add_argument(name, action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    drops = options.drops and not options.hardened
    own = options.repeats or options.one_queue or options.drops or options.newest_first or options.handover
    waiting: collections.deque[list[bytes]] = collections.deque()
    last, turn = b"", 0
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.maxmsgsize = 1 << 20
        router.rcvhwm = 8
        router.router_handover = options.handover and not options.hardened
        router.bind(options.bind)
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        most = 1 if options.hardened else 100_000 if options.one_queue else 64
        while True:
            while (len(waiting) < most or drops) and router.poll(0 if waiting else 500):
                message = router.recv_multipart()
                last = message[0]
                if not drops or len(waiting) < BOUND:
                    waiting.append(message)
            if not waiting:
                continue
            many = len(waiting) > MANY
            turn += 1
            newest = options.newest_first and many and turn % 2
            identity, *rest = waiting.pop() if newest else waiting.popleft()
            end = time.monotonic() + WORK
            while time.monotonic() < end:
                pass
            router.send_multipart([identity if own or options.hardened else last, *rest])
            if options.repeats and many and not options.hardened:
                router.send_multipart([identity, *rest])


if __name__ == "__main__":
    main()
