"""The parts of a campaign, each by itself: lines, the fold of the journal, entries, what comes from elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.novelty import Learned, Novelty, cells_of
from zmqfuzz.errors import UsageError
from zmqfuzz.overnight.closing import amounts_to
from zmqfuzz.overnight.conductor import Conductor, Ends
from zmqfuzz.overnight.crew import Local, most_workers
from zmqfuzz.overnight.entries import Pool, entry_lines, needed
from zmqfuzz.overnight.ledger import JOURNAL, Ledger, check_name
from zmqfuzz.overnight.lines import Lines, Tail, read_lines
from zmqfuzz.overnight.merging import imported, merged
from zmqfuzz.overnight.tally import Tally
from zmqfuzz.overnight.task import Task
from zmqfuzz.script import Attack, Close, Connect, Script, Wait
from zmqfuzz.seeds import read_seeds
from zmqfuzz.trial import ClosedBy, Exit, Observation, Reached, Sample, Stage, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Frame, Greeting, encode

DOOR = Surface("tcp://127.0.0.1:1", "ROUTER")


def attack(seconds: float = 0.1, family: str = "flood") -> Attack:
    return Attack((Script((Connect(), Wait(seconds), Close())),), strategy=family)


def trial(*stages: Stage, held: int = 0, end: Exit | None = None, played: Attack | None = None) -> Trial:
    seen = Transcript("peer", (), ClosedBy.US, 100, 0, Reached.TRAFFIC, acted=frozenset(stages))
    samples = [Sample(0.0, 0, rss, rss, 5, 1, 0.0) for rss in (10 << 20, (10 << 20) + held)]
    return Trial(played or attack(), DOOR, (seen,), Observation(samples[0], samples[1], exit=end), 1.0)


def test_a_torn_last_line_is_set_aside_and_the_next_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"event":"a"}\n{"event":"b","te')
    lines = Lines(file)
    assert lines.said == [f"{file}: the last line was torn; it was set aside in events.jsonl.torn"]
    lines.append({"event": "c"})
    lines.close()
    assert [record["event"] for record in read_lines(file)[0]] == ["a", "c"]
    assert (tmp_path / "events.jsonl.torn").read_bytes() == b'{"event":"b","te\n'


def test_a_line_longer_than_a_block_is_torn_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"event":"a"}\n' + b"x" * 200_000)
    Lines(file).close()
    assert file.read_bytes() == b'{"event":"a"}\n'
    file.write_bytes(b"x" * 200_000)
    Lines(file).close()
    assert file.read_bytes() == b""


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "events.jsonl")
    with pytest.raises(UsageError, match="another zmqfuzz"):
        Lines(tmp_path / "events.jsonl")
    lines.close()
    Lines(tmp_path / "events.jsonl").close()


def test_a_tail_reads_whole_lines_only_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    tail = Tail(file, skip=1)
    assert list(tail.read()) == []
    file.write_bytes(b'{"event":"a"}\n{"event":"b"}\n{"event"')
    assert [record["event"] for record in tail.read()] == ["b"]
    file.write_bytes(b'{"event":"a"}\n{"event":"b"}\n{"event":"c"}\nnonsense\n')
    assert [record["event"] for record in tail.read()] == ["c", "damaged"]
    assert len(tail.said) == 1


def opened(folder: Path) -> Ledger:
    return Ledger(folder / "campaigns" / "c", folder, "server", {"command": ["server"]})


def test_records_of_a_slice_are_carried_over_once_from_where_the_journal_stops(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write("begun", target="server", seed=1, description={"command": ["server"]})
    ledger.write("slice-began", slice=1)
    slice_ = Lines(ledger.file(1))
    for _ in range(2):
        slice_.append({"event": "played", "cases": [["door", "flood", 5]], "starts": 1})
        assert len(list(ledger.follow(1))) == 1
    slice_.append({"event": "played", "cases": [["door", "flood", 7]], "starts": 0})
    slice_.close()
    ledger.close()  # killed
    with ledger.file(1).open("ab") as file:
        file.write(b'{"event":"pla')
    ledger = opened(tmp_path)
    assert ledger.tally.total == 10
    assert len(ledger.recover()) == 1
    assert (ledger.tally.total, ledger.tally.starts, ledger.tally.died) == (17, 2, 1)
    assert not ledger.file(1).exists()
    ledger.close()
    ledger = opened(tmp_path)
    assert (ledger.tally.total, ledger.recover()) == (17, [])
    ledger.close()


def test_a_campaign_is_not_gone_on_with_for_another_target(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write("begun", target="server", seed=1, description={"command": ["server"]})
    ledger.close()
    with pytest.raises(UsageError, match="--fresh"):
        Ledger(tmp_path / "campaigns" / "c", tmp_path, "server", {"command": ["other"]})
    (tmp_path / "campaigns" / "c" / JOURNAL).write_text("")
    Ledger(tmp_path / "campaigns" / "c", tmp_path, "server", {"command": ["other"]}).close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "é", "a" * 65])
def test_the_name_of_a_campaign_leads_nowhere_else(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)
    assert check_name("night-2.x") == "night-2.x"


def finding(state: str = "x", confirmed: int = 3, tried: int = 3) -> dict[str, Any]:
    plain = {"id": "ZF101-aaaa", "code": "ZF101", "signature": state, "title": "T", "severity": "high"}
    return {"event": "found", "door": "d", "family": "f", "finding": {**plain, "confirmed": confirmed, "tried": tried}}


def replayed(shown: int, tried: int) -> dict[str, Any]:
    holds = tried > 0 and shown * 3 >= tried * 2
    return {
        "event": "replayed",
        "finding": "ZF101-aaaa",
        "shown": shown,
        "tried": tried,
        "holds": holds,
        "sentence": "",
    }


@pytest.mark.parametrize(
    ("shown", "tried", "state", "known"),
    [(3, 3, "still", True), (0, 3, "fixed", False), (1, 10, "rare", True), (0, 0, "unclear", True)],
)
def test_a_replay_says_what_has_become_of_a_finding(shown: int, tried: int, state: str, known: bool) -> None:
    tally = Tally()
    for record in ({"event": "leg"}, finding(), {"event": "over"}, {"event": "leg"}, replayed(shown, tried)):
        tally.take(record)
    one = tally.found["ZF101-aaaa"]
    assert one.state == state
    assert (("d", "ZF101", "x") in tally.known) == known
    tally.take(finding())
    assert one.state == state or tally.found["ZF101-aaaa"].state in ("new", "still")


def test_the_same_finding_of_two_workers_is_one() -> None:
    tally = Tally()
    for record in ({"event": "leg"}, {**finding(), "slice": 1}, {**finding(), "slice": 2}):
        tally.take(record)
    (one,) = tally.found.values()
    assert (one.times, one.state) == (2, "new")


def test_doubts_about_time_are_those_of_all_slices_together() -> None:
    tally = Tally()
    for doubts in (
        ["no time was left for flood on d (give --for longer)", "d: ZF204? seen"],
        ["d: ZF204? seen, twice"],
    ):
        outcome = {"cases": [], "checks": [], "observed": [], "reach": {"cells": [], "impossible": []}}
        tally.take({"event": "ended", "outcome": outcome, "seen": [doubts, []], "known": [], "slice": 1})
    tally.take({"event": "played", "cases": [["d", "flood", 9]], "starts": 1})
    assert amounts_to(tally, (), Limits(), False)["doubts"] == ["d: ZF204? seen (so in 2 slices)"]


def test_what_was_being_examined_when_a_worker_died_is_in_doubt_until_it_is_found() -> None:
    tally = Tally()
    seen = {"event": "suspected", "door": "d", "family": "f", "code": "ZF101", "sentence": "", "slice": 1}
    for record in ({"event": "leg"}, {"event": "slice-began", "slice": 1}, seen):
        tally.take(record)
    tally.take({"event": "slice-over", "slice": 1, "died": True})
    doubt = "d: ZF101? seen, and its examination was broken off"
    assert amounts_to(tally, (), Limits(), False)["doubts"] == [doubt]
    tally.take({**finding(), "slice": 2})
    assert amounts_to(tally, (), Limits(), False)["doubts"] == []
    assert amounts_to(tally, (), Limits(), False)["verdict"] == "violated"


def test_what_is_new_is_kept_and_what_ended_the_target_is_not() -> None:
    novelty = Novelty()
    first = novelty.note(trial(Stage.TRAFFIC, held=64 << 20), alone=True)
    assert first is not None
    assert first.cells == tuple(cells_of(trial(Stage.TRAFFIC)))
    assert first.best["held"] > 1000
    assert novelty.note(trial(Stage.TRAFFIC, held=65 << 20), alone=True) is None
    assert novelty.note(trial(Stage.TRAFFIC, held=640 << 20), alone=False) is None
    last = novelty.note(trial(Stage.MESSAGE, end=Exit(code=1)), alone=True)
    assert last is not None
    assert entry_lines(last) == {}


def kept(pool: Pool, seconds: float, *cells: str, **best: float) -> None:
    made = entry_lines(Learned(DOOR, attack(seconds), cells, best))
    pool.put(made["name"], made["text"])


def test_a_corrupt_entry_is_set_aside_and_the_others_are_read(tmp_path: Path) -> None:
    pool = Pool(tmp_path, "server")
    kept(pool, 0.1, "a")
    kept(pool, 0.2, "b")
    broken, whole = sorted(pool.folder.glob("*/*.zft"))
    broken.write_text(broken.read_text()[:-20])
    assert [entry.path for entry in pool.entries()] == [whole]
    assert len(pool.said) == 1
    assert f"{broken.name}.damaged" in pool.said[0]
    assert broken.with_name(f"{broken.name}.damaged").exists()


@pytest.mark.parametrize(
    "name", ["../x/0123456789abcdef.zft", "flood/../../x.zft", "flood/a.zft", "/0123456789abcdef.zft"]
)
def test_an_entry_cannot_be_written_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        Pool(tmp_path / "in", "server").put(name, "x")
    assert not list(tmp_path.rglob("*.zft"))


def test_pruning_keeps_every_behaviour_and_the_best(tmp_path: Path) -> None:
    pool = Pool(tmp_path, "server")
    kept(pool, 0.1, "a", "b")
    kept(pool, 0.25, "a")
    kept(pool, 0.375, "c", held=1.0)
    kept(pool, 0.5, "a", held=2.0)
    left = needed(pool.entries())
    assert {cell for entry in left for cell in entry.cells} == {"a", "b", "c"}
    assert max(entry.best.get("held", 0) for entry in left) == 2.0
    assert len(left) == 3


def test_stores_are_merged_by_what_they_hold(tmp_path: Path) -> None:
    kept(Pool(tmp_path / "one", "server"), 0.1, "a")
    kept(Pool(tmp_path / "two", "server"), 0.1, "a")
    kept(Pool(tmp_path / "two", "server"), 0.2, "b")
    result = merged(tmp_path / "two", tmp_path / "one")
    assert (result.entries, result.known) == (1, 1)
    assert merged(tmp_path / "two", tmp_path / "one").known == 2
    assert len(Pool(tmp_path / "one", "server").entries()) == 2


def test_messages_are_imported(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text('["get", {"hex": "00ff"}]\n["put"]\n')
    count, file = imported(tmp_path / "said.jsonl", tmp_path / "store")
    assert count == 2
    assert read_seeds(file) == ((b"get", b"\0\xff"), (b"put",))


def test_messages_are_imported_from_a_capture(tmp_path: Path) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw
    from scapy.utils import wrpcap

    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ"
    said = encode(Greeting()) + ready + encode(Frame(b"get", more=True)) + encode(Frame(b"\0\xff"))
    start = 2**32 - 10  # the numbers begin anew on the way
    packets = [Ether() / IP(src="127.0.0.1") / TCP(sport=1000, dport=5555, flags="S", seq=start)]
    pieces = [(place, said[place : place + 30]) for place in range(0, len(said), 30)]
    for place, piece in (*pieces[::-1], pieces[0]):  # out of order, and one twice
        seq = (start + 1 + place) % 2**32
        packets.append(Ether() / IP(src="127.0.0.1") / TCP(sport=1000, dport=5555, flags="A", seq=seq) / Raw(piece))
    wrpcap(str(tmp_path / "said.pcap"), packets)
    count, file = imported(tmp_path / "said.pcap", tmp_path / "store")
    assert count == 1
    assert read_seeds(file) == ((b"get", b"\0\xff"),)
    (tmp_path / "no.pcap").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be read as a capture"):
        imported(tmp_path / "no.pcap", tmp_path / "store")


def test_programs_that_would_collide_have_one_worker() -> None:
    assert most_workers(("server", "--bind", "{endpoint}"), (), ()) == (0, "")
    assert most_workers(("server",), ("tcp://127.0.0.1:5555",), ())[0] == 1
    assert most_workers((), ("tcp://127.0.0.1:5555",), ())[0] == 1
    for _, why in (most_workers(("server",), (), ()), most_workers((), ("x",), ())):
        assert why.startswith("there is one worker: ")


def test_a_journal_is_plain_json(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write("begun", said="\x1b[31m\udc80")
    ledger.close()
    assert json.loads((tmp_path / "campaigns/c" / JOURNAL).read_text("ascii"))["event"] == "begun"


def test_what_was_not_triaged_in_time_is_given_to_the_next_slice_and_not_for_ever() -> None:
    waiting = {"door": "D", "family": "flood", "code": "ZF101", "said": "D: ZF101? seen", "attack": [], "history": []}
    outcome = {"checks": [], "observed": [], "cases": [], "reach": {"impossible": [], "cells": []}}
    ended = {"event": "ended", "outcome": outcome, "known": [], "seen": [[], []], "waiting": [waiting]}
    tally = Tally()

    def take(event: str, number: int, **values: Any) -> None:
        tally.take({"event": event, "slice": number, **values})

    def doubts() -> list[str]:
        return list(amounts_to(tally, (), Limits(), False)["doubts"])

    take("slice-began", 1, seconds=60.0)
    tally.take({"slice": 1, **ended})
    take("slice-over", 1)
    assert tally.waiting == [waiting]
    take("slice-began", 2, replay="ZF101-abcd")
    assert tally.waiting == [waiting], "a replay does nothing about it"
    take("slice-over", 2)
    for number in (3, 4):
        take("slice-began", number, seconds=60.0)
        assert not tally.waiting
        assert doubts() == ["D: ZF101? seen"]
        take("slice-over", number, died=True)
    assert [one["tries"] for one in tally.waiting] == [2]
    take("slice-began", 5, seconds=60.0)
    take("slice-over", 5, died=True)
    assert not tally.waiting
    assert doubts() == ["D: ZF101? seen"]


def test_where_time_is_short_families_take_turns(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "n", tmp_path, "t", {})
    task = Task(0, Spec(command=("true",)), families=("a", "b", "c", "d"), seconds=20.0)
    conductor = Conductor(ledger, Local(1), task, Ends(60.0), show=lambda _: None, say=lambda _: None)
    assert conductor._turn(task) == ("a", "b", "c", "d"), "no door is known yet"
    for door in ("x", "y"):
        ledger.write("door", door=door, ok=True)
    played: list[str] = []
    for number in range(4):
        turn = conductor._turn(task)
        played += turn
        for family in turn:
            ledger.write("slice", slice=number, door="x", family=family, rss=0)
    assert sorted(played) == sorted("aabbccdd")
    assert conductor._turn(replace(task, seconds=60.0)) == ("a", "b", "c", "d")
    ledger.close()
