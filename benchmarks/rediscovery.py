"""Old builds of libzmq against the default run: which public defects does it find by itself, and is the newest clean?

    python benchmarks/rediscovery.py [--only 4.3.2:XPUB:bind | --public | --quick] [--seeds 2] [--for 60] [--jobs 2]

The builds come out of old pyzmq wheels, which pip downloads into ``--cache`` (in the user's cache folder; about 16 MiB,
once). Nothing is installed: each library runs in a process of its own (``zmqfuzz run --libzmq``). All families and all
invariants, without any knowledge of a defect. A library that connects is run by a program that connects anew where
libzmq gives up for ever after a protocol error (issue 4196), else little more would be found there, and where it hears
nothing, as clients with a watchdog do. ``--only`` takes VERSION, VERSION:TYPE, VERSION:TYPE:SIDE, or all four with the
mechanism, or these and socket options (4.3.2:SUB:connect:null:HEARTBEAT_IVL=100ms,RCVHWM=1), several with spaces; an
empty place stands for all. Prints one line for each run and each finding: its code, how it failed, whose defect, and
the attacks and seconds until it was first seen; then what each version showed, and whether the newest is clean of it.

``--public`` runs the doors of PUBLIC instead, each also in a release without the defect, and prints for each: found in
k of N runs, the median of attacks and seconds until then, and in how many of the runs of that release the code was not
found. What is owned by another defect that is public and not fixed does not count there, on either side. ``--quick`` is
one run at one door for most of them (half an hour on two idle cores). ``--with 4.3.0=PATH`` adds a library of your own.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis.configuration import set_hypothesis_home_dir
from old_libraries import OWN, PUBLIC, Case, Defect, bring, cases

from zmqfuzz.assembly import Spec
from zmqfuzz.assembly import run as run_async
from zmqfuzz.campaign.docket import LATER
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.catalogue import select_families
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.sockopts import parse_set
from zmqfuzz.targets.library import hosted


@dataclass(frozen=True)
class Finding:
    """A confirmed finding; ``attacks`` played and ``seconds`` gone when it was first seen."""

    code: str
    signature: str
    owner: str
    family: str
    attacks: int
    seconds: float


@dataclass
class Result:
    """One run: what it found, what it suspected and could not confirm, and how it ended."""

    case: Case
    seed: int
    findings: list[Finding] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    attacks: int = 0
    seconds: float = 0.0


def play(case: Case, library: Path, seed: int, seconds: float) -> Result:
    """One default run; to be called in the main thread of a process of its own."""
    result = Result(case, seed)
    began = time.monotonic()

    async def work() -> Outcome:
        connecting = case.side == "connect"
        target = hosted(
            library,
            case.socket_type,
            mechanism=case.mechanism,
            connecting=connecting,
            mended=True,
            impatient=True,
            options=parse_set(case.options) if case.options else (),
        )
        spec = Spec(
            command=target.command,
            bind=target.bind,
            name=target.name,
            socket_type=case.socket_type,
            credentials=target.known(),
        )
        plan = Plan(select_families(), seconds, seed, minimise_seconds=min(12.0, max(2.0, seconds / 5)))
        async with spec.harness() as harness:
            first: dict[tuple[str, str], tuple[int, float]] = {}
            seen = (0, 0.0)

            def tell(event: Event) -> None:
                nonlocal seen
                match event:
                    case Suspected(_, family, _, sentence):  # what is looked into later was seen before
                        now = (harness.trials, time.monotonic() - began)
                        seen = first.setdefault((family, sentence.removesuffix(LATER)), now)
                    case Unconfirmed(_, family, code, reason):
                        result.unconfirmed.append(f"{code} {family}: {reason}")
                    case Found(finding, _):
                        family = finding.attack.strategy
                        result.findings.append(Finding(finding.code, finding.signature, finding.owner, family, *seen))

            return await Campaign(harness, plan, tell).run()

    with tempfile.TemporaryDirectory(prefix="zmqfuzz-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            outcome = run_async(work)
        except ZmqfuzzError as error:
            result.doubts.append(str(error))
        except Exception:  # the other runs go on
            result.doubts += ["zmqfuzz itself failed:", *traceback.format_exc().strip().splitlines()[-4:]]
        else:
            result.attacks = sum(outcome.cases.values())
            result.doubts += outcome.doubts
    result.seconds = time.monotonic() - began
    return result


def show(result: Result) -> None:
    """One line for the run, one for each finding, one for each thing that stayed open."""
    print(f"{result.case!s:32} seed {result.seed}  {result.attacks:6,} attacks {result.seconds:4.0f} s", flush=True)
    for found in result.findings:
        print(
            f"    {found.code}  {found.signature[:90]}  [{found.owner}; {found.family}; {found.attacks:,} attacks,"
            f" {found.seconds:.0f} s]"
        )
    for line in dict.fromkeys((*result.unconfirmed, *result.doubts)):
        print(f"      ? {line[:160]}")
    sys.stdout.flush()


def summary(results: list[Result]) -> list[str]:
    """For each way of failing: in how many runs of which version it was found, the installed version last."""
    runs = Counter(result.case.version for result in results)
    shown = Counter(
        (found.code, result.case.socket_type, result.case.side, found.signature, result.case.version)
        for result in results
        for found in {(item.code, item.signature): item for item in result.findings}.values()
    )
    lines = []
    for marker in sorted({key[:4] for key in shown}):
        by_version = [f"{version} {shown[*marker, version]}" for version in runs if shown[*marker, version]]
        clean = OWN in runs and not shown[*marker, OWN]
        code, kind, side, signature = marker
        lines.append(f"{code} {kind:6} {side:7} {signature[:80]}: {', '.join(by_version)}{'; fixed' if clean else ''}")
    return lines


def shown_by(defect: Defect, results: list[Result], case: Case) -> list[Finding | None]:
    """For each run of ``case``: the first finding that has the defect's code and words, or None."""
    return [
        next(
            (
                found
                for found in result.findings
                if found.code in defect.codes
                and defect.words in found.signature
                and not (defect.clean and ", known" in found.owner)
            ),
            None,
        )
        for result in results
        if result.case == case and result.attacks
    ]


def public_table(results: list[Result], defects: Sequence[Defect]) -> list[str]:
    """A table in Markdown with a line for each public defect."""
    lines = [
        "| defect | door | found as | found | attacks | seconds | clean in |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for defect in defects:
        with_it, *without = defect.doors
        runs = shown_by(defect, results, with_it)
        found = [one for one in runs if one is not None]
        calm = [one for door in without for one in shown_by(defect, results, door)]
        clean = f"{defect.clean}: {calm.count(None)} of {len(calm)}" if without else "mended in no release"
        attacks = f"{statistics.median(one.attacks for one in found):,.0f}" if found else ""
        seconds = f"{statistics.median(one.seconds for one in found):.0f}" if found else ""
        code = "/".join(dict.fromkeys(one.code for one in found)) or "/".join(defect.codes)
        lines.append(
            f"| {defect.name} | {str(with_it).replace(':', ' ')} | {code} | {len(found)} of {len(runs)}"
            f" | {attacks} | {seconds} | {clean} |"
        )
    return lines


def main() -> None:
    """Run the matrix; exit 1 when a library could not be brought or run."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqfuzz" / "wheels"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="VERSION[:TYPE[:SIDE[:MECHANISM[:OPTIONS]]]], with spaces")
    parser.add_argument("--public", action="store_true", help="the public defects, where they are and where not")
    parser.add_argument("--quick", action="store_true", help="one door for most of them, one run of each")
    parser.add_argument("--with", dest="added", action="append", default=[], metavar="VERSION=PATH", help="one more")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each")
    parser.add_argument("--for", dest="seconds", type=float, default=60.0, help="seconds of each run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--cache", type=Path, default=cache, help="where wheels are kept")
    options = parser.parse_args()
    libraries = {version: Path(path) for version, _, path in (word.partition("=") for word in options.added)}
    chosen = cases(options.only, tuple(libraries))
    defects = [defect for defect in PUBLIC if defect.quick or not options.quick]
    if options.public or options.quick:
        chosen = list(dict.fromkeys(door for defect in defects for door in defect.doors))
    for version in dict.fromkeys(case.version for case in chosen):
        try:
            if version not in libraries:
                libraries[version] = bring(version, options.cache)
        except RuntimeError as error:
            print(error, file=sys.stderr)
    results = []
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        futures = [
            pool.submit(play, case, libraries[case.version], seed, options.seconds)
            for case in chosen
            for seed in range(1, 1 + (1 if options.quick else options.seeds))
            if case.version in libraries
        ]
        for future in concurrent.futures.as_completed(futures):
            results.append(future.result())
            show(results[-1])
    if options.public or options.quick:
        print("\n" + "\n".join(public_table(results, defects)))
    else:
        print("\nBy way of failing: runs of each version that found it")
        print("\n".join(summary(sorted(results, key=lambda result: str(result.case)))) or "nothing was found")
    missing = {case.version for case in chosen} - libraries.keys()
    sys.exit(1 if missing or any(not result.attacks for result in results) else 0)


if __name__ == "__main__":
    main()
