"""Values that are shown as one would write them: without the fields that have their defaults."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

__all__ = ["Brief"]


class Brief:
    """For a dataclass with ``repr=False``: its text is an expression that makes an equal value."""

    __slots__ = ()

    def _said(self) -> list[tuple[str, Any]]:
        """The arguments: a keyword, or nothing, and the value."""
        said: list[tuple[str, Any]] = []
        left_out = False
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if value == field.default:
                left_out = True
            else:
                plain = int(value) if isinstance(value, enum.IntEnum) else value
                said.append((f"{field.name}=" if left_out else "", plain))
        return said

    def __repr__(self) -> str:
        said = ", ".join(f"{name}{value!r}" for name, value in self._said())
        return f"{type(self).__name__}({said})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same over several lines: what Hypothesis and IPython call."""
        with printer.group(4, f"{type(self).__name__}(", ")"):
            for number, (name, value) in enumerate(self._said()):
                if number:
                    printer.text(",")
                    printer.breakable()
                printer.text(name)
                printer.pretty(value)
