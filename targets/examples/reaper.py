"""An echo service that promises to let go of dead peers in seconds, and only of those.

Weakness: no handshake timer, no heartbeat, no keepalive, so that whoever stalls, hangs or vanishes stays for ever.
Hardened: HANDSHAKE_IVL 1 s, HEARTBEAT_IVL 0.3 s with HEARTBEAT_TIMEOUT 0.6 s, TCP keepalive after 1 s twice a second
apart, and a ZAP_DOMAIN, with which libzmq refuses ZMTP 1.0 and 2.0, for which it has no timers. The other forms are the
hardened one without one of these; ``--set-late`` sets them all after bind, where they do nothing; ``--impatient`` has a
watchdog that takes half a second without a message for a fault, and opens the socket again.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import suppress

import zmq

GROUPS: dict[str, dict[int, int | bytes]] = {
    "handshake_ivl": {zmq.HANDSHAKE_IVL: 1000},
    "heartbeat": {zmq.HEARTBEAT_IVL: 300, zmq.HEARTBEAT_TIMEOUT: 600},
    "keepalive": {
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 1,
        zmq.TCP_KEEPALIVE_INTVL: 1,
        zmq.TCP_KEEPALIVE_CNT: 2,
    },
    "zap_domain": {zmq.ZAP_DOMAIN: b"reaper"},
}


def harden(socket: zmq.Socket[bytes], without: argparse.Namespace) -> None:
    for name, group in GROUPS.items():
        if not getattr(without, f"no_{name}"):
            for option, value in group.items():
                socket.setsockopt(option, value)


def opened(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, options: argparse.Namespace) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    socket.ipv6 = "[" in endpoint
    socket.handshake_ivl = 0
    hardened = any(value for name, value in vars(options).items() if name != "bind")
    if hardened and not options.set_late:
        harden(socket, options)
    while True:
        with suppress(zmq.ZMQError):  # the socket before it may not be closed yet
            socket.bind(endpoint)
            break
        time.sleep(0.005)
    if options.set_late:
        harden(socket, options)
    return socket


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    for name in GROUPS:
        parser.add_argument("--no-" + name.replace("_", "-"), action="store_true")
    parser.add_argument("--set-late", action="store_true")
    parser.add_argument("--impatient", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with zmq.Context() as context:
        socket = opened(context, options.bind, options)
        endpoint = socket.get_string(zmq.LAST_ENDPOINT)
        print("listening on", endpoint, file=sys.stderr, flush=True)
        try:
            while True:
                if socket.poll(500):  # not for ever: a signal just before the wait would wait too
                    socket.send_multipart(socket.recv_multipart())
                elif options.impatient:
                    socket.close()
                    socket = opened(context, endpoint, options)
        finally:
            socket.close()


if __name__ == "__main__":
    main()
