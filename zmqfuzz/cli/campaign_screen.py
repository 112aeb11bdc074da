"""Shows a campaign as it goes: a screen that is redrawn where there is a terminal, else a line now and then.

Only what was measured is shown. What comes from a target is escaped.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from zmqfuzz.budget import MIB
from zmqfuzz.campaign.novelty import OBJECTIVES
from zmqfuzz.campaign.text import printable
from zmqfuzz.finding import Severity
from zmqfuzz.overnight.conductor import Conductor
from zmqfuzz.overnight.tally import Sighting, Tally

__all__ = ["CampaignScreen", "spent", "told"]

FRAME = 0.5
"""Seconds between two frames."""

ROWS = 8
"""Families, findings and objectives that are shown."""

_BLOCKS = "▁▂▃▄▅▆▇█"


def spent(seconds: float) -> str:
    """``6m40s``, ``3h12m``, ``12s``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def told(one: Sighting) -> str:
    """A finding in one line."""
    finding = one.told["finding"]
    shown, tried = one.replays if one.replays[1] else (finding["confirmed"], finding["tried"])
    words = {
        "new": f"new, {shown} of {tried}" if tried else "new, seen once",
        "still": f"still there, {shown} of {tried}",
        "rare": f"rare: {shown} of {tried} replays show it",
        "fixed": f"fixed: none of {tried} replays shows it",
        "unclear": "known, not replayed yet",
    }
    rare = "rare, " if one.rare and one.state != "rare" else ""
    return printable(f"{one.id}  {one.severity.upper():8}  {one.title}  ({rare}{words[one.state]})")


class CampaignScreen:
    """Use it in a ``with`` block. ``live``: redraw a screen; ``every`` seconds a line where not."""

    def __init__(self, name: str, *, live: bool, every: float) -> None:
        self._name = name
        self._console = Console(highlight=False, soft_wrap=True, markup=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if live else None
        self._every = every
        self._began = self._shown = self._framed = time.monotonic()
        self._rates: list[tuple[float, int]] = []
        self._told: dict[str, str] = {}
        self._terminal: tuple[int, Any] | None = None

    def __enter__(self) -> CampaignScreen:
        if self._live is not None:
            self._live.start()
            if sys.stdin.isatty():
                self._terminal = sys.stdin.fileno(), termios.tcgetattr(sys.stdin.fileno())
                tty.setcbreak(self._terminal[0])
        return self

    def __exit__(self, *exc: object) -> None:
        if self._terminal is not None:
            termios.tcsetattr(self._terminal[0], termios.TCSADRAIN, self._terminal[1])
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line, which stays."""
        self._console.print(printable(text))

    def show(self, conductor: Conductor) -> None:
        """How things stand now."""
        now = time.monotonic()
        for one in conductor.tally.found.values():
            if one.state != self._told.get(one.id) and (one.state != "unclear" or one.id not in self._told):
                if one.state != "unclear":
                    self.say(told(one))
                self._told[one.id] = one.state
        self._rates = [(at, cases) for at, cases in self._rates if now - at < 60.0] + [(now, conductor.tally.total)]
        if self._live is not None:
            if now - self._framed >= FRAME:
                self._framed = now
                self._live.update(self._screen(conductor), refresh=True)
            self._keys(conductor)
        elif now - self._shown >= self._every:
            self._shown = now
            self.say(self._line(conductor))

    def _keys(self, conductor: Conductor) -> None:
        if self._terminal is None or not select.select([self._terminal[0]], [], [], 0)[0]:
            return
        key = os.read(self._terminal[0], 1)
        if key == b"q":
            conductor.interrupt()
        elif key == b"p":
            conductor.pause()

    def _rate(self) -> float:
        (began, before), (now, cases) = self._rates[0], self._rates[-1]
        return (cases - before) / (now - began) if now > began else 0.0

    def _line(self, conductor: Conductor) -> str:
        tally = conductor.tally
        hours, rest = divmod(int(tally.elapsed), 3600)
        known = sum(one.state in ("still", "rare") for one in tally.found.values())
        memory = f" | target {max(tally.rss.values()) / MIB:.0f} MiB" if tally.rss else ""
        paused = " | paused" if conductor.paused else ""
        return (
            f"[{hours:02}:{rest // 60:02}:{rest % 60:02}] {tally.total:,} attacks {self._rate():.1f}/s"
            f" | {len(conductor.new)} new {known} known | behaviours {len(tally.cells)}"
            f" | last new {spent(tally.elapsed - tally.last_cell)} ago{memory}{paused}"
        )

    def _screen(self, conductor: Conductor) -> Group:
        tally, ends = conductor.tally, conductor.ends
        state = "STOPPING" if conductor.stopping is not None else "PAUSED" if conductor.paused else "RUNNING"
        head = f" zmqfuzz campaign {self._name}   {state}   {spent(tally.leg)} of {spent(ends.seconds)}"
        grid = Table.grid(expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(
            Group(_panel("clock", self._clock(conductor)), _panel("speed", self._speed(conductor))),
            Group(_panel("result", self._result(conductor)), _panel("most that one attack showed", _best(tally))),
        )
        grid.add_row(_panel("where the yield is", _yield(tally)), _panel("target", self._target(conductor)))
        worst = sorted(tally.found.values(), key=lambda one: (Severity(one.severity).rank, one.id))
        lines = [told(one) for one in worst[:ROWS]]
        if len(worst) > ROWS:
            lines.append(f"and {len(worst) - ROWS} more")
        keys = "[q]uit and report  [p]ause" if self._terminal is not None else "Ctrl-C: quit and report"
        texts = [Text(f" {line}", no_wrap=True, overflow="ellipsis") for line in (*lines, keys)]
        title = Text(f"{head}   resume: same command", style=f"bold {_colour(conductor)}", no_wrap=True)
        return Group(title, grid, *texts)

    def _clock(self, conductor: Conductor) -> list[tuple[str, str]]:
        tally, ends = conductor.tally, conductor.ends
        quiet = tally.elapsed - tally.last_cell
        rows = [("last new behaviour", f"{spent(quiet)} ago")]
        if tally.last_finding is not None:
            rows.append(("last new finding", f"{spent(tally.elapsed - tally.last_finding)} ago"))
        if ends.plateau is not None:
            rows.append(("plateau stop in", spent(max(0.0, ends.plateau - quiet))))
        return rows

    def _speed(self, conductor: Conductor) -> list[tuple[str, str]]:
        tally = conductor.tally
        return [
            ("attacks", f"{tally.total:,}  {self._rate():.1f}/s"),
            ("workers", f"{len(conductor.working)} of {conductor.crew.seats} at work, {tally.died} died"),
            ("slices", f"{tally.slices_over} over, {tally.starts:,} starts of the target"),
        ]

    def _result(self, conductor: Conductor) -> list[tuple[str, str]]:
        found = conductor.tally.found.values()
        high = sum(one.id in conductor.new and Severity(one.severity).rank <= 1 for one in found)
        return [
            ("new findings", f"{len(conductor.new)}" + (f"  ({high} high)" if high else "")),
            ("known, still there", f"{sum(one.state == 'still' for one in found)}"),
            ("rare", f"{sum(one.state == 'rare' for one in found)}"),
            ("fixed", f"{sum(one.state == 'fixed' for one in found)}"),
            ("seen, not confirmed", f"{len(conductor.tally.unconfirmed)}"),
            ("behaviours", f"{len(conductor.tally.cells)}"),
        ]

    def _target(self, conductor: Conductor) -> list[tuple[str, str]]:
        tally = conductor.tally
        rows = [(door, door_["socket_type"] or "?") for door, door_ in list(tally.doors.items())[:3]]
        for number, rss in sorted(tally.rss.items())[:4]:
            rows.append((f"memory, slice {number}", f"{rss / MIB:.0f} MiB"))
        rows.append(("memory", _curve([octets for _, octets in tally.memory])))
        rows.append(("load of this machine", f"{os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"))
        return [(printable(name), printable(value)) for name, value in rows]


def _colour(conductor: Conductor) -> str:
    """As that of AFL's cycles: the first pass, still finding, quiet, and worth no more time."""
    tally, ends = conductor.tally, conductor.ends
    quiet = tally.elapsed - tally.last_cell
    if not tally.slices_over:
        return "magenta"
    if quiet < max(60.0, 0.1 * tally.leg):
        return "yellow"
    return "green" if quiet > (ends.plateau or ends.seconds) / 2 else "blue"


def _panel(title: str, rows: Iterable[tuple[str, ...]]) -> Panel:
    table = Table.grid(expand=True, padding=(0, 1))
    for place, row in enumerate(rows := list(rows)):
        if not place:
            for column in range(len(row)):
                table.add_column(justify="left" if column == 0 else "right", no_wrap=True, overflow="ellipsis")
        table.add_row(*map(Text, row))
    return Panel(table, title=title, title_align="left", padding=(0, 1))


def _best(tally: Tally) -> list[tuple[str, str]]:
    found: dict[str, float] = {}
    for key, value in tally.best.items():
        name = key.rpartition(" ")[2]
        found[name] = max(value, found.get(name, 0.0))
    return [(words, f"{found[name]:,.2f}") for name, words in OBJECTIVES.items() if name in found] or [
        ("nothing yet", "")
    ]


def _yield(tally: Tally) -> list[tuple[str, str, str, str]]:
    cases, news, finds = Counter[str](), Counter[str](), Counter[str]()
    for (_, family), count in tally.cases.items():
        cases[family] += count
    for (_, family), count in tally.news.items():
        news[family] += count
    for one in tally.found.values():
        finds[one.told["family"]] += 1
    order = sorted(cases, key=lambda family: (-finds[family], -news[family], family))
    rows = [(name, f"{cases[name]:,}", str(news[name]), str(finds[name])) for name in order[:ROWS]]
    return [("family", "attacks", "new", "found"), *rows]


def _curve(values: list[int], width: int = 16) -> str:
    values = values[-width:]
    low, high = min(values, default=0), max(values, default=0)
    step = (high - low) / (len(_BLOCKS) - 1) or 1
    return "".join(_BLOCKS[int((value - low) / step)] for value in values)
