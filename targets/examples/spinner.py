"""A relay: requests ["", to, body] are answered; what is for "later" is tried again until its receiver is there.

Weakness: what is left over is tried in a loop that does not wait, for ever: a processor is taken as soon as one message
has a receiver that never comes. Others are served all the while.
Hardened: what is left over is tried a few times, less and less often, and then dropped.
"""

from __future__ import annotations

import argparse
import signal
import sys

import zmq

TRIES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    left: list[tuple[int, list[bytes]]] = []
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.maxmsgsize = 1 << 20
        router.rcvhwm = 64
        router.router_mandatory = True
        router.sndtimeo = 0  # a receiver that does not read is one that is not there
        router.bind(options.bind)
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            wait = 500 if not left else 0 if not options.hardened else 20 << left[0][0]
            if router.poll(wait):
                left = [*left, (0, forwarded(router.recv_multipart()))][-16:]
            waiting, left = left, []
            for tried, message in waiting:
                try:
                    router.send_multipart(message)
                except zmq.ZMQError:
                    if not options.hardened or tried < TRIES:
                        left.append((tried + 1, message))


def forwarded(message: list[bytes]) -> list[bytes]:
    """To whom it is to go: back to its sender, or, with more than three frames, to the receiver that it names."""
    return message if len(message) <= 3 else [message[2], message[0], *message[3:]]


if __name__ == "__main__":
    main()
