"""What stays behind: memory, descriptors and connections after each of many rounds, as the invariants judge them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.test_invariants import judge, sample, trial
from zmqfuzz.budget import Limits
from zmqfuzz.trial import Examination, Observation


def rounds(
    *after: float, descriptors: tuple[int, ...] = (), abandoned: tuple[int, ...] = (), peers: int = 1
) -> Examination:
    """Trials that settle at these MiB, or at these counts of descriptors; so many of them in CLOSE_WAIT."""
    samples = [sample(descriptors=count) for count in descriptors] or [sample(rss) for rss in after]
    waiting = abandoned or (0,) * len(samples)
    seen = [
        replace(
            one := trial(Observation(sample(), settled=item, abandoned=stuck), sent=4),
            transcripts=one.transcripts * peers,
        )
        for item, stuck in zip(samples, waiting, strict=True)
    ]
    return Examination("rounds", tuple(seen))


LEVELLING = (23.1, 26.1, 28.0, 29.0, 29.7, 29.9, 30.1, 30.2, 30.3, 30.3, 30.4, 30.4)  # of 200 peers, libzmq 4.3.5
CROWD = (22.8, 25.1, 26.6, 27.0, 28.1, 28.7, 28.2, 28.3, 28.5, 28.8, 29.2, 30.2)  # the same, on a busy machine

LEAKS = [
    (rounds(*CROWD, peers=202), False),
    (rounds(*(kept + number for number, kept in enumerate(CROWD)), peers=202), True),
    (rounds(*range(2, 14)), True),
    (rounds(*(kept + number / 2 for number, kept in enumerate(LEVELLING))), True),  # a leak beside that
    (rounds(50, 51, 52, 52, 53, 54.5, 55, 56, 57, 58, 58, 59), True),  # two rounds of eleven stood still
    (rounds(50, 51, 51, 51, 53, 53, 53, 55, 55, 55, 57, 58), False),  # too many did
    (rounds(*(1 + number / 4 for number in range(12))), False),  # under the floor
    (rounds(*(90,) * 12), False),  # high, and level: the allocator's
    (rounds(0, *(40 + number / 50 for number in range(11))), False),  # the first round warms up
    (rounds(*LEVELLING), False),
    (rounds(*LEVELLING[:6]), False),  # too few to tell
    (rounds(23, 26, 27, 28, 29, 30), False),  # seen of a ROUTER that keeps nothing, on a busy machine
    (rounds(0, 4, 8, 12, 16, 20, 24, 24.5, 25, 25.5, 26, 26.5), False),  # slows down
    (rounds(*range(2, 11), 11, 11, 11), False),  # comes to its end
    (rounds(*range(14, 2, -1)), False),
    (replace(rounds(*range(2, 14)), doubts=("the target did not survive the rounds",)), False),
]


@pytest.mark.parametrize(("seen", "broken"), LEAKS)
def test_memory_that_does_not_come_back(seen: Examination, broken: bool) -> None:
    assert (judge("ZF204", seen) is not None) is broken


DESCRIPTORS = [
    ((10, 11, 12, 13, 14, 15), True),
    ((10, 20, 20, 21, 22, 23), True),
    ((10, 20, 20, 20, 22, 23), False),
    ((10, 30, 30, 30, 30, 30), False),
    ((10, 11, 11, 12, 12, 13), False),
    ((10, 9, 8, 7, 6, 5), False),
]


@pytest.mark.parametrize(("counts", "broken"), DESCRIPTORS)
def test_descriptors_that_do_not_come_back(counts: tuple[int, ...], broken: bool) -> None:
    assert (judge("ZF205", rounds(descriptors=counts)) is not None) is broken
    assert judge("ZF205", rounds(descriptors=counts), Limits(descriptors=50)) is None


WAITING = (1, 11, 21, 31, 41, 51)


def test_sockets_in_abandoned_are_told_apart() -> None:
    seen = rounds(descriptors=(10, 20, 30, 40, 50, 60), abandoned=WAITING)
    assert judge("ZF205", seen) is None
    violation = judge("ZF208", seen)
    assert violation is not None
    assert "51 after six rounds" in violation.sentence
    assert judge("ZF208", seen, Limits(descriptors=50)) is None
    assert judge("ZF208", rounds(descriptors=(60,) * 6, abandoned=(50,) * 6)) is None


def test_what_connections_that_never_close_hold_is_no_leak_of_its_own() -> None:
    growing = range(2, 14)
    assert judge("ZF204", rounds(*growing)) is not None
    assert judge("ZF204", rounds(*growing, abandoned=tuple(range(1, 121, 10)))) is None
