"""The catalogues: what registers, what is refused, and a family and an invariant that a stranger adds in one file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zmqfuzz import catalogue
from zmqfuzz.audit.auditor import rules
from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import Situation, families, invariant, invariants, select_families, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Severity, Violation
from zmqfuzz.script import Attack, Connect, Script
from zmqfuzz.trial import Observation, Reached, Surface, Trial

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = {
    "accumulation",
    "abrupt-disconnect",
    "application-payload",
    "authorisation",
    "churn",
    "commands",
    "curve-handshake",
    "curve-traffic",
    "dead-peer",
    "descriptor-exhaustion",
    "envelope",
    "flood",
    "foreign-opening",
    "forged-metadata",
    "identity",
    "malformed-frame",
    "malformed-greeting",
    "malformed-handshake",
    "malformed-message",
    "metadata",
    "multipart",
    "oversized-frame",
    "plain-handshake",
    "reconnect",
    "several-actors",
    "slow-reader",
    "stall",
    "subscription",
    "tempo",
    "version-mix",
}
CODES = {
    f"ZF{number}"
    for number in (
        *range(101, 106),
        *range(201, 214),
        301,
        *range(311, 318),
        *range(321, 323),
        *range(401, 408),
        501,
        *range(701, 709),
        *range(651, 654),
    )
}
TRIAL = Trial(Attack(()), Surface("tcp://127.0.0.1:1"), (), Observation(), 0.0)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What a test registers is gone after it."""
    families(), invariants()
    kept = dict(catalogue._families), dict(catalogue._invariants)
    yield
    catalogue._families.clear()
    catalogue._families.update(kept[0])
    catalogue._invariants.clear()
    catalogue._invariants.update(kept[1])


def test_the_catalogues_are_complete_sorted_and_explained() -> None:
    assert set(families()) == FAMILIES
    assert set(invariants()) == CODES
    assert list(families()) == sorted(families())
    assert list(invariants()) == sorted(invariants())
    for entry in invariants().values():
        for word in ("Why:", "Measured", "To fix:"):
            assert word in entry.doc, entry.code
        assert entry.declared == "" or hasattr(Limits(), entry.declared)
        assert entry.violation.code == entry.code
    assert len({entry.violation for entry in invariants().values()}) == len(CODES), "a class each"


def test_a_selection_keeps_its_order_and_says_what_is_unknown() -> None:
    assert [family.name for family in select_families(("flood", "multipart", "flood"))] == ["flood", "multipart"]
    assert {family.name for family in select_families(exclude=("flood",))} == FAMILIES - {"flood"}
    assert select_families(("flood",), ("flood",)) == ()
    with pytest.raises(UsageError, match=r"no attack family 'floods'\. Did you mean 'flood'\?"):
        select_families(("floods",))
    with pytest.raises(UsageError, match="zmqfuzz list"):
        select_families(exclude=("x",))


def test_a_strategy_is_checked_when_it_registers() -> None:
    with pytest.raises(TypeError, match="must take"):

        @strategy("wrong", needs=Reached.NOTHING)  # type: ignore[arg-type]
        def wrong(draw: Draw) -> tuple[Script, ...]:
            """Wrong."""
            return ()

    with pytest.raises(TypeError, match="docstring"):

        @strategy("silent", needs=Reached.NOTHING)
        def silent(draw: Draw, situation: Situation) -> tuple[Script, ...]:
            return ()

    with pytest.raises(ValueError, match="registered twice"):

        @strategy("flood", needs=Reached.NOTHING)
        def second(draw: Draw, situation: Situation) -> tuple[Script, ...]:
            """Second."""
            return (Script((Connect(),)),)

    assert set(families()) == FAMILIES


def test_an_invariant_registers_under_its_code_with_a_class_of_its_own() -> None:
    @invariant("ZF901", "Nothing is sent", severity=Severity.LOW, declared="memory")
    def nothing_is_sent(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
        """Nothing is sent."""
        if trial.seconds > 1:
            raise violated("It took long.")

    entry = invariants()["ZF901"]
    assert (entry.name, entry.severity) == ("nothing-is-sent", Severity.LOW)
    assert not entry.applies(Limits())
    assert entry.applies(Limits(memory=1))
    assert entry.judge(TRIAL, Limits()) is None
    violation = entry.judge(Trial(Attack(()), TRIAL.surface, (), Observation(), 2.0), Limits())
    assert type(violation) is entry.violation
    assert str(violation) == "ZF901 It took long."

    with pytest.raises(ValueError, match="ZF101 is registered twice"):

        @invariant("ZF101", "Again", severity=Severity.LOW)
        def again(trial: Trial, limits: Limits, violated: type[Violation]) -> None: ...


def test_another_error_in_a_check_is_not_taken_for_a_violation() -> None:
    @invariant("ZF902", "Broken", severity=Severity.LOW)
    def broken(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
        raise AssertionError("a mistake in the check itself")

    with pytest.raises(AssertionError, match="a mistake"):
        invariants()["ZF902"].judge(TRIAL, Limits())


FAMILY = '''
"""Peers that say hello in plain text."""
from zmqfuzz.script import Connect, Expect, Script, Send
from zmqfuzz.catalogue import strategy
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Raw


@strategy("plain-hello", needs=Reached.CONNECTED)
def plain_hello(draw, situation):
    """A line of plain text where a greeting belongs."""
    return (Script((Connect(), Send((Raw(b"HELLO %d" % draw.integer(0, 9)),)), Expect("bytes", within=0.2))),)
'''
INVARIANT = '''
"""A target that says its version first."""
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity
from zmqfuzz.trial import Direction


@invariant("ZF977", "The target speaks before it is greeted", severity=Severity.LOW)
def speaks_second(trial, limits, violated):
    """The target waits for a greeting.

    Why: a stranger's promise. Measured: octets received. To fix: nothing.
    """
    if any(transcript.received for transcript in trial.transcripts):
        raise violated("It spoke.", Measure("octets", "some", "none"), signature="spoke")
'''


@pytest.fixture
def outside(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs zmqfuzz where a stranger's distribution, one file for each thing, is on the path."""

    def install(name: str, room: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[zmqfuzz.{room}]\n{name} = {name}\n")

    def run(*arguments: str, family: str = FAMILY, invariant: str = INVARIANT) -> subprocess.CompletedProcess[str]:
        if not (tmp_path / "their_family.py").exists():
            install("their_family", "strategies", family)
            install("their_invariant", "invariants", invariant)
        command = [
            sys.executable,
            "-c",
            f"import sys; sys.path.append({str(tmp_path)!r}); from zmqfuzz.cli import main; main()",
        ]
        return subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def test_what_a_stranger_adds_is_listed_explained_and_run(
    outside: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    listed = outside("list").stdout
    assert "  plain-hello            A line of plain text where a greeting belongs." in listed
    assert "  ZF977  speaks-second            The target speaks before it is greeted" in listed
    assert all(name in listed for name in FAMILIES | CODES)
    assert "a stranger's promise" in outside("explain", "zf977").stdout
    server = str(ROOT / "targets/examples/rep.py")
    options = ("--only", "plain-hello", "--for", "2s", "--seed", "1", "--stop-after", "1")
    run = outside("run", *options, "--", sys.executable, server)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "ZF977  LOW" in run.stdout
    assert "VIOLATED" in run.stdout


def test_a_broken_plug_in_is_named(outside: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    run = outside("list", family="import nowhere\n")
    assert run.returncode == 2
    assert "their_family" in run.stderr


def test_rules_of_an_audit_and_invariants_share_no_code() -> None:
    assert not set(invariants()) & {rule.code for rule in rules()}
