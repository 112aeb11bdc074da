"""An echo service with default options, as the first chapter of every tutorial has it."""

import argparse
import signal
import sys

import zmq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.bind(options.bind)
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if socket.poll(500):  # not for ever: a signal just before the wait would wait too
                socket.send_multipart(socket.recv_multipart())


if __name__ == "__main__":
    main()
