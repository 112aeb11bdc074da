"""The failure message holds every promised fact, within 100 columns, whatever the target said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaign.test_plain import findings
from zmqfuzz.campaign.report import COLUMNS, failure_message, printable, spark, summary_line
from zmqfuzz.finding import Finding, Measure, Severity
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Wait
from zmqfuzz.trial import ClosedBy, Direction, Entry, Observation, Reached, Sample, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Fill, Frame

ATTACK = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(Fill(255), more=True),), times=409_600))),))
ORIGINAL = Attack((Script((Connect(), Shake("DEALER"), Send((Frame(b"x"),) * 3, times=100), Wait(41.0)), times=6),))
FINDING = Finding(
    id="ZF203-7q2k",
    code="ZF203",
    title="A message that never ends holds memory without limit",
    severity=Severity.HIGH,
    sentence="One unauthenticated DEALER peer sent 100 MiB as one multipart message and never sent the last part.",
    signature="held",
    measures=(Measure("held-per-wire-byte", "1.94 B/B", "0.50 B/B"), Measure("rss", "31 -> 226 MiB")),
    surface=Surface("tcp://127.0.0.1:5555", "ROUTER"),
    attack=ATTACK,
    original=ORIGINAL,
    target="gateway",
    confirmed=5,
    tried=5,
    owner="libzmq design",
    advice="Authenticate peers, or cap the octets of one peer in front of the socket.",
    control="the same 100 MiB as complete messages: rss +0.7 MiB",
    log_tail="\n".join(f"line {number}" for number in range(1, 9)),
    seconds=0.4,
    sent=105_267_200,
)


def observed() -> Trial:
    entries = (
        Entry(0.1, Direction.SENT, b"", note="greeting 3.1 NULL, then READY"),
        Entry(0.2, Direction.RECEIVED, b"", note="greeting 3.1 NULL; READY Socket-Type=ROUTER"),
    )
    transcript = Transcript("attacker", entries, ClosedBy.OPEN, 1, 1, Reached.TRAFFIC)
    series = tuple(Sample(float(n), n, n << 20, 0, 0, 1, 0.0) for n in range(31, 227))
    return Trial(ATTACK, FINDING.surface, (transcript,), Observation(series=series), 0.4)


def line_with(text: str, words: str) -> str:
    return next(line for line in text.splitlines() if words in line)


def test_the_line_that_opens_the_socket_is_told_where_it_is_known() -> None:
    assert "Socket  " not in failure_message(FINDING)
    opened = "ROUTER bind tcp://0.0.0.0:5555\nMAXMSGSIZE=-1 RCVHWM=1000\x1b[2J"
    text = failure_message(replace(FINDING, source="/app/server.py:48", opened=opened))
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  Socket     "))
    assert lines[place] == "  Socket     /app/server.py:48   ROUTER bind tcp://0.0.0.0:5555"
    assert lines[place + 1].strip() == "MAXMSGSIZE=-1 RCVHWM=1000\\x1b[2J"
    assert lines[place + 2].endswith("zmqfuzz whatif ZF203-7q2k --suggest")


def test_the_first_line_says_what_and_which() -> None:
    first = failure_message(FINDING).splitlines()[0]
    assert first.startswith("ZF203  HIGH  A message that never ends")
    assert first.endswith("finding ZF203-7q2k")


def test_every_number_has_its_limit_beside_it() -> None:
    text = failure_message(FINDING)
    assert "1.94 B/B" in line_with(text, "held-per-wire-byte")
    assert "limit 0.50 B/B" in line_with(text, "held-per-wire-byte")
    assert "limit" not in line_with(text, "31 -> 226 MiB")


def test_the_facts_that_dismiss_a_false_alarm_are_always_there() -> None:
    text = failure_message(FINDING)
    assert "rss +0.7 MiB" in line_with(text, "control")
    assert "5/5 on fresh processes" in line_with(text, "repeat")
    assert all(fact in line_with(text, "cost") for fact in ("1 connection", "no key", "100.4 MiB", "0.4 s"))
    assert "none was run" in line_with(failure_message(replace(FINDING, control="")), "control")


def test_the_transcript_says_what_it_was_minimised_from() -> None:
    text = failure_message(FINDING, observed())
    title = line_with(text, "Transcript")
    later = text[text.index(title) :]
    assert all(fact in later for fact in ("simplified", "1,800 frames", "6 peers", "41 s", "409,600 frames", "1 peer"))
    assert "x 409,600" in text
    assert "<-  READY Socket-Type=ROUTER" in text
    assert "minimised" not in failure_message(replace(FINDING, original=ATTACK))


def test_what_to_do_next_is_there() -> None:
    text = failure_message(FINDING)
    assert "libzmq, by design" in line_with(text, "Owner")
    assert "Authenticate peers" in line_with(text, "To fix")
    assert "    zmqfuzz replay ZF203-7q2k\n" in text
    assert "python .zmqfuzz/findings/ZF203-7q2k/repro.py tcp://127.0.0.1:5555" in text
    assert "standard library only" in text
    assert ".zmqfuzz/findings/ZF203-7q2k/" in line_with(text, "Evidence")
    assert "zmqfuzz explain ZF203" in line_with(text, "Explain")


def test_only_the_last_lines_of_the_log_are_shown() -> None:
    text = failure_message(FINDING)
    assert "line 8" in text
    assert "line 4" in text
    assert "line 3\n" not in text
    assert failure_message(replace(FINDING, log_tail="")).rstrip().endswith("(none)")


def test_a_script_that_cannot_help_is_not_offered() -> None:
    locked = Attack((Script((Connect(), Shake("DEALER", mechanism="PLAIN"))),))
    text = failure_message(replace(FINDING, attack=locked))
    assert "PLAIN credentials" in line_with(text, "cost")
    assert "repro.py tcp://" not in text
    assert "PLAIN handshake" in text


def test_history_and_the_memory_over_time_are_shown() -> None:
    text = failure_message(replace(FINDING, history=(ATTACK, ATTACK)), observed())
    assert "2 earlier attacks" in line_with(text, "history ")
    assert "31 MiB -> 226 MiB" in line_with(text, "    memory ")
    assert "▁" in line_with(text, "    memory ")
    assert "█" in line_with(text, "    memory ")


def test_the_summary_stands_alone_on_one_line() -> None:
    line = summary_line(FINDING)
    assert line.startswith("ZF203 ")
    assert line.endswith("(limit 0.50 B/B, observed 1.94 B/B)")
    assert summary_line(replace(FINDING, sentence="It\ndied.", measures=())) == "ZF203 It died."


HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\u202eevil\u200b\x9b31m"


def test_what_the_target_said_cannot_move_the_cursor() -> None:
    hostile = replace(
        FINDING,
        title=HOSTILE,
        sentence=HOSTILE,
        measures=(Measure(HOSTILE, HOSTILE, HOSTILE),),
        surface=Surface(HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        target=HOSTILE,
        control=HOSTILE,
        advice=HOSTILE,
        owner=HOSTILE,
        notes=(HOSTILE,),
        log_tail=HOSTILE,
    )
    text = failure_message(hostile)
    assert text.replace("\n", "").isprintable()
    assert r"\x1b[2J" in text
    assert summary_line(hostile).isprintable()


@given(findings, st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_finding_breaks_the_message(finding: Finding, with_trial: bool) -> None:
    text = failure_message(finding, observed() if with_trial else None)
    for line in text.split("\n"):
        copied = line.startswith(("    python ", "    zmqfuzz ", "  Evidence "))  # a command is never cut in two
        assert copied or len(line) <= COLUMNS
        assert line == printable(line)
    assert summary_line(finding).isprintable()


@given(st.lists(st.floats(), max_size=200), st.integers(1, 40))
def test_a_sparkline_is_never_wider_than_asked(values: list[float], width: int) -> None:
    bars = spark(values, width=width)
    assert len(bars) == min(width, sum(math.isfinite(value) for value in values))
    assert set(bars) <= set("▁▂▃▄▅▆▇█")


@pytest.mark.parametrize(
    ("values", "bars"), [([], ""), ([5], "▁"), ([3, 3, 3], "▁▁▁"), (list(range(8)), "▁▂▃▄▅▆▇█"), ([0, 10, 0], "▁█▁")]
)
def test_sparklines(values: list[float], bars: str) -> None:
    assert spark(values) == bars


def test_a_peak_survives_being_put_together() -> None:
    assert spark([0] * 500 + [9] + [0] * 500).count("█") == 1
