"""A publisher with default options: a tick every 50 ms."""

import argparse
import signal
import sys
import time

import zmq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.linger = 0
        socket.bind(options.bind)
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        number = 0
        while True:
            socket.send(b"tick %d" % number)
            number += 1
            time.sleep(0.05)


if __name__ == "__main__":
    main()
