"""Connections per second against a live PULL and ROUTER, beside a C attacker and boofuzz, as ratios of the same run.

    python benchmarks/speed.py [--for 30] [--rounds 15] [--boofuzz]

Two rates of ours: stored attacks replayed many together, as a run plays them; and a whole fuzzing run (drawing,
playing, watching, judging, looking at what stays behind). Beside them a C attacker (gcc, epoll, 16 connections) that
sends the octets of those stored attacks; with ``--boofuzz`` boofuzz with an equivalent definition, as installed and
with its log, web page and database off (it is installed into ``--cache`` first). The unit is the connection, because
an attack has one or several. Goals: 0.5 of the C attacker replayed and 0.4 in a whole run; 20 and 3 times boofuzz.

Others may use the machine meanwhile: rounds are short, each of ours has one of the others right before and after it
against a process of the same program, and what counts is the median of the ratios of such neighbours. Where cores are
shared, processor time says more than the clock does: what the attacker itself needs for a connection and what the
target needs, and the rate at which neither had to wait for a core ("a core each": that of the slower of the two).
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from zmqfuzz.assembly import Spec, run
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.events import Plan
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.campaign.volleys import Magazine, together
from zmqfuzz.catalogue import Situation, select_families
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack, Expect, Send, Wait
from zmqfuzz.settling import REST
from zmqfuzz.trial import Direction, Surface, Transcript, Trial

PEERS = Path(__file__).parent / "speed_peers"
EXAMPLES = Path(__file__).parent.parent / "targets" / "examples"
TARGETS = {"PULL": "pull", "ROUTER": "router"}
STORED = 1500
TOGETHER = 1000
SHORT = 2.0
"""Seconds of one round of stored attacks, and of another attacker."""

TRIES, LATE = 3, 0.2
"""Volleys of a family that a process must survive, and seconds after which it has not."""

GOALS = {
    "replayed": {"C attacker": 0.5},
    "whole run": {"C attacker": 0.4, "boofuzz": 20.0, "boofuzz, all off": 3.0},
}


@dataclass(frozen=True, slots=True)
class Round:
    """What one attacker did: connections, seconds, and seconds of processor time, its own and the target's."""

    connections: float
    seconds: float
    own: float
    target: float

    @property
    def rate(self) -> float:
        """Connections per second."""
        return self.connections / self.seconds

    @property
    def a_core_each(self) -> float:
        """Connections per second of processor time, of attacker or target, whichever needs more for each."""
        return self.connections / max(self.own, self.target, 1e-9)

    @property
    def each(self) -> tuple[float, float]:
        """Microseconds of processor time for one connection: the attacker's, and the target's."""
        return 1e6 * self.own / max(self.connections, 1), 1e6 * self.target / max(self.connections, 1)


def spec(kind: str) -> Spec:
    """The program that is attacked."""
    return Spec((sys.executable, str(EXAMPLES / f"{TARGETS[kind]}.py")))


def stored(surface: Surface) -> list[Attack]:
    """Attacks of all families, as a campaign would have stored them; those that wait or drip say nothing of speed."""
    situation = Situation(surface, Limits(), Budget())
    found: list[Attack] = []
    families = [family for family in select_families() if family.applies(surface)]
    numbers = random.Random(1)
    for family in families:
        magazine = Magazine(Guide(family, situation), numbers, size=3 * STORED // len(families))
        found += [attack for attack in magazine.volley() if not _waits(attack)][: STORED // len(families) + 1]
    numbers.shuffle(found)
    return found


def _waits(attack: Attack) -> bool:
    """Whether it waits, or sends in pieces, which the C attacker would send in one go."""
    return any(
        (isinstance(step, Send) and (step.chunk is not None or step.every > 0))
        or (isinstance(step, Wait | Expect) and (step.seconds if isinstance(step, Wait) else step.within) > 0.02)
        for script in attack.scripts
        for step in script.steps
    )


async def harmless(harness: Harness, attacks: list[Attack]) -> list[Attack]:
    """Those of families after which the process goes on, tried TRIES times: what is wanted here is a living target.

    A libzmq 4.3.5 does not survive all of them (issue 4841).
    """
    key = harness.surfaces(await harness.standing())[0].key
    left = []
    for family in sorted({attack.strategy for attack in attacks}):
        some = [attack for attack in attacks if attack.strategy == family]
        for _ in range(TRIES):
            standing = await harness.standing()
            await harness.trial(together(some), key)
            await trio.sleep(LATE)
            if standing.running.exit() is not None:
                print(f"{harness.target.name}: {family} is left out, the process ended", flush=True)
                break
        else:
            left += some
    random.Random(1).shuffle(left)
    return left


async def measured(harness: Harness, who: int, work: Callable[[], Awaitable[float]]) -> Round:
    """``work`` says how many connections it made; ``who``: RUSAGE_SELF, or RUSAGE_CHILDREN that it waits for.

    What the target still has to do for those connections afterwards is counted here, and not with whoever comes next.
    Once more when the process has ended meanwhile: nobody is faster than at a closed door.
    """
    while True:
        standing = await harness.standing()
        await standing.observer.steady(REST)
        before, first, began = resource.getrusage(who), standing.observer.sample(), time.monotonic()
        connections = await work()
        seconds, after = time.monotonic() - began, resource.getrusage(who)
        await standing.observer.steady(REST)
        last = standing.observer.sample()
        if first is not None and last is not None and standing.usable:
            own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return Round(connections, seconds, own, last.cpu - first.cpu)


async def replayed(harness: Harness, attacks: list[Attack], seen: list[Transcript]) -> Round:
    """Stored attacks for SHORT seconds; what they sent is added to ``seen`` until it is all there."""
    key = harness.surfaces(await harness.standing())[0].key
    start = 0

    async def play() -> float:
        nonlocal start
        connections, end = 0, time.monotonic() + SHORT
        while time.monotonic() < end:
            trial = await harness.trial(together(attacks[start : start + TOGETHER]), key)
            connections += sum(map(_connections, trial.transcripts))
            start = start + TOGETHER if start + TOGETHER < len(attacks) else 0
            if len(seen) < len(attacks):
                seen.extend(trial.transcripts)
        return connections

    return await measured(harness, resource.RUSAGE_SELF, play)


def _connections(transcript: Transcript) -> int:
    return sum(entry.note.startswith(("closed by us", "target")) for entry in transcript.entries) or 1


async def whole(harness: Harness, seconds: float) -> Round:
    """A whole run, all families and all that belongs to it."""
    connections = 0

    def count(trial: Trial, alone: bool) -> None:
        nonlocal connections
        connections += sum(map(_connections, trial.transcripts))

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await Campaign(harness, Plan(select_families(), seconds, 1), lambda event: None, count).run()
    after, took = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Round(connections, took, own, 0.0)  # by many processes


async def beside(harness: Harness, command: list[str], seconds: float) -> Round:
    """Another attacker, which prints its rate, against the process of ``harness``."""

    def ask(port: str) -> float:
        words = [port if word == "PORT" else word for word in command]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=60 + 2 * seconds)
        try:
            return float(done.stdout.split()[-1])
        except (IndexError, ValueError):
            raise SystemExit(f"{words[0]} said nothing of its speed:\n{done.stderr[-1000:]}") from None

    async def play() -> float:
        port = harness.surfaces(await harness.standing())[0].address.rsplit(":", 1)[1]
        return await trio.to_thread.run_sync(ask, port) * seconds

    return await measured(harness, resource.RUSAGE_CHILDREN, play)


def octets(transcripts: Iterable[Transcript]) -> bytes:
    """The connections of ``transcripts`` for attacker.c: each send, and how much had arrived before it."""
    blob = bytearray()
    for transcript in transcripts:
        sends: list[tuple[int, bytes]] = []
        got = 0
        for entry in transcript.entries:
            if entry.direction is Direction.RECEIVED:
                got += len(entry.data)
            elif entry.direction is Direction.SENT:
                sends.append((got, entry.data * entry.times))
        blob += struct.pack("<I", len(sends))
        for before, data in sends:
            blob += struct.pack("<II", before, len(data)) + data
    return bytes(blob)


class Pairs:
    """Rounds of ours, and of each other attacker right before and after each of them."""

    def __init__(self) -> None:
        self.ours: list[Round] = []
        self.others: dict[str, list[tuple[Round, Round]]] = {}

    def add(self, ours: Round, before: dict[str, Round], after: dict[str, Round]) -> None:
        """One round of ours, between its neighbours."""
        self.ours.append(ours)
        for name, neighbour in before.items():
            self.others.setdefault(name, []).append((neighbour, after[name]))

    def beside(self, name: str) -> Iterator[Round]:
        """All rounds of another attacker."""
        return (one for both in self.others.get(name, ()) for one in both)

    def ratio(self, name: str, of: Callable[[Round], float]) -> float:
        """The median of ours to the mean of its two neighbours."""
        pairs = zip(self.ours, self.others[name], strict=True)
        return statistics.median(2 * of(ours) / max(of(one) + of(other), 1e-9) for ours, (one, other) in pairs)


def middle(rounds: Iterable[Round]) -> str:
    """The medians of some rounds, in words."""
    rates, own, target = zip(*((one.rate, *one.each) for one in rounds), strict=True)
    said = f"{statistics.median(rates):,.0f}/s, {statistics.median(own):,.0f} us of processor time each"
    return said + (f" and {statistics.median(target):,.0f} of the target's" if any(target) else "")


def boofuzz(cache: Path) -> str:
    """An interpreter that has boofuzz."""
    python = cache / "boofuzz" / "bin" / "python"
    if not python.exists():
        venv.create(cache / "boofuzz", with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "boofuzz"], check=True)
    return str(python)


async def rounds(kind: str, options: argparse.Namespace, others: dict[str, list[str]], data: Path) -> dict[str, Pairs]:
    """All rounds against one kind of target: ours, each between two of every other attacker."""
    attacks = stored(Surface("tcp://127.0.0.1:1", kind))
    seen: list[Transcript] = []
    pairs = {ours: Pairs() for ours in GOALS}
    async with spec(kind).harness() as harness:
        await harness.calibrate(harness.surfaces(await harness.standing())[0].key)
        attacks = await harmless(harness, attacks)
        while len(seen) < len(attacks):
            await replayed(harness, attacks, seen)
        data.write_bytes(octets(seen))

        async def neighbours() -> dict[str, Round]:
            return {name: await beside(harness, command, SHORT) for name, command in others.items()}

        before = await neighbours()
        for number in range(options.rounds):
            pairs["replayed"].add(await replayed(harness, attacks, seen), before, before := await neighbours())
            if number < options.whole:
                async with spec(kind).harness() as fresh:
                    run_of_all = await whole(fresh, options.seconds)
                pairs["whole run"].add(run_of_all, before, before := await neighbours())
    return pairs


def main() -> None:
    """Measure, and print the medians and their ratios; exits 1 when a goal is missed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqfuzz"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="seconds", type=float, default=30.0, help="seconds of each whole run")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of stored attacks")
    parser.add_argument("--whole", type=int, default=3, help="whole runs")
    parser.add_argument("--boofuzz", action="store_true", help="measure boofuzz too; installed on first use")
    parser.add_argument("--cache", type=Path, default=cache, help="where boofuzz is installed")
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        attacker, data = Path(folder) / "attacker", Path(folder) / "octets"
        subprocess.run(["gcc", "-O2", "-o", str(attacker), str(PEERS / "attacker.c")], check=True)
        others = {"C attacker": [str(attacker), "PORT", str(data), str(SHORT)]}
        if options.boofuzz:
            fuzzer = [boofuzz(options.cache), str(PEERS / "boofuzz_zmtp.py"), "PORT", str(SHORT)]
            others |= {"boofuzz": fuzzer, "boofuzz, all off": [*fuzzer, "quiet"]}
        for kind in TARGETS:
            found = run(partial(rounds, kind, options, others, data))
            for name in others:
                print(f"{kind}: {name} {middle(one for pairs in found.values() for one in pairs.beside(name))}")
            for ours, pairs in found.items():
                if not pairs.ours:
                    continue
                print(f"{kind}: {ours} {middle(pairs.ours)}")
                for other, goal in GOALS[ours].items():
                    if other in pairs.others:
                        ratio = pairs.ratio(other, lambda one: one.rate)
                        cores = pairs.ratio(other, lambda one: one.a_core_each)
                        missed |= ratio < goal
                        print(f"  / {other}: {ratio:.2f} (goal {goal:g}); a core each {cores:.2f}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
