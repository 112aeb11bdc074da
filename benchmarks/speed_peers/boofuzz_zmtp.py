"""boofuzz with ZMTP 3.1 as a peer of its own sees it: greeting, READY, one frame; every field of them is fuzzed.

    python boofuzz_zmtp.py PORT SECONDS [quiet]

Prints test cases per second. ``quiet``: without the log, the web page and the database that are on as installed.
"""

import os
import sys
import time
from pathlib import Path

from boofuzz import Block, Byte, Bytes, Request, Session, Size, Static, Target, TCPSocketConnection


def definition() -> tuple[Request, Request, Request]:
    """Greeting, READY and one frame, each in fields."""
    greeting = Request(
        "greeting",
        children=(
            Bytes("signature", b"\xff" + bytes(8) + b"\x7f", size=10),
            Byte("major", 3),
            Byte("minor", 1),
            Bytes("mechanism", b"NULL".ljust(20, b"\0"), size=20),
            Byte("as-server", 0),
            Bytes("filler", bytes(31), size=31),
        ),
    )
    ready = Request(
        "ready",
        children=(
            Byte("flags", 4),
            Size("size", block_name="body", length=1, fuzzable=True),
            Block(
                "body",
                children=(
                    Static("name-size", b"\x05"),
                    Bytes("name", b"READY"),
                    Byte("property-size", 11),
                    Bytes("property", b"Socket-Type"),
                    Size("value-size", block_name="value", length=4, endian=">", fuzzable=True),
                    Block("value", children=(Bytes("type", b"DEALER"),)),
                ),
            ),
        ),
    )
    frame = Request(
        "frame",
        children=(
            Byte("flags", 0),
            Size("size", block_name="payload", length=1, fuzzable=True),
            Block("payload", children=(Bytes("octets", b"zmqfuzz"),)),
        ),
    )
    return greeting, ready, frame


def main() -> None:
    """Fuzz until the time is over, and print how many cases a second that were."""
    port, seconds, quiet = int(sys.argv[1]), float(sys.argv[2]), "quiet" in sys.argv[3:]
    began = time.monotonic()
    out = sys.stdout
    if quiet:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    options = {"fuzz_loggers": [], "web_port": None, "db_filename": ":memory:"} if quiet else {}
    connection = TCPSocketConnection("127.0.0.1", port, send_timeout=1.0, recv_timeout=1.0)
    session = Session(
        target=Target(connection=connection),
        sleep_time=0.0,
        keep_web_open=False,
        receive_data_after_each_request=True,
        receive_data_after_fuzz=False,
        post_test_case_callbacks=[
            lambda target, fuzz_data_logger, session, *_, **__: (
                session._index_end or time.monotonic() - began < seconds or setattr(session, "_index_end", 1)
            )
        ],
        **options,
    )
    greeting, ready, frame = definition()
    session.connect(greeting)
    session.connect(greeting, ready)
    session.connect(ready, frame)
    began = time.monotonic()
    cases = 0
    try:
        session.fuzz(max_depth=1)
    except SystemExit:
        pass
    cases = session.num_cases_actually_fuzzed
    print(f"{cases / (time.monotonic() - began):.2f}", file=out, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
