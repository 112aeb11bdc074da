"""Which attacks are repeated together at a look at what stays behind."""

from __future__ import annotations

import random

from zmqfuzz.budget import MIB
from zmqfuzz.campaign.known import Lane
from zmqfuzz.campaign.picks import MOST_IN_TURN, MOST_TOGETHER, Picks
from zmqfuzz.catalogue import families
from zmqfuzz.script import Attack, Connect, Script, Send
from zmqfuzz.trial import ClosedBy, Observation, Reached, Sample, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Frame


def trial(surface: Surface, held: int, seconds: float = 0.1, abandoned: int = 0) -> Trial:
    ends = [Sample(0.0, 0, rss, rss, 9, 3, 0.0) for rss in (20 * MIB, 20 * MIB + held)]
    attack = Attack((Script((Connect(), Send((Frame(b"A"),)))),))
    seen = Observation(ends[0], ends[1], ends[0], abandoned=abandoned)
    transcript = Transcript("attacker", (), ClosedBy.US, 0, 0, Reached.TRAFFIC)
    return Trial(attack, surface, (transcript,), seen, seconds)


def picked(side: str) -> list[list[int]]:
    """What the first two looks take of sixty attacks, one to a family, in MiB held."""
    surface = Surface("tcp://127.0.0.1:1", "PULL", side=side)
    picks, order = Picks(random.Random(1)), list(range(60))
    random.Random(2).shuffle(order)
    for number in order:
        lane = Lane(surface, families()["flood"])
        picks.pick(lane, trial(surface, number * MIB))
        picks.end_of_slice(lane)
    lane = Lane(surface, families()["flood"])
    return [[one.held_growth // MIB for one in picks.take(lane)] for _ in range(2)]


def test_half_of_a_look_is_what_held_most_and_half_is_chance() -> None:
    for side, most in (("bind", MOST_TOGETHER), ("connect", MOST_IN_TURN)):
        first, second = picked(side)
        assert len(first) == most
        assert first[: most // 2 + 1] == [59 - number for number in range(most // 2 + 1)]
        assert max(first[most // 2 + 1 :]) < 59 - most // 2
        assert not set(first) & set(second)


def test_what_takes_long_or_hides_others_is_not_repeated() -> None:
    surface = Surface("tcp://127.0.0.1:1", "PULL")
    picks, lane = Picks(random.Random(1)), Lane(surface, families()["flood"])
    picks.pick(lane, trial(surface, MIB, seconds=9.0))
    picks.pick(lane, trial(surface, MIB, abandoned=1))
    picks.end_of_slice(lane)
    assert not picks.wait(lane)
    client = Lane(Surface("tcp://127.0.0.1:1", "PULL", side="connect"), families()["flood"])
    picks.pick(client, trial(client.surface, MIB, abandoned=1))
    assert len(client.picked) == 1
    picks.pick(lane, trial(surface, MIB))
    picks.end_of_slice(lane)
    assert picks.wait(lane)
    assert len(picks.take(lane)) == 1
    assert not picks.wait(lane)
