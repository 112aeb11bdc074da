"""The reach map of libzmq: every stable socket type, listening and connecting, with NULL, PLAIN and CURVE.

    python benchmarks/reach.py [--for 600] [--jobs 6] [--types ROUTER,SUB] [--unguided] [--json FILE]

Each door is a socket of the libzmq that pyzmq brings, in a process of its own, whose credentials are given. The
default families are played in turn, one attack each, those that have not been everywhere yet, for a share of
``--for`` seconds of wall time or until they have; nothing is judged. A socket that connects has a larger share, as each
attack waits until it comes back. Prints the share of reachable cells that were reached (zmqfuzz/campaign/reach.py),
and each that was not, with why. Exits 1 below 95 %.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import random
import sys
import time
from pathlib import Path
from typing import Any

import zmq

from zmqfuzz.assembly import Spec, run
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.reach import Reach, Row, rows_from
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.targets.library import MECHANISMS, hosted

TYPES = ("PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB")
ENOUGH = 0.95
WAITS = {"bind": 1, "connect": 2}
"""Shares of the time."""


def bundled() -> Path:
    """The libzmq of the installed pyzmq: of the libraries mapped into this process, the one of that name."""
    zmq.Context().term()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libzmq" in line:
            return Path(line.split(maxsplit=5)[5])
    raise SystemExit("The installed pyzmq has no libzmq of its own; install a wheel.")


async def played(spec: Spec, seconds: float, seed: int, guided: bool) -> tuple[dict[str, Any], int]:
    """All families in turn at the target's door; the map, and how many attacks that were."""
    numbers, reach, attacks = random.Random(seed), Reach(), 0
    async with spec.harness() as harness:
        (surface,) = harness.surfaces(await harness.standing())
        await harness.calibrate(surface.key)
        situation = Situation(surface, harness.limits, harness.budget)
        for family in families().values():
            reach.expect(family, situation)
        guides = {
            family: Guide(family, situation, reach if guided else None)
            for family in families().values()
            if family.applies(surface)
        }
        deadline = time.monotonic() + seconds
        while left := [guide for family, guide in guides.items() if reach.wanted(family, surface)]:
            for guide in left:
                if time.monotonic() > deadline:
                    return reach.to_plain(), attacks
                reach.note(await harness.trial(guide.attack(numbers), surface.key))
                attacks += 1
    return reach.to_plain(), attacks


def door(kind: str, side: str, mechanism: str, seconds: float, seed: int, guided: bool) -> tuple[str, Any, int]:
    """One door, in a process of its own: its name, its map (or why there is none), and the attacks played."""
    name = f"{kind} {side} {mechanism.upper()}"
    try:
        library = hosted(bundled(), kind, mechanism=mechanism, connecting=side == "connect", mended=side == "connect")
        spec = Spec(
            library.command,
            bind=library.bind,
            socket_type=kind,
            name=library.name,
            credentials=library.known(),
            limits=Limits(recover=1.0),
        )
        plain, attacks = run(lambda: played(spec, seconds, seed, guided))
    except ZmqfuzzError as error:
        return name, str(error), 0
    return name, plain, attacks


def main() -> None:
    """Run all doors, several at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="seconds", type=float, default=600.0, help="wall time of all doors together")
    parser.add_argument("--jobs", type=int, default=6, help="doors at once; most of the time is spent waiting")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unguided", action="store_true", help="draw by chance alone")
    parser.add_argument("--json", type=Path, help="write the whole map to this file")
    options = parser.parse_args()
    doors = list(itertools.product(options.types.split(","), ("bind", "connect"), MECHANISMS))
    share = options.seconds * options.jobs / sum(WAITS[side] for _, side, _ in doors)
    rows: list[Row] = []
    failed = total = 0
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        futures = [pool.submit(door, *one, share * WAITS[one[1]], options.seed, not options.unguided) for one in doors]
        for future in futures:
            name, plain, attacks = future.result()
            if isinstance(plain, str):
                failed += 1
                print(f"{name:22} NOT RUN: {plain}", flush=True)
                continue
            total += attacks
            rows += rows_from(plain)
            print(f"{name:22} {attacks:6,} attacks, {plain['reached']:3}/{plain['reachable']} cells", flush=True)
    cells = [row for row in rows if row.reachable]
    reached = sum(bool(row.count) for row in cells)
    if options.json:
        options.json.write_text(json.dumps([{name: getattr(row, name) for name in Row.__slots__} for row in rows]))
    print(f"\n{len(doors) - failed} doors, {total:,} attacks: {reached:,} of {len(cells):,} reachable cells reached")
    print(f"{100 * reached / max(1, len(cells)):.1f} %")
    for row in cells:
        if not row.count:
            print(f"  {row.family} {row.stage} at {row.door}: {row.why}")
    sys.exit(1 if failed or reached < ENOUGH * len(cells) else 0)


if __name__ == "__main__":
    main()
