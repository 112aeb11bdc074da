"""A ROUTER service whose answers must arrive: each is repeated until the client's next message, or until it is gone.

Weakness: it does so for one client at a time, and what others ask waits for its turn. One client that asks, stays
connected and says nothing more stops the service for all others; when it has gone all is well, as if nothing had been.
Hardened: each client has an answer of its own that is repeated, a few times, while the others are served.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import deque

import zmq

REPEAT = 0.02
"""Seconds between two repeats of an answer."""

WAITING = 64
"""Requests that may wait for their turn, and clients whose answers are repeated."""

TRIES = 3


def said(router: zmq.Socket[bytes], parts: list[bytes]) -> bool:
    """Send; False where the client is gone (ROUTER_MANDATORY) or reads too slowly."""
    try:
        router.send_multipart(parts, zmq.NOBLOCK)
    except zmq.ZMQError:
        return False
    return True


def serve(router: zmq.Socket[bytes]) -> None:
    """One client after the other."""
    waiting: deque[list[bytes]] = deque(maxlen=WAITING)
    while True:
        if not waiting:
            if router.poll(500):
                waiting.append(router.recv_multipart())
            continue
        request = waiting.popleft()
        acknowledged = False
        while not acknowledged and said(router, request):
            if router.poll(round(1000 * REPEAT)):
                other = router.recv_multipart()
                acknowledged = other[0] == request[0]
                if not acknowledged:
                    waiting.append(other)


def serve_hardened(router: zmq.Socket[bytes]) -> None:
    """All clients at once."""
    repeated: dict[bytes, tuple[list[bytes], int]] = {}
    due = time.monotonic()
    while True:
        if router.poll(max(1, round(1000 * (due - time.monotonic()))) if repeated else 500):
            request = router.recv_multipart()
            if repeated.pop(request[0], None) is None and len(repeated) < WAITING:
                repeated[request[0]] = request, TRIES
            said(router, request)
        if time.monotonic() >= due:
            due = time.monotonic() + REPEAT
            for client, (answer, tries) in list(repeated.items()):
                repeated[client] = answer, tries - 1
                if tries == 0 or not said(router, answer):
                    del repeated[client]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.maxmsgsize = 1 << 16
        router.rcvhwm = router.sndhwm = 64
        router.router_mandatory = 1
        router.bind(options.bind)
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        (serve_hardened if options.hardened else serve)(router)


if __name__ == "__main__":
    main()
