"""What the plugin costs a project that does not use it: ``pytest --collect-only`` with it and without, as a ratio.

    python benchmarks/collect.py [--rounds 15] [--tests 200]

Both are started in turn on a folder of small tests, without any other plugin that is installed, and with byte code
that is kept, as is usual (with PYTHONDONTWRITEBYTECODE each start compiles the plugin anew: 1.16 instead of 1.03).
What is compared is processor time, as wall time on a busy machine says more of the machine. Prints the medians, and the
median of the rounds' ratios; exits 1 above 1.1.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 1.1


def seconds(folder: Path, *plugin: str) -> float:
    """Processor time of one collection."""
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPYCACHEPREFIX": str(folder / "cache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *plugin]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tests", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.tests // 20):
            tests = "".join(f"def test_{place}(): pass\n" for place in range(20))
            (folder / f"test_{number}.py").write_text(tests, encoding="utf-8")
        seconds(folder), seconds(folder, "-p", "zmqfuzz.pytest_plugin")
        rounds = [(seconds(folder), seconds(folder, "-p", "zmqfuzz.pytest_plugin")) for _ in range(options.rounds)]
    without, with_it = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = statistics.median(ours / plain for plain, ours in rounds)
    print(f"without {without:.3f} s, with {with_it:.3f} s; ratio {ratio:.3f} (median of {options.rounds} rounds)")
    sys.exit(ratio > MOST)


if __name__ == "__main__":
    main()
