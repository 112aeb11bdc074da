"""First octets of other protocols, as their clients and their servers send them. Registers nothing itself.

Sources: RFC 9112 (HTTP), 9113 (HTTP/2), 8446 4.1.2 (TLS), 4253 4.2 (SSH), 5321 (SMTP); MS-RDPBCGR 2.2.1.1 and 2.2.1.2
(RDP); RESP; the memcached text and binary protocols; AMQP 0-9-1 4.2.2 and 1.0 2.2; MQTT 3.1.1 3.1 and 3.2; the PROXY
protocol, versions 1 and 2; the first messages of PostgreSQL and MySQL.
"""

from __future__ import annotations

from zmqfuzz.drawing import Draw

__all__ = ["foreign_client", "foreign_server"]

_TARGETS = (b"/", b"*", b"http://localhost/", b"/" + b"a" * 255, b"/" + b"a" * 8192, b"/%00", b"")
_HEADERS = (
    b"Host: localhost\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    b"X: " + b"x" * 254 + b"\r\n",
)
_SUITES = (b"\x13\x01", b"\x13\x02", b"\x13\x03", b"\xc0\x2b", b"\xc0\x2f", b"\0\x2f", b"\x0a\x0a", b"\0\xff")
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_PROXY2 = b"\r\n\r\n\0\r\nQUIT\n"

_CLIENTS = (
    b"\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"EHLO localhost\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"PING\r\n",
    b"stats\r\n",
    b"\x80\x0b" + bytes(22),
    b"AMQP\0\0\x09\1",
    b"AMQP\3\1\0\0",
    b"\x10\x0e\0\4MQTT\4\2\0\x3c\0\2me",
    b"\0\0\0\x08\4\xd2\x16\x2f",
    b"\0\0\0\x09\0\3\0\0\0",
    _HTTP2,
)
"""SMTP, Redis (RESP and inline), memcached (text and binary), AMQP 0-9-1 and 1.0, MQTT, PostgreSQL twice, HTTP/2."""

_SERVERS = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n<html></html>",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"220 localhost ESMTP\r\n",
    b"+PONG\r\n",
    b"-ERR unknown command\r\n",
    b"ERROR\r\n",
    b"\x15\x03\x03\0\2\2\x28",
    b"\x20\2\0\0",
    b"\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\x1f\x08\0\2\0\0\0",
    b"N",
    b"\x4a\0\0\0\x0a8.0.36\0" + bytes(66),
    b"\0\0\x12\4\0\0\0\0\0" + bytes(18),
)
"""HTTP thrice, SSH, SMTP, Redis, memcached, a TLS alert, MQTT, RDP, PostgreSQL, MySQL, HTTP/2."""


def _sized(octets: bytes, width: int) -> bytes:
    return len(octets).to_bytes(width, "big") + octets


def _http(draw: Draw) -> bytes:
    method = draw.choice((b"GET", b"POST", b"CONNECT", b"OPTIONS", b"X" * 254))
    line = method + b" " + draw.choice(_TARGETS) + draw.choice((b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n"))
    headers = b"".join([draw.choice(_HEADERS) for _ in range(draw.integer(0, 3))])
    return line + headers + draw.choice((b"\r\n", b"", b"\r\n0\r\n\r\n", b"\r\n{}"))


def _answer(draw: Draw) -> bytes:
    line = b"HTTP/1.1 %d X\r\n" % draw.choice((400, 200, 100, 301, 426, 505, 0, 999))
    headers = b"".join([draw.choice(_HEADERS) for _ in range(draw.integer(0, 3))])
    return line + headers + b"\r\n" + draw.choice((b"", b"<html></html>", b"\0" * 300, b"{}\r\n"))


def _tls(draw: Draw) -> bytes:
    suites = b"".join([draw.choice(_SUITES) for _ in range(draw.integer(1, 6))])
    name = draw.choice((b"localhost", b"", b"a" * 255))
    extensions = b"\0\0" + _sized(_sized(b"\0" + _sized(name, 2), 2), 2) + b"\0\x2b" + _sized(_sized(b"\3\4\3\3", 1), 2)
    extensions += draw.binary(2, 2) + _sized(draw.binary(0, 40), 2)
    hello = b"\3\3" + draw.binary(32, 32) + _sized(draw.binary(0, 32), 1) + _sized(suites, 2) + b"\1\0"
    return b"\x16\3" + draw.choice((b"\1", b"\3")) + _sized(b"\1" + _sized(hello + _sized(extensions, 2), 3), 2)


def _rdp(draw: Draw) -> bytes:
    cookie = draw.choice((b"", b"Cookie: mstshash=user\r\n"))
    request = (
        b"\xe0\0\0" + draw.binary(2, 2) + b"\0" + cookie + b"\1\0\x08\0" + draw.integer(0, 15).to_bytes(4, "little")
    )
    return b"\3\0" + (len(request) + 5).to_bytes(2, "big") + _sized(request, 1)


def _proxy(draw: Draw) -> bytes:
    if draw.boolean():
        return _PROXY2 + draw.choice((b"\x21", b"\x20")) + b"\x11" + _sized(draw.binary(12, 12), 2)
    return b"PROXY TCP4 127.0.0.1 127.0.0.1 %d 443\r\n" % draw.integer(0, 65535)


def _text(draw: Draw) -> bytes:
    letters = bytes([32 + octet % 95 for octet in draw.binary(0, 120)])
    return letters + draw.choice((b"\n", b"\r\n", b"")) * draw.choice((1, 2, 300))


_BUILT = (_http, _tls, _proxy, _rdp, _text)


def foreign_client(draw: Draw) -> bytes:
    """What a client of some other protocol says first, or random octets."""
    kind = draw.integer(0, 2 * len(_BUILT))
    if kind < len(_BUILT):
        return _BUILT[kind](draw)
    return draw.binary(1, 96) if kind == 2 * len(_BUILT) else draw.choice(_CLIENTS)


def foreign_server(draw: Draw) -> bytes:
    """What a server of some other protocol says first, or answers to what it does not understand."""
    kind = draw.integer(0, 5)
    if kind <= 2:
        return draw.choice(_SERVERS) + draw.choice((b"", b"", b"\0", b"\n"))
    if kind == 3:
        return _answer(draw)
    return draw.binary(1, 96) if kind == 4 else _text(draw)
