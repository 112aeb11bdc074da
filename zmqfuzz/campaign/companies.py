"""What honest clients get while a crowd asks the same as they do: looked at at each door, before the run ends."""

from __future__ import annotations

from zmqfuzz.campaign.looks import Looks
from zmqfuzz.companion import Companion
from zmqfuzz.company import COMPANY, FEW, fair, late, lost, mixed, overheard, overtaken, promises, taken, twice
from zmqfuzz.feeds import swapped
from zmqfuzz.follower import Follower
from zmqfuzz.measured import Company
from zmqfuzz.trial import Surface

__all__ = ["Companies"]

OWN, ONCE, ANSWERED, IN_TIME, OVERHEARD = "ZF701", "ZF702", "ZF703", "ZF704", "ZF705"
ORDER, NAME, FEED = "ZF706", "ZF707", "ZF708"

_LESS = "honest clients got less than their own beside a crowd"


class Companies(Looks):
    """Two honest clients alone, beside a crowd, and after it."""

    name, about = COMPANY, "what honest clients get beside a crowd"

    @property
    def insists(self) -> bool:
        """Also where something about it is promised."""
        return self.named or promises(self._harness.limits)

    async def _door(self, surface: Surface) -> None:
        companion, follower = Companion(self._harness), Follower(self._harness)
        if follower.speaks(surface.key):
            await self._read(surface, follower)
            return
        if not companion.asks(surface):
            self._not_covered(surface, "it answers no honest client that asks")
            return
        trial = await companion.crowd(surface.key)
        self._outcome.cases[(surface.key, COMPANY)] += 1
        seen, limits = trial.observation.company, self._harness.limits
        if seen is None or trial.observation.exit is not None or not seen.alone.got:
            self._not_covered(surface, "it ended meanwhile" if trial.observation.exit else "no honest client was asked")
            return
        if not (seen.carries and seen.private):
            why = "answers do not tell whose they are" if not seen.carries else "it tells all what one has said"
            codes = (OWN, ONCE, ORDER, NAME) if limits.overheard is None else (OWN, ONCE, OVERHEARD, ORDER, NAME)
            self._not_covered(surface, f"{', '.join(codes)}: {why}")
        suspects = {
            OWN: bool(mixed(seen)),
            ONCE: bool(twice(seen)),
            ANSWERED: limits.bystander_loss is not None and lost(seen) > limits.bystander_loss,
            IN_TIME: limits.bystander_within is not None and seen.during.p99 > limits.bystander_within,
            OVERHEARD: limits.overheard is not None and overheard(seen) > limits.overheard,
            ORDER: bool(overtaken(seen)),
            NAME: bool(taken(seen)),
        }
        self._outcome.envelope.companies.append(seen)
        for code, suspected in suspects.items():
            if suspected and code == IN_TIME and not late(seen, limits.bystander_within or 0.0):
                machine = max(seen.alone.machine, seen.during.machine) * 1000
                said = f"p99 {seen.during.p99 * 1000:,.0f} ms, {seen.alone.p99 * 1000:,.0f} ms alone"
                self._outcome.doubts.append(f"{surface.key}: {code}? {said}; an echo meanwhile {machine:,.0f} ms")
            elif suspected:
                said = "others were sent what honest clients had said" if code == OVERHEARD else _LESS
                await self._examined(surface, trial, code, f"{said}; examining", "not again")
            elif self._checked(code, seen, surface):
                self._outcome.checks[code] += 1

    async def _read(self, surface: Surface, follower: Follower) -> None:
        """What comes of a feed to who reads it, while one who does so stands still for a time."""
        trial = await follower.order(surface.key)
        self._outcome.cases[(surface.key, COMPANY)] += 1
        feed = trial.observation.feed
        if feed is None or trial.observation.exit is not None:
            self._not_covered(surface, "it ended meanwhile")
        elif not feed.numbered:
            self._not_covered(surface, "it answers nobody, and no number in its messages grows by one")
        elif swapped(feed):
            said = "messages of a feed overtook each other where a reader stood still; examining"
            await self._examined(surface, trial, FEED, said, "not again")
        elif feed.full or feed.missing or feed.paused:
            self._outcome.checks[FEED] += 1
        else:
            few = f"{feed.sent:,} messages came while a reader stood still, too few to reach a mark"
            self._not_covered(surface, "it cuts a reader that stands still" if feed.cut else few)

    def _checked(self, code: str, seen: Company, surface: Surface) -> bool:
        limits, told = self._harness.limits, bool(seen.carries and seen.private)
        if code in (OWN, ONCE):
            return told
        if code == OVERHEARD:
            return told and limits.overheard is not None
        if code == NAME:
            return told and surface.socket_type in ("ROUTER", "REP")
        if code == ORDER:
            calm, beside, later = seen.bursts
            return told and beside.whole > 0 and min(calm.whole, later.whole) >= FEW and not calm.swapped
        if code == ANSWERED and not fair(seen):
            return False
        return (limits.bystander_loss if code == ANSWERED else limits.bystander_within) is not None
