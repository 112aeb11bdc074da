"""An echo service that does CURVE (RFC 26) by itself, on plain sockets: ``own_curve.py [--hardened]``.

It prints its public key. Weak: it opens each box and forgets the rest: the nonce of a message may have been used
before, so that whoever has recorded a message can send it again (CVE-2014-7203 was this in libzmq 4.0), and the box of
HELLO is not looked at. ``--no-vouch``: it looks at both, and not at the vouch, so that anyone can call himself by
another's public key. Hardened: HELLO and the vouch must open, and a nonce must be higher than the last.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import struct
import sys
import threading

import zmq
from nacl.bindings import (
    crypto_box_afternm,
    crypto_box_beforenm,
    crypto_box_keypair,
    crypto_box_open_afternm,
    crypto_secretbox,
    crypto_secretbox_open,
)
from nacl.exceptions import CryptoError
from zmq.utils import z85

LARGEST = 1 << 16
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\x01" + bytes(31)


class Refused(Exception):
    """The peer does something else than CURVE."""


class Connection:
    """One peer, from greeting to end; each of its messages is sent back."""

    def __init__(self, sock: socket.socket, public: bytes, secret: bytes, options: argparse.Namespace) -> None:
        self.sock, self.public, self.secret = sock, public, secret
        self.careful = options.hardened or options.no_vouch
        self.vouches = options.hardened or not options.no_vouch
        self.received = self.sent = 0

    def read(self, size: int) -> bytes:
        """So many octets."""
        octets = b""
        while len(octets) < size:
            chunk = self.sock.recv(size - len(octets))
            if not chunk:
                raise Refused
            octets += chunk
        return octets

    def frame(self) -> bytes:
        """RFC 23: flags, a length of one or eight octets, the body."""
        flags = self.read(1)[0]
        (size,) = struct.unpack(">Q", self.read(8)) if flags & 2 else self.read(1)
        if size > LARGEST:
            raise Refused
        return self.read(size)

    def command(self, name: bytes, least: int) -> bytes:
        """What follows the name of the command that is due."""
        body = self.frame()
        if not body.startswith(name) or len(body) < len(name) + least:
            raise Refused
        return body[len(name) :]

    def send(self, body: bytes, *, command: bool) -> None:
        """One frame."""
        size = struct.pack(">BQ", 2 | command << 2, len(body)) if len(body) > 255 else bytes([command << 2, len(body)])
        self.sock.sendall(size + body)

    def nonce(self, octets: bytes) -> bytes:
        """A short nonce of the peer's, which must be higher than the last."""
        number = int.from_bytes(octets, "big")
        if self.careful and number <= self.received:
            raise Refused
        self.received = number
        return octets

    def next_nonce(self) -> bytes:
        """A short nonce of our own."""
        self.sent += 1
        return self.sent.to_bytes(8, "big")

    def shake(self) -> bytes:
        """The handshake; the key of the session."""
        self.sock.sendall(GREETING)
        greeting = self.read(64)
        if greeting[10] < 3 or greeting[12:32] != GREETING[12:32]:
            raise Refused
        hello = self.command(b"\x05HELLO", 194)
        client, nonce, box = hello[74:106], self.nonce(hello[106:114]), hello[114:194]
        if self.careful:
            crypto_box_open_afternm(box, b"CurveZMQHELLO---" + nonce, crypto_box_beforenm(client, self.secret))
        public, secret = crypto_box_keypair()
        key, kept, wide = os.urandom(32), os.urandom(16), os.urandom(16)
        cookie = kept + crypto_secretbox(client + secret, b"COOKIE--" + kept, key)
        shared = crypto_box_beforenm(client, self.secret)
        self.send(b"\x07WELCOME" + wide + crypto_box_afternm(public + cookie, b"WELCOME-" + wide, shared), command=True)
        initiate = self.command(b"\x08INITIATE", 248)
        cookie, nonce, box = initiate[:96], self.nonce(initiate[96:104]), initiate[104:]
        if crypto_secretbox_open(cookie[16:], b"COOKIE--" + cookie[:16], key) != client + secret:
            raise Refused
        session = crypto_box_beforenm(client, secret)
        opened = crypto_box_open_afternm(box, b"CurveZMQINITIATE" + nonce, session)
        if self.vouches:
            vouch, their = opened[32:128], crypto_box_beforenm(opened[:32], secret)
            if crypto_box_open_afternm(vouch[16:], b"VOUCH---" + vouch[:16], their) != client + self.public:
                raise Refused
        number = self.next_nonce()
        metadata = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"ROUTER"
        self.send(
            b"\x05READY" + number + crypto_box_afternm(metadata, b"CurveZMQREADY---" + number, session), command=True
        )
        return session

    def serve(self) -> None:
        """Send back each message, until the peer is gone or does something else."""
        with self.sock:
            self.sock.settimeout(30)
            try:
                session = self.shake()
                while True:
                    body = self.command(b"\x07MESSAGE", 25)
                    nonce = self.nonce(body[:8])
                    message = crypto_box_open_afternm(body[8:], b"CurveZMQMESSAGEC" + nonce, session)
                    if not message[0] & 2:
                        number = self.next_nonce()
                        box = crypto_box_afternm(message, b"CurveZMQMESSAGES" + number, session)
                        self.send(b"\x07MESSAGE" + number + box, command=False)
            except (OSError, Refused, CryptoError):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--secret-key", default="", metavar="Z85", help="without one it makes a pair at each start")
    parser.add_argument("--no-vouch", action="store_true", help="who a client says it is, it is")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    key = options.secret_key.encode() or zmq.curve_keypair()[1]
    public = zmq.curve_public(key)
    with socket.create_server(("127.0.0.1", options.port), backlog=128) as listener:
        print("listening on", listener.getsockname()[1], "key", public.decode(), file=sys.stderr, flush=True)
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, z85.decode(public), z85.decode(key), options)
            threading.Thread(target=connection.serve, daemon=True).start()


if __name__ == "__main__":
    main()
