"""The gate over several runs of one program: the same names, what is accepted passes until its day, what is mended is
gone."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.quality.test_twins import run
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.reports.baseline import Accepted, write_baseline

SAME = ("--seed", "11", "--inconclusive", "pass")
GATE = (*SAME, "--baseline", "baseline.toml")
SAID = re.compile(r"^  (ZF\d+-\w{4})  [A-Z]+ ", re.MULTILINE)
"""A finding in the summary of a run."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["worker_crash", "worker_deaf", "pickle_server", "frame_limit"])
def test_the_same_seed_finds_the_same_and_the_gate_follows_the_baseline(name: str, tmp_path: Path) -> None:
    stop = ("--stop-after", "1")
    runs = [run(tmp_path, name, options=(*SAME, *stop)) for _ in range(2)]
    assert [code for code, _, _ in runs] == [1, 1]
    named = [set(SAID.findall(text)) for _, _, text in runs]
    assert named[0] == named[1] != set()

    findings = [Corpus(tmp_path / ".zmqfuzz").load(id)[0] for id in sorted(named[0])]

    def accept(until: date) -> None:
        entries = [Accepted(one.id, one.code, "known", until, one.signature, one.target) for one in findings]
        write_baseline(tmp_path / "baseline.toml", entries)

    accept(date.today())
    code, _, text = run(tmp_path, name, options=(*GATE, "--cases", "30"))
    assert code == 0, text
    assert "is known and accepted until" in text
    accept(date.today() - timedelta(days=1))
    code, _, text = run(tmp_path, name, options=(*GATE, *stop))
    assert code == 1, text
    assert "and that has passed" in text
    accept(date.today())
    code, codes, text = run(tmp_path, name, "--hardened", options=(*GATE, "--cases", "60"))
    assert code == 0, text
    assert not codes
    assert text.count("is accepted, and was not found") == len(findings)
