"""The gate: what is known passes until its day, what is new does not; a baseline is a file that people edit."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.reports.conftest import HOSTILE, finding
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Severity
from zmqfuzz.reports.baseline import Accepted, check_until, read_baseline, write_baseline
from zmqfuzz.reports.gate import accept, decide, in_force
from zmqfuzz.reports.record import Gate
from zmqfuzz.reports.settings import Settings, settings

TODAY = date(2026, 11, 21)
ONE, TWO = finding("ZF203-aaaa"), finding("ZF203-bbbb", severity=Severity.LOW)
KNOWN = Accepted(ONE.id, ONE.code, "we know", TODAY, ONE.signature, ONE.target)


def judged(
    *found: Finding, baseline: tuple[Accepted, ...] = (), doubts: tuple[str, ...] = (), today: date = TODAY, **more: Any
) -> Gate:
    return decide(found, doubts, baseline, target="gateway", today=today, **more)


def test_a_new_finding_fails_and_wins_over_what_is_inconclusive() -> None:
    assert judged().code == 0
    assert judged(doubts=("seen once",)).code == 3
    assert judged(doubts=("seen once",), inconclusive="pass").code == 0
    assert judged(ONE, doubts=("seen once",)).code == 1
    assert judged(TWO, fail_on="high").code == 0
    gate = judged(ONE, TWO, fail_on="high")
    assert (gate.code, gate.sentence) == (1, "1 finding of severity high or worse is not accepted")


def test_a_known_finding_passes_to_its_last_day_and_fails_after_it() -> None:
    gate = judged(ONE, baseline=(KNOWN,))
    assert (gate.code, gate.known) == (0, {ONE.id: "we know"})
    assert judged(ONE, TWO, baseline=(KNOWN,)).new == (TWO.id,)
    late = judged(ONE, baseline=(KNOWN,), today=TODAY + timedelta(days=1))
    assert (late.code, late.expired) == (1, (ONE.id,))
    assert f"was accepted until {TODAY}, and that has passed (we know)" in late.lines[0]
    assert judged(ONE, baseline=(KNOWN,), doubts=("seen once",)).code == 3


def test_another_way_of_failing_or_another_target_is_new() -> None:
    other = Accepted(ONE.id, ONE.code, "we know", TODAY, "another way", ONE.target)
    gate = judged(ONE, baseline=(other,))
    assert (gate.code, gate.new) == (1, (ONE.id,))
    assert "another way" in gate.lines[0]
    elsewhere = Accepted(ONE.id, ONE.code, "we know", TODAY, target="another")
    gate = judged(ONE, baseline=(elsewhere,))
    assert (gate.code, gate.unseen) == (1, ())


def test_what_was_not_found_any_more_is_named_as_removable() -> None:
    gate = judged(baseline=(KNOWN,))
    assert (gate.code, gate.unseen) == (0, (ONE.id,))
    assert f"zmqfuzz baseline prune {ONE.id}" in gate.lines[0]


def test_an_update_accepts_what_is_there(tmp_path: Path) -> None:
    entries = accept((KNOWN,), (ONE, TWO), TODAY + timedelta(days=1))
    assert [entry.id for entry in entries] == [ONE.id, TWO.id]
    assert entries[0].reason == "we know"
    assert judged(ONE, TWO, baseline=entries, today=TODAY + timedelta(days=1)).code == 0
    assert in_force(entries, "gateway", TODAY + timedelta(days=92)) == {}


def test_a_file_comes_back_whatever_the_texts_are(tmp_path: Path) -> None:
    file = tmp_path / "tests" / "base.toml"
    texts = HOSTILE.replace("\ud800", "") + '"\\\n\t\x7f\U0001f600'
    day = date.today() + timedelta(days=7)
    entries = (Accepted("ZF203-aaaa", "ZF203", texts, day, texts, texts, day, day), Accepted("X", "X", "r", day))
    write_baseline(file, entries)
    assert read_baseline(file) == entries


def test_what_people_wrote_into_the_file_stays(tmp_path: Path) -> None:
    file, day = tmp_path / "base.toml", date.today() + timedelta(days=7)
    entry = f"[[accepted]]\nid = \"%s\"\ncode=\"ZF203\"  # as found\nreason = '''two\nlines'''\nuntil = {day}\n"
    file.write_text("# our head\n\n# why a\n" + entry % "a" + "\n# why b\n" + entry % "b")
    a, b = read_baseline(file)
    write_baseline(file, (a, Accepted("b", "ZF203", "another", day), Accepted("c", "ZF203", "new", day)))
    text = file.read_text()
    assert text.startswith("# our head\n\n# why a\n" + entry % "a")
    assert '# why b\n[[accepted]]\nid = "b"\ncode = "ZF203"\nreason = "another"' in text
    assert [one.id for one in read_baseline(file)] == ["a", "b", "c"]
    write_baseline(file, (b,))
    assert "why a" not in file.read_text()
    assert "# our head" in file.read_text()


DAY = date.today() + timedelta(days=7)
GOOD = f'id = "a"\ncode = "ZF203"\nreason = "r"\nuntil = {DAY}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[accepted]\n", "not TOML"),
        ("[accepted]\n", "only tables"),
        ("[[known]]\n", "not 'known'"),
        ("[[accepted]]\n" + GOOD + "untill = 1\n", r"entry 1 \(a\): there is no key 'untill'"),
        ("[[accepted]]\n" + GOOD.replace(str(DAY), '"2027-01-01"'), "until is not a date"),
        ("[[accepted]]\n" + GOOD.replace(str(DAY), f"{DAY}T00:00:00"), "until is not a date"),
        ("[[accepted]]\n" + GOOD.replace(str(DAY), "2999-01-01"), "more than a year"),
        ("[[accepted]]\n" + GOOD.replace('"r"', '""'), "has no reason"),
        (("[[accepted]]\n" + GOOD) * 2, "accepted twice"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "base.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_baseline(file)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no baseline"):
        read_baseline(Path("nowhere.toml"))
    assert read_baseline(Path("nowhere.toml"), missing_ok=True) == ()
    with pytest.raises(UsageError, match="last day that can be given is 2027-11-22"):
        check_until(date(2028, 1, 1), TODAY)


def test_the_gate_can_be_declared(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    assert settings(tmp_path) == Settings()
    file.write_text('[tool.zmqfuzz]\nbaseline = "tests/base.toml"\nfail-on = "high"\ninconclusive = "pass"\n')
    assert settings(tmp_path) == Settings(tmp_path / "tests/base.toml", "high", "pass")
    for wrong in ('fail-on = "worst"', "baseline = 3", 'inconclusive = "never"'):
        file.write_text(f"[tool.zmqfuzz]\n{wrong}\n")
        with pytest.raises(UsageError, match=f"tool.zmqfuzz.{wrong.split()[0]}: "):
            settings(tmp_path)
