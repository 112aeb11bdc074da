"""A small task broker: a ROUTER that answers JSON requests such as {"op": "echo", "body": ...}.

Clients are REQ or DEALER; a malformed request gets an error reply. Its limits are set as the manual advises.
Weakness: a multipart message that never ends is held in memory without limit, which no socket option prevents.
Hardened: the ROUTER sits on an ipc endpoint in a directory of its own (0700) that serves ``guard.py`` alone, and the
guard runs in front of it on the public port; frames, messages, unread replies and connections are bounded there.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

MAX_FRAME = 64 * 1024
GUARD = Path(__file__).with_name("guard.py")
LIMITS = ["--max-frame", str(MAX_FRAME), "--max-message", str(4 * MAX_FRAME), "--max-connections", "128"]


def answer(body: bytes) -> bytes:
    try:
        request = json.loads(body)
        op, value = request["op"], request.get("body")
        if op == "echo":
            result = value
        elif op == "size":
            result = len(json.dumps(value))
        else:
            raise ValueError("unknown op")
        return json.dumps({"ok": True, "body": result}).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return json.dumps({"ok": False, "error": type(error).__name__}).encode()


def serve(router: zmq.Socket[bytes], healthy: Callable[[], bool]) -> None:
    lost = 0
    while healthy():
        if not router.poll(500):  # not for ever: a signal just before the wait would wait too
            continue
        client, *parts = router.recv_multipart()
        envelope = [client, b""] if len(parts) > 1 and not parts[0] else [client]
        body = parts[-1] if len(parts) == len(envelope) else b""
        try:
            router.send_multipart([*envelope, answer(body)], zmq.NOBLOCK)
        except zmq.ZMQError:  # ROUTER_MANDATORY: the client is gone, or does not read its replies
            lost += 1
            if lost & (lost - 1) == 0:  # the 1st, 2nd, 4th, 8th ...
                print(f"replies nobody took: {lost}", file=sys.stderr, flush=True)


@contextmanager
def guarded(router: zmq.Socket[bytes], bind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Bind ``router`` out of reach of all but a guard process, which has the public port; yields the guard."""
    host, _, port = bind.removeprefix("tcp://").rpartition(":")
    address = ("" if host == "*" else host, 0 if port == "*" else int(port))
    with (
        socket.create_server(address, backlog=256) as listener,
        tempfile.TemporaryDirectory(prefix="broker-") as private,
    ):
        inner = f"ipc://{private}/inner"
        fd = listener.fileno()
        command = [sys.executable, str(GUARD), "--listen-fd", str(fd), "--inner", inner, "--until-eof", *LIMITS]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[fd]) as guard:
            try:
                # Before bind, which copies the options. Newcomers that are faster wait in the listener's backlog.
                router.setsockopt(zmq.IPC_FILTER_PID, guard.pid)
                router.bind(inner)
                yield guard
            finally:
                guard.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.maxmsgsize = MAX_FRAME
        router.rcvhwm = 16  # back-pressure early: what waits here is at most 16 frames of 64 KiB for each client
        router.router_mandatory = True  # tells when a reply could not be queued
        if options.hardened:
            with guarded(router, options.bind) as guard:
                serve(router, lambda: guard.poll() is None)
            sys.exit("the guard has ended")
        router.bind(options.bind)
        print("listening on", router.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        serve(router, lambda: True)


if __name__ == "__main__":
    main()
