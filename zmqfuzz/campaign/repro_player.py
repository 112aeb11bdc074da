"""The part of every repro script that is the same: source text, run with the standard library alone.

It is text and no module of ours, because a repro script must run where zmqfuzz is not installed.
"""

__all__ = ["PLAYER"]

PLAYER = r'''
BLOCK = 256 * 1024  # octets handed to the kernel at once
STALL = 1.0  # seconds without progress after which a send gives up
LIMIT = 60.0  # seconds an attack may take
SHOWN = 20  # reactions printed for a peer
START = time.monotonic()
NUMBERS = iter(range(int(time.time() * 1000), 10**18))  # what is to be new each time


def say(who, text):
    print("%8.3f  %-8s %s" % (time.monotonic() - START, who, text), flush=True)


def shown(octets, size):
    return "%d octets: %s%s" % (size, " ".join("%02x" % octet for octet in octets[:16]), " ..." if size > 16 else "")


def blocks(pieces, times, fresh=b""):
    """The pieces, `times` over, in blocks of moderate size; nothing large is ever built.

    `fresh`: octets in them that are others each time.
    """
    if fresh:
        for _ in range(times):
            digits = b"%d" % (10 ** (len(fresh) - 1) + next(NUMBERS) % (9 * 10 ** (len(fresh) - 1)))
            yield b"".join(blocks(pieces, 1)).replace(fresh, digits)
        return
    size = sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)
    if 0 < size <= BLOCK:
        one = b"".join(piece if isinstance(piece, bytes) else piece[0] * piece[1] for piece in pieces)
        many = one * max(1, min(BLOCK // size, times))
        for _ in range(times * size // len(many)):
            yield many
        yield many[: times * size % len(many)]
        return
    for _ in range(times if size else 0):
        for piece in pieces:
            octets, count = (piece, 1) if isinstance(piece, bytes) else piece
            block = octets * min(count, BLOCK)
            for _ in range(count // min(count, BLOCK)):
                yield block
            yield block[: count % min(count, BLOCK)]


def cut(stream, chunk):
    """256 writes of `chunk` octets, then the rest as it comes."""
    kept, number = b"", 0
    for block in stream:
        kept += block
        while number < 256 and len(kept) >= chunk:
            yield kept[:chunk]
            kept, number = kept[chunk:], number + 1
        if number == 256 and kept:
            yield kept
            kept = b""
    yield kept


class Peer(threading.Thread):
    def __init__(self, name, quiet, steps, dial, release, signals):
        super().__init__(daemon=True)
        self.who, self.quiet, self.steps, self.dial, self.release = name, quiet, steps, dial, release
        self.done, self.signals, self.vanished = threading.Event(), signals, []
        self.sock, self.ended, self.sent, self.received, self.told = None, "never connected", 0, 0, 0

    def run(self):
        try:
            for step in self.steps:
                if not self.release.is_set():
                    getattr(self, step[0])(*step[1:])
        finally:
            self.done.set()
        self.until(self.release.is_set, LIMIT * 60)
        if self.vanished:
            self.release.wait(LIMIT * 60)
        for sock in self.vanished:
            sock.close()
        if self.sock is not None:
            self.drop("connection still open", True)

    def tell(self, text, always=False):
        self.told += not always
        if not self.quiet and (always or self.told <= SHOWN):
            say(self.who, text if always or self.told < SHOWN else ".. further reactions are not shown")

    # steps

    def connect(self, buffer=None):
        if self.sock is not None:
            self.drop("closed by us", True)
        self.buffer, self.first, self.state, self.shaken = bytearray(), b"", "greeting", False
        self.mechanism, self.complete, self.replies = b"", False, b""
        self.rate, self.next = None, 0.0
        self.seen = {"bytes": 0, "greeting": 0, "ready": 0, "message": 0, "close": 0, "taken": 0}
        try:
            self.sock = self.dial(buffer)
        except OSError as error:
            self.ended = "not connected"
            return self.tell(".. not connected: %s" % error, True)
        self.sock.setblocking(False)
        self.ended = "connection still open"
        self.tell(".. connected", True)

    def shake(self, greeting, ready, within):
        self.shaken = True
        end = time.monotonic() + within
        self.tell("-> greeting", True)
        if self.write(greeting) and self.until(lambda: self.state != "greeting", within):
            if self.mechanism == b"NULL":
                self.tell("-> READY", True)
                self.write(ready)
            self.until(lambda: self.complete, end - time.monotonic())

    def send(self, pieces, times, chunk, every, fresh=b""):
        if self.sock is None:
            return self.tell("-> nothing: the connection is gone", True)
        start = next(iter(blocks(pieces, min(times, 1))), b"")
        size = sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)
        self.tell("-> %s  x %d" % (shown(start, size), times), True)
        before = self.sent
        if chunk is not None:
            self.stream(cut(blocks(pieces, times, fresh), chunk), every)
        elif every:
            for _ in range(times):
                if not self.stream(blocks(pieces, 1, fresh), 0.0):
                    break
                self.wait(every)
        else:
            self.stream(blocks(pieces, times, fresh), 0.0)
        if self.sent - before != size * times:
            self.tell(".. the target took %d of %d octets" % (self.sent - before, size * times), True)

    def expect(self, event, within):
        taken = self.seen["taken"] if event == "message" else 0
        if self.until(lambda: self.seen.get(event, 0) > taken, within) and event == "message":
            self.seen["taken"] += 1

    def wait(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda: False, seconds)
        time.sleep(max(0.0, min(LIMIT, end - time.monotonic())) if self.sock is None else 0)

    def pace(self, rate):
        self.rate, self.next = rate, 0.0

    def signal(self, name):
        self.tell("-- signals %r" % name, True)
        self.signals.setdefault(name, threading.Event()).set()

    def awaits(self, name, within):
        given, end = self.signals.setdefault(name, threading.Event()), time.monotonic() + within
        if not self.until(given.is_set, within) and not given.wait(max(0.0, min(LIMIT, end - time.monotonic()))):
            self.tell(".. nobody signalled %r" % name, True)

    def vanish(self):
        """Have the kernel drop whatever comes, as too far travelled (IP_MINTTL, RFC 5082): none is acknowledged."""
        if self.sock is not None:
            left, end = array.array("i", [1]), time.monotonic() + 0.1
            try:
                if self.sock.family == socket.AF_UNIX:
                    raise OSError("this is no tcp connection")
                while left[0] and time.monotonic() < end:
                    time.sleep(0.002)
                    fcntl.ioctl(self.sock, termios.TIOCOUTQ, left)
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                if self.sock.family == socket.AF_INET6:
                    self.sock.setsockopt(socket.IPPROTO_IPV6, 73, 255)  # IPV6_MINHOPCOUNT (linux/in6.h)
                self.sock.setsockopt(socket.IPPROTO_IP, 21, 255)  # IP_MINTTL (linux/in.h)
            except OSError as error:
                return self.tell(".. cannot vanish here: %s" % error, True)
            self.tell(".. vanished: nothing is answered any more", True)
            self.vanished.append(self.sock)
            self.sock, self.ended = None, "vanished"

    def shutdown_write(self):
        if self.sock is not None:
            self.tell("-> FIN (half-close)", True)
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def close(self, rst):
        if self.sock is not None:
            self.tell("-> RST" if rst else "-> FIN", True)
            self.drop("closed by us", rst)

    # octets

    def stream(self, octets, every):
        for block in octets:
            if not self.write(block):
                return False
            if every and block:
                self.wait(every)
        return True

    def write(self, octets):
        """False when the target closed, or took nothing for STALL seconds."""
        self.first = (self.first + octets[:12])[:12]
        view, moved = memoryview(octets), time.monotonic()
        while view and self.sock is not None:
            if self.release.is_set() and not self.done.is_set():
                return False
            if time.monotonic() - moved > STALL:
                self.tell(".. the target took nothing for %g s" % STALL, True)
                return False
            if self.poll(0.2, True) and self.sock is not None:
                try:
                    count = self.sock.send(view)
                except BlockingIOError:
                    continue
                except OSError:
                    self.until(lambda: self.sock is None, 0.05)
                    return False
                self.sent, view, moved = self.sent + count, view[count:], time.monotonic()
        return self.sock is not None

    def until(self, condition, within):
        end = time.monotonic() + within
        while self.sock is not None and not condition():
            left = end - time.monotonic()
            if left <= 0 or (self.release.is_set() and not self.done.is_set()):
                break
            replies, self.replies = self.replies, b""
            if replies:
                self.write(replies)
            self.poll(min(left, 0.05), False)
        return condition()

    def poll(self, seconds, writing):
        """Read what there is, as fast as the pace allows; True when there is room to write."""
        poller, now = select.poll(), time.monotonic()
        reading = self.rate != 0 and now >= self.next
        if not reading and self.rate:
            seconds = min(seconds, self.next - now)
        poller.register(self.sock, (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0))
        events = dict(poller.poll(seconds * 1000)).get(self.sock.fileno(), 0)
        if events & ~select.POLLOUT:
            try:
                data = self.sock.recv(min(65536, max(1, self.rate // 20)) if self.rate else 65536)
            except BlockingIOError:
                return False
            except OSError:
                return self.gone("target reset (RST)")
            if not data:
                return self.gone("target closed (FIN)")
            self.received += len(data)
            self.next = time.monotonic() + len(data) / self.rate if self.rate else 0.0
            self.seen["bytes"] += 1
            self.buffer += data
            while self.parse():
                pass
        return bool(events & select.POLLOUT)

    def gone(self, how):
        self.seen["close"] += 1
        self.tell("<- " + how, True)
        self.drop(how, False)
        return False

    def drop(self, how, rst):
        self.ended = how
        if rst and self.sock.family != socket.AF_UNIX:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # already dead
        self.sock.close()
        self.sock = None

    # what the target says (RFC 37; the versions before it only as far as their greetings)

    def parse(self):
        size = len(self.buffer)
        if self.state == "greeting" and size:
            old = self.first[10] if len(self.first) > 10 else 3
            unversioned = self.buffer[0] != 0xFF or (size >= 10 and not self.buffer[9] & 1)
            if unversioned or self.first[:1] not in (b"", b"\xff") or old == 0:
                self.state = "raw"
                return True
            needed = 11 if size < 11 else 64 if self.buffer[10] >= 3 and old >= 3 else 12
            if size < needed:
                return False
            self.mechanism = bytes(self.buffer[12:32]).rstrip(b"\0") if needed == 64 else b""
            self.tell("<- greeting %d.%d %r" % (self.buffer[10], self.buffer[11], self.mechanism))
            self.state, self.complete = "frames", needed == 12
            self.seen["greeting"] += 1
            del self.buffer[:needed]
            return True
        if self.state == "raw" and size:
            self.seen["message"] += 1
            self.tell("<- " + shown(self.buffer, size))
            self.buffer.clear()
        if self.state != "frames" or size < 2 or (self.buffer[0] & 2 and size < 9):
            return False
        flags, start = self.buffer[0], 9 if self.buffer[0] & 2 else 2
        end = start + int.from_bytes(self.buffer[1:start], "big")
        if end > 1 << 28:
            self.state = "raw"
        if size < end or self.state == "raw":
            return self.state == "raw"
        body = bytes(self.buffer[start:end])
        del self.buffer[:end]
        if flags & 4:
            name = body[1 : 1 + body[0]] if body else b""
            self.seen["message" if self.complete else "ready"] += 1
            self.complete = self.complete or name == b"READY"
            if name == b"PING" and self.shaken:
                self.replies += struct.pack("BB", 4, len(body[7:23]) + 5) + b"\x04PONG" + body[7:23]
            self.tell("<- command %r %r" % (name, body[1 + len(name) :][:60]))
        else:
            self.seen["message"] += 1
            self.tell("<- frame MORE=%d %s" % (flags & 1, shown(body, len(body))))
        return True


def usage(text):
    sys.exit(print("repro.py: " + text, file=sys.stderr) or 2)


def door(text, remote):
    """Socket family and address of an endpoint; any address but this machine's wants --allow-remote."""
    transport, _, rest = text.partition("://")
    if transport == "ipc" and rest:
        return socket.AF_UNIX, "\0" + rest[1:] if rest.startswith("@") else rest
    host, _, port = rest.rpartition(":")
    if transport != "tcp" or not port.isdigit():
        usage("%r is no endpoint; write tcp://127.0.0.1:5555 or ipc:///path" % text)
    host = host.strip("[]") if host not in ("*", "0.0.0.0") or LISTENS else "127.0.0.1"
    try:
        found = socket.getaddrinfo("0.0.0.0" if host == "*" else host, int(port), 0, socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        usage("%r has no address: %s" % (text, error))
    if not remote and not ipaddress.ip_address(found[4][0].partition("%")[0]).is_loopback:
        usage("%s is not this machine; add --allow-remote if you may attack it" % found[4][0])
    return found[0], found[4]


def play(attack, dial, hold):
    release, peers, signals = threading.Event(), [], {}
    for times, label, steps in attack:
        peers += [Peer("peer %d" % (len(peers) + n + 1), n > 0, steps, dial, release, signals) for n in range(times)]
        print("peer %d to %d: %a" % (len(peers) - times + 1, len(peers), label))
    end = time.monotonic() + LIMIT
    for peer in peers:
        peer.start()
    for peer in peers:
        peer.done.wait(max(0.0, end - time.monotonic()))
    say("", "all has been sent; connections are held for %g s" % hold)
    time.sleep(hold)
    release.set()
    for peer in peers:
        peer.join(5.0)
    say("", "sent %d octets, received %d" % (sum(peer.sent for peer in peers), sum(peer.received for peer in peers)))
    for how in sorted({peer.ended for peer in peers}):
        say("", "%d x %s" % (sum(peer.ended == how for peer in peers), how))
    return any(peer.ended not in ("not connected", "never connected") for peer in peers)


def main(arguments):
    remote = "--allow-remote" in arguments
    rest = [argument for argument in arguments if argument != "--allow-remote"]
    try:
        hold = float(rest[1]) if len(rest) > 1 else 5.0
    except ValueError:
        usage("%r is not a number of seconds" % rest[1])
    if not 1 <= len(rest) <= 2:
        usage("give the target's endpoint: python repro.py tcp://127.0.0.1:5555 [SECONDS] [--allow-remote]")
    family, address = door(rest[0], remote)
    listener = socket.socket(family, socket.SOCK_STREAM)

    def prepared(sock, buffer=None):
        # Before it connects, so that it does not matter what the target does then.
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        return sock

    def dial(buffer):
        if LISTENS:
            return prepared(listener.accept()[0], buffer)
        sock = prepared(socket.socket(family, socket.SOCK_STREAM), buffer)
        sock.settimeout(5.0)
        sock.connect(address)
        return sock

    if LISTENS:
        prepared(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(20.0)
        try:
            listener.bind(address)
        except OSError as error:
            usage("cannot listen on %s: %s" % (rest[0], error))
        listener.listen(1024)
        say("", "listening on %s" % (listener.getsockname(),))
    try:
        played = [play(attack, dial, 0.1) for attack in ATTACKS[:-1]] + [play(ATTACKS[-1], dial, hold)]
    finally:
        listener.close()
        if LISTENS and family == socket.AF_UNIX and not address.startswith("\0"):
            os.unlink(address)
    return 0 if all(played) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
