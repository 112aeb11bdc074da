"""Each format says what the run was, parses as what it claims to be, and is not moved by what a target said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import pytest

from tests import junit_shape
from tests.reports.conftest import Record, finding
from tests.sarif_shape import check
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Finding, Severity
from zmqfuzz.reports.difference import difference, lines
from zmqfuzz.reports.formats import FORMATS, make
from zmqfuzz.reports.record import Gate, Run
from zmqfuzz.reports.shelf import Shelf
from zmqfuzz.trial import Reached

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
"""Control characters, those that turn the order of text, and what XML 1.0 (2.2) cannot hold."""


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_that_a_target_says_acts(record: Record, hostile: Finding, name: str) -> None:
    run = record(hostile, doubts=(hostile.sentence,), error=hostile.sentence, target="a<b>")
    text = make(name, run, None)
    text.encode("utf-8")
    assert not FORBIDDEN.search(text.replace("\n", ""))
    if name == "jsonl":
        lines = [json.loads(line) for line in text.splitlines()]
        events = [line["event"] for line in lines]
        assert (events[0], events.count("found"), events.count("case"), events.count("doubt")) == ("run", 1, 2, 1)
        assert lines[1]["finding"]["log_tail"] == hostile.log_tail
    elif name == "json":  # JSON holds what there is; its own escapes keep it harmless
        assert json.loads(text)["found"][0]["finding"]["log_tail"] == hostile.log_tail
    else:
        assert "alert(1)" in text
        assert re.search(r"7\\?\*7", text), "no template is made of what the target said"


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "xlink:href")
        ]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_without_scripts_or_network(record: Record, hostile: Finding) -> None:
    page = Tags(make("html", record(hostile), None))
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert "<script>alert(1)</script>\\x1b[31m\\x00\\u202e" in page.text
    assert page.tags.count("svg") == 2  # the finding's memory and the run's; descriptors did not change
    assert {"polyline", "section"} <= set(page.tags)


def test_the_page_shows_what_a_reader_needs(record: Record) -> None:
    page = make("html", record(finding(), gate=Gate(1, "1 finding is not accepted", ("ZF203-7q2k",))), None)
    text = " ".join(Tags(page).text.split())
    for words in (
        "violated gateway",
        "Exit code 1: 1 finding is not accepted",
        "1.94 B/B",
        "0.50 B/B",
        "rss +0.7 MiB",
        "x 409,600",
        "zmqfuzz replay ZF203-7q2k",
        "nothing of the moon",
        "frames of up to 1 MiB taken",
        "control: honest peers",
        "not exercised",
    ):
        assert words in text, words
    assert 'class="control"' in page


def test_the_difference_to_the_run_before(record: Record, tmp_path: Path) -> None:
    before = record(finding("ZF203-aaaa"), finding("ZF203-bbbb"))
    record(finding("ZF203-zzzz"), target="another")
    run = record(finding("ZF203-bbbb"), finding("ZF203-cccc"))
    older = Shelf(tmp_path / ".zmqfuzz").before(run)
    assert older is not None
    assert older.found == before.found
    changed = difference(run, older)
    assert changed is not None
    assert [one.finding.id for one in changed.new] == ["ZF203-cccc"]
    assert [(one.found.finding.id, one.fixed) for one in changed.gone] == [("ZF203-aaaa", False)]
    assert "not found this time" in changed.gone[0].why
    for name in ("html", "markdown", "json"):
        assert "ZF203-aaaa" in make(name, run, older)
        assert "ZF203-aaaa" not in make(name, run, None)


def test_a_difference_in_lines(record: Record) -> None:
    before = record(finding("ZF203-aaaa"), finding("ZF203-bbbb"), finding("ZF203-dddd"))
    run = record(finding("ZF203-bbbb", severity=Severity.LOW), finding("ZF203-cccc"))
    run = replace(run, outcome=replace(run.outcome, fixed=("ZF203-dddd",), checks=()))
    changed = difference(run, before)
    assert changed is not None
    said = list(lines(run, changed))
    assert said[0].startswith("new: ZF203-cccc HIGH ")
    assert said[1].startswith("gone: ZF203-aaaa ")
    assert said[2].startswith("fixed: ZF203-dddd ")
    assert said[3:] == [
        "severity: ZF203-bbbb is low, and was high",
        "still there: ZF203-bbbb",
        "tested then, and not now: ZF101",
    ]
    page = make("html", run, before)
    assert '<b class="good">fixed</b> ZF203-dddd' in page
    assert "is low, and was high" in page


def suite(run: Run) -> Tree.Element:
    text = make("junit", run, None)
    junit_shape.check(text)
    (found,) = Tree.fromstring(text)
    return found


def how(run: Run) -> dict[str, str]:
    """By name of a case: failure, error, skipped or passed."""
    words = {}
    for case in suite(run).findall("testcase"):
        tags = [child.tag for child in case if child.tag != "system-out"]
        words[case.get("name", "")] = tags[0] if tags else "passed"
    return words


def test_junit_has_a_case_for_each_family_at_each_door(record: Record, hostile: Finding) -> None:
    assert how(record()) == {"multipart": "passed", "stall": "passed", "the run": "passed"}
    run = record(hostile)
    assert how(run) == {"multipart": "failure", "stall": "passed", "the run": "passed"}
    failure = suite(run).find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "ZF203"
    assert failure.text is not None
    assert failure.text.strip() == run.found[0].text.strip()


def test_junit_follows_the_policy_and_the_baseline(record: Record) -> None:
    unclear: dict[str, Any] = {"doubts": ("seen once",), "reached": Reached.GREETING}
    assert how(record(**unclear)) == {"multipart": "passed", "stall": "error", "the run": "error"}
    assert how(record(**unclear, inconclusive="pass")) == {
        "multipart": "passed",
        "stall": "skipped",
        "the run": "skipped",
    }
    known = record(finding(), gate=Gate(0, "known", known={"ZF203-7q2k": "we know"}))
    assert how(known)["multipart"] == "skipped"
    assert "we know" in make("junit", known, None)
    assert how(record(error="The target did not start."))["the run"] == "error"


def test_sarif_keeps_to_the_schema(record: Record, hostile: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # where no server.py is
    foreign = finding("MY101-abcd", code="MY101", title="Not of ours")
    run = record(hostile, foreign, doubts=("d",), error="e", gate=Gate(1, "why", known={"MY101-abcd": "reason"}))
    log = json.loads(make("sarif", run, None))
    check(log)
    rules = {rule["id"]: rule for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    assert rules["ZF203"]["fullDescription"]["text"] == invariants()["ZF203"].doc
    ours, theirs = log["runs"][0]["results"]
    assert theirs["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "reason"}]
    assert "physicalLocation" not in ours["locations"][0], "no file is known"


def test_sarif_names_a_finding_alike_and_points_into_the_program(
    record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text(
        "import zmq\n\n\nsocket = zmq.Context().socket(zmq.ROUTER)\nsocket.bind('tcp://*:1')\n"
    )
    crash = 'Traceback\n  File "server.py", line 5, in <module>\n  File "/usr/lib/python3/zmq.py", line 9, in recv\nE'

    def result(made: Finding) -> dict[str, Any]:
        (found,) = json.loads(make("sarif", record(made), None))["runs"][0]["results"]
        return dict(found)

    first = result(finding(log_tail=crash))
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 4}, "where the socket is made"
    crashed = result(finding(code="ZF101", log_tail=crash))["locations"][0]["physicalLocation"]
    assert crashed == {"artifactLocation": {"uri": "server.py", "uriBaseId": "%SRCROOT%"}, "region": {"startLine": 5}}
    seen = result(finding(source=f"{tmp_path}/server.py:5"))["locations"][0]["physicalLocation"]
    assert seen["region"] == {"startLine": 5}, "where it was seen to be opened"
    elsewhere = result(finding(source="/nowhere/server.py:5"))["locations"][0]["physicalLocation"]
    assert elsewhere["region"] == {"startLine": 4}, "a file that is not ours"
    again, other = result(finding(sentence="Other words.", seconds=9.0)), result(finding(signature="another way"))
    assert first["partialFingerprints"] == again["partialFingerprints"] != other["partialFingerprints"]


def test_markdown_is_for_a_person_in_a_hurry(record: Record, hostile: Finding) -> None:
    text = make("markdown", record(hostile, gate=Gate(1, "1 finding is not accepted")), None)
    first, *lines = text.splitlines()
    assert first == "## zmqfuzz: gateway: violated, exit code 1: 1 finding is not accepted"
    outside, inside = [], False
    fence = next(line for line in lines if line.startswith("```"))
    for line in lines:
        inside ^= line in (fence, fence.removesuffix("text"))
        outside += [] if inside else [line]
    assert not inside
    assert not re.search(r"<(?!br>|/?details>|/?summary>)", "\n".join(outside))
    assert not re.search(r"(?<!\\)\]\(", "\n".join(outside))
    (row,) = [line for line in lines if line.startswith("| ZF203")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6, "the target's bars make no cells"
