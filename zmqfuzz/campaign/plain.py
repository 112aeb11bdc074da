"""Attacks and findings as JSON that a person can read, diff and edit; every value comes back exactly as it was.

A ``.zft`` file is JSON lines: a header, a line for each script, a line for each of its steps, an end line (so that a
file cut between two lines is noticed). Fields at their default are left out. Reading is strict: whatever is not
understood raises :class:`~zmqfuzz.errors.UsageError` that names the file, the line and the remedy.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from zmqfuzz.campaign.leaves import (
    WrongError,
    located,
    one_of,
    read_body,
    read_bytes,
    read_float,
    read_int,
    read_list,
    read_object,
    read_text,
    shown,
    typed,
    unknown,
    write_bytes,
)
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Severity
from zmqfuzz.script import Attack, Expect, Script, Step
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp import wire
from zmqfuzz.zmtp.wire import Body, Command, Fill, Frame, Greeting, Greeting1, Greeting2, Raw, Unit

__all__ = [
    "FORMAT",
    "attack_from_lines",
    "attack_to_lines",
    "finding_from_json",
    "finding_to_json",
    "surface_from_plain",
    "surface_to_plain",
]

FORMAT = 1
"""Version of both formats; a change that an older zmqfuzz would misread raises it."""

EVENTS = ("bytes", "greeting", "ready", "message", "close")
"""What :class:`~zmqfuzz.script.Expect` can wait for."""

T = TypeVar("T")

_CHOICES = {(wire.CurveCommand, field): words for field, words in wire.CURVE_WORDS.items()} | {
    (Expect, "event"): EVENTS,
    (Surface, "side"): ("bind", "connect"),
}
_NAMES = ("name", "mechanism")
"""Fields of octets that read best as bare texts."""

_UNIT_TAGS: dict[type, tuple[str, str]] = {
    Frame: ("frame", "body"),
    wire.CurveCommand: ("curve", "name"),
    Command: ("command", "name"),
    Raw: ("raw", "data"),
    **{cls: (cls.__name__.lower(), "") for cls in (Greeting, Greeting1, Greeting2)},
}
"""The key that tells a unit, and the field whose value stands there. Two before Command: they have such a field."""

_STEPS: dict[str, type] = {re.sub(r"\B(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in get_args(Step)}
_STEP_TAGS = {cls: tag for tag, cls in _STEPS.items()}


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _write(hint: Any, value: Any) -> object:
    if hint in _WRITERS:
        return None if value is None else _WRITERS[hint](value)
    match value:
        case bytes():
            return write_bytes(value)
        case Fill():
            octet = f"{value.byte:02x}" if 0 <= value.byte <= 255 else int(value.byte)
            return {"fill": octet, "size": int(value.size)}
        case tuple():
            inner = get_args(hint)[0]
            return [_write(inner, item) for item in value]
        case Attack():
            return _attack_to_plain(value, {})
    return _write_unit(value) if type(value) in _UNIT_TAGS else _write_fields(value)


def _read(hint: Any, plain: object) -> Any:
    if hint in _READERS:
        return _READERS[hint](plain)
    inner = get_args(hint)
    if get_origin(hint) is tuple:
        items = read_list(plain)
        if inner[-1] is not Ellipsis and len(items) != len(inner):
            raise WrongError(f"{shown(plain)} must be {len(inner)} values; correct it")
        return tuple(_read(inner[0], item) for item in items)
    if types.NoneType in inner:
        return None if plain is None else _read(inner[0], plain)
    return _read_fields(hint, read_object(plain))


def _write_fields(value: Any) -> dict[str, object]:
    plain: dict[str, object] = {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if content != field.default:
            written = _write(_hints(value.__class__)[field.name], content)
            if field.name in _NAMES and isinstance(written, dict):
                written = written.get("text", written)
            plain[field.name] = written
    return plain


def _read_fields(cls: type, plain: Mapping[str, object]) -> Any:
    hints = _hints(cls)
    for name in plain:
        if name not in hints:
            raise WrongError(unknown(f"field of {cls.__name__}", name, hints))
        if (cls, name) in _CHOICES:
            one_of(_CHOICES[cls, name], name, plain[name])
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.name not in plain:
            raise WrongError(f"{cls.__name__} lacks its field {field.name!r}; add it")
    return cls(**{name: _read(hints[name], value) for name, value in plain.items()})


def _write_unit(unit: Unit) -> dict[str, object]:
    tag, lead = _UNIT_TAGS[type(unit)]
    fields = _write_fields(unit)
    return {tag: fields.pop(lead, {"text": ""}), **fields} if lead else {tag: fields}


def _read_unit(plain: object) -> Unit:
    fields = dict(read_object(plain))
    for cls, (tag, lead) in _UNIT_TAGS.items():
        if tag in fields:
            inner = fields.pop(tag)
            whole = {lead: inner} if lead else read_object(inner)
            if set(whole) & set(fields) or (fields and not lead):
                raise WrongError(f"{shown(next(iter(fields)))} cannot stand beside {tag!r}; correct it")
            return cast(Unit, _read_fields(cls, {**whole, **fields}))
    raise WrongError(unknown("unit", next(iter(fields), ""), [tag for tag, _ in _UNIT_TAGS.values()]))


def _read_step(plain: Mapping[str, object]) -> Step:
    cls = _STEPS[one_of(_STEPS, "step", plain["step"])]
    return cast(Step, _read_fields(cls, {name: value for name, value in plain.items() if name != "step"}))


def attack_to_lines(attack: Attack, header: Mapping[str, Any]) -> list[str]:
    """The lines of a ``.zft`` file, without line ends, ASCII only.

    ``header`` is plain data of the caller's choice, written beside strategy and seed; ``surface`` in it is an object
    as :func:`surface_to_plain` gives.
    """
    return [json.dumps(line) for line in _attack_to_plain(attack, header)]


def attack_from_lines(lines: Iterable[str], *, source: str = "the attack") -> tuple[Attack, dict[str, Any]]:
    """The attack of a complete ``.zft`` file, and the caller's header; ``source`` names it. Raises UsageError."""
    numbered = [(number, _loads(line, f"{source}:{number}")) for number, line in enumerate(lines, 1) if line.strip()]
    return _attack_from_plain(numbered, source)


def _attack_to_plain(attack: Attack, header: Mapping[str, Any]) -> list[dict[str, Any]]:
    own: dict[str, Any] = {"zft": FORMAT, "strategy": attack.strategy, "seed": int(attack.seed)}
    if attack.at_once:
        own["at_once"] = int(attack.at_once)
    lines: list[dict[str, Any]] = [own | {key: value for key, value in header.items() if key not in own}]
    for script in attack.scripts:
        lines.append({"script": script.label} | ({"times": int(script.times)} if script.times != 1 else {}))
        lines += [{"step": _STEP_TAGS[type(step)], **_write_fields(step)} for step in script.steps]
    return [*lines, {"end": True}]


def _attack_from_plain(numbered: list[tuple[int, object]], source: str) -> tuple[Attack, dict[str, Any]]:
    if not numbered:
        raise UsageError(f"{source} is empty; restore it, or delete it.")
    header: dict[str, Any] = {}
    scripts: list[tuple[str, int, list[Step]]] = []
    ended = False
    for position, (number, plain) in enumerate(numbered):
        with located(f"{source}:{number}"):
            line = dict(read_object(plain))
            if position == 0:
                _check_version(line, "zft", 'not a .zft file: line 1 must be {"zft": 1, ...}; give a .zft file')
                header = {"strategy": "", "seed": 0, "at_once": 0} | line
                read_text(header["strategy"]), read_int(header["seed"]), read_int(header["at_once"])
                _read_fields(Surface, read_object(header.get("surface", {"address": ""})))
            elif ended:
                raise WrongError("something stands after the end line; remove it")
            elif "script" in line:
                label, times = read_text(line.pop("script")), read_int(line.pop("times", 1))
                if line:
                    raise WrongError(unknown("field of a script", next(iter(line)), ("script", "times")))
                scripts.append((label, times, []))
            elif "step" in line:
                if not scripts:
                    raise WrongError('a step stands before any script; put {"script": "attacker"} above it')
                scripts[-1][2].append(_read_step(line))
            elif line == {"end": True}:
                ended = True
            else:
                raise WrongError(unknown("line", next(iter(line), ""), ("script", "step", "end")))
    if not ended:
        raise UsageError(f'{source} is truncated: its last line is not {{"end": true}}; restore it from a copy.')
    built = tuple(Script(tuple(steps), times, label) for label, times, steps in scripts)
    return Attack(built, header.pop("strategy"), header.pop("seed"), header.pop("at_once")), header


def _check_version(plain: dict[str, Any], key: str, otherwise: str) -> None:
    version = plain.pop(key, None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise WrongError(otherwise)
    if version > FORMAT:
        raise WrongError(f"a newer zmqfuzz wrote it (format {version}, this one reads {FORMAT}); upgrade zmqfuzz")


def _loads(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UsageError(f"{place}: not JSON ({reason}), or cut short; restore it from a copy, or delete it.") from None


def surface_to_plain(surface: Surface) -> dict[str, object]:
    """A door as a JSON object."""
    return _write_fields(surface)


def surface_from_plain(plain: object, *, source: str = "the surface") -> Surface:
    """A door from its JSON object. Raises UsageError."""
    with located(source):
        return cast(Surface, _read_fields(Surface, read_object(plain)))


def finding_to_json(finding: Finding) -> str:
    """The whole finding, attacks and history included, as indented JSON, ASCII only."""
    return json.dumps({"finding": FORMAT, **_write_fields(finding)}, indent=1) + "\n"


def finding_from_json(text: str, *, source: str = "the finding") -> Finding:
    """The finding back from its JSON. ``source`` names the file in errors. Raises UsageError."""
    plain = _loads(text, source)
    with located(source):
        fields = dict(read_object(plain))
        _check_version(fields, "finding", "not a finding; give a finding.json that zmqfuzz wrote")
        return cast(Finding, _read_fields(Finding, fields))


def _read_attack(plain: object) -> Attack:
    lines = list(enumerate(read_list(plain), 1))
    try:
        return _attack_from_plain(lines, "an attack in it, line")[0]
    except UsageError as error:
        raise WrongError(str(error).rstrip(".")) from None


_WRITERS: dict[Any, Callable[[Any], object]] = {
    **{int: int, int | None: int, bool: bool, bool | None: bool, str: str, Severity: str},
    float: lambda value: float(value) if math.isfinite(value) else str(float(value)),
}
"""By annotation, so that an IntFlag or a True in a number's field is written as a number."""

_READERS: dict[Any, Callable[[object], Any]] = {
    int: read_int,
    bool: lambda plain: typed(bool, "true or false", plain),
    float: read_float,
    str: read_text,
    bytes: read_bytes,
    Body: read_body,
    Unit: _read_unit,
    Attack: _read_attack,
    Severity: lambda plain: Severity(one_of([item.value for item in Severity], "severity", plain)),
}
