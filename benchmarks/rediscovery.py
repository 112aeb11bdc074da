"""Old builds of libzmq against the default run: which public defects does it find by itself, and is the newest clean?

    python benchmarks/rediscovery.py [--only 4.3.2:XPUB:bind | --public] [--seeds 2] [--for 30] [--jobs 2]

The builds come out of old pyzmq wheels, which pip downloads into ``--cache`` (in the user's cache folder; about 16 MiB,
once). Nothing is installed: each library runs in a process of its own (``zmqfuzz run --libzmq``). All families and all
invariants, without any knowledge of a defect. A library that connects is run by a program that connects anew where
libzmq gives up for ever after a protocol error (issue 4196), else little more would be found there, and where it
hears nothing, as clients with a watchdog do. ``--only`` takes
VERSION, VERSION:TYPE, VERSION:TYPE:SIDE, or all four with the mechanism, several with commas; an empty place stands for
all. Prints one line for each run and each finding: its code, how it failed, whose defect, and the attacks and seconds
until it was first seen; then what each version showed, and whether the newest is clean of it.

``--public`` runs the doors of PUBLIC instead, each also in a release without the defect, and prints for each: found in
k of N runs, the median of attacks and seconds until then, and in how many of the runs of that release the code was not
found. What is owned by another defect that is public and not fixed does not count, on either side.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import zmq
from hypothesis.configuration import set_hypothesis_home_dir

from zmqfuzz.assembly import Spec
from zmqfuzz.assembly import run as run_async
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.catalogue import select_families
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.targets.library import MECHANISMS, hosted, locate
from zmqfuzz.zmtp import SOCKET_TYPES


@dataclass(frozen=True)
class Wheel:
    """A pyzmq wheel that holds a libzmq: what to ask pip for."""

    pyzmq: str
    python: str
    abi: str
    platform: str = "manylinux1_x86_64"


WHEELS = {
    "4.1.5": Wheel("15.4.0", "35", "cp35m"),
    "4.1.6": Wheel("16.0.4", "36", "cp36m"),
    "4.2.5": Wheel("17.1.2", "37", "cp37m"),
    "4.3.1": Wheel("18.0.1", "37", "cp37m"),
    "4.3.2": Wheel("18.1.1", "37", "cp37m"),
    "4.3.3": Wheel("21.0.2", "37", "cp37m"),
    "4.3.4": Wheel("22.3.0", "37", "cp37m"),
}
"""libzmq version: a wheel that holds it. The installed pyzmq's own version is added."""

OWN = zmq.zmq_version()


@dataclass(frozen=True)
class Case:
    """One library, socket type, side and mechanism."""

    version: str
    socket_type: str
    side: str
    mechanism: str

    def __str__(self) -> str:
        return f"{self.version}:{self.socket_type}:{self.side}:{self.mechanism}"


@dataclass(frozen=True)
class Defect:
    """A public defect: ``case`` is a door that has it, ``codes`` what says so, ``clean`` a release without it there.

    ``fixed`` is the release that mended it; ``clean`` is later where others with the same code were mended later.
    """

    name: str
    case: Case
    codes: tuple[str, ...]
    fixed: str
    clean: str


_STAYS = ("ZF204", "ZF209")
PUBLIC = (
    Defect("CVE-2019-6250", Case("4.2.5", "PULL", "bind", "null"), ("ZF101",), "4.3.1", "4.3.3"),
    Defect("CVE-2019-13132", Case("4.1.6", "PULL", "bind", "curve"), ("ZF101",), "4.3.2", "4.3.3"),
    Defect("CVE-2019-13132", Case("4.3.1", "PULL", "bind", "curve"), ("ZF101",), "4.3.2", "4.3.3"),
    Defect("CVE-2020-15166", Case("4.3.2", "PUSH", "bind", "null"), ("ZF103",), "4.3.3", "4.3.3"),
    Defect("CVE-2020-15166", Case("4.3.2", "PUSH", "bind", "curve"), ("ZF103",), "4.3.3", "4.3.3"),
    Defect("CVE-2020-15166", Case("4.3.2", "DEALER", "bind", "plain"), ("ZF103",), "4.3.3", "4.3.3"),
    Defect("CVE-2021-20234", Case("4.3.2", "SUB", "connect", "null"), _STAYS, "4.3.3", "4.3.3"),
    Defect("CVE-2021-20235", Case("4.3.2", "PULL", "bind", "null"), ("ZF101",), "4.3.3", "4.3.3"),
    Defect("CVE-2021-20236", Case("4.3.2", "XPUB", "bind", "null"), ("ZF101",), "4.3.3", "4.3.3"),
    Defect("CVE-2021-20237", Case("4.3.2", "XPUB", "bind", "null"), _STAYS, "4.3.3", "4.3.3"),
)
"""Identifiers, doors and codes of the advisories of zeromq/libzmq; nothing here says how they are met."""


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


def bring(version: str, cache: Path) -> Path:
    """The library or the wheel that holds ``version``, downloaded where it is not there. Raises RuntimeError."""
    if version == OWN:
        return locate(Path(zmq.__file__).parent.parent / "pyzmq.libs")
    wheel = WHEELS[version]
    folder = cache / version
    if not list(folder.glob("*.whl")):
        words = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            str(folder),
        ]
        words += ["--python-version", wheel.python, "--implementation", "cp", "--abi", wheel.abi]
        words += ["--platform", wheel.platform, f"pyzmq=={wheel.pyzmq}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pyzmq {wheel.pyzmq} with libzmq {version} could not be brought:\n{done.stderr}")
    return next(folder.glob("*.whl"))


def play(case: Case, library: Path, seed: int, seconds: float) -> Result:
    """One default run; to be called in the main thread of a process of its own."""
    result = Result(case, seed)
    began = time.monotonic()

    async def work() -> Outcome:
        connecting = case.side == "connect"
        target = hosted(
            library, case.socket_type, mechanism=case.mechanism, connecting=connecting, mended=True, impatient=True
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
            seen = (0, 0.0)

            def tell(event: Event) -> None:
                nonlocal seen
                match event:
                    case Suspected():
                        seen = (harness.trials, time.monotonic() - began)
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


def cases(only: str) -> list[Case]:
    """The matrix, or what ``only`` leaves of it. Raises SystemExit when a word of it means nothing."""
    places = ((*WHEELS, *((OWN,) if OWN not in WHEELS else ())), SOCKET_TYPES, ("bind", "connect"), MECHANISMS)
    wanted = []
    for words in filter(None, only.split(",")):
        given = [*words.split(":"), "", "", "", ""][:4]
        for place, word in zip(places, given, strict=True):
            if word and word not in place:
                sys.exit(f"--only: {word!r} is none of {', '.join(place)}")
        wanted.append(given)
    found = [
        Case(version, kind, side, mechanism)
        for version in places[0]
        for kind in SOCKET_TYPES
        for side in places[2]
        for mechanism in MECHANISMS
    ]
    if not wanted:
        return [case for case in found if case.mechanism == "null"]
    return [
        case
        for case in found
        if any(
            all(word in ("", value) for word, value in zip(given, str(case).split(":"), strict=True))
            and (given[3] or case.mechanism == "null")
            for given in wanted
        )
    ]


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


def shown_by(defect: Defect, results: list[Result], version: str) -> list[Finding | None]:
    """For each run of the defect's door in ``version``: the first finding with its code, or None."""
    case = replace(defect.case, version=version)
    return [
        next((found for found in result.findings if found.code in defect.codes and ", known" not in found.owner), None)
        for result in results
        if result.case == case and result.attacks
    ]


def public_table(results: list[Result]) -> list[str]:
    """A line for each public defect."""
    lines = [f"{'defect':16} {'door':24} {'code':12} {'found':>7} {'attacks':>8} {'s':>5}   clean"]
    for defect in PUBLIC:
        runs = shown_by(defect, results, defect.case.version)
        found = [one for one in runs if one is not None]
        calm = shown_by(defect, results, defect.clean)
        attacks = f"{statistics.median(one.attacks for one in found):,.0f}" if found else "-"
        seconds = f"{statistics.median(one.seconds for one in found):.0f}" if found else "-"
        lines.append(
            f"{defect.name:16} {defect.case!s:24} {'/'.join(defect.codes):12} {f'{len(found)} of {len(runs)}':>7}"
            f" {attacks:>8} {seconds:>5}   {calm.count(None)} of {len(calm)} on {defect.clean}"
        )
    return lines


def main() -> None:
    """Run the matrix; exit 1 when a library could not be brought or run."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqfuzz" / "wheels"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="VERSION[:TYPE[:SIDE[:MECHANISM]]], with commas")
    parser.add_argument("--public", action="store_true", help="the public defects, where they are and where not")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each")
    parser.add_argument("--for", dest="seconds", type=float, default=30.0, help="seconds of each run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--cache", type=Path, default=cache, help="where wheels are kept")
    options = parser.parse_args()
    chosen = cases(options.only)
    if options.public:
        doors = [door for each in PUBLIC for door in (each.case, replace(each.case, version=each.clean))]
        chosen = list(dict.fromkeys(doors))
    libraries: dict[str, Path] = {}
    for version in dict.fromkeys(case.version for case in chosen):
        try:
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
            for seed in range(1, options.seeds + 1)
            if case.version in libraries
        ]
        for future in concurrent.futures.as_completed(futures):
            results.append(future.result())
            show(results[-1])
    if options.public:
        print("\n" + "\n".join(public_table(results)))
    else:
        print("\nBy way of failing: runs of each version that found it")
        print("\n".join(summary(sorted(results, key=lambda result: str(result.case)))) or "nothing was found")
    missing = {case.version for case in chosen} - libraries.keys()
    sys.exit(1 if missing or any(not result.attacks for result in results) else 0)


if __name__ == "__main__":
    main()
