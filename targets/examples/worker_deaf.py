"""A REP service whose only worker is a thread: it greets whoever sends a name in UTF-8.

Weakness: alive and deaf. A body that is no UTF-8, an empty one, or one of two parts raises in the worker; the thread
ends, while the process lives on, accepts connections and shakes hands, and never answers anyone again.
Hardened: what one message can raise is caught for that message; its sender gets an error and the worker goes on.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

import zmq


def greeting(name: str) -> str:
    return "hello " + name.split()[0]


def work(rep: zmq.Socket[bytes], stop: threading.Event) -> None:
    while not stop.is_set():
        if rep.poll(100):
            name = rep.recv_string()
            rep.send_string(greeting(name))


def work_hardened(rep: zmq.Socket[bytes], stop: threading.Event) -> None:
    while not stop.is_set():
        if rep.poll(100):
            parts = rep.recv_multipart()
            try:
                (name,) = parts
                reply = greeting(name.decode())
            except (ValueError, IndexError):  # part count, UTF-8; nothing but blanks
                reply = "error: expected a name"
            rep.send_string(reply)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    stop, ended = threading.Event(), threading.Event()
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.maxmsgsize = 1 << 20
        rep.rcvhwm = 64
        rep.bind(options.bind)
        target = work_hardened if options.hardened else work
        worker = threading.Thread(target=target, args=(rep, stop), daemon=True)  # from here on the socket is its own
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        print("listening on", rep.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        worker.start()
        while not ended.wait(0.5):
            pass
        stop.set()
        worker.join()


if __name__ == "__main__":
    main()
