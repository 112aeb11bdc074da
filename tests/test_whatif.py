"""What if: a finding of an unmodified program, replayed with options that it does not set."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.catalogue import invariants
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded
from zmqfuzz.finding import Finding
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Fill, Frame

ROUTER = Path(__file__).parents[1] / "targets" / "examples" / "frame_limit.py"
LINE = next(number for number, text in enumerate(ROUTER.read_text().splitlines(), 1) if ".bind(" in text)
LIMIT = 65536
SPEC = Spec((sys.executable, str(ROUTER)), name="frame_limit.py", limits=Limits(max_frame=LIMIT))

Command = Callable[..., tuple[int, str]]


def finding(code: str = "ZF201", kind: str = "ROUTER") -> Finding:
    """A frame that is larger than was promised, and is taken."""
    entry = invariants()[code]
    send = Send((Frame(Fill(LIMIT + 1)),))
    attack = Attack((Script((Connect(), Shake("DEALER"), send, Expect("close", within=1.0))),), "oversized-frame")
    surface = Surface("tcp://127.0.0.1:1", kind)
    name = f"{code}-abcd"
    return Finding(name, code, entry.title, entry.severity, "It.", "s", (), surface, attack, attack, "frame_limit.py")


@pytest.fixture
def whatif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command on a finding that is kept: exit code, and all that it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, spec: Spec = SPEC, found: Finding | None = None) -> tuple[int, str]:
        kept = found or finding()
        Corpus(Path(".zmqfuzz")).save(kept, spec.to_plain())
        monkeypatch.setattr("sys.argv", ["zmqfuzz", "whatif", kept.id, *words])
        assert isinstance(cli, click.Command)
        code = guarded(cli)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_it_says_what_mends_it_what_does_not_and_at_what_cost(whatif: Command) -> None:
    code, said = whatif("--set", "RCVHWM=10", "--set", "MAXMSGSIZE=64KiB", "--times", "1")
    assert code == 0, said
    assert re.search(r"as it is +still there, seen 1 of 1\n", said)
    assert re.search(r"RCVHWM=10 +still there, seen 1 of 1", said)
    assert re.search(r"MAXMSGSIZE=65536 +fixed 1/1; an honest client is", said)
    assert f"-> MAXMSGSIZE=65536, set before bind or connect at {ROUTER}:{LINE}" in said
    assert "it costs: a larger frame of an honest peer" in said


@pytest.mark.slow
def test_what_breaks_the_program_or_a_promise_is_no_remedy(whatif: Command) -> None:
    code, said = whatif("--set", "MAXMSGSIZE=3", "--set", "MAXMSGSIZE=60000", "--suggest", "--times", "2")
    assert code == 0, said
    assert re.search(r"MAXMSGSIZE=3 +breaks it: an honest client shakes hands, and is\s+not answered", said)
    assert re.search(r"MAXMSGSIZE=60000 +breaks it: An honest frame of 65,536 octets ended its", said)
    assert re.search(r"MAXMSGSIZE=65536 +fixed 2/2", said)


def test_a_program_that_does_not_take_the_shim_is_one_sentence_and_exit_code_3(whatif: Command) -> None:
    spec = replace(SPEC, command=(sys.executable, "-I", str(ROUTER)))
    code, said = whatif("--suggest", spec=spec)
    assert code == 3
    last = said.strip().splitlines()[-1]
    assert last.startswith("Options cannot be injected into frame_limit.py: ") or "Options cannot be injected" in last
    assert "another language" in last
    assert "replay ZF201-abcd" in last


def test_where_nothing_shows_without_options_nothing_is_said(whatif: Command) -> None:
    kept = finding()
    small = replace(kept.attack.scripts[0], steps=(*kept.attack.scripts[0].steps[:2], Send((Frame(Fill(9)),))))
    code, said = whatif("--suggest", "--times", "1", found=replace(kept, attack=Attack((small,))))
    assert code == 3
    assert "the finding does not show without any option either" in said


def test_a_finding_that_no_option_mends_is_told_at_once(whatif: Command) -> None:
    code, said = whatif("--suggest", found=replace(finding("ZF101"), advice="Catch it."))
    assert code == 1
    assert "needs a code or deployment change. Catch it." in said


def test_what_cannot_be_tried_is_one_sentence(whatif: Command) -> None:
    assert whatif()[0] == 2
    attached = replace(SPEC, command=(), connect=("tcp://127.0.0.1:1",))
    code, said = whatif("--set", "LINGER=1", spec=attached)
    assert code == 2
    assert "attached to; add -- COMMAND" in said
