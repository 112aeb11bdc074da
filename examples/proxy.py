"""A zmq.proxy between two bound sockets, as it stands in the manual: every option at its default.

queue is ROUTER/DEALER (requests and replies), forwarder XSUB/XPUB (publications), streamer PULL/PUSH (work).
"""

from __future__ import annotations

import argparse
import signal
import sys

import zmq

FORMS = {
    "queue": (zmq.ROUTER, zmq.DEALER),
    "forwarder": (zmq.XSUB, zmq.XPUB),
    "streamer": (zmq.PULL, zmq.PUSH),
}


def main() -> None:
    """Bind both sides and carry messages until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--frontend", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--backend", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    front, back = FORMS[options.form]
    with zmq.Context() as context, context.socket(front) as frontend, context.socket(back) as backend:
        frontend.bind(options.frontend)
        backend.bind(options.backend)
        for name, sock in (("frontend", frontend), ("backend", backend)):
            print(name, sock.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        zmq.proxy(frontend, backend)


if __name__ == "__main__":
    main()
