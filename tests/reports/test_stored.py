"""What stays of a run: killed at any moment it loses at most a line, and what is torn is said and skipped."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from tests.reports.conftest import HOSTILE, Record, finding
from zmqfuzz.errors import UsageError
from zmqfuzz.reports.formats import make
from zmqfuzz.reports.journal import Journal, read_journal
from zmqfuzz.reports.shelf import EVENTS, OUTCOME, Shelf, new_folder, read_run


def child(work: object) -> int:
    """Run ``work`` in a fork that ends with it; its number."""
    number = os.fork()
    if number == 0:
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    return number


def test_a_writer_that_is_killed_loses_at_most_its_last_line(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / f"{attempt}.jsonl"

        def write(path: Path = path) -> None:
            journal = Journal(path)
            for number in range(1_000_000):
                journal.write({"event": "slice", "number": number, "text": "x" * (number % 5000)})

        writer = child(write)
        while not path.exists() or path.stat().st_size < 20_000:
            time.sleep(0.001)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        events, said = read_journal(path)
        assert [event["number"] for event in events] == list(range(len(events)))
        assert len(said) <= 1
        assert len(events) + len(said) == len([line for line in path.read_bytes().split(b"\n") if line])


def test_what_a_full_disk_did_not_take_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / EVENTS

    def write() -> None:  # a limit on the size of files stands for the disk: part of a line is taken, then nothing
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        errors = [journal.write({"event": "slice", "number": number, "text": "x" * 300}) for number in range(6)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        errors.append(journal.write({"event": "slice", "number": 6}))
        (tmp_path / "errors").write_text(json.dumps([error is not None for error in errors]))

    os.waitpid(child(write), 0)
    errors = json.loads((tmp_path / "errors").read_text())
    assert (errors[0], errors[5], errors[6]) == (False, True, False)
    events, said = read_journal(path)
    assert [event["number"] for event in events] == list(range(7))
    assert len(said) == 1
    assert "torn" in said[0]


def test_a_run_comes_back_as_it_was_recorded(record: Record, tmp_path: Path) -> None:
    recorded = record(finding())
    folder = Shelf(tmp_path / ".zmqfuzz").folder()
    assert read_run(folder) == recorded
    assert (tmp_path / ".zmqfuzz/.gitignore").read_text() == "*\n"
    (found,) = recorded.found
    assert found.finding.measures[0] == ("held-per-wire-byte", "1.94 B/B", "0.50 B/B")
    assert "finding ZF203-7q2k" in found.text
    assert found.series
    assert found.control
    assert [words for _, words in found.marks] == ["step 2"]
    assert sum((folder / name).stat().st_size for name in (EVENTS, OUTCOME)) < 64 * 1024


def test_a_run_without_its_outcome_is_inconclusive_or_violated_and_says_so(record: Record, tmp_path: Path) -> None:
    for found in ((), (finding(),)):
        record(*found)
        folder = Shelf(tmp_path / ".zmqfuzz").folder()
        (folder / OUTCOME).unlink()
        with (folder / EVENTS).open("ab") as file:
            file.write(b'{"event":"slice","door"')
        run = read_run(folder)
        assert run.outcome.verdict == ("violated" if found else "inconclusive")
        assert "did not come to its end" in run.outcome.doubts[0]
        assert [case.cases for case in run.outcome.cases] == [12, 12]
        assert "torn" in run.said[0]
        assert "did not come to its end" in make("junit", run, None)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"verdict": 3}', b'{"verdict":"held","cases":[{"door":1}]}'])
def test_a_damaged_outcome_is_said_and_every_report_is_made(record: Record, tmp_path: Path, damage: bytes) -> None:
    record(finding())
    folder = Shelf(tmp_path / ".zmqfuzz").folder()
    (folder / OUTCOME).write_bytes(damage)
    with (folder / EVENTS).open("ab") as file:
        file.write(b'{"event":"found","finding":null}\n{"event":"door"}\n')
    run = read_run(folder)
    assert len(run.said) >= 3
    assert [one.finding.id for one in run.found] == ["ZF203-7q2k"]
    for name in ("html", "junit", "sarif", "json", "markdown"):
        assert "ZF203" in make(name, run, None)


def test_runs_are_found_by_name_beginning_and_age(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with pytest.raises(UsageError, match="no run in"):
        shelf.folder()
    folders = [new_folder(tmp_path, name) for name in (HOSTILE, "../../up", "gateway", "gateway")]
    assert all(folder.parent == tmp_path / "runs" for folder in folders)
    for folder in folders:
        (folder / EVENTS).write_bytes(b"")
    assert shelf.folder() == max(folders)
    assert shelf.folder(folders[0].name) == folders[0]
    assert shelf.folder(str(folders[1])) == folders[1]
    with pytest.raises(UsageError, match="write more"):
        shelf.folder("20")
    with pytest.raises(UsageError, match="no run 'no'"):
        shelf.folder("no")


def test_a_run_of_a_newer_zmqfuzz_is_not_misread(tmp_path: Path) -> None:
    (tmp_path / EVENTS).write_text('{"event": "started", "format": 99}\n')
    with pytest.raises(UsageError, match="upgrade zmqfuzz"):
        read_run(tmp_path)
