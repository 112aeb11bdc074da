"""Each seeded weakness is caught under its code by a short run of the command line; its mended twin is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "targets" / "examples"
MALFORMED = "malformed-message,malformed-frame"
PLAIN = ("--username", "ada", "--password", "lovelace")
SERVER = ("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
CLIENT = ("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
CURVE = (f"--server-key={SERVER[0]}", f"--client-key={':'.join(CLIENT)}")
LOCK = ("--mechanism", "curve", f"--secret-key={SERVER[1]}", f"--allow={CLIENT[0]}")
DEAD = ("--only", "dead-peer")
LOOPBACK = "tcp://127.0.0.1:*"
FORMS = (
    "off_by_one",
    "too_late",
    "too_low",
    "set_late",
    "no_heartbeat",
    "no_keepalive",
    "impatient",
    "older_peers",
    "older_silent",
    "exposed_late",
)
"""Forms of a weak program, whose twin is that of the plain one."""
TWINS = {  # name: program, its form, the code, the families and other options that fit
    "worker_crash": ("worker_crash.py", (), "ZF101", ("--only", MALFORMED)),
    "load_server": ("load_server.py", (), "ZF101", ("--only", "descriptor-exhaustion")),
    "worker_deaf": ("worker_deaf.py", (), "ZF102", ("--only", MALFORMED)),
    "stop_and_wait": ("stop_and_wait.py", (), "ZF103", ("--only", "malformed-message,stall,tempo")),
    "one_at_a_time": ("one_at_a_time.py", (), "ZF102", ("--only", MALFORMED)),
    "worker_pool": ("worker_pool.py", (), "ZF104", ("--only", MALFORMED)),
    "broker": ("broker.py", (), "ZF203", ("--only", "multipart")),
    "memory_leak": ("memory_leak.py", (), "ZF204", ("--only", "malformed-message,flood")),
    "pickle_server": ("pickle_server.py", (), "ZF301", ("--only", "application-payload")),
    "descriptor_leak": ("descriptor_leak.py", (), "ZF205", ("--exclude", "multipart,oversized-frame")),
    "frame_limit": ("frame_limit.py", (), "ZF201", ("--only", "oversized-frame", "--max-frame", "65536")),
    "zap_plain": ("zap.py", (), "ZF102", ("--only", "plain-handshake,metadata", *PLAIN)),
    "zap_curve": ("zap.py", LOCK, "ZF102", ("--only", "curve-handshake,metadata", *CURVE)),
    "off_by_one": ("frame_limit.py", ("--off-by-one",), "ZF201", ("--only", "oversized-frame", "--max-frame", "65536")),
    "too_low": ("frame_limit.py", ("--too-low",), "ZF202", ("--only", "oversized-frame", "--max-frame", "65536")),
    "relay": ("relay.py", (), "ZF208", ("--only", "abrupt-disconnect")),
    "reaper": ("reaper.py", (), "ZF311", (*DEAD, "--handshake-within", "1s")),
    "set_late": ("reaper.py", ("--set-late",), "ZF311", (*DEAD, "--handshake-within", "1s")),
    "no_heartbeat": ("reaper.py", ("--no-heartbeat",), "ZF312", (*DEAD, "--hung-within", "1s")),
    "no_keepalive": ("reaper.py", ("--no-heartbeat", "--no-keepalive"), "ZF313", (*DEAD, "--vanished-within", "4s")),
    "impatient": ("reaper.py", ("--impatient",), "ZF314", (*DEAD, "--hung-within", "1s")),
    "older_peers": ("reaper.py", ("--no-zap-domain",), "ZF315", (*DEAD, "--handshake-within", "1s")),
    "older_silent": ("reaper.py", ("--no-zap-domain",), "ZF316", (*DEAD, "--hung-within", "1s")),
    "shutdown": ("shutdown.py", (), "ZF321", ("--only", "shutdown", "--linger", "1s")),
    "shutdown_drops": ("shutdown.py", ("--drop",), "ZF322", ("--only", "shutdown", "--delivers", "1")),
    "exposed": ("exposed.py", (), "ZF652", ("--only", "exposure", "--expose", LOOPBACK)),
    "exposed_late": ("exposed.py", ("--late",), "ZF652", ("--only", "malformed-greeting", "--expose", LOOPBACK)),
    "spinner": ("spinner.py", (), "ZF105", ("--only", "envelope,malformed-message")),
    "feed": ("feed.py", (), "ZF210", ("--only", "backlog")),
    "ticker": ("ticker.py", (), "ZF212", ("--only", "drops", "--drops", "log:dropped")),
    "ticker_aside": ("ticker.py", ("--aside",), "ZF708", ("--only", "company")),
    "slow_consumer": ("slow_consumer.py", (), "ZF211", ("--only", "backlog")),
    "inflater": ("inflater.py", (), "ZF213", ("--only", "application-payload")),
    "desk": ("desk.py", (), "ZF701", ("--only", "company")),
    "desk_repeats": ("desk.py", ("--repeats",), "ZF702", ("--only", "company")),
    "desk_drops": ("desk.py", ("--drops",), "ZF703", ("--only", "company", "--bystander-loss", "0")),
    "desk_one_queue": ("desk.py", ("--one-queue",), "ZF704", ("--only", "company", "--bystander-within", "500ms")),
    "form": ("form.py", (), "ZF705", ("--only", "company", "--overheard", "0")),
    "notices": ("notices.py", (), "ZF407", ("--only", "forged-metadata")),
    "desk_newest_first": ("desk.py", ("--newest-first",), "ZF706", ("--only", "company")),
    "desk_handover": ("desk.py", ("--handover",), "ZF707", ("--only", "company")),
    "too_late": ("frame_limit.py", ("--too-late",), "ZF201", ("--only", "oversized-frame", "--max-frame", "65536")),
}
SECONDS = {
    "memory_leak": "60s",
    "descriptor_leak": "20s",
    "broker": "15s",
    "relay": "20s",
    "too_low": "20s",
    "inflater": "40s",
}
"""What stays behind takes long to tell from a program's own growth; a run ends with its first finding."""

WEAK = [pytest.param(name, id=name, marks=pytest.mark.slow) for name in TWINS]
MENDED = [
    pytest.param(name, id=name, marks=() if name == "frame_limit" else pytest.mark.slow)
    for name in TWINS
    if name not in (*FORMS, "shutdown_drops")
]
"""The one that is always run; tests/cli finds and replays worker_crash, and shows the broker's demo."""


def run(folder: Path, name: str, *form: str, options: tuple[str, ...] = ()) -> tuple[int, set[str], str]:
    """Exit code, the codes of what was found, and all that was printed."""
    program, _, _, fitting = TWINS[name]
    command = [sys.executable, "-m", "zmqfuzz", "run", "--for", SECONDS.get(name, "8s"), *fitting, *options]
    command += ["--recover", "2s", "--", sys.executable, str(EXAMPLES / program), *form]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, errors="replace")
    assert "Traceback" not in done.stderr
    return done.returncode, set(re.findall(r"finding (ZF\d+)-\w{4}", done.stdout)), done.stdout + done.stderr


@pytest.mark.parametrize("name", WEAK)
def test_the_weak_one_is_caught(tmp_path: Path, name: str) -> None:
    _, form, code, _ = TWINS[name]
    status, codes, text = run(tmp_path, name, *form, options=("--stop-after", "1"))
    assert codes == {code}, text
    assert status == 1
    (folder,) = (tmp_path / ".zmqfuzz/findings").iterdir()
    assert folder.name.startswith(code)


@pytest.mark.parametrize("name", MENDED)
def test_the_mended_one_is_not(tmp_path: Path, name: str) -> None:
    status, codes, text = run(tmp_path, name, *TWINS[name][1], "--hardened")
    assert codes == set(), text
    assert status == 0, text
