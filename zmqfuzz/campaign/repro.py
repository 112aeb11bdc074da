"""A finding as one Python script that needs nothing but the standard library.

The script plays what :class:`~zmqfuzz.peer.Peer` plays: the same octets at the same moments. It is source text made
from data that may come from a target, so such data enters it as ``ascii()`` literals and one-line comments only.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator

from zmqfuzz.backlog import BACKLOG
from zmqfuzz.campaign.decode import next_framing, printable
from zmqfuzz.campaign.repro_player import PLAYER
from zmqfuzz.canary import carries
from zmqfuzz.company import COMPANY
from zmqfuzz.dropping import DROPS
from zmqfuzz.exposure import EXPOSURE
from zmqfuzz.finding import Finding
from zmqfuzz.script import (
    Attack,
    Await,
    Close,
    Connect,
    Expect,
    ReadOn,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    Signal,
    Step,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.stopping import STOPPING
from zmqfuzz.zmtp.measure import head
from zmqfuzz.zmtp.mechanism import Null
from zmqfuzz.zmtp.wire import CurveCommand, Fill, Frame, Framing, Greeting, Raw, Unit, encode

__all__ = ["cannot_play", "repro_script"]


def cannot_play(attack: Attack) -> str:
    """Why a script of the standard library alone cannot play ``attack``, in one sentence; empty when it can."""
    if attack.strategy == STOPPING:
        return "repro.py cannot tell the program to stop; use zmqfuzz replay instead."
    if attack.strategy == COMPANY:
        return "repro.py has no honest clients; use zmqfuzz replay instead."
    if attack.strategy == DROPS:
        return "repro.py cannot see what is said of drops; use zmqfuzz replay instead."
    if attack.strategy == BACKLOG:
        return "repro.py cannot see what is kept for whom; use zmqfuzz replay instead."
    if attack.strategy == EXPOSURE:
        return "there is nothing to send; use zmqfuzz replay, which looks again."
    if carries(attack):
        return "repro.py has no place of its own for the mark of executed code; use zmqfuzz replay instead."
    for script in attack.scripts:
        for step in script.steps:
            if isinstance(step, Shake) and step.mechanism not in ("", "NULL"):
                return f"repro.py cannot do the {printable(step.mechanism)} handshake; use zmqfuzz replay instead."
            if isinstance(step, Shake) and step.instead:
                return "repro.py cannot do a handshake with other commands in it; use zmqfuzz replay instead."
            if isinstance(step, Send) and any(isinstance(unit, CurveCommand) for unit in step.units):
                return "repro.py cannot seal CURVE commands; use zmqfuzz replay instead."
    return ""


def repro_script(finding: Finding, attack: Attack) -> str:
    """The source of a script that plays the finding's history and then ``attack``: ``python repro.py ENDPOINT``.

    Where :func:`cannot_play` has a reason, the script prints that sentence and exits with 2.
    """
    attacks = (*finding.history, attack)
    about = f"{finding.code} {finding.title} (finding {finding.id}). {finding.sentence}"
    comment = textwrap.wrap(printable(about), 96, initial_indent="# ", subsequent_indent="# ")
    obstacle = next(filter(None, map(cannot_play, attacks)), "")
    if obstacle:
        return "\n".join(
            [_HEADER, *comment, "", "import sys", "", f"sys.exit(print({obstacle!a}, file=sys.stderr) or 2)", ""]
        )
    listens = finding.surface.side == "connect"
    data = [f"LISTENS = {listens}  # the target connects to us", "ATTACKS = ["]
    for played in attacks:
        data += ["    [", *[line for script in played.scripts for line in _script_lines(script)], "    ],"]
    return "\n".join([_HEADER, *comment, _IMPORTS, *data, "]", PLAYER])


def _script_lines(script: Script) -> Iterator[str]:
    yield f"        ({max(1, min(script.times, 4096))}, {script.label!a}, ["
    framing = Framing.V2
    for step in script.steps:
        if isinstance(step, Connect | Shake):
            framing = Framing.V2
        line, framing = _step(step, framing)
        yield f"            {line},"
    yield "        ]),"


def _step(step: Step, framing: Framing) -> tuple[str, Framing]:
    """A step as the call of a player's method; and the framing of what is sent after it."""
    match step:
        case Connect():
            return f"('connect', {step.buffer})" if step.buffer is not None else "('connect',)", framing
        case Shake():
            greeting = encode(Greeting(*step.version))
            ready = b"".join(map(encode, Null(step.socket_type, step.identity, step.properties).start()))
            return f"('shake', {greeting!r}, {ready!r}, {_seconds(step.within)})", framing
        case Send():
            pieces: list[tuple[bytes, int]] = []
            for unit in step.units:
                pieces += _pieces(unit, framing)
                framing = next_framing(unit, framing)
            chunk = None if step.chunk is None else max(1, step.chunk)
            fresh = f", {step.fresh!r}" if step.fresh else ""
            text = f"('send', {_joined(pieces)}, {max(0, step.times)}, {chunk}, {_seconds(step.every)}{fresh})"
            return text, framing
        case Expect():
            return f"('expect', {step.event!a}, {_seconds(step.within)})", framing
        case Wait():
            return f"('wait', {_seconds(step.seconds)})", framing
        case StopReading():
            return "('pace', 0)", framing
        case ReadOn():
            return f"('pace', {step.rate if step.rate is None else max(1, step.rate)})", framing
        case Signal():
            return f"('signal', {step.name!a})", framing
        case Await():
            return f"('awaits', {step.name!a}, {_seconds(step.within)})", framing
        case Vanish():
            return "('vanish',)", framing
        case ShutdownWrite():
            return "('shutdown_write',)", framing
        case Reset():
            return "('close', True)", framing
        case Close():
            return "('close', False)", framing


def _pieces(unit: Unit, framing: Framing) -> Iterator[tuple[bytes, int]]:
    """The octets of ``unit``, each piece with how often it stands there; runs of one octet stay symbolic."""
    octets = head(unit, framing)
    start = 0
    for run in re.finditer(rb"(.)\1{63,}", octets, re.DOTALL):
        yield octets[start : run.start()], 1
        yield run[1], run.end() - run.start()
        start = run.end()
    yield octets[start:], 1
    body = unit.body if isinstance(unit, Frame) else unit.data if isinstance(unit, Raw) else b""
    if isinstance(body, Fill):
        yield bytes([body.byte & 0xFF]), max(0, body.size)


def _joined(pieces: list[tuple[bytes, int]]) -> str:
    """Pieces as a Python list: octets, or ``(octet, count)``."""
    parts: list[bytes | tuple[bytes, int]] = []
    for octets, count in pieces:
        if count >= 64:
            parts.append((octets, count))
        elif parts and isinstance(last := parts[-1], bytes):
            parts[-1] = last + octets * count
        else:
            parts.append(octets * count)
    return repr([part for part in parts if part])


def _seconds(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else "1e9" if value > 0 else "0.0"


_HEADER = '''#!/usr/bin/env python3
"""Plays one zmqfuzz finding against a ZeroMQ program: python repro.py ENDPOINT [SECONDS] [--allow-remote]

ENDPOINT is tcp://host:port or ipc://path. Connections that the attack leaves open are held for SECONDS (default 5)
at the end, so that you can look at the target. Needs Python 3.8 or newer on a Unix system, and nothing else.
"""
'''

_IMPORTS = """
import array
import fcntl
import ipaddress
import os
import select
import socket
import struct
import sys
import termios
import threading
import time

# Attacks, one after the other: each a list of (how many peers, label, steps). A tuple among the octets of a 'send'
# is one octet and how often it stands there; the numbers behind are: times over, octets a write, seconds apart."""
