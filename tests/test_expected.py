"""Marks of what is known: how they are read, what they fit, and what an item amounts to."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from zmqfuzz.errors import UsageError
from zmqfuzz.expected import Expected
from zmqfuzz.finding import Finding, Severity, finding_id
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface
from zmqfuzz.verdicts import Ending, Session, judged

GOOD = {"reason": "issue 7", "until": "2999-12-31"}


def finding(code: str = "ZF203", signature: str = "held: frame MORE", severity: Severity = Severity.HIGH) -> Finding:
    door = Surface("tcp://127.0.0.1:1", "ROUTER")
    name = finding_id(code, signature)
    return Finding(name, code, "Title", severity, "It is so.", signature, (), door, Attack(()), Attack(()), "x")


def judge(*findings: Finding, known: Expected, nodeid: str = "a", family: str = "multipart", **more: object) -> Ending:
    session = Session(known=(known,), shell=Path("/"), store=Path("/.zmqfuzz"))
    texts = {one.id: f"TEXT {one.id}" for one in findings}
    return judged(session, nodeid, family, findings, texts, **more)  # type: ignore[arg-type]


def mark(code: str = "ZF203", **more: object) -> Expected:
    entry = Expected.read((code,), {**GOOD, **more})
    entry.bearers = {"a"}
    return entry


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), GOOD, "needs the code or the ID"),
        (("203",), GOOD, "needs the code or the ID"),
        (("ZF203",), {"until": "2999-12-31"}, "needs reason="),
        (("ZF203",), {"reason": "x"}, "needs until="),
        (("ZF203",), {**GOOD, "until": "soon"}, "'soon' is no date such as '2027-01-31'"),
        (("ZF203",), {**GOOD, "match": "("}, "is no pattern"),
        (("ZF203",), {**GOOD, "matches": "x"}, "no option 'matches'; there are match, reason"),
    ],
)
def test_a_wrong_mark_is_one_sentence(args: tuple[object, ...], kwargs: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Expected.read(args, kwargs)


def test_it_fits_by_code_or_id_and_by_a_part_of_what_names_it() -> None:
    found = finding()
    assert mark().fits(found)
    assert mark(found.id).fits(found)
    assert mark(match=r"frame\b").fits(found)
    assert not mark(match="announced").fits(found)
    assert not mark("ZF204").fits(found)
    assert mark(families="multipart").concerns("multipart")
    assert not mark(families=["flood"]).concerns("multipart")


def test_what_is_expected_is_known_and_what_is_not_fails_beside_it() -> None:
    ending = judge(finding(), known=mark())
    assert (ending.result.verdict, ending.failure) == ("known", None)
    assert ending.expected == f"{finding().id}, ZF203, known until 2999-12-31: issue 7"
    other = finding(signature="held: frame announced larger")
    both = judge(finding(), other, known=mark(match="MORE"))
    assert both.result.verdict == "violated"
    assert both.failure is not None
    assert f"TEXT {other.id}" in str(both.failure)
    assert f"TEXT {finding().id}" not in str(both.failure)
    assert f"Also found: {finding().id}" in str(both.failure)


def test_the_last_day_counts_and_the_next_does_not() -> None:
    today = datetime.date.today()
    assert judge(finding(), known=mark(until=today)).result.verdict == "known"
    late = judge(finding(), known=mark(until=today - datetime.timedelta(days=1)))
    assert late.failure is not None
    assert f"It was known until {today - datetime.timedelta(days=1)} (issue 7). Mend it" in str(late.failure)


def test_what_is_gone_fails_unless_it_may_be_or_nothing_can_be_said() -> None:
    gone = judge(known=mark())
    assert gone.failure is not None
    assert gone.failure.summary.startswith("ZF203 was expected (issue 7) and not found.")
    assert judge(known=mark(strict=False)).result.verdict == "held"
    assert judge(known=mark(families="flood")).result.verdict == "held"
    assert judge(known=mark(), doubts=("busy",)).result.verdict == "inconclusive"
    assert judge(known=mark(), searched=False).result.verdict == "held"


def test_of_several_items_the_last_says_that_none_has_shown_it() -> None:
    entry = mark()
    entry.bearers = {"a", "b"}
    assert judge(known=entry, nodeid="a").result.verdict == "held"
    last = judge(known=entry, nodeid="b")
    assert last.failure is not None
    assert "by any of the 2 items that expect it" in str(last.failure)
    entry = mark()
    entry.bearers = {"a", "b"}
    assert judge(finding(), known=entry, nodeid="a").result.verdict == "known"
    assert judge(known=entry, nodeid="b").result.verdict == "held"
    entry = mark()
    entry.bearers, entry.whole = {"a", "b"}, False  # pytest-xdist: this process runs some of them only
    assert [judge(known=entry, nodeid=name).result.verdict for name in "ab"] == ["held", "held"]


def test_a_finding_less_than_fail_on_is_told_and_does_not_fail() -> None:
    session = Session(fail_on="medium")
    low = finding(severity=Severity.LOW)
    ending = judged(session, "a", "", [low], {low.id: "TEXT"})
    assert (ending.result.verdict, ending.failure) == ("held", None)
    assert ending.warnings == ("ZF203 It is so. (less than medium)",)
    assert judged(Session(), "a", "", [low], {low.id: "TEXT"}).failure is not None


def test_what_the_baseline_accepts_is_known_wherever_it_is_found_and_need_not_be() -> None:
    accepted = Expected(
        finding().id, "issue 7", datetime.date.max, match=r"\Aheld: frame MORE\Z", strict=False, target="x"
    )
    session = Session(accepted=(accepted,), shell=Path("/"), store=Path("/.zmqfuzz"))
    texts = {finding().id: "TEXT"}
    ending = judged(session, "a", "flood", [finding()], texts)
    assert (ending.result.verdict, ending.expected) == ("known", f"{finding().id}, {accepted}")
    assert judged(session, "a", "flood", [], {}).result.verdict == "held"
    for changed in ({"target": "y"}, {"signature": "held: frame MORE and more"}):
        other = dataclasses.replace(finding(), **changed)  # type: ignore[arg-type]
        assert judged(session, "a", "flood", [other], texts).result.verdict == "violated"
    accepted.until = datetime.date.min
    assert judged(session, "a", "flood", [finding()], texts).result.verdict == "violated"
