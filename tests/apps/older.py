"""A ROUTER behind a forwarder that looks at the version in the greeting: ``older.py ENDPOINT [--cut-older S]``.

``--cut-older``: a peer of ZMTP 1.0 or 2.0 is cut after so many seconds, as by a timer that nobody stops; ``--cut-all``:
every peer is.
"""

from __future__ import annotations

import argparse
import asyncio

import zmq.asyncio

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("endpoint")
parser.add_argument("--cut-older", type=float)
parser.add_argument("--cut-all", type=float)
options = parser.parse_args()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass octets on until there are no more."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def forward(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One peer: what it says first is looked at, and both directions are passed on."""
    inner, outer = await asyncio.open_connection("127.0.0.1", port)
    back = asyncio.create_task(pump(inner, writer))
    head = b""
    while len(head) < 11 and head[:1] in (b"", b"\xff") and (data := await reader.read(65536)):
        head += data
        outer.write(data)
    older = head[:1] != b"\xff" or head[10:11] < b"\3"
    after = options.cut_older if older and options.cut_older is not None else options.cut_all
    if after is not None:
        asyncio.get_running_loop().call_later(after, writer.close)
    await asyncio.gather(pump(reader, outer), back)


async def main() -> None:
    """Run until killed."""
    router = zmq.asyncio.Context().socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    host, _, public = options.endpoint.removeprefix("tcp://").rpartition(":")
    await asyncio.start_server(lambda reader, writer: forward(port, reader, writer), host, int(public))
    while True:
        await router.send_multipart(await router.recv_multipart())


asyncio.run(main())
