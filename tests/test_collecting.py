"""What a Java virtual machine has not collected yet is not what its program keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zmqfuzz.collecting import Collector

LITTER = """
public class Litter {
    public static void main(String[] args) throws Exception {
        byte[][] kept = new byte[args.length > 0 ? 100 : 1][];
        for (int i = 0; i < 100; i++) {
            kept[i % kept.length] = new byte[1 << 20];
            java.util.Arrays.fill(kept[i % kept.length], (byte) 1);
        }
        System.out.println("done");
        Thread.sleep(600_000);
        System.out.println(kept[0][0]);
    }
}
"""


@contextmanager
def running(*command: str) -> Iterator[int]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "done\n"
            yield process.pid
        finally:
            process.kill()


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


@pytest.mark.skipif(shutil.which("javac") is None, reason="there is no Java compiler")
def test_garbage_goes_and_what_is_kept_stays(tmp_path: Path) -> None:
    (tmp_path / "Litter.java").write_text(LITTER)
    subprocess.run(["javac", str(tmp_path / "Litter.java")], check=True)
    java = ("java", "-Xshare:auto", "-cp", str(tmp_path), "Litter")
    with running(*java) as littering, running(*java, "keep") as keeping:
        before = resident(littering)
        collector = Collector(lambda: (littering, keeping))
        collector.collect()
        assert collector.machines
        assert not collector.failed
        deadline = time.monotonic() + 10
        while resident(littering) > before - 40 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert resident(littering) < before - 40
        assert resident(keeping) > 100
    collector.close()
    assert not any(Path(f"/tmp/.java_pid{pid}").exists() for pid in (littering, keeping))


def test_no_other_program_is_signalled() -> None:
    with running(sys.executable, "-c", "print('done', flush=True); import time; time.sleep(600)") as pid:
        collector = Collector(lambda: (pid, pid + 1_000_000_000))
        collector.collect()
        time.sleep(0.05)
        assert not collector.failed
        assert not collector.machines
        assert Path(f"/proc/{pid}/maps").read_text()
