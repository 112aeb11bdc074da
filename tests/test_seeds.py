"""Recorded messages: what is read from files, what is heard from a real target, and that both reach the attacks."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.canary import PLACEHOLDER
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.seeds import Heard, read_seeds
from zmqfuzz.zmtp.wire import Frame

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"


def test_lines_are_messages_and_other_files_are_frames(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('["get", "a"]\n\n"ä"\n[{"hex": "00 ff"}, {"base64": "AP8="}, ""]\n["get", "a"]\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bin").write_bytes(b"\x80\x04.")
    (tmp_path / ".hidden").write_bytes(b"x")
    lines = (b"get", b"a"), ("ä".encode(),), (b"\0\xff", b"\0\xff", b"")
    assert read_seeds(tmp_path) == (*lines, (b"\x80\x04.",))
    assert read_seeds(tmp_path / "b.jsonl") == lines
    assert read_seeds(tmp_path / "sub" / "a.bin") == ((b"\x80\x04.",),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", r"x\.jsonl:2: 1 is no frame; write one message a line"),
        ('{"op": "put"}', "is no frame"),
        ('[{"hex": "0g"}]', "is no frame"),
        ('[{"base64": "A"}]', "is no frame"),
        ('[{"hex": "00", "base64": "AA=="}]', "is no frame"),
        ('["\\ud800"]', "is no frame"),
        ("[]", "a message has one frame or more"),
        ("get a", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_message_is_said_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "x.jsonl").write_text(f'["fine"]\n{line}\n')
    with pytest.raises(UsageError, match=said):
        read_seeds(tmp_path)


def test_what_cannot_be_read_or_is_too_much_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: No such file.*correct the path"):
        read_seeds(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="There is no message in"):
        read_seeds(tmp_path)
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read_seeds(tmp_path)


def test_a_few_different_messages_are_kept() -> None:
    heard = Heard()
    for number in range(100):
        heard.add((b"", b"%d" % (number // 2)))
    heard.add(())
    assert heard.messages == tuple((b"", b"%d" % number) for number in range(16))


async def calibrated(program: str, *words: str, bind: str = "", attack: Attack | None = None) -> Heard:
    """What is heard from an example program at calibration and, where one is given, in an attack."""
    spec = Spec((sys.executable, str(EXAMPLES / program), *words), bind=(bind,) if bind else ())
    async with spec.harness() as harness:
        (surface,) = harness.surfaces(await harness.standing())
        await harness.calibrate(surface.key)
        if attack is not None:
            await harness.trial(attack, surface.key)
        return harness.asking.heard[surface.key]


def test_a_publication_is_heard_at_calibration() -> None:
    heard = trio.run(partial(calibrated, "plain.py", "pub"))
    assert any(message[0].startswith(b"tick ") for message in heard.messages)


def test_what_a_client_asks_is_heard_at_calibration() -> None:
    door = f"ipc://@zmqfuzz-{os.getpid()}-seeds"
    heard = trio.run(partial(calibrated, "client.py", "--connect", door, bind=door))
    assert any(len(message) == 2 and message[1].startswith(b"tick ") for message in heard.messages)


def test_an_answer_is_heard_in_an_attack() -> None:
    request = json.dumps({"op": "put", "key": "a", "value": 7}).encode()
    steps = (Connect(), Shake("REQ"), Send((Frame(b"", more=True), Frame(request))), Expect("message", within=5.0))
    heard = trio.run(partial(calibrated, "pickle_server.py", "--hardened", attack=Attack((Script(steps),))))
    assert (b"zmqfuzz",) in heard.messages
    assert (b"", b'{"value": "7"}') in heard.messages


def test_the_echo_of_a_canary_is_not_kept() -> None:
    """It holds the true path, and would be changed octet by octet."""
    mine = b'!!python/object/apply:os.mkdir ["' + PLACEHOLDER + b'"]'
    frames = (Frame(b"", more=True), Frame(mine), Frame(b"", more=True), Frame(b"echoed"))
    steps = (Connect(), Shake("DEALER"), Send(frames), Expect("message", within=5.0), Expect("message", within=5.0))
    heard = trio.run(partial(calibrated, "rep.py", attack=Attack((Script(steps),))))
    assert (b"", b"echoed") in heard.messages
    assert not any(b"mkdir" in frame for message in heard.messages for frame in message)
