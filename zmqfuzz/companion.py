"""Has two honest clients, in a process of their own, ask a target before, during and after an attack.

Contract: a fresh process of the target each time. Judges nothing.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import trio

from zmqfuzz.company import BURSTS, CLAIMED, LASTS, LISTENS, asks_alike, comparable, crowd, mark_of, names_of, parted
from zmqfuzz.credentials import z85_encode
from zmqfuzz.endpoints import connect_soon
from zmqfuzz.errors import TargetVanished
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.measured import Bursts, Company, Span
from zmqfuzz.script import Attack
from zmqfuzz.settling import REST
from zmqfuzz.standing import Standing
from zmqfuzz.trial import Examination, Observation, Surface, Transcript, Trial
from zmqfuzz.writer import Meter

__all__ = ["Companion"]

T = TypeVar("T")

ALONE = 1.0
"""Seconds that the honest clients ask alone, before the attack and after it."""

REST_OF_IT = 8
"""Octets at the end of a client's prefix by which what it said is known where another message lies over it."""

CALMLY = 0.5
"""Seconds in which bursts are asked alone, before the attack and after it."""

ANSWERS = 30.0
"""Seconds in which the process of the clients must have said what it saw."""


class _Clients:
    """The process of the two honest clients."""

    def __init__(self, process: trio.Process, prefixes: tuple[bytes, ...]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._rest = b""
        self.prefixes = prefixes

    async def say(self, line: str) -> None:
        """Tell it to do something; ``stop`` ends what lasts until then."""
        await self._in.send_all(line.encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """What it did. Raises TargetVanished: it has ended."""
        with trio.move_on_after(ANSWERS):
            while b"\n" not in self._rest:
                data = await self._out.receive_some()
                if not data:
                    break
                self._rest += data
        line, found, self._rest = self._rest.partition(b"\n")
        if not found:
            raise TargetVanished("the honest clients that were to ask it have ended, or said nothing.")
        return dict(json.loads(line))


def _counting(words: Sequence[bytes], strays: list[int], parts: tuple[bytes, ...]) -> None:
    """A message came to an attacker: does it hold what an honest client has said?"""
    data = b"\0".join(parts)
    if any(word in data for word in words):
        strays.append(len(data))


class Companion:
    """Works with the harness of a run; only where the target listens and can be started afresh."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    def asks(self, surface: Surface) -> bool:
        """Whether honest clients can ask at this door."""
        return asks_alike(surface, *self._harness.asking.exchange(surface.key))

    async def crowd(self, key: str) -> Trial:
        """Beside a crowd that asks the same."""
        return await self._visit(None, key)

    async def examine(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """The attack on each of ``times`` fresh processes; more, where the machine was too busy to tell."""
        trials: list[Trial] = []
        promised, patience = self._harness.limits.bystander_within, times
        while len(trials) < times:
            trial = await self._visit(attack, key)
            company = trial.observation.company
            busy = promised is not None and company is not None and not comparable(company, promised)
            if not busy or not patience:
                trials.append(trial)
            patience -= busy and patience > 0
        return Examination("company", tuple(trials))

    async def _visit(self, attack: Attack | None, key: str) -> Trial:
        async with self._harness.examined() as standing:
            surface = self._harness.surface(standing, key)
            kind, parts = self._harness.asking.exchange(key)
            if not asks_alike(surface, kind, parts):
                raise TargetVanished(f"{key}: it answered no honest client this time.")
            mark = mark_of(attack) if attack is not None else b""
            mark = mark or secrets.token_hex(8).encode()
            async with self._clients(surface, kind, parts, mark) as clients:
                await clients.say("learn")
                learnt = await clients.hear()
                listens = self._harness.limits.overheard is not None
                played = attack or crowd(surface, kind, parts, learnt["carries"], mark, listens=listens)
                return await self._accompanied(standing, surface, played, clients, learnt)

    async def _accompanied(
        self, standing: Standing, surface: Surface, attack: Attack, clients: _Clients, learnt: dict[str, Any]
    ) -> Trial:
        await standing.observer.learn_rest()
        baseline = standing.observer.sample()
        tells = bool(learnt["carries"] and learnt["private"])
        alone, calm = await self._for(clients, ALONE), await self._bursts(clients, CALMLY if tells else 0.0)
        strays: list[int] = []
        transcripts: list[Transcript] = []
        others, named = clients.prefixes[:3], clients.prefixes[3:]

        async def beside(part: Attack, doing: Callable[[], Awaitable[T]], words: Sequence[bytes]) -> T:
            """What the clients do while this is played; a message to a peer counts that holds one of these words."""
            over = trio.Event()
            meters.append(meter := Meter(tap=partial(_counting, words, strays)))

            async def play() -> None:
                dial, known = partial(connect_soon, surface.address), self._harness.credentials
                transcripts.extend(await inject(part, dial, meter, credentials=known, seconds=ANSWERS, stop=over))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(play)
                done = await doing()
                over.set()
            return done

        async def crowded() -> tuple[Span, Bursts]:
            return await self._for(clients, LASTS), await self._bursts(clients, BURSTS if tells else 0.0)

        meters: list[Meter] = []
        first, namesakes, later = parted(attack)
        during, busy = await beside(first, crowded, others)
        await standing.observer.steady(REST)
        after, calmed = await self._for(clients, ALONE), await self._bursts(clients, CALMLY if tells else 0.0)
        came, taken = len(strays), 0
        if tells and namesakes.scripts:
            await clients.say("names")
            await trio.sleep(CLAIMED / 2)
            await beside(namesakes, partial(trio.sleep, CLAIMED), named)
            await clients.say("stop")
            kept = (await clients.hear())["kept"]  # else the name was free
            taken = len(strays) - came if kept else 0
        before, overheard = len(strays), None
        if later.scripts and standing.running.exit() is None:
            words = [prefix[-REST_OF_IT:] for prefix in clients.prefixes]
            await beside(later, partial(self._for, clients, LISTENS), words)
            overheard = len(strays) - before
        gone = standing.running.exit()
        company = Company(learnt["carries"], learnt["private"], alone, during, after, came, overheard)
        company = replace(company, bursts=(calm, busy, calmed), taken=taken)
        said = standing.running.log_tail() if gone is not None else ""
        observation = Observation(baseline, exit=gone, log_tail=said, company=company)
        return Trial(attack, surface, tuple(transcripts), observation, meters[0].now())

    async def _for(self, clients: _Clients, seconds: float) -> Span:
        await clients.say("run")
        await trio.sleep(seconds)
        await clients.say("stop")
        heard = await clients.hear()
        both: list[dict[str, Any]] = heard["clients"]
        counts = {
            name: sum(one[name] for one in both) for name in ("asked", "got", "lost", "twice", "foreign", "other")
        }
        slowest = {name: max(one[name] for one in both) for name in ("p50", "p99")}
        return Span(**counts, **slowest, seconds=heard["seconds"], machine=heard["machine"]["p99"])

    async def _bursts(self, clients: _Clients, seconds: float) -> Bursts:
        if not seconds:
            return Bursts()
        await clients.say("bursts")
        await trio.sleep(seconds)
        await clients.say("stop")
        return Bursts(**await clients.hear())

    @asynccontextmanager
    async def _clients(
        self, surface: Surface, kind: str, parts: tuple[bytes, ...], mark: bytes
    ) -> AsyncIterator[_Clients]:
        names = names_of(mark)
        prefixes = tuple(secrets.token_hex(8).encode() for _ in range(3 + len(names)))
        told = {
            "address": surface.address,
            "kind": kind,
            "parts": [part.hex() for part in parts],
            "prefixes": [prefix.decode() for prefix in prefixes],
            "marks": [mark.decode()],
            "names": [name.decode() for name in names],
            "security": self._security(surface),
        }
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "zmqfuzz.bystanding"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            clients = _Clients(process, prefixes)
            await clients.say(json.dumps(told))
            yield clients
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    def _security(self, surface: Surface) -> dict[str, str]:
        """What an honest client sets (zmq_setsockopt(3)); on its standard input, which nobody else sees."""
        known = self._harness.credentials
        if surface.mechanism == "PLAIN":
            return {"plain_username": known.username or "", "plain_password": known.password}
        if surface.mechanism != "CURVE":
            return {}
        import zmq

        public, secret = zmq.curve_keypair()
        pair = (public.decode(), secret.decode())
        if known.client_secret:
            pair = (z85_encode(known.client_public), z85_encode(known.client_secret))
        return dict(zip(("curve_publickey", "curve_secretkey"), pair, strict=True)) | {
            "curve_serverkey": z85_encode(known.server_key)
        }
