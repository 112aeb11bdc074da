"""Keys on the command line: what is attacked with them, what is said without them, what a replay needs again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from zmqfuzz.catalogue import families

EXAMPLE = str(Path(__file__).resolve().parent.parent.parent / "targets" / "examples" / "curve.py")
FEW = "curve-handshake,curve-traffic,malformed-message"

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


def zmqfuzz(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "zmqfuzz", *words]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZMQFUZZ_")}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=240, errors="replace", env=kept | environment
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def test_with_the_key_of_the_server_the_families_behind_it_are_run(tmp_path: Path) -> None:
    public, secret = pair()
    target = ("--", sys.executable, EXAMPLE, "--hardened", f"--secret-key={secret}")
    words = ("run", "--for", "4s", "--only", FEW, "--exclude", "malformed-message", *target)
    status, text = zmqfuzz(tmp_path, *words, ZMQFUZZ_SERVER_KEY=public)
    assert "CURVE REP: answers an honest client" in text
    assert "never got to" not in text
    assert status in (0, 3), text


def test_without_it_a_run_is_inconclusive(tmp_path: Path) -> None:
    target = ("--", sys.executable, EXAMPLE, "--hardened")
    status, text = zmqfuzz(tmp_path, "run", "--cases", "30", "--only", FEW, *target)
    assert status == 3, text
    assert "CURVE needs a key or a password" in text
    assert "curve-traffic" not in text, "it has nothing to attack there"


def test_a_door_that_should_ask_for_a_key_and_does_not_is_told(tmp_path: Path) -> None:
    """The weak twin sets its keys after bind, where libzmq does not heed them: whoever connects is served."""
    public, secret = pair()
    target = ("--", sys.executable, EXAMPLE, f"--secret-key={secret}")
    words = ("run", "--cases", "20", "--only", "malformed-message", f"--server-key={public}", *target)
    status, text = zmqfuzz(tmp_path, *words)
    assert status == 3, text
    assert "a CURVE key was given, but no door asks for one" in text


@pytest.mark.parametrize("zap", ["none", pytest.param("dead", marks=pytest.mark.slow)])
def test_what_the_zap_handler_does_decides_who_is_served(tmp_path: Path, zap: str) -> None:
    public, secret = pair()
    target = ("--", sys.executable, EXAMPLE, "--hardened", "--zap", zap, f"--secret-key={secret}")
    words = ("run", "--cases", "3", "--only", "curve-traffic", f"--server-key={public}", *target)
    status, text = zmqfuzz(tmp_path, *words)
    if zap == "dead":
        assert status == 3, text
        assert "an honest client was not served before any attack" in text
        assert "does its ZAP handler (RFC 27) answer?" in text
    else:
        assert "CURVE REP: answers an honest client" in text
        assert status in (0, 3), text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--server-key", "short"), "--server-key: a key is 40 characters"),
        (("--client-key", "a:b"), "--client-key: give PUBLIC:SECRET"),
        (("--our-secret-key", "@nowhere"), "--our-secret-key: nowhere cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, words: tuple[str, str], sentence: str) -> None:
    status, text = zmqfuzz(tmp_path, "run", *words, "--", "true")
    assert status == 2
    assert sentence in text


@pytest.mark.slow
def test_a_finding_behind_a_lock_is_replayed_with_fresh_seals(tmp_path: Path) -> None:
    """Frames without an end are held whatever sealed them (ZF203); a wrong nonce would end the connection at once."""
    public, secret = pair()
    target = ("--", sys.executable, EXAMPLE, "--hardened", f"--secret-key={secret}")
    words = ("run", "--for", "30s", "--only", "multipart", "--stop-after", "1", f"--server-key={public}", *target)
    status, text = zmqfuzz(tmp_path, *words)
    found = re.search(r"finding (ZF203-\w{4})", text)
    assert status == 1, text
    assert found, text
    assert "repro.py cannot do the CURVE handshake; use zmqfuzz replay instead." in text
    status, text = zmqfuzz(tmp_path, "replay", found[1])
    assert (status, text.split()[0:2]) == (1, ["STILL", "THERE"]), text


def test_each_mechanism_has_a_family() -> None:
    assert {family.mechanism for family in families().values()} == {"", "NULL", "PLAIN", "CURVE"}
