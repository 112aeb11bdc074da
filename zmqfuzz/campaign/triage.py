"""From a catch to a finding: minimise, confirm on fresh processes, name it, say whose it is."""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.anonymous import anonymous
from zmqfuzz.campaign.attribution import bare_socket_too, by_design, libzmq_of, publicly_known
from zmqfuzz.campaign.confirmed import Confirmed, Triaged
from zmqfuzz.campaign.examining import CONFIRMATIONS, Examining
from zmqfuzz.campaign.minimise import minimise, minimise_history
from zmqfuzz.campaign.naming import finding_of, shape, signature_of
from zmqfuzz.campaign.search import Catch
from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack, Script
from zmqfuzz.trial import READING, Surface, Trial

__all__ = ["Triage"]

SHORT_RECOVER = 1.0
"""Seconds to serve again while an attack is made smaller; the last word is spoken with the declared time."""

RARE_REPLAYS = 6
"""Times the whole history is replayed for a crash that did not show again at once."""

LARGE = "as it was drawn: there was no time to make it smaller"
RARE = "rare: it does not crash each time; the attacks before it, if any, are part of the replay"

PUBLIC = "seen once: the library itself said which public defect ended the process, but replays did not show it again"

_UNSHOWN = {
    "rounds": "what stayed behind did not add up over rounds",
    "workers": "the program had as many threads as before, said nothing of an error, or lost them beside honest peers",
    "beside": "an honest client was served on a fresh process, or was not beside honest idle peers either",
}

_CALM = ("without the attack an honest client was served, 2 of 2", "without the attack it was not so, 2 of 2")
"""The control run of ZF102: by a round trip, and by whether it takes what it is sent."""


class Triage(Examining):
    """Works on one catch at a time, with the harness of its run."""

    def __init__(self, harness: Harness, *, minimise_seconds: float = 12.0) -> None:
        super().__init__(harness, minimise_seconds)
        self._hurried = False
        self.sofar: Triaged | None = None
        self._bare: bool | None = False

    async def finding(
        self, catch: Catch, surface: Surface, history: tuple[Attack, ...], *, hurried: bool = False
    ) -> Triaged:
        """Minimise and confirm what was caught. ``sofar`` is what it came to until now, if this is broken off.

        ``hurried``: a third of the time for minimising, and one process fewer to confirm what takes the time to serve
        again on each.
        """
        self._hurried = hurried
        self.sofar, self._bare = None, False
        entry = invariants()[catch.violation.code]
        if entry.examines:
            return await self._examined(catch, entry, surface)
        if not self._harness.target.restartable:
            notes = ("attached: there was no fresh process to confirm it on",)
            return self._make(catch, catch.attack, Confirmed(0, 0, catch.violation, catch.trial), surface, notes=notes)
        return await self._plain(catch, surface, history)

    @property
    def _share(self) -> float:
        """Seconds for making an attack smaller."""
        return self._seconds / 3 if self._hurried else self._seconds

    def stopped(self, confirmed: Confirmed, surface: Surface) -> Triaged:
        """The finding of a look at the end of a run, as ``confirmed`` by an examination; a trial is in it."""
        assert confirmed.violation is not None
        assert confirmed.trial is not None
        attack = confirmed.trial.attack
        return self._make(Catch(confirmed.violation, attack, confirmed.trial, attack), attack, confirmed, surface)

    async def _plain(self, catch: Catch, surface: Surface, history: tuple[Attack, ...]) -> Triaged:
        code, key = catch.violation.code, surface.key
        way = signature_of(catch.violation, catch.attack, catch.trial.observation.log_tail)
        if publicly_known(way):
            once = Confirmed(0, 0, catch.violation, catch.trial)
            self.sofar = self._make(catch, catch.attack, once, surface, history=history, notes=(PUBLIC,))
        if catch.violation.culprit is not None:
            catch = await self._alone(catch, catch.violation.culprit, key)
        confirmed = await self.confirm((catch.attack,), key, code, times=2, recover=SHORT_RECOVER, way=way)
        needed: tuple[Attack, ...] = ()
        attack = catch.attack
        if not confirmed.holds and catch.original != catch.attack:
            attack = catch.original
            confirmed = await self.confirm((attack,), key, code, times=2, recover=SHORT_RECOVER, way=way)
        if not confirmed.holds and history:
            played = tuple(part for part in (*history, attack) if part.scripts)
            confirmed = await self.confirm(played, key, code, times=2, recover=SHORT_RECOVER, way=way)
            only = way if confirmed.same == confirmed.shown else ""
            if confirmed.holds:
                played = await minimise_history(played, lambda part: self._shows(part, key, code, only), self._share)
                needed, attack = played[:-1], played[-1]
                catch = replace(catch, original=attack)
        crashed = catch.trial.observation.exit is not None and catch.trial.observation.exit.signal is not None
        if not confirmed.holds and crashed:
            return await self._rare_crash(catch, (*history, catch.original), surface, confirmed)
        if not confirmed.holds:
            return Triaged(
                reason=f"{code}? seen once, then {confirmed.shown} of {confirmed.tried}: not counted as a finding"
            )
        if code != "ZF102":
            self.sofar = self._make(catch, attack, confirmed, surface, history=needed, notes=(LARGE,))
        if not needed:
            only = way if confirmed.same == confirmed.shown else ""  # else one defect fails in several ways
            attack = await minimise(attack, lambda simpler: self._shows((simpler,), key, code, only), self._share)
        times = CONFIRMATIONS - (self._hurried and code == "ZF102")
        final = await self.confirm((*needed, attack), key, code, times)
        if not final.holds:  # the minimiser went too far for a flaky target: keep what was confirmed
            attack, final = catch.attack, await self.confirm((*needed, catch.attack), key, code)
        if not final.holds and crashed:
            if final.shown:
                return self._make(catch, attack, final, surface, history=needed, notes=(RARE,))
            return await self._rare_crash(catch, (*needed, catch.attack), surface, final)
        if not final.holds:
            return Triaged(reason=f"{code}? seen {final.shown} of {final.tried}: not counted as a finding")
        if code == "ZF102" and (await self.confirm((Attack(()),), key, code, times=2)).shown:
            return Triaged(reason=f"{code}? the target was not served without an attack either: not counted")
        return self._make(catch, attack, final, surface, history=needed)

    async def _alone(self, catch: Catch, culprit: Script, key: str) -> Catch:
        """The catch with one peer of its attack, where that is enough: what takes time is not minimised one by one."""
        alone = replace(catch.attack, scripts=(replace(culprit, times=1),))
        return replace(catch, attack=alone) if await self._shows((alone,), key, catch.violation.code) else catch

    async def _rare_crash(
        self, catch: Catch, attacks: tuple[Attack, ...], surface: Surface, confirmed: Confirmed
    ) -> Triaged:
        """Damaged memory kills a process now or later, or not at all: one more crash in several replays is enough."""
        code = catch.violation.code
        played = tuple(part for part in attacks if part.scripts)
        for attempt in range(1, RARE_REPLAYS + 1):
            again = await self.confirm(played, surface.key, code, times=1, recover=SHORT_RECOVER)
            if again.shown:
                seen = replace(again, shown=confirmed.shown + 1, tried=confirmed.tried + attempt)
                return self._make(catch, played[-1], seen, surface, history=played[:-1], notes=(RARE,))
        tried = confirmed.tried + attempt
        return self.sofar or Triaged(reason=f"{code}? the process crashed once, then in none of {tried} replays")

    async def _shows(self, attacks: tuple[Attack, ...], key: str, code: str, way: str = "") -> bool:
        if not attacks:
            return False
        again = await self.confirm(attacks, key, code, times=1, recover=SHORT_RECOVER, way=way)
        return again.holds and (not way or again.same > 0)

    async def confirm(
        self,
        attacks: tuple[Attack, ...],
        key: str,
        code: str,
        times: int = CONFIRMATIONS,
        recover: float | None = None,
        way: str = "",
    ) -> Confirmed:
        """Play ``attacks`` in order on each of ``times`` fresh processes; do they break ``code`` again?

        ``way``: the signature of a failure, of which it is counted how often it was shown.
        Where none did, those on which nothing put it to the test are not counted as tried.
        """
        entry, limits = invariants()[code], self._harness.limits
        shown, tested, same, violation, seen = 0, 0, 0, None, None
        evidence: list[Trial] = []
        for _ in range(times):
            trials = await self._harness.fresh_trials(attacks, key, recover=recover)
            tested += entry.tests is None or any(entry.tested(trial, limits) for trial in trials)
            evidence += trials[-1:]
            for trial in trials:
                found = entry.judge(trial, limits)
                if found is not None:
                    shown, violation, seen = shown + 1, found, trial
                    evidence[-1] = trial
                    same += signature_of(found, trial.attack, trial.observation.log_tail) == way
                    break
        doubts = () if shown or tested else ("nothing put it to the test here, or zmqfuzz was kept from looking",)
        return Confirmed(
            shown, times if shown else tested, violation, seen, doubts, evidence=tuple(evidence), same=same
        )

    async def _examined(self, catch: Catch, entry: Invariant, surface: Surface) -> Triaged:
        """Held memory was examined when it was suspected; what stays behind was only suspected so far."""
        attack, amount, key, fresh = catch.attack, 0, surface.key, self._harness.target.restartable
        seen = catch.trial if entry.examines == "held" else None
        if fresh and entry.examines == "rounds":
            attack, amount = await self._plainly(attack, entry, key)
        if not seen and not amount:
            confirmed = await self.examine(entry, attack, key, None)
            if not confirmed.holds:
                return _unshown(entry, confirmed, _UNSHOWN[entry.examines])
            self.sofar = told = await self._owned(catch, entry, confirmed, surface)
            if told.finding is None or told.finding.code != entry.code or told.finding.attack != confirmed.attack:
                return told
        simpler = attack
        if fresh:
            amount = amount or await self._amount(attack, entry, key)
            simpler = await self._smaller(attack, amount, entry, key, self._share)
        again = Confirmed(0, 0)
        if simpler != attack or self.sofar is None:
            again = await self.examine(entry, simpler, key, seen)
            if not again.holds and self.sofar is None and simpler != attack and not again.forgotten:
                again = await self.examine(entry, attack, key, seen)
        if again.holds and again.trial is not None:
            return await self._owned(catch, entry, again, surface)
        return self.sofar or _unshown(entry, again, "suspected, but an examination did not show it")

    async def _owned(self, catch: Catch, entry: Invariant, confirmed: Confirmed, surface: Surface) -> Triaged:
        """The finding, and whose it is; what was compared with a bare socket before it was made smaller, once."""
        assert confirmed.trial is not None
        large = confirmed.trial.attack
        design = by_design(entry.code, shape(large))  # measured often enough
        bare: bool | None = design  # and a worker is the application's
        library = entry.examines == "workers" or await libzmq_of(self._harness) is not None
        if self.sofar is None and library and not design and entry.examines != "workers":
            if entry.code == "ZF204" and (own := await self._own_part(entry, large, surface)) is not None:
                return self._make(catch, *own, surface, bare=False)
            bare = await bare_socket_too(self._harness, entry, large, surface, confirmed.growth)
            self._bare = bare
        elif self.sofar is not None:
            bare = self._bare
        if entry.code == "ZF204" and bare:
            confirmed = await self.examine(invariants()["ZF209"], large, surface.key, None)
            if confirmed.violation is None:
                return Triaged(reason="ZF209? a bare socket keeps as much; the target did not show it a second time")
        if not library:
            bare = None
        return self._make(catch, large, confirmed, surface, bare=bare, library=library)

    async def _own_part(self, entry: Invariant, attack: Attack, surface: Surface) -> tuple[Attack, Confirmed] | None:
        """What the application keeps also of peers without an identity, of which the library keeps nothing."""
        part = anonymous(attack)
        if part == attack or not part.scripts:
            return None
        own = await self.examine(entry, part, surface.key, None)
        if not own.holds or own.trial is None:
            return None
        bare = await bare_socket_too(self._harness, entry, own.trial.attack, surface, own.growth)
        return None if bare else (own.trial.attack, own)

    def _make(
        self,
        catch: Catch,
        attack: Attack,
        confirmed: Confirmed,
        surface: Surface,
        *,
        history: tuple[Attack, ...] = (),
        notes: tuple[str, ...] = (),
        bare: bool | None = False,
        library: bool = True,
    ) -> Triaged:
        violation, trial = confirmed.violation or catch.violation, confirmed.trial or catch.trial
        served = violation.code == "ZF102" and confirmed.tried
        finding = finding_of(
            violation,
            trial,
            self._harness.target.name,
            attack=attack,
            original=catch.original,
            surface=surface,
            confirmed=confirmed.shown,
            tried=confirmed.tried,
            control=_CALM[trial.observation.probes[-1].level == READING] if served else "",
            bare=bare,
            library=library,
            history=history,
            notes=notes,
            opened=self._harness.inside.get(surface.key, ("", "")),
        )
        return Triaged(finding, trial, control=confirmed.control, evidence=confirmed.evidence or (trial,))


def _unshown(entry: Invariant, confirmed: Confirmed, otherwise: str) -> Triaged:
    """Nothing was confirmed: why the examination could not tell, or what it came to ``otherwise``."""
    doubt = confirmed.doubts[-1] if confirmed.doubts else ""
    return Triaged(reason=f"{entry.code}? {doubt or otherwise}", unsure=bool(doubt))
