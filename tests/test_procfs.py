"""/proc text, as real kernels write it."""

import sys

import pytest

from zmqfuzz.procfs import (
    Stat,
    Statm,
    TcpSocket,
    TcpState,
    UnixListener,
    parse_open_files,
    parse_stat,
    parse_statm,
    parse_tcp,
    parse_unix_listeners,
    socket_inode,
)

STAT = (
    b"1407 (a) b (c) S 1402 1407 1402 34817 1407 4194304 1200 0 3 0 17 5 0 0 20 0 4 0 12345 9000000 700 "
    b"18446744073709551615 1 1 0 0 0 0 0 16781312 2 0 0 0 17 1 0 0 0 0 0\n"
)

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:15B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 26417 1 0000 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000 100 0 0 10 0
   2: 0100007F:15B3 0100007F:8C2A 08 00000000:00000001 00:00000000 00000000  1000        0 26500 1 0000 20 4 30 10 -1
   3: 0100007F:15B3 0100007F:8C2C 06 00000000:00000000 03:00001520 00000000     0        0 0 3 0000
   4: broken
"""

TCP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000001000000:15B3 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 5
   1: 00000000000000000000000000000000:15B4 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 6
   2: 0000000000000000FFFF00000100007F:15B5 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 7
   3: B80D0120000000000000000001000000:15B6 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 8
"""

UNIX = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/app dir/app.sock
0000000000000000: 00000003 00000000 00000000 0001 03 20002 /run/app.sock
0000000000000000: 00000002 00000000 00010000 0001 01 20003 @abstract
0000000000000000: 00000002 00000000 00010000 0001 01 20004
"""

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="samples from a little-endian kernel")


def test_stat_with_parentheses_in_the_name() -> None:
    assert parse_stat(STAT) == Stat(
        pid=1407, state="S", ppid=1402, pgrp=1407, session=1402, utime=17, stime=5, threads=4, starttime=12345
    )


def test_a_zombie_is_not_alive() -> None:
    assert parse_stat(STAT).alive
    assert not parse_stat(STAT.replace(b") S ", b") Z ")).alive


@pytest.mark.parametrize("record", [b"", b"12 (x", b"12 (x) S 1 2"])
def test_what_is_no_stat(record: bytes) -> None:
    with pytest.raises(ValueError, match="stat"):
        parse_stat(record)


def test_statm() -> None:
    assert parse_statm(b"2205 1093 700 1 0 400 0\n") == Statm(virtual=2205, resident=1093)
    with pytest.raises(ValueError, match="statm"):
        parse_statm(b"")


def test_open_files() -> None:
    limits = b"Limit  Soft Limit  Hard Limit  Units\nMax processes  7  8  processes\nMax open files  64  4096  files\n"
    assert parse_open_files(limits) == 64
    assert parse_open_files(limits.replace(b"64 ", b"unlimited ")) is None
    assert parse_open_files(b"") is None


@little_endian
def test_tcp() -> None:
    assert list(parse_tcp(TCP.splitlines())) == [
        TcpSocket("127.0.0.1", 5555, TcpState.LISTEN, 26417),
        TcpSocket("0.0.0.0", 80, TcpState.LISTEN, 777),
        TcpSocket("127.0.0.1", 5555, TcpState.CLOSE_WAIT, 26500),
        TcpSocket("127.0.0.1", 5555, TcpState.TIME_WAIT, 0),
    ]


@little_endian
def test_tcp6_and_mapped_addresses() -> None:
    assert [(entry.host, entry.port) for entry in parse_tcp(TCP6.splitlines())] == [
        ("::1", 5555),
        ("::", 5556),
        ("127.0.0.1", 5557),
        ("2001:db8::1", 5558),
    ]


def test_unix_listeners() -> None:
    assert list(parse_unix_listeners(UNIX.splitlines())) == [
        UnixListener("/run/app dir/app.sock", 20001),
        UnixListener("@abstract", 20003),
    ]


@pytest.mark.parametrize(
    ("link", "inode"),
    [("socket:[123]", 123), ("pipe:[123]", None), ("/dev/null", None), ("socket:[x]", None), ("", None)],
)
def test_socket_inode(link: str, inode: int | None) -> None:
    assert socket_inode(link) == inode
