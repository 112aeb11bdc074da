"""What was seen as plain data that comes back as it was, so that it can be judged again: trials, examinations, looks.

Judging is a pure function of these. Reading is strict: what is not understood is a
:class:`~zmqfuzz.errors.UsageError`. Times are kept to the microsecond.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from zmqfuzz.campaign.plain import attack_from_lines, attack_to_lines
from zmqfuzz.errors import UsageError
from zmqfuzz.exposure import Exposure
from zmqfuzz.trial import Direction, Examination, Observation, Surface, Transcript, Trial

__all__ = ["Seen", "octets_of", "seen_from_plain", "seen_to_plain", "without"]

Seen = Trial | Examination | Exposure
"""Everything that an invariant can judge."""

T = TypeVar("T")

_SERIES = ("trials", "controls", "rounds")


def seen_to_plain(seen: Seen) -> dict[str, Any]:
    """For JSON, ASCII only once it is dumped so."""
    match seen:
        case Trial():
            return _trial_to_plain(seen)
        case Examination():
            plain: dict[str, Any] = {"examination": seen.kind, "doubts": list(seen.doubts)}
            return plain | {name: [_trial_to_plain(one) for one in getattr(seen, name)] for name in _SERIES}
    return {"exposure": msgspec.to_builtins(seen)}


def seen_from_plain(plain: object) -> Seen:
    """What :func:`seen_to_plain` wrote. Raises UsageError."""
    try:
        if not isinstance(plain, Mapping):
            raise TypeError("no object")
        if "exposure" in plain:
            return msgspec.convert(plain["exposure"], Exposure)
        if "examination" in plain:
            series = {name: tuple(map(_trial_from_plain, plain[name])) for name in _SERIES}
            return Examination(str(plain["examination"]), **series, doubts=tuple(map(str, plain["doubts"])))
        return _trial_from_plain(plain)
    except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"what is stored of a trial cannot be understood ({error})") from None


def _trial_to_plain(trial: Trial) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "attack": attack_to_lines(trial.attack, {}),
        "surface": msgspec.to_builtins(trial.surface),
        "transcripts": msgspec.to_builtins(trial.transcripts),
        "observation": msgspec.to_builtins(trial.observation),
        "seconds": round(trial.seconds, 6),
    }
    for transcript in plain["transcripts"]:
        for entry in transcript["entries"]:
            entry["at"] = round(entry["at"], 6)
    for sample in plain["observation"]["series"]:
        sample["at"] = round(sample["at"], 6)
    return plain


def _trial_from_plain(plain: Mapping[str, Any]) -> Trial:
    return Trial(
        attack_from_lines(plain["attack"], source="a stored trial")[0],
        msgspec.convert(plain["surface"], Surface),
        msgspec.convert(plain["transcripts"], tuple[Transcript, ...]),
        msgspec.convert(plain["observation"], Observation),
        msgspec.convert(plain["seconds"], float),
    )


def octets_of(seen: Seen) -> int:
    """About how large it is once written: what was sent and received, and an allowance for each entry and sample."""
    if isinstance(seen, Exposure):
        return 1 << 12
    trials = (seen,) if isinstance(seen, Trial) else (*seen.trials, *seen.controls, *seen.rounds)
    return sum(
        128 * (len(trial.observation.series) + 1)
        + sum(128 + sum(100 + len(entry.data) for entry in one.entries) for one in trial.transcripts)
        for trial in trials
    )


def without(seen: Seen, secrets: Iterable[bytes]) -> Seen:
    """The same with each of ``secrets`` blotted out where a PLAIN HELLO sent it: behind its length (RFC 23)."""
    hidden = [(bytes([len(one)]) + one, bytes([len(one)]) + b"*" * len(one)) for one in secrets if 0 < len(one) < 256]
    if not hidden or isinstance(seen, Exposure):
        return seen
    if isinstance(seen, Examination):
        trials, controls, rounds = (tuple(_hidden(one, hidden) for one in getattr(seen, name)) for name in _SERIES)
        return dataclasses.replace(seen, trials=trials, controls=controls, rounds=rounds)
    return _hidden(seen, hidden)


def _hidden(trial: Trial, hidden: list[tuple[bytes, bytes]]) -> Trial:
    def clean(data: bytes) -> bytes:
        for secret, blot in hidden:
            data = data.replace(secret, blot)
        return data

    transcripts = tuple(
        dataclasses.replace(
            one,
            entries=tuple(
                msgspec.structs.replace(entry, data=clean(entry.data)) if entry.direction is Direction.SENT else entry
                for entry in one.entries
            ),
        )
        for one in trial.transcripts
    )
    return dataclasses.replace(trial, transcripts=transcripts)
