"""A relay in front of an echo service (a ROUTER that serves it alone): each client's octets are passed on and back.

Weakness: it keeps a list of its clients, from which nobody is taken. A client that has gone leaves its connection half
closed for ever, and one descriptor with it.
Hardened: whatever ends a connection, both of its sides are closed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress

import zmq
import zmq.asyncio

PIECE = 1 << 16


async def echo(router: zmq.asyncio.Socket) -> None:
    while True:
        await router.send_multipart(await router.recv_multipart())


async def passed_on(one: socket.socket, other: socket.socket) -> None:
    """Until one of the two has gone."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while octets := await loop.sock_recv(one, PIECE):
            await loop.sock_sendall(other, octets)


async def relayed(client: socket.socket, inner: str) -> None:
    with socket.socket(socket.AF_UNIX) as behind, suppress(OSError):
        behind.setblocking(False)
        await asyncio.get_running_loop().sock_connect(behind, inner)
        ways = [asyncio.create_task(passed_on(*pair)) for pair in ((client, behind), (behind, client))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)


async def accept(listener: socket.socket, inner: str, hardened: bool) -> None:
    clients: list[socket.socket] = []
    tasks: set[asyncio.Task[None]] = set()
    while True:
        client, _ = await asyncio.get_running_loop().sock_accept(listener)
        client.setblocking(False)
        clients.append(client)

        def over(task: asyncio.Task[None], client: socket.socket = client) -> None:
            tasks.discard(task)
            if hardened:
                clients.remove(client)
                client.close()

        task = asyncio.create_task(relayed(client, inner))
        tasks.add(task)
        task.add_done_callback(over)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    host, _, port = options.bind.removeprefix("tcp://").rpartition(":")
    with (
        tempfile.TemporaryDirectory(prefix="relay-") as private,
        zmq.asyncio.Context() as context,
        context.socket(zmq.ROUTER) as router,
        socket.create_server((host, 0 if port == "*" else int(port)), backlog=256) as listener,
    ):
        router.linger = 0
        router.maxmsgsize = 1 << 16
        router.rcvhwm = 16
        router.zap_domain = b"relay"  # no older versions
        router.heartbeat_ivl, router.heartbeat_timeout = 500, 1000  # ends second peers of one identity, too
        router.setsockopt(zmq.IPC_FILTER_PID, os.getpid())
        router.bind(f"ipc://{private}/inner")

        def end(*_: object) -> None:  # at once: a context that is in use by tasks may wait for them
            shutil.rmtree(private, ignore_errors=True)
            os._exit(0)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        listener.setblocking(False)
        address, number = listener.getsockname()[:2]
        print(f"listening on tcp://{address}:{number}", file=sys.stderr, flush=True)
        served = asyncio.create_task(accept(listener, f"{private}/inner", options.hardened))
        await asyncio.gather(served, echo(router))


if __name__ == "__main__":
    asyncio.run(main())
