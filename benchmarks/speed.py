"""Attacks per second against a live PULL and ROUTER, beside a C attacker and boofuzz, as ratios of the same run.

    python benchmarks/speed.py [--for 30] [--rounds 3] [--boofuzz]

Measured in turn, ``--rounds`` times over (the median counts): stored attacks replayed many together, as a run plays
them; a whole fuzzing run (drawing, playing, watching, looking at what stays behind); a C attacker (gcc, epoll, 16
connections) that sends the octets of those stored attacks; with ``--boofuzz`` boofuzz with an equivalent definition, as
installed and with its log, web page and database off (it is installed into ``--cache`` first). The unit is the
connection, because an attack has one or several. Goals: 0.5 of the C attacker replayed and 0.4 in a whole run; 20 and
3 times boofuzz.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable
from pathlib import Path

from zmqfuzz.assembly import Spec, run
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.events import Plan
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.campaign.volleys import Magazine, together
from zmqfuzz.catalogue import Situation, select_families
from zmqfuzz.script import Attack, Expect, Send, Wait
from zmqfuzz.trial import Direction, Surface, Transcript, Trial

PEERS = Path(__file__).parent / "speed_peers"
EXAMPLES = Path(__file__).parent.parent / "targets" / "examples"
TARGETS = {"PULL": "pull", "ROUTER": "router"}
STORED = 1500
TOGETHER = 1000


def spec(kind: str) -> Spec:
    """The program that is attacked."""
    return Spec((sys.executable, str(EXAMPLES / f"{TARGETS[kind]}.py")))


def stored(surface: Surface) -> list[Attack]:
    """Attacks of all families, as a campaign would have stored them; those that wait or drip say nothing of speed."""
    situation = Situation(surface, Limits(), Budget())
    found: list[Attack] = []
    # churn ends a libzmq 4.3.5 (issue 4841), and what is wanted here is a living target
    families = [family for family in select_families((), ("churn",)) if family.applies(surface)]
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


async def replayed(kind: str, attacks: list[Attack], seconds: float) -> tuple[float, list[Transcript]]:
    """Connections per second of stored attacks, and what one round of them sent."""
    async with spec(kind).harness() as harness:
        key = harness.surfaces(await harness.standing())[0].key
        await harness.calibrate(key)
        connections, seen = 0, list[Transcript]()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            for start in range(0, len(attacks), TOGETHER):
                trial = await harness.trial(together(attacks[start : start + TOGETHER]), key)
                connections += sum(map(_connections, trial.transcripts))
                if len(seen) < len(attacks):
                    seen += trial.transcripts
        return connections / (time.monotonic() - began), seen


def _connections(transcript: Transcript) -> int:
    return sum(entry.note.startswith(("closed by us", "target")) for entry in transcript.entries) or 1


async def whole(kind: str, seconds: float) -> float:
    """Connections per second of a whole run, all families and all that belongs to it."""
    connections = 0

    class Counting(Campaign):
        def _note(self, *args: object) -> None:
            nonlocal connections
            (trial,) = (arg for arg in args if isinstance(arg, Trial))
            connections += sum(map(_connections, trial.transcripts))
            super()._note(*args)  # type: ignore[arg-type]

    async with spec(kind).harness() as harness:
        began = time.monotonic()
        await Counting(harness, Plan(select_families(), seconds, 1), lambda event: None).run()
        return connections / (time.monotonic() - began)


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


async def beside(kind: str, command: list[str], seconds: float) -> float:
    """What another attacker prints of its rate against a process of its own."""
    async with spec(kind).harness() as harness:
        port = harness.surfaces(await harness.standing())[0].address.rsplit(":", 1)[1]
        words = [port if word == "PORT" else word for word in command]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=60 + 2 * seconds)
    try:
        return float(done.stdout.split()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{words[0]} said nothing of its speed:\n{done.stderr[-1000:]}") from None


def boofuzz(cache: Path) -> str:
    """An interpreter that has boofuzz."""
    python = cache / "boofuzz" / "bin" / "python"
    if not python.exists():
        venv.create(cache / "boofuzz", with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "boofuzz"], check=True)
    return str(python)


def main() -> None:
    """Measure, and print the medians and their ratios; exits 1 when a goal is missed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqfuzz"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="seconds", type=float, default=30.0, help="seconds of each whole run")
    parser.add_argument("--rounds", type=int, default=3, help="times that all is measured")
    parser.add_argument("--boofuzz", action="store_true", help="measure boofuzz too; installed on first use")
    parser.add_argument("--cache", type=Path, default=cache, help="where boofuzz is installed")
    options = parser.parse_args()
    short = min(8.0, options.seconds)
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        attacker, data = Path(folder) / "attacker", Path(folder) / "octets"
        subprocess.run(["gcc", "-O2", "-o", str(attacker), str(PEERS / "attacker.c")], check=True)
        fuzzer = [boofuzz(options.cache), str(PEERS / "boofuzz_zmtp.py"), "PORT", str(short)] if options.boofuzz else []
        for kind in TARGETS:
            attacks = stored(Surface("tcp://127.0.0.1:1", kind))
            rates: dict[str, list[float]] = {}
            for _ in range(options.rounds):
                rate, seen = run(lambda attacks=attacks, kind=kind: replayed(kind, attacks, short))
                rates.setdefault("replayed", []).append(rate)
                data.write_bytes(octets(seen))
                commands = {"C attacker": [str(attacker), "PORT", str(data), str(short)]}
                if fuzzer:
                    commands |= {"boofuzz": fuzzer, "boofuzz, all off": [*fuzzer, "quiet"]}
                for name, command in commands.items():
                    rate = run(lambda kind=kind, command=command: beside(kind, command, short))
                    rates.setdefault(name, []).append(rate)
                rates.setdefault("whole run", []).append(run(lambda kind=kind: whole(kind, options.seconds)))
            middle = {name: statistics.median(found) for name, found in rates.items()}
            print(f"{kind}: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in middle.items()), flush=True)
            for ours, other, goal in (
                ("replayed", "C attacker", 0.5),
                ("whole run", "C attacker", 0.4),
                ("whole run", "boofuzz", 20.0),
                ("whole run", "boofuzz, all off", 3.0),
            ):
                if other in middle:
                    ratio = middle[ours] / middle[other]
                    missed |= ratio < goal
                    print(f"  {ours} / {other}: {ratio:.2f} (goal {goal:g})", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
