"""A key-value service: {"op": "put", "key": ..., "value": ...}, or "get", pickled, to a REP socket; answers are JSON.

Weakness: it unpickles requests, as recv_pyobj() does: whoever can connect has it run any code.
Hardened: the same requests as JSON.
"""

from __future__ import annotations

import argparse
import json
import pickle
import signal
import sys
from typing import Any

import zmq


def answer(store: dict[str, Any], request: Any) -> Any:
    if not isinstance(request, dict) or not isinstance(request.get("key"), str):
        return {"error": "a mapping with op and key is wanted"}
    if request.get("op") == "put":
        if len(store) >= 1000 and request["key"] not in store:
            return {"error": "full"}
        store[request["key"]] = str(request.get("value"))[:1000]
    return {"value": store.get(request["key"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    read = json.loads if options.hardened else pickle.loads
    store: dict[str, Any] = {}
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.maxmsgsize = 1 << 20
        socket.bind(options.bind)
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if not socket.poll(500):  # not for ever: a signal just before the wait would wait too
                continue
            octets = b"".join(socket.recv_multipart()[:1])
            try:
                reply = answer(store, read(octets))
            except Exception as error:  # whatever a request can raise ends that request only
                reply = {"error": type(error).__name__}
            socket.send_string(json.dumps(reply))


if __name__ == "__main__":
    main()
