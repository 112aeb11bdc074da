"""However a campaign ends, what was recorded is there afterwards, whole, and counts once."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.overnight.conftest import Campaign, Started, journal
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.overnight.entries import Pool
from zmqfuzz.overnight.tally import Tally

CRASH = ("--", sys.executable, "-m", "zmqfuzz.targets.examples.worker_crash", "--bind", "{endpoint}")
TARGET = "zmqfuzz.targets.examples.worker_crash"
PLAY = ("--only", "malformed-message,flood,churn", "--status-every", "1s")

WORKERS = "2"

_OWN = ("slice-began", "slice-over")

Records = list[dict[str, Any]]


def recorded(folder: Path, name: str) -> Records:
    """What is on the disk: the journal, and what slices wrote that it does not have yet; a torn last line is not."""
    records = journal(folder, name)
    carried = Counter(record["slice"] for record in records if "slice" in record and record["event"] not in _OWN)
    for file in sorted((folder / ".zmqfuzz/campaigns" / name / "slices").glob("*.jsonl")):
        lines = file.read_text().split("\n")[:-1]
        number = int(file.stem)
        records += [{**json.loads(line), "slice": number} for line in lines[carried[number] :]]
    return records


def same(record: dict[str, Any]) -> str:
    """What names a record of a slice."""
    light = {key: value for key, value in record.items() if key not in ("elapsed", "files", "name", "text", "z")}
    return json.dumps(light, sort_keys=True)


def check_kept(folder: Path, name: str, before: Records) -> None:
    """Each record of ``before`` is in the journal once, and what it brought can be read."""
    after = Counter(same(record) for record in journal(folder, name))
    for record in before:
        if "slice" in record:
            assert after[same(record)] == 1, record
    store = folder / ".zmqfuzz"
    corpus, pool = Corpus(store), Pool(store, TARGET)
    names = {entry.path.name for entry in pool.entries()}
    assert not pool.said
    for record in before:
        if record["event"] == "found":
            assert corpus.load(record["finding"]["id"])[0].id == record["finding"]["id"]
        if record["event"] == "learned" and "name" in record:
            assert record["name"].partition("/")[2] in names


def fold(records: Records) -> Tally:
    tally = Tally()
    for record in records:
        tally.take(record)
    return tally


def resumes(folder: Path, name: str) -> int:
    return sum(record["event"] == "resumed" for record in journal(folder, name))


def killed_again_and_again(
    campaign: Started, folder: Path, times: int, numbers: random.Random, *, longest: float = 1.5, slice_: str = "3s"
) -> None:
    """Kill a campaign so many times, each up to ``longest`` seconds after it has written something."""
    words = ("night", "--for", "9h", "--slice", slice_, "--workers", WORKERS, "--seed", "5", *PLAY, *CRASH)
    before: Records = []
    for turn in range(times + 1):
        one = campaign(*words)
        while resumes(folder, "night") < turn:
            one.until(lambda: True)
            time.sleep(0.02)
        if turn == times:
            for _ in range(2):  # Ctrl-C twice: at once
                os.killpg(one.process.pid, signal.SIGINT)
                time.sleep(0.05)
            assert one.ended() == 130
            assert one.gone()
            assert f"campaign night goes on: {WORKERS} workers, seed 5" in one.text
        else:
            wanted = len(recorded(folder, "night")) + 5
            while len(recorded(folder, "night")) < wanted:
                one.until(lambda: True)
                time.sleep(0.05)
            time.sleep(numbers.random() * longest)
            one.kill()
        check_kept(folder, "night", before)
        now, then = fold(recorded(folder, "night")), fold(before)
        assert now.total >= then.total
        assert now.cells >= then.cells
        assert set(now.found) >= set(then.found)
        before = recorded(folder, "night")


def test_a_campaign_that_is_killed_loses_nothing(campaign: Started, tmp_path: Path) -> None:
    killed_again_and_again(campaign, tmp_path, 1, random.Random())  # a hundred times: benchmarks/survival.py


def test_a_worker_that_dies_is_replaced_and_ctrl_c_ends_it_all(campaign: Started, tmp_path: Path) -> None:
    words = ("w", "--for", "10min", "--slice", "4s", "--workers", "2", *PLAY, "--report", "r", *CRASH)
    one = campaign(*words)

    def of(event: str) -> Records:
        return [record for record in journal(tmp_path, "w") if record["event"] == event]

    one.until(lambda: of("played") and len(one.workers()) == 2)
    victim = one.workers()[0]
    os.kill(victim, signal.SIGKILL)
    one.until(lambda: any(record["died"] for record in of("slice-over")))
    (dead,) = [record["slice"] for record in of("slice-over") if record["died"]]
    one.until(lambda: any(record["slice"] > dead for record in of("played")) and len(one.workers()) == 2)
    os.killpg(one.process.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    assert one.ended() == 130
    assert "a worker died in slice" in one.text
    assert "resume: " in one.text
    assert one.gone()
    findings = {record["finding"]["id"] for record in of("found")}
    assert findings == set(Corpus(tmp_path / ".zmqfuzz").ids())
    assert sorted(findings) == sorted(json.loads((tmp_path / "r/report.json").read_text())["outcome"]["findings"])
    status = json.loads((tmp_path / ".zmqfuzz/campaigns/w/status.json").read_text())
    assert status["cases"] == fold(journal(tmp_path, "w")).total
    assert status["died"] == 1


def check_full(one: Campaign, folder: Path, code: int) -> None:
    """It ended with one sentence, and nothing is torn."""
    assert code == 2, one.text
    said = [line for line in one.text.splitlines() if line.startswith("zmqfuzz: ")]
    assert len(said) == 1, one.text
    assert "free " in said[0]
    text = (folder / ".zmqfuzz/campaigns/full/events.jsonl").read_text()
    assert text.endswith("\n")
    for line in text.splitlines():
        json.loads(line)
    for file in (folder / ".zmqfuzz").rglob("*.zft"):
        assert file.read_text().endswith('{"end": true}\n')
    assert one.gone()


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_a_campaign_and_tears_nothing(campaign: Started, tmp_path: Path) -> None:
    words = ("full", "--for", "60s", "--slice", "20s", *PLAY, *CRASH)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))  # more than its first line

    one = campaign(*words, preexec_fn=limited)
    check_full(one, tmp_path, one.ended())
    before = recorded(tmp_path, "full")
    one = campaign(*words)
    one.until(lambda: resumes(tmp_path, "full") == 1)
    one.kill()
    check_kept(tmp_path, "full", before)


def mounted(folder: Path, size: int) -> bool:
    """Whether a file system of its own could be mounted at ``folder``."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return bool(shutil.which("mount")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_full_disk_ends_a_campaign_and_tears_nothing(campaign: Started, tmp_path: Path) -> None:
    if not mounted(tmp_path / ".zmqfuzz", 160 * 1024):
        pytest.skip("no file system may be mounted here")
    try:
        words = ("full", "--for", "60s", "--slice", "20s", *PLAY, *CRASH)
        one = campaign(*words)
        check_full(one, tmp_path, one.ended())
        before = recorded(tmp_path, "full")
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path / ".zmqfuzz")], check=True)
        one = campaign(*words)
        one.until(lambda: len(journal(tmp_path, "full")) > len(before) + 2)
        one.kill()
        check_kept(tmp_path, "full", before)
    finally:
        subprocess.run(["umount", str(tmp_path / ".zmqfuzz")], check=False)
