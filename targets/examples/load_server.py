"""A REP service that answers each request with the load of the machine, read afresh from the kernel's file.

Weakness: opening the file is taken for granted. While idle peers hold all descriptors that the process may have (256
here, as a service manager would set it), one request ends it: OSError, too many open files.
Hardened: the file may not open; the request is answered with what was read last, and the next one is tried again.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys

import zmq

FILE = "/proc/loadavg"


def load(last: bytes) -> bytes:
    with open(FILE, "rb") as file:
        return b"load: " + file.read().split()[0]


def load_hardened(last: bytes) -> bytes:
    try:
        return load(last)
    except OSError:
        return last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.maxmsgsize = 1 << 20
        rep.rcvhwm = 64
        rep.bind(options.bind)
        print("listening on", rep.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        read, last = load_hardened if options.hardened else load, b"load: unknown"
        while True:
            if rep.poll(500):  # not for ever: a signal just before the wait would wait too
                rep.recv_multipart()
                last = read(last)
                rep.send(last)


if __name__ == "__main__":
    main()
