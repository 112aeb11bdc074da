"""``zmqfuzz replay --to``: a finding of a real program as a test that fails until it is fixed, and as a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, zmq
socket = zmq.Context().socket(zmq.PULL)
socket.linger = 0
socket.bind(sys.argv[1])
while True:
    parts = socket.recv_multipart()
    if len(parts) != 1 and WEAK:
        raise SystemExit("no message of ours")
"""


def ours(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_a_finding_is_kept_as_a_test_that_passes_when_it_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "sink.py").write_text(PROGRAM.replace("WEAK", "True"))
    chosen = (
        "--only",
        "malformed-message",
        "--cases",
        "30",
        "--exclude",
        "shutdown",
        "--stop-after",
        "1",
        "--max-frame",
        "64KiB",
    )
    found = ours(tmp_path, "zmqfuzz", "run", *chosen, "--", sys.executable, "sink.py", "{endpoint}")
    assert found.returncode == 1, found.stdout + found.stderr
    (folder,) = tmp_path.glob(".zmqfuzz/findings/ZF101-*")

    kept = ours(tmp_path, "zmqfuzz", "replay", folder.name, "--to", "pytest", "--out", "tests")
    assert kept.returncode == 0, kept.stderr
    module = tmp_path / kept.stdout.strip()
    assert '["python", "sink.py", "{endpoint}"], max_frame=65536)' in module.read_text()
    compile(module.read_text(), str(module), "exec")
    failed = ours(tmp_path, "pytest", "-q", "-p", "no:randomly", "tests")
    assert failed.returncode == 1, failed.stdout
    assert "The process does not survive what a peer sends" in failed.stdout
    assert "1 finding" in failed.stdout
    (tmp_path / "sink.py").write_text(PROGRAM.replace("WEAK", "False"))
    assert ours(tmp_path, "pytest", "-q", "tests").returncode == 0
    assert ours(tmp_path, "zmqfuzz", "replay", folder.name, "--to", "script", "--out", "seen").returncode == 0
    compile((tmp_path / "seen" / f"{folder.name}.py").read_text(), "script", "exec")
