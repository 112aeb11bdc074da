"""A message guard: a TCP relay in front of a libzmq socket that ends a connection before its message grows too big.

libzmq keeps every frame of an unfinished multipart message in memory: MAXMSGSIZE limits one frame and the high-water
marks count finished messages, so a message that never ends has no limit. The guard reads the ZMTP 3.x headers on the
way in, closes the connection (RST) at the header that breaks a limit, and passes everything else on unchanged. A peer
that does not read its replies is not read from either, so replies cannot pile up behind it.
CURVE hides the MORE flag inside its boxes, so only NULL and PLAIN can be guarded; anything else is refused.

    python guard.py --bind tcp://0.0.0.0:5555 --inner ipc:///run/broker/inner.sock
"""

from __future__ import annotations

import argparse
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
CHUNK, TICK, GREETING = 1 << 16, 0.25, 64
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST and frees the kernel's buffers at once
MECHANISMS = {name.ljust(20, b"\0") for name in (b"NULL", b"PLAIN")}
MORE, LONG, COMMAND = 1, 2, 4
TCP, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET
OPTIONS = [(TCP, socket.TCP_NODELAY, 1), (SOL, socket.SO_SNDBUF, 1 << 17)]  # the kernel may hold twice as many octets
# A peer that vanished is noticed within two minutes.
OPTIONS += [(SOL, socket.SO_KEEPALIVE, 1), (TCP, socket.TCP_KEEPIDLE, 30), (TCP, socket.TCP_KEEPINTVL, 10)]
FLAGS = {0, MORE, LONG, MORE | LONG, COMMAND, COMMAND | LONG}  # RFC 37: a command has no MORE
LAST_COMMANDS = (b"\x05READY", b"\x08INITIATE")  # what a NULL, a PLAIN client ends its handshake with


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may do. Memory held is about ``max_connections * max_message``, so choose them together."""

    max_frame: int = 1 << 20
    max_message: int = 4 << 20  # all frames of one message
    max_frames: int = 1024  # libzmq spends 64 octets and more on an empty frame
    max_handshake: int = 4096  # commands after the greeting, READY included (an identity is copied per message)
    max_connections: int = 256
    handshake_time: float = 3.0
    message_time: float = 30.0  # from a message's first octet to its last
    stall_time: float = 30.0  # a peer that takes no octet of its replies for so long
    drain_time: float = 0.5  # silence after which a half-closed peer has had its replies (ten times that at most)


class Inspector:
    """Follows the octets of one peer; says which may pass, and why the rest may not (``refusal``)."""

    def __init__(self, limits: Limits) -> None:
        self.refusal, self.ready, self.finished = "", False, 0
        self._limits = limits
        self._held = b""  # greeting and handshake; immutable, as views of it are given away
        self._passed = 0  # octets of _held that were let through
        self._head = bytearray()  # a frame header cut by the end of a chunk
        self._body = 0  # octets still to come of the current frame
        self._open = False  # a frame with MORE was the last one that counts
        self._octets = self._frames = 0  # of the current message

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._open or self._body > 0 or bool(self._head)

    def admit(self, data: memoryview) -> memoryview:
        """The octets that may pass now; sets ``refusal`` where something may not."""
        return data[: self._frames_in(data)] if self.ready else self._handshake(data)

    def _handshake(self, data: memoryview) -> memoryview:
        held, start = self._held + data, self._passed
        self._held = held
        if held[0] != 0xFF or (len(held) > 9 and not held[9] & 1) or (len(held) > 10 and held[10] != 3):
            self.refusal = "not ZMTP 3"
        elif len(held) >= GREETING and held[12:32] not in MECHANISMS:
            self.refusal = "mechanism is not NULL or PLAIN"
        if self.refusal:
            return data[:0]
        # libzmq sends its greeting in three steps, each answering the peer's: what came passes. Commands pass whole.
        end = max(start, min(len(held), GREETING))
        while not self.ready and len(held) >= end + 2 and end >= GREETING:
            flags, body = held[end], end + _width(held[end])
            if len(held) < body:
                break
            size = int.from_bytes(held[end + 1 : body], "big")
            if flags not in FLAGS or not flags & COMMAND:
                self.refusal = "no command in the handshake"
            elif body + size > GREETING + self._limits.max_handshake:
                self.refusal = "handshake too long"
            if self.refusal or len(held) < body + size:
                break
            self.ready = held.startswith(LAST_COMMANDS, body, body + size)
            end = body + size
        self._passed = end
        if self.ready:
            end += self._frames_in(memoryview(held)[end:])
            self._held = b""
        return memoryview(held)[start:end]

    def _frames_in(self, data: memoryview) -> int:
        """How many octets may pass: all of them, or those before the header that breaks a limit."""
        at, end, head = 0, len(data), self._head
        while at < end:
            if self._body:
                step = min(self._body, end - at)
                self._body, at = self._body - step, at + step
                continue
            start = at
            if head or end - at < 9:  # a header that the end of a chunk may cut
                head.append(data[at])
                at += 1
                if len(head) < _width(head[0]):
                    continue
                flags, size = head[0], int.from_bytes(head[1:], "big")
                head.clear()
            else:
                flags = data[at]
                at += _width(flags)
                size = int.from_bytes(data[start + 1 : at], "big")
            if not self._count(flags, size):
                return start
        return at

    def _count(self, flags: int, size: int) -> bool:
        limits, self._body = self._limits, size
        self._octets, self._frames = self._octets + size, self._frames + 1
        if flags not in FLAGS:
            self.refusal = f"flags {flags:#04x}"
        elif size > limits.max_frame:
            self.refusal = f"frame of {size} octets"
        elif self._octets > limits.max_message:
            self.refusal = f"message of {self._octets} octets or more"
        elif self._frames > limits.max_frames:
            self.refusal = f"message of {self._frames} frames or more"
        elif not flags & COMMAND:
            self._open = bool(flags & MORE)
        # A command between two parts counts with them: were it an end, PING would be a way round every limit.
        if not self._open:
            self._octets = self._frames = 0
            self.finished += 1
        return not self.refusal


@dataclass(eq=False, slots=True)
class Link:
    """One peer and its connection to the inner socket; at most one chunk waits in each direction."""

    client: socket.socket
    inner: socket.socket
    inspector: Inspector
    born: float
    to_inner: memoryview = field(default_factory=lambda: memoryview(b""))
    to_client: memoryview = field(default_factory=lambda: memoryview(b""))
    message_since: float = 0.0  # when the unfinished message began (or reading went on after a pause)
    written: float = 0.0  # when the client last took an octet
    half_closed: float = 0.0  # when the client's FIN came


class Guard:
    """Relays every connection of ``listener`` to ``inner``, within ``limits``; one thread, bounded buffers."""

    def __init__(self, listener: socket.socket, inner: str, limits: Limits) -> None:
        self._listener, self._inner, self._limits = listener, inner.removeprefix("ipc://"), limits
        spare = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 32
        self._room = max(1, min(limits.max_connections, spare // 2))  # two descriptors for each connection
        self._links: set[Link] = set()
        self._selector = selectors.DefaultSelector()
        self._buffer = memoryview(bytearray(CHUNK))
        self._accept_again, self._faults = 0.0, 0
        listener.setblocking(False)

    def run(self, until_eof: int | None = None) -> None:
        """Relay for ever, or until the descriptor ``until_eof`` has no writer any more."""
        self._selector.register(self._listener, READ)
        if until_eof is not None:
            self._selector.register(until_eof, READ)
        tick = 0.0
        try:
            while True:
                # At rest too a tick is the longest wait: a signal that comes just before would wait with us.
                for key, events in self._selector.select(max(0.0, tick - time.monotonic())):
                    if isinstance(key.data, Link):
                        self._serve(key.data, key.fileobj is key.data.client, events)
                    elif key.fileobj is self._listener:
                        self._accept()
                    elif not os.read(key.fd, 1):
                        return
                if (now := time.monotonic()) >= tick:
                    tick = now + TICK
                    self._expire(now)
        finally:
            for link in list(self._links):
                self._close(link)
            self._selector.close()

    def _accept(self) -> None:
        try:
            with ExitStack() as opened:
                inner = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
                inner.connect(self._inner)  # first: nobody is accepted whom nobody can serve
                client = opened.enter_context(self._listener.accept()[0])
                client.setblocking(False)
                for option in OPTIONS:
                    client.setsockopt(*option)
                opened.pop_all()
        except OSError:  # the inner socket is busy or gone, no descriptors are left, or the newcomer has left
            return self._pause_accepting()
        self._links.add(link := Link(client, inner, Inspector(self._limits), time.monotonic()))
        self._serve(link, True, 0)
        if len(self._links) >= self._room:
            self._pause_accepting()

    def _pause_accepting(self) -> None:
        """Leave newcomers in the kernel's backlog until the next tick: a listener that stays readable would spin."""
        self._selector.unregister(self._listener)
        self._accept_again = time.monotonic() + TICK

    def _serve(self, link: Link, client_side: bool, events: int) -> None:
        """Move what can move; whatever goes wrong with a connection ends that connection and nothing else."""
        if link not in self._links:  # closed earlier in the same round
            return
        try:
            with suppress(BlockingIOError):
                if events & WRITE:
                    self._flush(link)
                    link.message_since = time.monotonic()  # the time we made it wait is not the peer's fault
                if events & READ:
                    self._take(link) if client_side else self._reply(link)
            if link in self._links:
                self._watch(link)
        except OSError:
            self._close(link, reset=True)
        except Exception:  # a fault of ours; the 1st, 2nd, 4th, 8th ... is logged: a peer cannot flood the log
            self._close(link, reset=True)
            self._faults += 1
            if self._faults & (self._faults - 1) == 0:
                with suppress(OSError):  # nobody reads our log
                    print(f"fault {self._faults}, one connection closed: {traceback.format_exc()}", file=sys.stderr)

    def _take(self, link: Link) -> None:
        size = link.client.recv_into(self._buffer)
        now, inspector = time.monotonic(), link.inspector
        if not size:  # half-closed: replies to what it asked may still be on their way
            link.half_closed = link.written = now
            return self._close(link) if inspector.unfinished or not inspector.ready else None
        finished, idle = inspector.finished, not inspector.unfinished
        link.to_inner = inspector.admit(self._buffer[:size])
        if idle or inspector.finished != finished:
            link.message_since = now
        self._flush(link)
        if inspector.refusal:
            self._close(link, reset=True)

    def _reply(self, link: Link) -> None:
        size = link.inner.recv_into(self._buffer)
        if not size:
            return self._close(link)
        link.to_client, link.written = self._buffer[:size], time.monotonic()
        self._flush(link)

    def _flush(self, link: Link) -> None:
        """Write what waits; what the other side does not take is copied out of the shared buffer."""
        link.to_inner = _send(link.inner, link.to_inner)
        waiting = len(link.to_client)
        link.to_client = _send(link.client, link.to_client)
        if len(link.to_client) < waiting:
            link.written = time.monotonic()

    def _watch(self, link: Link) -> None:
        """Read a side only when nothing waits for the other one, nor for the client."""
        waiting = bool(link.to_inner or link.to_client or link.half_closed)
        self._interest(link, link.client, (0 if waiting else READ) | (WRITE if link.to_client else 0))
        self._interest(link, link.inner, (0 if link.to_client else READ) | (WRITE if link.to_inner else 0))

    def _interest(self, link: Link, side: socket.socket, events: int) -> None:
        key = self._selector.get_map().get(side)
        if key is None and events:
            self._selector.register(side, events, link)
        elif key is not None and not events:
            self._selector.unregister(side)
        elif key is not None and key.events != events:
            self._selector.modify(side, events, link)

    def _expire(self, now: float) -> None:
        limits = self._limits
        for link in list(self._links):
            if link.half_closed:
                late = now - link.written > limits.drain_time or now - link.half_closed > 10 * limits.drain_time
            elif link.to_client:
                late = now - link.written > limits.stall_time
            elif link.inspector.ready:
                in_message = link.inspector.unfinished and not link.to_inner
                late = in_message and now - link.message_since > limits.message_time
            else:
                late = now - link.born > limits.handshake_time
            if late:
                self._close(link, reset=not link.half_closed)
        if self._accept_again and now >= self._accept_again and len(self._links) < self._room:
            self._accept_again = 0.0
            self._selector.register(self._listener, READ)

    def _close(self, link: Link, *, reset: bool = False) -> None:
        self._links.discard(link)
        for side in (link.client, link.inner):
            self._interest(link, side, 0)
            with side, suppress(OSError):
                if reset and side is link.client:
                    side.setsockopt(SOL, socket.SO_LINGER, RESET)


def _width(flags: int) -> int:
    return 9 if flags & LONG else 2  # flags and size


def _send(side: socket.socket, data: memoryview) -> memoryview:
    try:
        return memoryview(bytes(data[side.send(data) :])) if data else data
    except BlockingIOError:
        return memoryview(bytes(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT", help="the public side")
    parser.add_argument("--listen-fd", type=int, metavar="FD", help="an inherited listening socket instead of --bind")
    parser.add_argument("--inner", required=True, metavar="ENDPOINT", help="ipc://path")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does, as a child should")
    for item in fields(Limits):
        parser.add_argument("--" + item.name.replace("_", "-"), type=type(item.default), default=item.default)
    options = vars(parser.parse_args())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    host, _, port = options["bind"].removeprefix("tcp://").rpartition(":")
    address, fd = ("" if host == "*" else host, 0 if port == "*" else int(port)), options["listen_fd"]
    with socket.create_server(address, backlog=256) if fd is None else socket.socket(fileno=fd) as listener:
        guard = Guard(listener, options["inner"], Limits(**{item.name: options[item.name] for item in fields(Limits)}))
        print("listening on tcp://{}:{}".format(*listener.getsockname()), file=sys.stderr, flush=True)
        guard.run(until_eof=0 if options["until_eof"] else None)


if __name__ == "__main__":
    main()
