"""What stays behind is the library's where a bare socket of the same library keeps it too, else the program's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zmqfuzz.assembly import Spec, run
from zmqfuzz.campaign.attribution import bare_socket_too
from zmqfuzz.catalogue import invariants
from zmqfuzz.examiner import Examiner, growth
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.zmtp.wire import Fill, Frame, Greeting1

EXAMPLES = Path(__file__).parent.parent.parent / "targets" / "examples"
LETTERS = Send((Frame(b"", more=True), Frame(Fill(2048))), times=1_500)
READ = Attack((Script((Connect(), Shake("DEALER"), LETTERS, Expect("message"))),))
"""Answered one by one: the application has read them all."""

TAKEN = Attack((Script((Connect(), Shake("DEALER", identity=b"taken"), LETTERS), times=3),))
"""Two of the three are never read: their identity is taken."""


OLD = Attack((Script((Connect(), Send((Greeting1(b"taken"),)), Send((Frame(b""),), times=1_500)), times=4),))
"""Peers of ZMTP 1.0 with one identity: what three of them have sent is never freed, up to RCVHWM messages each."""

CASES = [
    ("memory_leak", READ, "ZF204", False),
    ("plain", TAKEN, "ZF208", True),
    ("plain", OLD, "ZF204", True),
]


@pytest.mark.slow
@pytest.mark.parametrize(("program", "attack", "code", "library"), CASES)
def test_who_keeps_it(program: str, attack: Attack, code: str, library: bool) -> None:
    words = (sys.executable, str(EXAMPLES / f"{program}.py"), *(["router"] if program == "plain" else []))

    async def work() -> bool | None:
        async with Spec(words).harness() as harness:
            surface = harness.surfaces(await harness.standing())[0]
            grown = 0.0
            if code == "ZF204":
                grown = growth((await Examiner(harness, patience=1.0).rounds(attack, surface.key, code)).trials)
            return await bare_socket_too(harness, invariants()[code], attack, surface, grown)

    assert run(work) is library
