"""Units: one parser, exact where it can be, and one sentence where it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import (
    DURATION,
    RATE,
    SIZE,
    Kind,
    parse_count,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)

# By hand, and not from the tables that are tested.
OCTETS = {"": 1, "B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2, "GB": 1000**3, "GiB": 1024**3}
SECONDS = {"": Fraction(1), "ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600)}
PER_SECOND = {"": Fraction(1), "/s": Fraction(1), "/min": Fraction(1, 60), "/h": Fraction(1, 3600)}
BLANKS = st.sampled_from(("", " ", "  ", "\t"))
NUMBERS = st.integers(0, 10**12)


def written(units: Any, number: st.SearchStrategy[Any] = NUMBERS) -> st.SearchStrategy[tuple[str, Any, str]]:
    """A quantity as text, its number, its unit; in any letters, with blanks where they do no harm."""
    case = st.sampled_from((str, str.lower, str.upper))
    parts = st.tuples(number, st.sampled_from(sorted(units)), BLANKS, BLANKS, BLANKS, case)
    return parts.map(lambda p: (f"{p[2]}{p[0]}{p[3]}{p[5](p[1])}{p[4]}", p[0], p[1]))


@given(written(OCTETS))
def test_a_size_is_exact(text: tuple[str, int, str]) -> None:
    assert parse_size(text[0]) == text[1] * OCTETS[text[2]]


@given(written(SECONDS))
def test_a_duration_is_in_seconds(text: tuple[str, int, str]) -> None:
    assert parse_duration(text[0]) == pytest.approx(float(text[1] * SECONDS[text[2]]))


@given(written(PER_SECOND))
def test_a_rate_is_so_many_a_second(text: tuple[str, int, str]) -> None:
    assert parse_rate(text[0]) == pytest.approx(float(text[1] * PER_SECOND[text[2]]))


@given(st.decimals(0, 10**6, places=3), st.sampled_from(sorted(OCTETS)))
def test_a_size_with_a_point_loses_less_than_an_octet(number: Any, unit: str) -> None:
    exact = Fraction(number) * OCTETS[unit]
    assert exact - 1 - exact / 2**50 <= parse_size(f"{number}{unit}") <= exact + exact / 2**50


@given(st.integers(0, 2**80))
def test_a_number_in_code_is_what_it_is(number: int) -> None:
    assert parse_size(number) == parse_count(number) == number
    assert parse_duration(number) == parse_rate(number) == parse_share(number) == float(number)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_one_sentence(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_rate, parse_count, parse_share):
        said = ""
        try:
            assert parse(text) >= 0
        except UsageError as error:
            said = str(error)
        assert not said or re.fullmatch(r".* is (not )?a .*[.?]", said, re.DOTALL)


@given(
    st.one_of(st.none(), st.booleans(), st.lists(st.integers()), st.integers(max_value=-1), st.sampled_from([-0.5])),
    st.sampled_from((parse_size, parse_duration, parse_rate, parse_count, parse_share)),
)
def test_what_is_no_quantity_at_all_is_refused(value: Any, parse: Callable[[Any], object]) -> None:
    with pytest.raises(UsageError, match="write a number"):
        parse(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5])
def test_octets_are_whole(value: float) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_size, "5s", r"'5s' is a duration, not a size; .*MiB, GB or GiB, for example 1MiB\."),
        (parse_size, "200/s", r"'200/s' is a rate, not a size; "),
        (parse_duration, "1MiB", r"'1MiB' is a size, not a duration; .* for example 60s\."),
        (parse_size, "1.5MBi", r"'1\.5MBi' is not a size; did you mean '1\.5MB'\?"),
        (parse_duration, "5minn", r"'5minn' is not a duration; did you mean '5min'\?"),
        (parse_rate, "5/sec", r"'5/sec' is not a rate; did you mean '5/s'\?"),
        (parse_count, "2s", r"'2s' is a duration, not a count; write a number, for example 2\."),
        (parse_count, "1.5", r"'1\.5' is not a count"),
        (parse_size, "9" * 19, "is not a size"),
        (parse_size, "٣", "is not a size"),
    ],
)
def test_the_sentence_says_what_was_probably_meant(parse: Callable[[str], object], text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(text)


@pytest.mark.parametrize("kind", [SIZE, DURATION, RATE], ids=lambda kind: kind.name)
def test_every_unit_that_is_offered_is_taken(kind: Kind) -> None:
    assert {unit.lower() for unit in kind.written} <= set(kind.units)
