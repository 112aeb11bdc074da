"""A ROUTER service that turns text to upper case, for REQ clients (and DEALER clients that send the delimiter).

Weakness: the loop unpacks exactly three frames; an envelope with fewer or more raises, and the process ends with a
traceback. One peer takes the service from everyone.
Hardened: the frames are counted first; a malformed envelope is answered with an error, and the loop goes on.
"""

from __future__ import annotations

import argparse
import signal
import sys

import zmq


def answer(router: zmq.Socket[bytes]) -> None:
    identity, delimiter, body = router.recv_multipart()
    router.send_multipart([identity, delimiter, body.upper()])


def answer_hardened(router: zmq.Socket[bytes]) -> None:
    frames = router.recv_multipart()
    if len(frames) == 3 and not frames[1]:
        router.send_multipart([frames[0], b"", frames[2].upper()])
    else:
        router.send_multipart([frames[0], b"", b"error: expected an empty delimiter and one body"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.maxmsgsize = 1 << 20
        router.rcvhwm = 64
        router.bind(options.bind)
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        answer_one = answer_hardened if options.hardened else answer
        while True:
            if router.poll(500):  # not for ever: a signal just before the wait would wait too
                answer_one(router)


if __name__ == "__main__":
    main()
