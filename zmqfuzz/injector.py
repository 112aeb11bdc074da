"""Many peers at once, connecting or accepting, under one deadline; every socket is closed on the way out."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable

import trio

from zmqfuzz.brevity import plays
from zmqfuzz.credentials import Credentials
from zmqfuzz.descriptors import room_for
from zmqfuzz.endpoints import Place
from zmqfuzz.peer import Dial, Peer
from zmqfuzz.script import Attack
from zmqfuzz.shaking import Keyring
from zmqfuzz.signals import Bell, Signals
from zmqfuzz.stopping import TOLD
from zmqfuzz.trial import Transcript
from zmqfuzz.volley import Volley, uncollected
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role

__all__ = ["inject"]


async def inject(
    attack: Attack,
    dial: Dial,
    meter: Meter,
    *,
    role: Role = Role.CLIENT,
    credentials: Credentials | None = None,
    seconds: float = 20.0,
    held: Callable[[], Awaitable[None]] | None = None,
    stop: trio.Event | None = None,
    place: Place | None = None,
    tell: Callable[[], Awaitable[str]] | None = None,
    cues: tuple[str, ...] = (TOLD,),
) -> tuple[Transcript, ...]:
    """Play all scripts together and return their transcripts, in the order of the scripts.

    When every script has ended (or ``seconds`` are over) ``held`` is awaited while the connections that scripts
    left open are still open; then all are closed. ``stop`` ends the scripts early. Cancellation closes everything.
    ``place``: where short scripts can connect that are to be played some at a time, which otherwise begin together.
    ``tell`` is awaited for each of ``cues``, in order, when every script has ended or awaits that one, which is then
    signalled; what it says is noted in every transcript. After ``stop`` it is not asked any more.
    """
    played = [script for script in attack.scripts for _ in range(max(1, min(script.times, 4096)))]
    keyring = Keyring(credentials or Credentials(), attack.seed)
    if attack.at_once and place is not None and all(map(plays, attack.scripts)):
        with room_for(len(played)), uncollected():
            return await _fired(Volley(played, place, meter, keyring, attack.at_once), seconds, held, stop)
    with room_for(len(played)) as most:
        signals = Signals(played, cues if tell is not None else ())
        peers = [
            Peer(script, dial if number < most else _no_room, meter, role=role, signals=signals, keyring=keyring)
            for number, script in enumerate(played)
        ]
        results: list[Transcript | None] = [None] * len(peers)
        release = trio.Event()
        all_done = trio.Event()
        left = len(peers)

        def done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                all_done.set()

        async def play(number: int) -> None:
            results[number] = await peers[number].play(release, done)

        def interrupt() -> None:
            for peer in peers:
                peer.interrupt()

        async def watch(stop: trio.Event) -> None:
            await stop.wait()
            interrupt()

        async with trio.open_nursery() as outer:
            if stop is not None:
                outer.start_soon(watch, stop)
            async with trio.open_nursery() as nursery:
                for number in range(len(peers)):
                    nursery.start_soon(play, number)
                with trio.move_on_after(seconds if peers else 0):
                    if tell is not None:
                        await _told(tell, cues, signals, peers, stop)
                    await all_done.wait()
                interrupt()
                if held is not None:
                    await held()
                release.set()
            outer.cancel_scope.cancel()
    return tuple(result for result in results if result is not None)


async def _told(
    tell: Callable[[], Awaitable[str]],
    cues: tuple[str, ...],
    signals: Signals,
    peers: list[Peer],
    stop: trio.Event | None,
) -> None:
    for cue in cues:
        await _resting(signals, cue)
        if stop is not None and stop.is_set():
            break
        if said := await tell():
            for peer in peers:
                peer.note(said)
        signals.give(cue)


async def _resting(signals: Signals, cue: str) -> None:
    bell = Bell()
    signals.wakes(bell)
    while not signals.resting(cue):
        await bell.rung.wait()


async def _no_room(buffer: int | None = None, /) -> trio.socket.SocketType:
    raise OSError(errno.EMFILE, "no descriptor of our own is left (ulimit -n)")


async def _fired(
    volley: Volley, seconds: float, held: Callable[[], Awaitable[None]] | None, stop: trio.Event | None
) -> tuple[Transcript, ...]:
    def go_on() -> bool:
        trio.from_thread.check_cancelled()
        return stop is None or not stop.is_set()

    try:
        await trio.to_thread.run_sync(volley.play, seconds, go_on)
        if held is not None:
            await held()
    finally:
        volley.close()
    return volley.transcripts()
