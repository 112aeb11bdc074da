"""The canary: a payload that shows by one harmless mark that the target executes what peers send.

Contract: the only effect is an empty folder (or file) at a path of this run, inside a folder that only our user may
enter and that is removed at the end. In an attack the path is a placeholder of the same length, so a saved attack
names nothing; while it is one, it is a path where nobody can create anything (proc(5)).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import trio

from zmqfuzz.script import Attack, Script, Send
from zmqfuzz.zmtp.wire import Command, CurveCommand, Frame, Raw, Unit

__all__ = ["PLACEHOLDER", "Canary", "carries"]

PLACEHOLDER = b"/proc/zmqfuzz-canary".ljust(64, b"-")
"""What stands for the path in an attack: 64 octets, none of which a text format must escape."""

LATE = 0.03
LATE_CONFIRMED = 0.25
"""Seconds that a target may take to do what it should not, after an attack that carries the canary."""

_PLAIN = re.compile(r"[\w./-]{1,43}", re.ASCII)

U = TypeVar("U", bound=Unit)


_FIELDS: dict[type, str] = {Frame: "body", CurveCommand: "body", Raw: "data", Command: "data"}
"""In which a unit carries octets of an application."""


def _octets(unit: Unit) -> bytes:
    value = getattr(unit, _FIELDS.get(type(unit), ""), b"")
    return value if isinstance(value, bytes) else b""


def carries(attack: Attack) -> bool:
    """Whether the canary is in it."""
    return any(PLACEHOLDER in octets for script in attack.scripts for octets in _sent(script))


def _sent(script: Script) -> Iterator[bytes]:
    return (_octets(unit) for step in script.steps if isinstance(step, Send) for unit in step.units)


class Canary:
    """The mark of one run. Nothing is created before an attack carries the canary."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def path(self) -> bytes:
        """Where the mark would be: as long as the placeholder, by slashes that mean nothing (POSIX 4.13)."""
        if self._folder is None:
            room = tempfile.gettempdir()
            self._folder = Path(tempfile.mkdtemp(prefix="zmqfuzz-", dir=room if _PLAIN.fullmatch(room) else "/tmp"))
        return str(self._folder).encode().ljust(len(PLACEHOLDER) - 3, b"/") + b"ran"

    def armed(self, attack: Attack) -> Attack:
        """The attack as it is played: with this run's path in place of the placeholder."""
        return replace(attack, scripts=tuple(map(self._script, attack.scripts))) if carries(attack) else attack

    def _script(self, script: Script) -> Script:
        if not any(PLACEHOLDER in octets for octets in _sent(script)):
            return script
        steps = (
            replace(step, units=tuple(map(self._unit, step.units))) if isinstance(step, Send) else step
            for step in script.steps
        )
        return replace(script, steps=tuple(steps))

    def _unit(self, unit: U) -> U:
        octets = _octets(unit)
        if PLACEHOLDER not in octets:
            return unit
        changes: dict[str, object] = {_FIELDS[type(unit)]: octets.replace(PLACEHOLDER, self.path)}
        return replace(unit, **changes)  # type: ignore[arg-type]

    async def executed(self, attack: Attack, *, patient: bool) -> bool:
        """Whether the mark is there, now or a moment after an attack that carries the canary; it is taken away.

        ``patient``: wait for longer. A mark that comes later still is seen after the next attack on the same process.
        """
        wait = 0.0 if not carries(attack) else LATE_CONFIRMED if patient else LATE
        deadline = trio.current_time() + wait
        while not self.clear():
            if trio.current_time() >= deadline:
                return False
            await trio.sleep(0.005)
        return True

    def clear(self) -> bool:
        """Take the mark away; whether there was one."""
        if self._folder is None:
            return False
        mark = self._folder / "ran"
        try:
            mark.rmdir()
        except NotADirectoryError:
            mark.unlink(missing_ok=True)
        except FileNotFoundError:
            return False
        except OSError:  # of another user's, or not empty: it is there
            pass
        return True

    def close(self) -> None:
        """Remove our folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
