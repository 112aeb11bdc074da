"""Two honest clients in a process of their own, that ask a target in turns and count what comes back to whom.

``python -m zmqfuzz.bystanding`` reads one JSON object, then one line for each thing to do, and prints one JSON object
for each; it ends with its input. A process of its own, as in that of the attackers an answer would wait for Python's
interpreter lock, and be told as late. Beside them a third client asks an echo in this process: how late that is, is the
machine's part.

Each question holds a token of its own, where the target gives such back in its answer: so it is known whose an answer
is. Others ask several questions at once, when they are told to; some of them have names (routing ids).
Contract: standard library and pyzmq only. Judges nothing.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import zmq

from zmqfuzz.bursts import Burster, Flight

__all__ = ["CARRIES", "Asker", "Tally", "carried", "question"]

CARRIES = ("json", "last", "append")
"""How a question holds its token: as ``id`` of the JSON object in the last frame, as the last frame, or behind it."""

PATIENCE = 2.0
"""Seconds after which a question counts as not answered."""

PACE = 0.002
"""Seconds between two questions of a client at least: it is no flood itself."""

MANY = 64
"""Questions that a client with a name asks at once: so that some are open whenever a stranger comes."""

ECHO_PACE = 0.01
TURNS = 8
"""Questions of each client while the other one only listens."""


def carried(parts: Sequence[bytes], mode: str, token: bytes) -> list[bytes] | None:
    """The frames with the token in them; None where this mode does not fit them."""
    *before, last = parts
    if mode == "last":
        return [*before, token]
    if mode == "append":
        return [*before, last + b" " + token]
    try:
        document = json.loads(last)
    except (ValueError, RecursionError):
        return None
    return [*before, json.dumps(document | {"id": token.decode()}).encode()] if isinstance(document, dict) else None


def question(parts: Sequence[bytes], mode: str, token: bytes) -> list[bytes]:
    """The frames of one question; without a mode always the same."""
    return (carried(parts, mode, token) if mode else None) or list(parts)


@dataclass(slots=True)
class Tally:
    """What came back in one phase. ``foreign``: with a token of somebody else; ``other``: with none of ours."""

    asked: int = 0
    got: int = 0
    lost: int = 0
    twice: int = 0
    foreign: int = 0
    other: int = 0
    took: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, float]:
        """For JSON; quantiles in seconds."""
        times = sorted(self.took)
        counts = {name: getattr(self, name) for name in ("asked", "got", "lost", "twice", "foreign", "other")}
        return {**counts, "p50": quantile(times, 0.5), "p99": quantile(times, 0.99)}


def quantile(times: Sequence[float], share: float) -> float:
    """The smallest of the sorted ``times`` that so many of them do not pass; 0 without any."""
    return times[max(0, math.ceil(share * len(times)) - 1)] if times else 0.0


class Asker:
    """One client, with one question at a time."""

    def __init__(self, make: Callable[[], zmq.Socket[bytes]], prefix: bytes, pace: float) -> None:
        self._make = make
        self._prefix = prefix
        self._pace = pace
        self._number = 0
        self._sent_at = 0.0
        self._answered: set[bytes] = set()
        self._given_up: set[bytes] = set()
        self.waits = b""
        self.sock = make()

    def due(self, now: float) -> float:
        """Seconds until it may ask again, or gives up."""
        return (self._sent_at + PATIENCE if self.waits else self._sent_at + self._pace) - now

    def ask(self, parts: Sequence[bytes], mode: str, tally: Tally) -> None:
        """Send the next question."""
        self._number += 1
        token = self._prefix + b"%08x" % self._number
        try:
            self.sock.send_multipart(question(parts, mode, token), zmq.NOBLOCK)
        except zmq.Again:
            self._sent_at = time.monotonic()
            return
        self.waits, self._sent_at = token, time.monotonic()
        tally.asked += 1

    def give_up(self, tally: Tally) -> None:
        """The question was not answered; what comes now is late."""
        tally.lost += 1
        tally.took.append(PATIENCE)
        self._given_up.add(self.waits)
        self.waits = b""
        if self.sock.type == zmq.REQ:  # it cannot ask again
            self.sock.close(linger=0)
            self.sock = self._make()

    def take(self, mode: str, strangers: Sequence[bytes], tally: Tally) -> bool:
        """One message that has come; whether it answers the question."""
        data = b"\0".join(self.sock.recv_multipart())
        if not mode:
            return self._answer(tally)
        foreign = any(prefix in data for prefix in strangers)
        tally.foreign += foreign
        if self.waits and self.waits in data:
            return self._answer(tally)
        if any(token in data for token in self._given_up):
            return False
        place = data.find(self._prefix)
        if place >= 0:
            tally.twice += data[place : place + len(self._prefix) + 8] in self._answered
            return False
        tally.other += not foreign
        if self.sock.type == zmq.REQ:  # it takes this for the answer
            self.waits = b""
        return False

    def _answer(self, tally: Tally) -> bool:
        if not self.waits:
            return False
        tally.got += 1
        tally.took.append(time.monotonic() - self._sent_at)
        self._answered.add(self.waits)
        self.waits = b""
        return True


def _echo(context: zmq.Context[zmq.Socket[bytes]], ready: list[str], there: threading.Event) -> None:
    with context.socket(zmq.REP) as sock:
        sock.linger = 0
        sock.bind("tcp://127.0.0.1:*")
        ready.append(sock.get_string(zmq.LAST_ENDPOINT))
        there.set()
        while True:
            sock.send_multipart(sock.recv_multipart())


class _Room:
    """The clients, and what they do."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._context = zmq.Context()
        self._parts = [bytes.fromhex(part) for part in told["parts"]]
        self._mode = ""
        prefixes = [prefix.encode() for prefix in told["prefixes"]]
        marks = [mark.encode() for mark in told["marks"]]
        self._strangers = [[*marks, *prefixes[:place], *prefixes[place + 1 :]] for place in range(2)]
        self._askers = [Asker(self._socket, prefix, PACE) for prefix in prefixes[:2]]
        self._burster = Burster(self._dealer, prefixes[2], self._asked, PATIENCE)
        self._names = [name.encode() for name in told["names"]]
        self._named = prefixes[3:]
        place: list[str] = []
        there = threading.Event()
        threading.Thread(target=_echo, args=(self._context, place, there), daemon=True).start()
        there.wait()
        self._machine = Asker(lambda: self._plain(place[0]), b"machine", ECHO_PACE)

    def _plain(self, address: str) -> zmq.Socket[bytes]:
        sock = self._context.socket(zmq.REQ)
        sock.linger = 0
        sock.connect(address)
        return sock

    def _asked(self, token: bytes) -> list[bytes]:
        asked = question(self._parts, self._mode, token)
        return [b"", *asked] if self._told["kind"] == "REQ" else asked  # RFC 28: an empty delimiter

    def _dealer(self, name: bytes = b"") -> zmq.Socket[bytes]:
        return self._socket("DEALER", name)

    def _same(self, sock: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        return sock

    def _socket(self, kind: str = "", name: bytes = b"") -> zmq.Socket[bytes]:
        told = self._told
        sock = self._context.socket(getattr(zmq, kind or told["kind"]))
        sock.linger = 0
        if name:
            sock.setsockopt(zmq.ROUTING_ID, name)
        sock.ipv6 = "[" in told["address"]
        for option, value in told["security"].items():
            setattr(sock, option, value.encode())
        sock.connect(told["address"])
        return sock

    def learn(self) -> dict[str, Any]:
        """Whether answers hold the token of their question, and come to nobody but who asked."""
        for mode in CARRIES:
            if carried(self._parts, mode, b"token") is None:
                continue
            tally = Tally()
            if all(self._one(asker, mode, tally, 1.0) for asker in self._askers for _ in range(2)):
                self._mode = mode
                return {"carries": mode, "private": self._private()}
        return {"carries": "", "private": False}

    def _one(self, asker: Asker, mode: str, tally: Tally, within: float) -> bool:
        asker.ask(self._parts, mode, tally)
        end = time.monotonic() + within
        while asker.waits and (left := end - time.monotonic()) > 0:
            if asker.sock.poll(int(left * 1000) + 1) and asker.take(mode, (), tally):
                return True
        if asker.waits:
            asker.give_up(tally)
        return False

    def _private(self) -> bool:
        """Each asks while the other listens: nothing may come to who did not ask, and one answer to who did."""
        tally = Tally()
        for turn in range(2 * TURNS):
            asks, listens = self._askers[turn % 2], self._askers[1 - turn % 2]
            if not self._one(asks, self._mode, tally, PATIENCE):
                return False
            if asks.sock.poll(20) or listens.sock.poll(20):
                return False
        return not (tally.foreign or tally.twice or tally.other or tally.lost)

    def run(self, stop: Callable[[int], bool]) -> dict[str, Any]:
        """All ask until ``stop``, which is asked every so many milliseconds, and what is open is answered or lost."""
        tallies, machine = [Tally(), Tally()], Tally()
        players = [
            (self._askers[0], self._parts, self._mode, self._strangers[0], tallies[0]),
            (self._askers[1], self._parts, self._mode, self._strangers[1], tallies[1]),
            (self._machine, [b"echo"], "last", [], machine),
        ]
        began, ending, last = time.monotonic(), False, 0.0
        while not ending or any(asker.waits for asker, *_ in players):
            now = time.monotonic()
            for asker, parts, mode, _, tally in players:
                if asker.due(now) <= 0:
                    if asker.waits:
                        asker.give_up(tally)
                    if not ending:
                        asker.ask(parts, mode, tally)
            pause = max(0.0, min(asker.due(time.monotonic()) for asker, *_ in players))
            poller = zmq.Poller()
            for asker, *_ in players:
                poller.register(asker.sock, zmq.POLLIN)
            came = dict(poller.poll(min(int(pause * 1000) + 1, 20)))
            for asker, _, mode, strangers, tally in players:
                if asker.sock in came:
                    asker.take(mode, strangers, tally)
            if not ending and now - last > 0.01:
                ending, last = stop(0), now
        seconds = time.monotonic() - began
        return {"clients": [tally.plain() for tally in tallies], "machine": machine.plain(), "seconds": seconds}

    def bursts(self, stop: Callable[[int], bool]) -> dict[str, Any]:
        """Several questions at once until ``stop``, and what is open is answered or given up."""
        flight, ending = Flight(), False
        while not ending or self._burster.waits:
            self._burster.go_on(flight, not ending)
            while self._burster.sock.poll(5):
                self._burster.take(flight)
                if not self._burster.waits:
                    break
            ending = ending or stop(0)
        return flight.plain()

    def names(self, stop: Callable[[int], bool]) -> dict[str, Any]:
        """Clients with names ask without a pause until ``stop``; whether none of them lost its connection."""
        flight, lost, poller = Flight(), 0, zmq.Poller()
        bursters, monitors = [], []
        for name, prefix in zip(self._names, self._named, strict=True):
            sock = self._dealer(name)
            monitors.append(sock.get_monitor_socket(zmq.EVENT_DISCONNECTED))
            bursters.append(Burster(partial(self._same, sock), prefix, self._asked, math.inf, at_once=MANY, rest=0.0))
            poller.register(sock, zmq.POLLIN)
        while not stop(0):
            for burster in bursters:
                burster.go_on(flight, more=True)
            came = dict(poller.poll(5))
            for burster in bursters:
                while burster.sock in came and burster.waits and burster.sock.poll(0):
                    burster.take(flight)
        for burster, monitor in zip(bursters, monitors, strict=True):
            lost += bool(monitor.poll(0))
            burster.sock.disable_monitor()
            burster.sock.close(linger=0)
        return {"whole": flight.whole, "kept": not lost}


def main() -> None:
    """Do what the lines say."""
    lines = sys.stdin
    room = _Room(json.loads(lines.readline()))
    poller = zmq.Poller()
    poller.register(lines.fileno(), zmq.POLLIN)
    for line in iter(lines.readline, ""):
        match line.strip():
            case "learn":
                print(json.dumps(room.learn()), flush=True)
            case "run":  # until the next line
                print(json.dumps(room.run(lambda wait: bool(poller.poll(wait)))), flush=True)
            case "bursts":  # until the next line, too
                print(json.dumps(room.bursts(lambda wait: bool(poller.poll(wait)))), flush=True)
            case "names":  # and so do these
                print(json.dumps(room.names(lambda wait: bool(poller.poll(wait)))), flush=True)
    os._exit(0)  # the echo waits for ever


if __name__ == "__main__":
    main()
