"""The conformance table: all rows, played together, and the page that tells them.

python -m tests.conformance.table             # play all rows on the installed libzmq; tell what differs
python -m tests.conformance.table --write     # write docs/what-libzmq-does.md from the rows
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import trio
import zmq
from zmq.auth.thread import ThreadAuthenticator

from tests.conformance import handshakes, openings, traffic
from tests.conformance.player import observe
from tests.conformance.properties import TOLD
from tests.conformance.row import Reaction, Row, Stage
from zmqfuzz.zmtp import Connection, Greeting1

__all__ = ["PAGE", "ROWS", "page", "reactions"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "what-libzmq-does.md"

ROWS: tuple[Row, ...] = (*openings.ROWS, *handshakes.ROWS, *traffic.ROWS)

AT_ONCE = 64
OCTETS = 20


def reactions(rows: Sequence[Row]) -> dict[str, str]:
    """For each row's id what the installed libzmq did; an error is told in its place. Rows are played side by side."""
    seen: dict[str, str] = {}
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=2)
    context.max_sockets = 4096
    gate = ThreadAuthenticator(context)
    gate.start()
    gate.configure_plain(domain="conformance", passwords={"user": "password"})

    async def one(row: Row, room: trio.CapacityLimiter) -> None:
        async with room:
            try:
                seen[row.id] = await observe(row, context)
            except Exception as error:
                seen[row.id] = f"{type(error).__name__}: {error}"

    async def play() -> None:
        room = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for row in rows:
                nursery.start_soon(one, row, room)

    try:
        trio.run(play)
    finally:
        gate.stop()
        context.destroy(linger=0)
    return seen


def _octets(row: Row) -> str:
    """The first octets of what is sent, in hexadecimal; runs of one octet are shortened."""
    connection = Connection()
    if row.stage is Stage.V1:
        connection.send(Greeting1())
    data = b"".join(connection.send(unit) for unit in row.units)
    text = data[:OCTETS].hex(" ") or "-"
    return f"`{text}`" + (f" ... ({len(data):,})" if len(data) > OCTETS else "")


_WORDS = {
    Reaction.CLOSES: "The connection is closed at once.",
    Reaction.COMES_BACK: "The connection is closed (at the latest by the timer), and a new one opened.",
    Reaction.GIVES_UP: "The connection is closed, and no new one opened: the endpoint is dead for ever.",
    Reaction.TIMER: "Nothing, until `HANDSHAKE_IVL` (30 s by default) closes the connection.",
    Reaction.ACCEPTS: "As if it were right: the connection goes on, and an honest message is delivered.",
    Reaction.DROPS: "It is thrown away. The connection goes on: an honest message that follows is delivered.",
    Reaction.DELIVERS: "The application gets it, as a message or in front of the honest one that follows.",
    Reaction.STALLS: "Nothing, for ever: no timer closes the connection.",
}


def page() -> str:
    """The page, as Markdown."""
    lines = [
        "# What libzmq does with what it should not get",
        "",
        f"Written by `python -m tests.conformance.table --write` from the {len(ROWS)} rows in `tests/conformance/`,",
        "which the tests play against the installed libzmq (4.3.5 when this was written). The socket has its default",
        "options where nothing else is said.",
        "",
        "| reaction | meaning |",
        "|---|---|",
        *(f"| {reaction.value} | {words} |" for reaction, words in _WORDS.items()),
    ]
    titles = {
        Stage.OPENING: "First octets, and nothing else",
        Stage.GREETING: "In place of the greeting",
        Stage.HANDSHAKE: "In place of the first handshake command",
        Stage.TRAFFIC: "After an honest handshake",
        Stage.V1: "After a greeting of ZMTP 1.0",
        Stage.V2: "After a greeting of ZMTP 2.0",
    }
    order = list(titles)
    for stage, rows in groupby(sorted(ROWS, key=lambda row: order.index(row.stage)), lambda row: row.stage):
        lines += [
            "",
            f"## {titles[stage]}",
            "",
            "| input | octets | RFC | socket | side | libzmq |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows:
            kind = row.socket_type if row.mechanism == "NULL" else f"{row.socket_type} {row.mechanism}"
            kind += f", MAXMSGSIZE {row.max_size}" if row.max_size >= 0 else ""
            name = row.name.replace("|", "\\|")
            lines.append(f"| {name} | {_octets(row)} | {row.rfc} | {kind} | {row.side} | {row.reaction.value} |")
    return "\n".join([*lines, *_told()]) + "\n"


def _told() -> list[str]:
    """The part about properties."""
    return [
        "",
        "## What a message says of its peer",
        "",
        "A peer says something of itself in READY or INITIATE, behind `Socket-Type=DEALER` and an empty `Identity`,",
        "and `zmq_msg_gets(3)` of its messages is asked for it. What the transport or a ZAP handler (RFC 27) has said",
        "comes first, and of the peer's own the first of a name.",
        "",
        "| the peer says | door | asked for | libzmq gives |",
        "|---|---|---|---|",
        *(
            f"| {', '.join(f'{name}={value}' for name, value in row.said) or 'nothing'} | {row.door} | {row.name} |"
            f" {'no such property' if row.gives is None else repr(row.gives)} |"
            for row in TOLD
        ),
    ]


def main() -> None:
    """Write the page, or play the rows."""
    if "--write" in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
        return
    seen = reactions(ROWS)
    differs = [(row, seen[row.id]) for row in ROWS if seen[row.id] != row.reaction]
    for row, found in differs:
        print(f"{row.id}: {found}, not {row.reaction}")
    print(f"{len(ROWS) - len(differs)} of {len(ROWS)} rows as written, with libzmq {zmq.zmq_version()}")
    sys.exit(1 if differs else 0)


if __name__ == "__main__":
    main()
