"""A finding as the text a person reads, complete and at most 100 columns wide; no colour, no markup.

Everything that can hold what a target said (its log, its metadata, sentences about it) goes through
:func:`~zmqfuzz.campaign.decode.printable`.
"""

from __future__ import annotations

import math
import os
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise

from zmqfuzz.campaign.capture import CAPTURE
from zmqfuzz.campaign.cost import cost_of
from zmqfuzz.campaign.decode import decode_attack, printable, quantity
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.exposure import EXPOSURE
from zmqfuzz.finding import Finding
from zmqfuzz.script import Attack, Send, Wait
from zmqfuzz.trial import Trial
from zmqfuzz.zmtp.wire import Frame

__all__ = ["COLUMNS", "cost_line", "failure_message", "printable", "relative", "spark", "summary_line"]

COLUMNS = 100

LOG_LINES = 5
"""Lines of the target's output that are shown; the whole tail is in target.log."""

_BARS = "▁▂▃▄▅▆▇█"

_OWNERS = {
    "application": "the application: its own code or its socket options",
    "libzmq": "libzmq: a defect of the library, to be reported there",
    "libzmq design": "libzmq, by design: no change of this application's code alone closes it",
    "unknown": "not determined",
}


def spark(values: Sequence[float], *, width: int = 24) -> str:
    """A line of bars, lowest to highest value; more than ``width`` values are put together, the largest counts."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) > width:
        cuts = [len(finite) * number // width for number in range(width + 1)]
        finite = [max(finite[start:end]) for start, end in pairwise(cuts)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    if low == high:
        return _BARS[0] * len(finite)
    # Divided before subtracting: two floats can be further apart than the largest float.
    span = high / 8 - low / 8
    return "".join([_BARS[min(7, int((value / 8 - low / 8) / span * 8))] for value in finite])


def of_library(finding: Finding) -> bool:
    """Whether the finding is libzmq's own, and no code of the application's can help it."""
    return finding.owner.startswith("libzmq") and "can work around" not in finding.owner


def summary_line(finding: Finding) -> str:
    """One line that stands alone: ``ZF203 ... (limit 0.50 B/B, 1.94 observed)``."""
    limited = next((measure for measure in finding.measures if measure.limit), None)
    numbers = f" (limit {limited.limit}, observed {limited.observed})" if limited else ""
    sentence = " ".join((finding.sentence or finding.title).split()).split(" Attack: ")[0]
    return printable(f"{finding.code} {sentence.rstrip('.') if numbers else sentence}{numbers}")


def failure_message(
    finding: Finding, observed: Trial | None = None, *, folder: str | os.PathLike[str] | None = None
) -> str:
    """The whole message. ``observed``: a trial of ``finding.attack``, whose reactions and memory are shown too.

    ``folder``: where the finding was saved.
    """
    blocks = [
        _head(finding),
        _wrapped(finding.sentence, "  "),
        _evidence(finding, observed),
        _transcript(finding, observed),
        _socket(finding),
        _meaning(finding),
        _reproduce(
            finding,
            os.fspath(folder) if folder is not None else f".zmqfuzz/findings/{finding.id}",
            captured=observed is not None and bool(observed.transcripts),
        ),
        _log(finding),
    ]
    lines = [line for block in blocks for line in [*block, ""] if block]
    return "\n".join([part for line in lines for part in _bounded(line)]).rstrip() + "\n"


def _head(finding: Finding) -> list[str]:
    start = printable(f"{finding.code}  {finding.severity.value.upper()}  {finding.title}")
    name = f"finding {printable(finding.id)}"
    if len(start) + 2 + len(name) <= COLUMNS:
        return [start + name.rjust(max(COLUMNS - 4, len(start) + 2 + len(name)) - len(start))]
    return [*_wrapped(start, ""), f"  {name}"]


def _evidence(finding: Finding, observed: Trial | None) -> list[str]:
    rows = [
        (measure.name, measure.observed, f"limit {measure.limit}" if measure.limit else "")
        for measure in finding.measures
    ]
    series = [sample.rss for sample in observed.observation.series] if observed is not None else []
    if len(series) > 1:
        rows.append(("memory", f"rss {quantity(series[0])} -> {quantity(series[-1])}", spark(series)))
    surface = finding.surface
    who = "target listens" if surface.side == "bind" else "target connects to us"
    door = f"{surface.socket_type or 'ZMTP'} {surface.address}"
    rows += [
        ("control", finding.control or "none was run", ""),
        ("repeat", _repeat(finding), ""),
        ("cost", cost_line(finding), ""),
        ("door", f"{door} ({surface.mechanism or 'no mechanism'}, ZMTP {surface.version}, {who})", ""),
        ("target", finding.target, ""),
    ]
    if finding.history:
        count = len(finding.history)
        rows.append(("history", f"after {count} earlier attack{'s' * (count > 1)} on the same process", "see history/"))
    rows += [("note", note, "") for note in finding.notes]
    return _aligned([(printable(name), printable(value), printable(limit)) for name, value, limit in rows])


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    """Name, value and limit in columns; what does not fit is wrapped under its value."""
    first = min(28, max(len(name) for name, _, _ in rows))
    second = min(34, max((len(value) for _, value, limit in rows if limit), default=0))
    lines = []
    for name, value, limit in rows:
        text = f"{value:<{second}}   {limit}" if limit else value
        start = f"    {name:<{first}}   "
        if len(start) + len(text) <= COLUMNS:
            lines.append(start + text)
        else:
            lines += _wrapped(" ".join(text.split()), start, " " * (first + 7))
    return lines


def _repeat(finding: Finding) -> str:
    if not finding.tried:
        return "seen once"
    return f"{finding.confirmed}/{finding.tried} on fresh processes"


def cost_line(finding: Finding) -> str:
    """What the attack costs whoever plays it, in words."""
    if finding.attack.strategy == EXPOSURE:
        return "none: the target was only looked at"
    return str(cost_of(finding.attack, finding.surface, finding.sent, finding.seconds))


def _transcript(finding: Finding, observed: Trial | None) -> list[str]:
    """What was sent; empty where nothing had to be."""
    if finding.attack.strategy == EXPOSURE:
        return []
    lines = ["    " + line for line in decode_attack(finding.attack, observed)]
    return [*_wrapped(_transcript_title(finding), "  ", "    "), "", *lines]


def _transcript_title(finding: Finding) -> str:
    small = _shape(finding.attack) + f" / {finding.seconds:.1f} s"
    if _frames(finding.attack) > _frames(finding.original):
        return f"Transcript (from {_shape(finding.original)}; simplified, then enlarged to tell: {small})"
    if finding.original.scripts == finding.attack.scripts:
        return f"Transcript ({small}; as it was drawn)"
    return f"Transcript (minimised from {_shape(finding.original)} to {small})"


def _frames(attack: Attack) -> int:
    """Frames that all peers send."""
    return sum(
        sum(isinstance(unit, Frame) for unit in step.units) * max(0, step.times) * max(1, script.times)
        for script in attack.scripts
        for step in script.steps
        if isinstance(step, Send)
    )


def _shape(attack: Attack) -> str:
    frames = _frames(attack)
    peers = sum(max(1, script.times) for script in attack.scripts)
    waits = sum(step.seconds for script in attack.scripts for step in script.steps if isinstance(step, Wait))
    steps = sum(len(script.steps) for script in attack.scripts)
    parts = [_plural(frames, "frame"), _plural(steps, "step"), _plural(peers, "peer")]
    return " / ".join(parts + ([f"{waits:g} s of waiting"] if waits else []))


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _socket(finding: Finding) -> list[str]:
    """The line of the program that opens the socket, and the options that are in force there."""
    if not finding.source:
        return []
    how, _, options = finding.opened.partition("\n")
    lines = _wrapped(f"{relative(finding.source)}   {how}", "  Socket     ", " " * 13)
    lines += _wrapped(options, " " * 13) if options else []
    return [*lines, f"             Would an option mend it?   zmqfuzz whatif {printable(finding.id)} --suggest"]


def relative(source: str) -> str:
    """``/path/server.py:48`` as a person writes it, below the current folder."""
    path, _, line = source.rpartition(":")
    shown = os.path.relpath(path)
    return f"{path if shown.startswith('..') else shown}:{line}"


def _meaning(finding: Finding) -> list[str]:
    owner = _OWNERS.get(finding.owner, finding.owner)
    advice = finding.advice or f"no advice is recorded; see zmqfuzz explain {finding.code}"
    return [*_wrapped(owner, "  Owner      ", " " * 13), *_wrapped(advice, "  To fix     ", " " * 13)]


def _reproduce(finding: Finding, place: str, *, captured: bool) -> list[str]:
    folder = printable(place).rstrip("/") + "/"
    obstacle = next(filter(None, map(cannot_play, (*finding.history, finding.attack))), "")
    endpoint = shlex.quote(printable(finding.surface.address))
    script = f"    python {folder}repro.py {endpoint}"
    names = ["transcript.zft", "original.zft", *(["history/"] if finding.history else [])]
    files = "  ".join([*names, *([CAPTURE] if captured else []), "target.log"])
    return [
        "  Reproduce",
        f"    zmqfuzz replay {printable(finding.id)}",
        *([f"    ({obstacle})"] if obstacle else [f"{script}    # standard library only"]),
        "",
        f"  Evidence   {folder}   {files}",
        f"  Explain    zmqfuzz explain {printable(finding.code)}",
        f'  Accept     zmqfuzz baseline update {printable(finding.id)} --reason "..." --until DATE',
    ]


def _log(finding: Finding) -> list[str]:
    title = f" captured target output (last {LOG_LINES} lines) "
    lines = [printable(line) for line in finding.log_tail.split("\n") if line.strip()]
    return [title.center(COLUMNS - 4, "-"), *(lines[-LOG_LINES:] or ["(none)"])]


def _wrapped(text: str, start: str, rest: str | None = None) -> list[str]:
    """``text`` in paragraphs as given, each filled; every line made printable."""
    lines = []
    for paragraph in text.strip().split("\n"):
        lines += textwrap.wrap(
            printable(paragraph),
            COLUMNS - 2,
            initial_indent=start,
            subsequent_indent=rest if rest is not None else start,
            break_on_hyphens=False,
        )
        start = rest if rest is not None else start
    return lines


def _bounded(line: str) -> Iterator[str]:
    """``line`` cut into pieces that fit; a blank line stays, and so does a command that is meant to be copied."""
    if line.startswith(("    python ", "    zmqfuzz ", "  Evidence ")):
        yield line
        return
    yield line[:COLUMNS].rstrip()
    for start in range(COLUMNS, len(line), COLUMNS - 4):
        yield "    " + line[start : start + COLUMNS - 4].rstrip()
