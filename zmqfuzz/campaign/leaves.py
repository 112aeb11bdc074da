"""The leaves of plain data: numbers, texts and octets, read strictly; what is wrong is said without its place.

Every reader raises :class:`WrongError`; ``located`` adds where that was and makes it a UsageError.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from zmqfuzz.errors import UsageError
from zmqfuzz.zmtp.wire import Body, Fill

__all__ = [
    "WrongError",
    "located",
    "one_of",
    "read_body",
    "read_bytes",
    "read_float",
    "read_int",
    "read_list",
    "read_object",
    "read_text",
    "shown",
    "typed",
    "unknown",
    "write_bytes",
]

T = TypeVar("T")


class WrongError(Exception):
    """What is wrong, without the place: the place is added where the line is known."""


@contextmanager
def located(place: str) -> Iterator[None]:
    """Add the place to what is wrong: a UsageError."""
    try:
        yield
    except WrongError as error:
        raise UsageError(f"{place}: {error}.") from None


def shown(value: object) -> str:
    """A value in a message, shortened."""
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."


def typed(kind: type[T], word: str, plain: object) -> T:
    """``plain``, which must be of ``kind``; True is no number."""
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        raise WrongError(f"{shown(plain)} stands where {word} belongs; correct it")
    return plain


read_int = partial(typed, int, "a whole number")
read_text = partial(typed, str, "a text")
read_list: Callable[[object], list[object]] = partial(typed, list, "a list")
read_object: Callable[[object], dict[str, object]] = partial(typed, dict, "an object {...}")


def read_float(plain: Any) -> float:
    """A number, or the word for one that JSON has none for."""
    if plain not in ("inf", "-inf", "nan") and not isinstance(plain, float):
        plain = typed(int, "a number", plain)
    try:
        return float(plain)
    except OverflowError:
        raise WrongError("a number is too large; correct it") from None


def write_bytes(data: bytes) -> dict[str, object]:
    """As text where it is printable ASCII, else hexadecimal."""
    return {"text": data.decode()} if all(0x20 <= octet < 0x7F for octet in data) else {"hex": data.hex()}


def read_bytes(plain: object) -> bytes:
    """What ``write_bytes`` wrote, or a bare text."""
    text = plain if isinstance(plain, dict) else {"text": plain}
    key, value = next(iter(text.items()), ("", None))
    if len(text) == 1 and isinstance(value, str) and value.isascii() and key in ("text", "hex"):
        try:
            return value.encode() if key == "text" else bytes.fromhex(value)
        except ValueError:
            raise WrongError(f"{shown(value)} is not hexadecimal; write two digits for each octet") from None
    raise WrongError(f'{shown(plain)} stands where octets belong; write {{"text": "abc"}} or {{"hex": "616263"}}')


def read_body(plain: object) -> Body:
    """Octets, or a Fill."""
    if not isinstance(plain, dict) or "fill" not in plain:
        return read_bytes(plain)
    octet = plain["fill"]
    if isinstance(octet, str):
        filling = read_bytes({"hex": octet})
        octet = filling[0] if len(filling) == 1 else None
    if set(plain) != {"fill", "size"} or octet is None:
        raise WrongError(f'{shown(plain)} is no body; write {{"fill": "79", "size": 255}}')
    return Fill(read_int(plain["size"]), read_int(octet))


def unknown(word: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not among the known ones."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}."
    return f"unknown {word} {shown(name)}: {hint} Correct it, or upgrade zmqfuzz if a newer one wrote it"


def one_of(known: Iterable[str], word: str, plain: object) -> str:
    """A text that must be one of the known ones."""
    text = read_text(plain)
    if text not in known:
        raise WrongError(unknown(word, text, known))
    return text
