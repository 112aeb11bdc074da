"""What has one cause is one row; what may have two is two. And the curves show what was measured, or nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as Tree

import pytest

from tests.reports.conftest import Record, finding
from zmqfuzz.finding import Finding, Severity
from zmqfuzz.reports import curves
from zmqfuzz.reports.causes import causes
from zmqfuzz.reports.formats import make
from zmqfuzz.trial import Surface


def at(number: int, name: str, owner: str, signature: str = "held: frame MORE", code: str = "ZF203") -> Finding:
    surface = Surface("tcp://127.0.0.1:5555", "ROUTER", index=number)
    severity = Severity.HIGH if number else Severity.MEDIUM
    return finding(name, code=code, owner=owner, signature=signature, surface=surface, severity=severity)


def test_what_the_library_does_at_several_doors_is_one_cause(record: Record) -> None:
    run = record(
        at(0, "ZF203-aaaa", "libzmq design"),
        at(1, "ZF203-bbbb", "libzmq design"),
        at(0, "ZF204-aaaa", "application", "left behind", "ZF204"),
        at(1, "ZF204-bbbb", "application", "left behind", "ZF204"),
        at(2, "ZF203-cccc", "libzmq design", "held: frame announced larger"),
    )
    found = causes(run.found)
    assert [[one.finding.id for one in cause.found] for cause in found] == [
        ["ZF203-aaaa", "ZF203-bbbb"],
        ["ZF203-cccc"],
        ["ZF204-bbbb"],
        ["ZF204-aaaa"],
    ]
    assert (found[0].severity, found[0].doors) == (Severity.HIGH, ("ROUTER-null-tcp-0", "ROUTER-null-tcp-1"))
    assert "4 causes, 5 findings" in make("html", run, None)
    rows = [line for line in make("markdown", run, None).splitlines() if line.startswith("| ZF")]
    assert len(rows) == 4
    assert rows[0].startswith("| ZF203-aaaa<br>ZF203-bbbb | high | ")


def shapes(svg: str, tag: str) -> list[dict[str, str]]:
    return [node.attrib for node in Tree.fromstring(svg).iter(tag)]


def test_answers_are_dots_and_those_that_did_not_come_are_crosses() -> None:
    asked, calm = [(0.1, 0.01, True), (1.0, 2.0, False), (3.2, 0.02, True)], [(1.0, 0.01, True)]
    svg = curves.answers(asked, calm, [(0.9, "step 2"), (3.0, "peers gone")])
    assert [one["class"] for one in shapes(svg, "circle")] == ["control", "attack", "attack"]
    assert [one["class"] for one in shapes(svg, "path")] == ["lost attack"]
    assert len([one for one in shapes(svg, "line") if one["class"] == "mark"]) == 2
    assert curves.answers([], [], []) == ""


def test_a_limit_is_dashed_and_in_sight() -> None:
    series = [(0.0, 0, 10 << 20, 0, 9), (1.0, 5, 20 << 20, 0, 9)]
    assert "limit" not in curves.memory(series, [], [])
    svg = curves.memory(series, [], [], 64 << 20)
    (limit,) = [one for one in shapes(svg, "line") if one["class"] == "limit"]
    assert 0 < float(limit["y1"]) < curves.HEIGHT
    assert curves.descriptors(series, [], []) == ""


@pytest.mark.parametrize(
    ("after", "titles"),
    [
        ([], []),
        ([(1 << 20, 9, 0)], []),
        ([(1 << 20, 9, 0), (2 << 20, 9, 0)], ["resident memory"]),
        ([(1 << 20, 9, 0), (2 << 20, 12, 0)], ["resident memory", "open descriptors"]),
    ],
)
def test_rounds_are_drawn_where_something_stayed(after: list[tuple[int, int, int]], titles: list[str]) -> None:
    drawn = curves.rounds(after)
    assert re.findall(r"<title>([a-z ]+) after each round", drawn) == titles
    assert ("round 2" in drawn) == bool(titles)


def test_a_rare_finding_is_told_as_rare(record: Record) -> None:
    run = record(finding(confirmed=2, tried=7))
    assert ">rare</span>" in make("html", run, None)
    sure = replace(run, found=tuple(replace(one, finding=replace(one.finding, confirmed=7)) for one in run.found))
    assert ">rare</span>" not in make("html", sure, None)
