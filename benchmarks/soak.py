"""A thousand trials against each hardened twin of the pairs of `detection.py`: nothing of the twin's own is found.

    python benchmarks/soak.py [--trials 1000] [--jobs 2] [--most 20m] [--only ZF102] [--pair feed]

Each twin is run again and again, with other seeds, until so many trials were played or ``--most`` is over. Printed is,
for each, how many that were, in how many runs, and every finding that is not libzmq's; doubts are counted. Exits with 1
where something was found, and with 3 where a twin could not be played often enough.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from detection import Pair, found_in, pairs

SLICE = 120.0
"""Seconds of one run: long enough for leaks, short enough for many seeds."""

_ATTACKS = re.compile(r"^(?:HELD|INCONCLUSIVE|VIOLATED): (\d[\d,]*) attacks?\b", re.MULTILINE)


@dataclass
class Soaked:
    """What came of one twin."""

    trials: int = 0
    runs: int = 0
    unsure: int = 0
    seconds: float = 0.0
    codes: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)


def soak(pair: Pair, trials: int, most: float) -> Soaked:
    """Run the hardened twin until it has met so many trials."""
    done, began = Soaked(), time.monotonic()
    while done.trials < trials and time.monotonic() - began < most:
        seed = 1000 + done.runs
        bind = f"tcp://127.0.0.1:{20000 + (os.getpid() * 7919 + seed * 31 + hash(pair.name)) % 9000}"
        with tempfile.TemporaryDirectory() as folder:
            words = ["run", "--for", f"{SLICE:g}s", "--seed", str(seed), "--store", folder, *pair.options]
            words += ["--cases", str(trials - done.trials)] if families(pair) else []
            command = [*words, "--", *pair.hardened]
            ran = subprocess.run(
                [sys.executable, "-m", "zmqfuzz", *(word.replace("{bind}", bind) for word in command)],
                capture_output=True,
                text=True,
                errors="replace",
                cwd=folder,
            )
            own = found_in(Path(folder))[1]
        played = _ATTACKS.search(ran.stdout)
        count = int(played[1].replace(",", "")) if played else 0
        done.runs += 1
        done.trials += count
        done.unsure += ran.returncode not in (0, 1)
        if own:
            done.codes |= own
            done.said.append(ran.stdout)
        if not count:
            break  # it would go on for ever
    done.seconds = time.monotonic() - began
    return done


def families(pair: Pair) -> bool:
    """Whether families attack it: what is looked at by itself is not counted in cases."""
    looks = ("backlog", "company", "drops", "rate", "exposure", "shutdown")
    return not any(name in pair.options for name in looks)


def twins(folder: Path) -> list[Pair]:
    """The pairs, each hardened command with the same options once."""
    return list({(pair.options, pair.hardened): pair for pair in pairs(folder)}.values())


def seconds(text: str) -> float:
    """``90s``, ``20m`` or ``2h``."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def main() -> int:
    """Soak all twins, and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="for each twin")
    parser.add_argument("--jobs", type=int, default=2, help="twins at once")
    parser.add_argument("--most", type=seconds, default="20m", help="time for each twin")
    parser.add_argument("--only", help="only pairs of this code")
    parser.add_argument("--pair", default="", help="only pairs whose name begins with this")
    options = parser.parse_args()
    bad, short = False, False
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        chosen = [
            pair
            for pair in twins(Path(folder))
            if options.only in (None, pair.code) and pair.name.startswith(options.pair)
        ]
        futures = [pool.submit(soak, pair, options.trials, options.most) for pair in chosen]
        print(f"{'hardened twin':32} {'trials':>7} {'runs':>5} {'unsure':>7} {'seconds':>8}  found")
        for pair, future in zip(chosen, futures, strict=True):
            done = future.result()
            found = ", ".join(sorted(done.codes)) or "nothing"
            row = f"{done.trials:>7} {done.runs:>5} {done.unsure:>7} {done.seconds:>8.0f}"
            print(f"{pair.name:32} {row}  {found}", flush=True)
            for text in done.said:
                print(f"---\n{text[-3000:]}\n---")
            bad, short = bad or bool(done.codes), short or done.trials < options.trials
    return 1 if bad else 3 if short else 0


if __name__ == "__main__":
    sys.exit(main())
