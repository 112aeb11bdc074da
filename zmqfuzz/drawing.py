"""The small interface against which every strategy is written, and its two drivers.

One grammar, two drivers: :class:`HypothesisDraw` where examples must shrink, :class:`RandomDraw` where cases per
second count. Both give the same Attack values from the same strategy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

import hypothesis
from hypothesis import strategies as st

__all__ = ["Draw", "HypothesisDraw", "RandomDraw", "Source"]

T = TypeVar("T")


class Draw(Protocol):
    """What a strategy may ask for. Simpler values come first: Hypothesis shrinks towards them."""

    def integer(self, low: int, high: int) -> int:
        """A whole number in ``low..high``; shrinks towards ``low``."""
        ...

    def choice(self, options: Sequence[T]) -> T:
        """One of ``options``; shrinks towards the first."""
        ...

    def boolean(self) -> bool:
        """True or False; shrinks towards False."""
        ...

    def binary(self, low: int, high: int) -> bytes:
        """``low..high`` octets."""
        ...

    def value(self, strategy: st.SearchStrategy[T]) -> T:
        """What a Hypothesis strategy gives; shrinks as that does."""
        ...


class RandomDraw:
    """The fast driver: plain pseudo-random choices, of which a share ``plain`` (0 to 1) is the simplest there is."""

    def __init__(self, seed: int, plain: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._plain = plain

    def _simplest(self) -> bool:
        return self._plain > 0 and self._random.random() < self._plain

    def integer(self, low: int, high: int) -> int:
        """A whole number in ``low..high``."""
        return low if self._simplest() else self._random.randint(low, high)

    def choice(self, options: Sequence[T]) -> T:
        """One of ``options``."""
        return options[0 if self._simplest() else self._random.randrange(len(options))]

    def boolean(self) -> bool:
        """True or False."""
        return not self._simplest() and self._random.random() < 0.5

    def binary(self, low: int, high: int) -> bytes:
        """``low..high`` octets."""
        return self._random.randbytes(low if self._simplest() else self._random.randint(low, high))

    def value(self, strategy: st.SearchStrategy[T]) -> T:
        """What a Hypothesis strategy gives: the last of a few, as it begins with the simplest; takes milliseconds."""
        values: list[T] = []

        @hypothesis.seed(self._random.getrandbits(32))
        @hypothesis.settings(
            max_examples=self._random.randint(1, 10),
            database=None,
            derandomize=False,
            deadline=None,
            phases=(hypothesis.Phase.generate,),
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategy)
        def draw(value: T) -> None:
            values.append(value)

        draw()
        return values[-1]


class Source(Protocol):
    """Where Hypothesis gives values: what ``st.data()`` gives a test, for one."""

    def draw(self, strategy: st.SearchStrategy[T], /) -> T:
        """A value of ``strategy``."""
        ...


class HypothesisDraw:
    """Choices taken by Hypothesis, so that they shrink."""

    def __init__(self, data: Source) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        """A whole number in ``low..high``; shrinks towards ``low``."""
        return self._data.draw(st.integers(low, high))

    def choice(self, options: Sequence[T]) -> T:
        """One of ``options``; shrinks towards the first."""
        return options[self._data.draw(st.integers(0, len(options) - 1))]

    def boolean(self) -> bool:
        """True or False; shrinks towards False."""
        return self._data.draw(st.booleans())

    def binary(self, low: int, high: int) -> bytes:
        """``low..high`` octets."""
        return self._data.draw(st.binary(min_size=low, max_size=high))

    def value(self, strategy: st.SearchStrategy[T]) -> T:
        """What a Hypothesis strategy gives; shrinks as that does."""
        return self._data.draw(strategy)
