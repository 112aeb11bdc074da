"""Real libzmqs, old and new, against ZF651: is each public defect told at the doors that have it, and not of others?

    python benchmarks/advisories.py [--cache FOLDER]

The libraries are those of ``benchmarks/rediscovery.py``, out of old pyzmq wheels, which pip downloads once. At each
door that a public defect was found at by attacks (its ``PUBLIC``) every version is started, looked at as ``zmqfuzz run
--only exposure`` does, and ended. Prints a line for each: the version that was seen in the process, the severity, and
what a peer gets to. Exit code 1: a version was not seen as it is, a defect was not told of a version that has it, or
was told of one that has not.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import trio
from rediscovery import OWN, PUBLIC, WHEELS, Case, bring

from zmqfuzz.advisories import read_version
from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.exposing import look
from zmqfuzz.catalogue import invariants
from zmqfuzz.exposure import Exposure, version_text
from zmqfuzz.finding import Violation
from zmqfuzz.targets.library import hosted

HAVE = {
    "CVE-2019-6250": ("4.2.5",),
    "CVE-2019-13132": ("4.1.5", "4.1.6", "4.2.5", "4.3.1"),
    "CVE-2020-15166": ("4.1.5", "4.1.6", "4.2.5", "4.3.1", "4.3.2"),
    "CVE-2021-20234": ("4.1.5", "4.1.6", "4.2.5", "4.3.1", "4.3.2"),
    "CVE-2021-20235": ("4.2.5", "4.3.1", "4.3.2"),
    "CVE-2021-20236": ("4.1.5", "4.1.6", "4.2.5", "4.3.1", "4.3.2"),
    "CVE-2021-20237": ("4.2.5", "4.3.1", "4.3.2"),
}
"""Of the versions here, those that have the defect, as NEWS and the sources of libzmq say."""


async def seen_at(case: Case, library: Path) -> Exposure:
    """One look at a socket of a library in a process of its own."""
    made = hosted(library, case.socket_type, mechanism=case.mechanism, connecting=case.side == "connect")
    spec = Spec(
        command=made.command, bind=made.bind, name=made.name, socket_type=case.socket_type, credentials=made.known()
    )
    async with spec.harness() as harness:
        return await look(harness, await harness.standing())


def told_at_doors(violation: Violation | None) -> dict[str, bool]:
    """What is told, and whether a peer gets to it at a door that was seen."""
    measures = violation.measures if violation is not None else ()
    return {measure.name: "; reached by" in measure.observed for measure in measures}


def main() -> None:
    """Look at all of them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqfuzz" / "wheels"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=cache, help="where wheels are kept")
    options = parser.parse_args()
    wrong = 0
    for version in (*WHEELS, OWN):
        try:
            library = bring(version, options.cache)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            wrong += 1
            continue
        # CVE-2020-15166 is published of doors that keep strangers out.
        doors = {
            replace(one.case, version=version): {other.name for other in PUBLIC if _same(other.case, one.case)}
            for one in PUBLIC
            if (one.name, one.case.mechanism) != ("CVE-2020-15166", "null")
        }
        for case, names in doors.items():
            shown = trio.run(seen_at, case, library)
            violation = invariants()["ZF651"].judge(shown, Limits())
            told = told_at_doors(violation)
            right = [one.version for one in shown.loaded] == [read_version(version)]
            right = right and {name for name in HAVE if version in HAVE[name]} == {
                name for name in told if name in HAVE
            }
            right = right and all(told[name] for name in names if version in HAVE[name])
            wrong += not right
            reached = ", ".join(name for name, gets in told.items() if gets) or "nothing"
            numbers = " ".join(version_text(one.version) if one.version else "?" for one in shown.loaded)
            severity = violation.severity.upper() if violation is not None else "-"
            print(
                f"{'ok' if right else 'WRONG':6}{case!s:28}{numbers:8}{severity:9}{len(told)} told, reached: {reached}"
            )
    sys.exit(1 if wrong else 0)


def _same(one: Case, other: Case) -> bool:
    return replace(one, version="") == replace(other, version="")


if __name__ == "__main__":
    main()
