"""A run as one HTML file that opens offline: no script, no network, every text escaped, control characters shown."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.reach import Row
from zmqfuzz.campaign.text import count, quantity
from zmqfuzz.reports import curves
from zmqfuzz.reports.causes import causes
from zmqfuzz.reports.difference import Difference
from zmqfuzz.reports.hostile import shown
from zmqfuzz.reports.record import Found, Run
from zmqfuzz.trial import Stage

__all__ = ["page"]

TEMPLATE = "report.html.j2"

LINES = 40
"""Of a transcript that are shown; the others are folded."""


def page(run: Run, changed: Difference | None) -> str:
    """The whole document."""
    import jinja2
    from markupsafe import Markup

    def harmless(value: Any) -> Any:
        """What an expression of the template puts out; only what is drawn by us is markup."""
        return value if hasattr(value, "__html__") else shown(str(value))

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
    )
    limits = run.started.description.get("limits")
    promises = limits if isinstance(limits, dict) else {}
    reasons = causes(run.found)
    return environment.get_template(TEMPLATE).render(
        run=run,
        started=run.started,
        outcome=run.outcome,
        gate=run.outcome.gate,
        changed=changed,
        cards=[_card(run, one, promises, Markup) for cause in reasons for one in cause.found],
        causes=reasons,
        attacks=count(sum(case.cases for case in run.outcome.cases), "attack"),
        command=_command(run),
        promises={name: value for name, value in promises.items() if value is not None},
        stages=[stage.value for stage in Stage],
        maps=_maps(run.rows),
        progress=Markup(curves.whole_run(run.memory)),
        most=max((case.cases for case in run.outcome.cases), default=1) or 1,
        count=count,
    )


def _card(run: Run, found: Found, promises: dict[str, Any], markup: Any) -> dict[str, Any]:
    finding = found.finding
    limit = promises.get("memory")
    address = shlex.quote(str(finding.surface.get("address", "ENDPOINT")))
    return {
        "found": found,
        "finding": finding,
        "status": run.status(finding.id),
        "reason": run.outcome.gate.known.get(finding.id, "") if run.outcome.gate is not None else "",
        "memory": markup(
            curves.memory(found.series, found.control, found.marks, limit if isinstance(limit, int) else None)
        ),
        "descriptors": markup(curves.descriptors(found.series, found.control, found.marks)),
        "answers": markup(curves.answers(found.asked, found.calm, found.marks)),
        "rounds": markup(curves.rounds(found.rounds)),
        "shown": found.transcript[:LINES],
        "folded": found.transcript[LINES:],
        "sent": quantity(finding.sent),
        "script": f"python {shlex.quote(found.folder)}/repro.py {address}",
    }


def _command(run: Run) -> str:
    """What to type to do it again."""
    if run.started.words:
        return shlex.join(("zmqfuzz", *run.started.words))
    return f"zmqfuzz run --seed {run.started.seed} --for {run.started.seconds:g}s ... -- {_target(run)}"


def _target(run: Run) -> str:
    """What was started or attached to, as a person would type it."""
    description = run.started.description
    words = description.get("command") or ()
    if words and isinstance(words, list | tuple):
        return shlex.join(map(str, words))
    return " ".join(map(str, description.get("connect") or ())) or run.started.target


def _maps(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """A grid for each kind of door: families down, stages across; and why what could be reached was not."""
    maps = []
    for door in dict.fromkeys(row.door for row in rows):
        here = [row for row in rows if row.door == door]
        names = list(dict.fromkeys(row.family for row in here))
        grid = {name: {row.stage: row for row in here if row.family == name} for name in names}
        missed = [row for row in here if row.reachable and not row.count]
        maps.append({"door": door, "grid": grid, "missed": missed})
    return maps
