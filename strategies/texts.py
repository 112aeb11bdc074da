"""Texts that are like an application's own, and wrong in one word. Registers nothing itself.

Contract: most of a text stays as it was, so that what looks at its form takes it up to the one place.
"""

from __future__ import annotations

import re

from zmqfuzz.drawing import Draw
from zmqfuzz.strategies.canaries import WORDS

__all__ = ["NUMBERS", "as_octets", "as_text", "is_text", "like", "number_like", "with_word", "words_changed"]

NUMBERS = (
    *(0, 1, -1, 127, 128, 255, 256, -128, -129, 32767, 32768, 65535, 65536, 10**9),
    *(2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 10**30),
)
"""Where a width of integers ends, and where a double stops being exact."""

LARGEST_TEXT = 4096
"""Characters of a text whose words are looked at."""

_TEXTS = (
    *("", "\0", "\ud800", "\uffff", "%s%n", "../", "a" * 256, "a" * 65536, "0", "-1", "null", "\u202e", "'", '"\n'),
    *("\u00b2", "\u0663", "{}", "{0.__class__}", "*", "(", "[", "\\", "/dev/full", " ", "\u00e9", "NaN", "1e999"),
)
"""Among them a digit that is no number, and one of another script: ``isdigit`` and ``int`` differ in what they take."""

_RUN = (30, 60, 1000)
"""Characters of a kind in front of one that does not fit: a repetition of repetitions tries them for ever."""

_BREAKS = ("!", "\0", "\n!", "")

_ODD_NUMBERS = ("1e400", "nan", "9" * 5000, "", "0x1", "1.5", "-0", "\u00b2", "\u0663", "1_0", "+1", "inf")

_LINES = str.maketrans("\t\r\n", "   ")

_WORD = re.compile(r"\w+|[^\w]")


def is_text(octets: bytes) -> bool:
    """Whether these octets are what a person could have typed: UTF-8 without controls."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and text.translate(_LINES).isprintable()


def as_text(octets: bytes) -> str:
    """Octets as a text of which :func:`as_octets` makes the same ones."""
    return octets.decode("utf-8", "surrogateescape")


def as_octets(text: str) -> bytes:
    """A text in UTF-8; octets that were none when they were read come back as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def like(draw: Draw, text: str) -> str:
    """Another text in the place of ``text``, which a program that looks at types takes."""
    kind = draw.integer(1, 6)
    if kind == 1:
        return draw.choice(_TEXTS)
    if kind == 2:
        run = draw.choice((text[:1] or "a", "a", "0", " ", "a "))
        return run * draw.choice(_RUN) + draw.choice(_BREAKS)
    if kind == 3:
        times = max(1, min(draw.choice((2, 40, 5000)), LARGEST_TEXT * 4 // (len(text) or 1)))
        return text * times + draw.choice(_BREAKS)
    if kind == 4:
        return draw.choice(WORDS).decode()
    if kind == 5:
        return text[: draw.choice((len(text) // 2, 1))]
    return words_changed(draw, text)


def number_like(draw: Draw, text: str) -> str:
    """Another number in the place of a decimal one."""
    kind = draw.integer(0, 3)
    if kind == 0:
        return draw.choice(("0", "-" + text))
    return str(draw.choice(NUMBERS)) if kind < 3 else draw.choice(_ODD_NUMBERS)


def words_changed(draw: Draw, text: str) -> str:
    """The text with one word or separator changed, gone, or there twice; or without the words behind it."""
    words: list[str] = _WORD.findall(text[:LARGEST_TEXT])
    if not words:
        return draw.choice(_TEXTS)
    place = draw.integer(0, len(words) - 1)
    before, word, behind = "".join(words[:place]), words[place], "".join(words[place + 1 :]) + text[LARGEST_TEXT:]
    kind = draw.integer(0, 6)
    if kind == 0:
        return before + behind
    if kind == 1:
        return before + word * draw.choice((2, 100)) + behind
    if kind == 2:
        return before
    if word.isdecimal() and word.isascii():
        return before + number_like(draw, word) + behind
    if len(word) == 1 and not word.isalnum():
        return before + draw.choice((" ", "", ".", ":", ",", "/", "\t", "\0", word + "x" + word)) + behind
    return before + like(draw, word) + behind


def with_word(draw: Draw, text: str, value: str) -> str:
    """The text with ``value`` in the place of one word, or behind it."""
    words = list(re.finditer(r"\w+", text[:LARGEST_TEXT]))
    if not words:
        return text + value
    word = words[draw.integer(0, len(words) - 1)]
    start = word.end() if draw.choice((False, False, True)) else word.start()
    return text[:start] + value + text[word.end() :]
