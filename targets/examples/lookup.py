"""A lookup service: a REP that says what it knows of a name, and keeps the answers to give them again.

Weakness: the kept answers are never forgotten; whoever asks for names that do not exist makes one more with each.
Hardened: the 1,000 answers that were asked for last are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
from collections import OrderedDict

import zmq

MOST = 1000


class Answers:
    """The answers that were given, and how to work out another: all of them, or the last ``most``."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.kept: OrderedDict[str, bytes] = OrderedDict()

    def of(self, name: str) -> bytes:
        """What there is to say of ``name``."""
        if name not in self.kept:
            digest = hashlib.sha512(name.encode("utf-8", "replace")).hexdigest()
            self.kept[name] = json.dumps(
                {"name": name, "shards": [digest[at : at + 16] for at in range(0, 128, 16)]}
            ).encode()
        self.kept.move_to_end(name)
        if self.most is not None and len(self.kept) > self.most:
            self.kept.popitem(last=False)
        return self.kept[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    answers = Answers(MOST if options.hardened else None)
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.maxmsgsize = 64 * 1024
        rep.bind(options.bind)
        print("listening on", rep.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if not rep.poll(500):  # not for ever: a signal just before the wait would wait too
                continue
            body = rep.recv_multipart()[-1]
            try:
                asked = json.loads(body)
                name = asked.get("name") if isinstance(asked, dict) else None
                reply = answers.of(name) if isinstance(name, str) and len(name) < 256 else b'{"error": "no name"}'
            except (ValueError, RecursionError):
                reply = b'{"error": "not JSON"}'
            rep.send(reply)


if __name__ == "__main__":
    main()
