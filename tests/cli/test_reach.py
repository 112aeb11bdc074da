"""The reach map as users meet it: a line of the summary, a table, a file beside the findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PULL = Path(__file__).resolve().parent.parent.parent / "targets" / "examples" / "pull.py"


def test_a_run_tells_where_it_got(tmp_path: Path) -> None:
    chosen = ("--only", "stall,curve-traffic", "--cases", "30", "--seed", "3", "--reach")
    command = [sys.executable, "-m", "zmqfuzz", "run", *chosen, "--", sys.executable, str(PULL)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    saved = json.loads((tmp_path / ".zmqfuzz" / "reach.json").read_text(encoding="utf-8"))
    assert f"\n  reach {saved['reached']}/{saved['reachable']}" in done.stdout
    assert saved["reached"] == saved["reachable"] >= 4, "30 attacks of one family, most of them with an aim"
    cells = {(cell["family"], cell["stage"]): cell for cell in saved["cells"]}
    assert cells["curve-traffic", "traffic"]["why"] == "it attacks CURVE only"
    assert cells["stall", "message"]["count"] > 0
    assert "\nNULL PULL that binds\n" in done.stdout
    (line,) = [line.split() for line in done.stdout.splitlines() if line.startswith("  stall ")]
    for place, stage in ((1, "connected"), (3, "handshake"), (4, "traffic"), (5, "message")):
        assert line[place] == str(cells["stall", stage]["count"])
