"""A print spooler: a ROUTER that writes each job to a spool file, checks it (JSON) and answers with its page count.

Weakness: a job that is no JSON, or has no pages, leaves by the exception and its spool file is never closed: one
descriptor for each malformed message, until none is left and the process ends.
Hardened: the spool file belongs to a ``with`` block, which closes it on every way out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile

import zmq


def pages(job: bytes) -> int:
    return len(json.loads(job)["pages"])


def spool(job: bytes) -> int:
    fd, path = tempfile.mkstemp(prefix="spool-")
    os.unlink(path)
    os.write(fd, job)
    count = pages(job)
    os.close(fd)
    return count


def spool_hardened(job: bytes) -> int:
    with tempfile.TemporaryFile(prefix="spool-") as file:
        file.write(job)
        return pages(job)


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
        while True:
            if not router.poll(500):  # not for ever: a signal just before the wait would wait too
                continue
            *envelope, job = router.recv_multipart()
            try:
                count = spool_hardened(job) if options.hardened else spool(job)
                reply = b"pages: %d" % count
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                reply = b"error: " + type(error).__name__.encode()
            router.send_multipart([*envelope[:2], reply])


if __name__ == "__main__":
    main()
