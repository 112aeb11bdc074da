"""Nights one after the other: what was found stays known, what was mended is told, and what is new fails the gate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.overnight.conftest import Started, journal
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded

SERVER = """
import pathlib, sys
from zmqfuzz.targets.examples import worker_crash
if pathlib.Path("mended").exists():
    sys.argv.append("--hardened")
worker_crash.main()
"""

CRASH = ("--", sys.executable, "-m", "zmqfuzz.targets.examples.worker_crash", "--bind", "{endpoint}")
PLAY = ("--only", "malformed-message", "--status-every", "1s", "--slice", "5s")


def ended(campaign: Started, *words: str) -> tuple[int, str]:
    one = campaign(*words)
    return one.ended(), one.text


@pytest.mark.slow
def test_a_finding_is_known_the_next_night_and_told_when_it_is_mended(campaign: Started, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    words = ("night", "--for", "6s", *PLAY, "--baseline", "baseline.toml")
    command = ("--", sys.executable, "server.py", "--bind", "{endpoint}")
    code, text = ended(campaign, *words, "--until-findings", "1", "--baseline-update", *command)
    assert code == 0, text
    (name,) = Corpus(tmp_path / ".zmqfuzz").ids()
    code, text = ended(campaign, *words, *command)
    assert code == 0, text
    assert f"{name}  CRITICAL" in text
    assert "still there, 3 of 3" in text
    assert f"{name} is known and accepted" in text
    code, text = ended(campaign, "other", "--for", "6s", *PLAY, *command)
    assert code == 1, text  # without the baseline
    (tmp_path / "mended").touch()
    code, text = ended(campaign, *words, *command)
    assert (
        f"{name}  CRITICAL  The process does not survive what a peer sends  (fixed: none of 3 replays shows it)" in text
    )
    assert "HELD" in text
    assert code == 0, text
    (tmp_path / "mended").unlink()
    code, text = ended(campaign, *words, *command)
    assert "(new, 3 of 3)" in text  # it has come back


def test_bad_options_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    server = ["--", sys.executable, "-m", "zmqfuzz.targets.examples.rep"]
    for words, said in (
        (["campaign", *server], "needs a name"),
        (["campaign", "a/b", *server], "cannot name a campaign"),
        (["campaign", "a", "--shard", "3/2", *server], "--shard"),
        (["campaign", "a", "--workers", "many", *server], "--workers"),
        (["campaign", "a", "--workers", "2", *server], "there is one worker"),
        (["campaign", "nothing-declared"], "nothing-declared"),
        (["corpus", "merge", "nowhere"], "neither corpus nor findings"),
        (["corpus", "import", "nothing.jsonl"], "cannot be read"),
    ):
        done = run_inside(monkeypatch, words)
        assert done[0] == 2, done
        assert said in done[1]
        assert len(done[1].strip().splitlines()) == 1, done[1]


def run_inside(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> tuple[int, str]:
    import contextlib
    import io

    monkeypatch.setattr(sys, "argv", ["zmqfuzz", *words])
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = guarded(cli)
    return code, said.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("until", [("--until-findings", "1"), ()])
def test_shards_play_other_seeds_and_are_merged(campaign: Started, tmp_path: Path, until: tuple[str, ...]) -> None:
    seeds = set[int]()
    for part in (1, 2):
        words = ("night", "--for", "12s", *PLAY, *until, "--seed", "4", "--shard", f"{part}/2")
        code, text = ended(campaign, *words, "--store", f"store{part}", *CRASH)
        assert code == 1, text
        file = tmp_path / f"store{part}/campaigns/night-{part}-of-2/events.jsonl"
        records = [json.loads(line) for line in file.read_text().splitlines()]
        theirs = {record["seed"] for record in records if record["event"] == "slice-began"}
        assert not theirs & seeds
        seeds |= theirs
    merge = [sys.executable, "-m", "zmqfuzz", "corpus", "merge", "store1", "store2"]
    done = subprocess.run(merge, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    both = [set(Corpus(tmp_path / f"store{part}").ids()) for part in (1, 2)]
    assert set(Corpus(tmp_path / ".zmqfuzz").ids()) == both[0] | both[1]


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def check_played_there(folder: Path, name: str) -> None:
    """Slices came back from the cluster, and what they found is kept."""
    records = journal(folder, name)
    assert {record["event"] for record in records} >= {"played", "found", "ended", "closed", "slice-over"}
    found = {record["finding"]["id"] for record in records if record["event"] == "found"}
    assert found
    assert set(Corpus(folder / ".zmqfuzz").ids()) == found


def test_a_campaign_plays_on_a_small_cluster(campaign: Started, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    words = [sys.executable, "-c", CLUSTER]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as dask:
        assert dask.stdin is not None
        assert dask.stdout is not None
        try:
            address = dask.stdout.readline().strip()
            words = ["lab", "--for", "12s", *PLAY, "--until-findings", "1", "--cluster", address]
            code, text = ended(campaign, *words, *CRASH)
        finally:
            dask.stdin.close()
    assert code == 1, text
    check_played_there(tmp_path, "lab")


@pytest.mark.slow
def test_a_campaign_plays_on_a_cluster(campaign: Started, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    said = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(said)]
    started = [subprocess.Popen([*dask, *words], **quiet)]  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 60.0
        while not said.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        words = ["worker", "--scheduler-file", str(said), "--nthreads", "1", "--no-dashboard"]
        started += [subprocess.Popen([*dask, *words], **quiet) for _ in range(2)]  # type: ignore[call-overload]
        address = json.loads(said.read_text())["address"]
        words = ["lab", "--for", "10s", *PLAY, "--cluster", address]
        code, text = 2, "has no workers"
        while code == 2 and "has no workers" in text and time.monotonic() < deadline:
            code, text = ended(campaign, *words, *CRASH)
        assert code == 1, text
        check_played_there(tmp_path, "lab")
    finally:
        for one in reversed(started):
            os.kill(one.pid, signal.SIGTERM)
            one.wait(30)
