"""A ROUTER that works on one request at a time, in a task of asyncio: it reads the next one when an answer is sent.

A request is a JSON object with ``number``; the answer holds its square.
Weakness: what is anything else raises in the task. That ends, with a few lines in the log, and nobody reads the socket
any more; the process lives, and libzmq shakes hands with everyone.
Hardened: what one message can raise is caught for that message, and its sender gets an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import NoReturn

import zmq
import zmq.asyncio


def squared(body: bytes) -> bytes:
    number = int(json.loads(body)["number"])
    return json.dumps({"square": number * number}).encode()


async def answer(front: zmq.asyncio.Socket, request: list[bytes], free: asyncio.Event, hardened: bool) -> None:
    try:
        body = squared(request[-1][:1000])
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        if not hardened:
            raise
        body = b'{"error": "expected an object with a number"}'
    await front.send_multipart([*request[:-1], body])
    free.set()


async def serve(bind: str, hardened: bool) -> NoReturn:
    front = zmq.asyncio.Context().socket(zmq.ROUTER)
    front.linger = 0
    front.maxmsgsize = 1 << 16
    front.rcvhwm = 64
    front.bind(bind)
    print("listening on", front.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
    free, tasks = asyncio.Event(), set[asyncio.Task[None]]()
    while True:
        request = await front.recv_multipart()
        free.clear()
        task = asyncio.create_task(answer(front, request, free, hardened))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        del task
        await free.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    asyncio.run(serve(options.bind, options.hardened))


if __name__ == "__main__":
    main()
