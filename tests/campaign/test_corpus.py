"""Findings come back from the disk as they were; what is wrong there is said in a sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Measure, Severity
from zmqfuzz.script import Attack, Connect, Script, Send, Shake
from zmqfuzz.trial import ClosedBy, Direction, Entry, Observation, Reached, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Fill, Frame

ATTACK = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(Fill(255), more=True),), times=100))),), "flood", 7)
ORIGINAL = replace(ATTACK, scripts=ATTACK.scripts * 3)
EARLIER = Attack((Script((Connect(),)),))
FINDING = Finding(
    id="ZF203-7q2k",
    code="ZF203",
    title="A message that never ends holds memory without limit",
    severity=Severity.HIGH,
    sentence="One peer sent 100 MiB.",
    signature="held",
    measures=(Measure("held per byte", "1.94", "0.50"),),
    surface=Surface("tcp://127.0.0.1:5555", "ROUTER"),
    attack=ATTACK,
    original=ORIGINAL,
    target="gateway",
    log_tail="bye",
)
SPEC = {"command": ["python", "app.py"], "limits": {"memory": None}}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / ".zmqfuzz")


def trial() -> Trial:
    entries = (Entry(0.1, Direction.RECEIVED, b"", note="READY Socket-Type=ROUTER"),)
    transcript = Transcript("attacker", entries, ClosedBy.OPEN, 1, 1, Reached.TRAFFIC)
    return Trial(ATTACK, FINDING.surface, (transcript,), Observation(log_tail="last words"), 1.0)


def sentence(error: pytest.ExceptionInfo[UsageError]) -> str:
    text = str(error.value)
    assert text.endswith(".")
    return text


def test_a_finding_comes_back_with_its_spec(corpus: Corpus) -> None:
    folder = corpus.save(FINDING, SPEC, trial())
    assert corpus.ids() == ("ZF203-7q2k",)
    for name in ("ZF203-7q2k", "ZF203", "zf203-7Q2K", str(folder), folder, folder / "finding.json"):
        assert corpus.load(name) == (FINDING, SPEC)
    assert corpus.load(folder / "transcript.zft") == (FINDING, SPEC)
    assert corpus.load(folder / "original.zft") == (replace(FINDING, attack=ORIGINAL), SPEC)


def test_the_folder_holds_the_promised_files_and_git_sees_none(corpus: Corpus) -> None:
    folder = corpus.save(replace(FINDING, history=(EARLIER, ATTACK)), SPEC, trial())
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names >= {"finding.json", "transcript.zft", "original.zft", "target.log", "repro.py", "command.json"}
    assert names >= {"history/001.zft", "history/002.zft"}
    assert not [name for name in names if name.endswith(".tmp")]
    assert (folder / "target.log").read_text() == "last words"
    assert "READY Socket-Type=ROUTER" in (folder / "transcript.txt").read_text()
    assert json.loads((folder / "command.json").read_text()) == SPEC
    assert (folder.parent.parent / ".gitignore").read_text().split() == ["*"]
    compile((folder / "repro.py").read_text(), "repro.py", "exec")
    assert corpus.load(folder / "history/001.zft")[0].attack == EARLIER


def test_saving_again_replaces_and_keeps_what_others_put_there(corpus: Corpus) -> None:
    folder = corpus.save(replace(FINDING, history=(EARLIER, ATTACK)), SPEC)
    (folder / "notes.md").write_text("mine")
    newer = replace(FINDING, sentence="Now 200 MiB.", history=(EARLIER,))
    corpus.save(newer, {})
    assert corpus.load(FINDING.id) == (newer, {})
    assert not (folder / "history/002.zft").exists()
    assert (folder / "notes.md").read_text() == "mine"


def test_a_file_that_left_its_folder_is_still_a_finding(corpus: Corpus, tmp_path: Path) -> None:
    copy = tmp_path / "ZF203-7q2k.zft"
    shutil.copy(corpus.save(FINDING, SPEC) / "transcript.zft", copy)
    corpus.delete(FINDING.id)
    finding, spec = corpus.load(copy)
    assert (finding.id, finding.code, finding.severity) == (FINDING.id, FINDING.code, FINDING.severity)
    assert (finding.attack, finding.surface, finding.target) == (ATTACK, FINDING.surface, "gateway")
    assert spec == {}


def test_deleting_needs_the_whole_name(corpus: Corpus) -> None:
    folder = corpus.save(FINDING, SPEC)
    with pytest.raises(UsageError):
        corpus.delete("ZF203")
    corpus.delete(FINDING.id)
    assert corpus.ids() == ()
    assert not folder.exists()


def test_an_unknown_finding_gets_a_list_and_a_guess(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="none yet") as error:
        corpus.load("ZF203")
    sentence(error)
    corpus.save(FINDING, SPEC)
    corpus.save(replace(FINDING, id="ZF101-aaaa"), SPEC)
    with pytest.raises(UsageError, match=r"did you mean ZF203-7q2k\?") as error:
        corpus.load("ZF203-7q2j")
    assert "ZF101-aaaa" in sentence(error)
    with pytest.raises(UsageError, match="write more"):
        corpus.load("ZF")
    for text in ("", "ZF9", "/no/such/folder", "no.zft", "\x1b[2J"):
        with pytest.raises(UsageError) as error:
            corpus.load(text)
        assert sentence(error).isprintable()


@pytest.mark.parametrize("name", ["../out", "..", ".", "", "a/b", "/etc", ".hidden", "a\0b", "a" * 300])
def test_a_name_cannot_lead_out_of_the_folder(corpus: Corpus, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        corpus.save(replace(FINDING, id=name), SPEC)
    with pytest.raises(UsageError):
        corpus.delete(name)
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_finding_cannot_name_a_path_either(corpus: Corpus) -> None:
    folder = corpus.save(FINDING, SPEC)
    plain = json.loads((folder / "finding.json").read_text())
    (folder / "finding.json").write_text(json.dumps(plain | {"id": "../../x"}))
    with pytest.raises(UsageError, match="cannot name"):
        corpus.load(folder)


@pytest.mark.parametrize("name", ["finding.json", "command.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"3", b'{"finding": 99}'])
def test_a_damaged_file_is_named(corpus: Corpus, name: str, content: bytes) -> None:
    folder = corpus.save(FINDING, SPEC)
    (folder / name).write_bytes(content)
    if name == "command.json" and content.startswith(b'{"'):
        assert corpus.load(FINDING.id)[1] == {"finding": 99}
        return
    with pytest.raises(UsageError) as error:
        corpus.load(FINDING.id)
    assert name in sentence(error)


def test_a_truncated_zft_is_named_with_its_line(corpus: Corpus) -> None:
    path = corpus.save(FINDING, SPEC) / "transcript.zft"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(UsageError, match=r"transcript\.zft:"):
        corpus.load(path)


def test_a_folder_without_finding_json_is_no_finding(corpus: Corpus) -> None:
    folder = corpus.save(FINDING, SPEC)
    (folder / "finding.json").unlink()
    assert corpus.ids() == ()


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "permission")])
def test_a_disk_that_refuses_is_explained_and_harms_nothing(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    folder = corpus.save(FINDING, SPEC)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refuse(source: Any, target: Any) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match=words) as error:
        corpus.save(replace(FINDING, sentence="other"), {})
    assert str(folder) in sentence(error)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert corpus.load(FINDING.id) == (FINDING, SPEC)


def test_a_file_where_the_folder_belongs_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".zmqfuzz").write_text("")
    corpus = Corpus(tmp_path / ".zmqfuzz")
    for attempt in (corpus.ids, lambda: corpus.save(FINDING, SPEC), lambda: corpus.load("ZF1")):
        with pytest.raises(UsageError, match=r"\.zmqfuzz"):
            attempt()


def test_a_folder_that_may_not_be_read_is_explained(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    # Raised here rather than by the kernel: root, as which CI often runs, is refused nothing.
    def refuse(path: Any) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    corpus.save(FINDING, SPEC)
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(UsageError, match="no permission") as error:
        corpus.load(FINDING.id)
    assert str(corpus.findings) in sentence(error)
