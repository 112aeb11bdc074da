"""Whether a target says that it drops messages for who is behind: looked at at each door, before the run ends."""

from __future__ import annotations

from zmqfuzz.backlogger import Backlogger
from zmqfuzz.campaign.looks import Looks
from zmqfuzz.dropping import DROPS, LOG, promised
from zmqfuzz.feeds import silent
from zmqfuzz.follower import Follower
from zmqfuzz.measured import Feed
from zmqfuzz.trial import Surface, Trial

__all__ = ["Drops"]

TOLD = "ZF212"

_ONE_AT_A_TIME = ("REP",)
"""Doors at which an honest peer has one question open: more than a mark's worth never waits for it (RFC 28)."""


_HOLDING_BACK = ("PUSH", "DEALER", "PAIR")
"""Doors that hold back their program where a reader's mark is reached (zmq_socket(3))."""


class Drops(Looks):
    """A reader that stands still while the target goes on sending to it, and then reads on."""

    name, about = DROPS, "what it says of drops"

    @property
    def insists(self) -> bool:
        """Where it is promised."""
        return self.wanted

    @property
    def wanted(self) -> bool:
        """Whether something is promised that can be looked at."""
        return self.name in self._plan.looks and self._harness.limits.drops is not None

    async def _door(self, surface: Surface) -> None:
        follower = Follower(self._harness)
        if surface.socket_type in _ONE_AT_A_TIME:
            self._not_covered(surface, "who asks it has one question open")
            return
        if follower.speaks(surface.key):
            await self._judged(surface, await follower.dropped(surface.key))
            return
        sounded = await Backlogger(self._harness).sound(surface.key)
        if sounded is None or not sounded.request.answered:
            self._not_covered(surface, "it was not seen to send anything")
            return
        await self._judged(surface, await follower.dropped(surface.key, sounded))

    async def _judged(self, surface: Surface, trial: Trial) -> None:
        self._outcome.cases[(surface.key, DROPS)] += 1
        feed = trial.observation.feed
        if feed is None or trial.observation.exit is not None:
            self._not_covered(surface, "it ended meanwhile")
        elif silent(feed):
            said = f"{feed.missing:,} messages were dropped without a word; examining"
            await self._examined(surface, trial, TOLD, said, "it said so, later")
        elif feed.missing and feed.told is None:
            self._outcome.doubts.append(f"{surface.key}: {TOLD}? {_unknown(self._harness.limits.drops or '')}")
        elif feed.before and (feed.told or feed.missing):
            said = "what it wrote before anything was dropped matches, too (put a group around the number, or say more)"
            self._outcome.doubts.append(f"{surface.key}: {TOLD}? {said}")
        elif feed.told or feed.paused or (surface.socket_type in _HOLDING_BACK and _nothing_lost(feed)):
            self._outcome.checks[TOLD] += 1
        else:
            self._not_covered(surface, _why(feed))


def _nothing_lost(feed: Feed) -> bool:
    return bool(feed.by) and feed.full and not feed.missing


def _unknown(drops: str) -> str:
    way, said = promised(drops)
    if way == LOG:
        return "its output is not ours to read, or was more than is kept"
    return f"{said!r} printed no number"


def _why(feed: Feed) -> str:
    if feed.cut:
        return "it cuts a reader that stands still"
    if feed.why:
        return f"that something was dropped cannot be known: {feed.why}"
    return f"nothing was dropped of {feed.sent:,} messages for a reader that stood still for {feed.still:.1f} s"
