"""A campaign is killed again and again, at moments taken by chance: nothing on the disk is lost, or counts twice.

    python benchmarks/survival.py [--kills 100] [--seed 1]

Two workers attack a program that crashes; SIGKILL hits the campaign while they start, play, examine and clean up. After
each kill, and the resume that follows, every record that was whole on the disk must be in the journal once, every
finding and corpus entry that it brought must be readable, and no counter may be smaller. Prints a line for each kill;
exit code 1, with what is wrong, at the first that loses anything.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.overnight.conftest import Campaign, end_marked
from tests.overnight.test_survival import fold, killed_again_and_again, recorded

LONGEST = 15.0
"""Seconds between the first records after a resume and the kill, at most: findings take as long."""


@contextmanager
def started(folder: Path, made: list[Campaign]) -> Iterator[object]:
    """What starts campaigns in ``folder``; nothing of them is left afterwards."""
    mark = f"zf-{uuid.uuid4().hex}"

    def start(*words: str, **popen: object) -> Campaign:
        if made:
            tally = fold(recorded(folder, "night"))
            said = f"{tally.total:,} attacks, {len(tally.cells)} behaviours, {len(tally.found)} findings"
            print(f"kill {len(made)}: {said}, {tally.slices} slices, {tally.resumes} resumes", flush=True)
        made.append(Campaign(folder, words, mark, **popen))
        return made[-1]

    try:
        yield start
    finally:
        end_marked(mark, made)


def main() -> int:
    """Exit code 0: nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    made: list[Campaign] = []
    with tempfile.TemporaryDirectory(prefix="zmqfuzz-survival-") as name, started(Path(name), made) as start:
        try:
            numbers = random.Random(options.seed)
            killed_again_and_again(start, Path(name), options.kills, numbers, longest=LONGEST, slice_="20s")  # type: ignore[arg-type]
        except AssertionError as error:
            print(f"after kill {len(made) - 1}: {error}")
            return 1
    print(f"{options.kills} kills: nothing lost, nothing torn, nothing twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
