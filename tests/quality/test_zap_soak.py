"""Default runs of 20 s against ZAP handlers: the weak one is found each time, the others have nothing of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "targets" / "examples" / "zap.py"
SERVER = ("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
CLIENT = ("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
GIVEN = {
    "plain": ("--username", "ada", "--password", "lovelace"),
    "curve": (f"--server-key={SERVER[0]}", f"--client-key={':'.join(CLIENT)}"),
}
SOUND = {
    "hardened": ("--hardened",),
    "thread": ("--handler", "thread"),
    "asyncio": ("--handler", "asyncio"),
    "wrong": ("--handler", "wrong", "--reply", "frames", "--spare"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE"),
    pytest.mark.parametrize("mechanism", GIVEN),
]


def found(folder: Path, mechanism: str, seed: int, *form: str, options: tuple[str, ...] = ()) -> tuple[set[str], str]:
    """Codes that are not libzmq's own, and all that was printed."""
    lock = ("--mechanism", mechanism, f"--secret-key={SERVER[1]}", f"--allow={CLIENT[0]}")
    command = [sys.executable, "-m", "zmqfuzz", "run", "--for", "20s", "--seed", str(seed), *GIVEN[mechanism], *options]
    command += ["--", sys.executable, str(EXAMPLE), *lock, *form]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, errors="replace")
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    findings = [json.loads(file.read_text()) for file in folder.glob(".zmqfuzz/findings/*/finding.json")]
    own = {finding["code"] for finding in findings if "libzmq" not in finding.get("owner", "")}
    return own, done.stdout + done.stderr


@pytest.mark.parametrize("seed", range(5))
def test_the_weak_handler_is_found(tmp_path: Path, mechanism: str, seed: int) -> None:
    codes, text = found(tmp_path, mechanism, seed, options=("--stop-after", "1"))
    assert codes == {"ZF102"}, text


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("handler", SOUND)
def test_the_others_have_nothing_of_their_own(tmp_path: Path, mechanism: str, handler: str, seed: int) -> None:
    codes, text = found(tmp_path, mechanism, seed, *SOUND[handler])
    assert codes == set(), text
