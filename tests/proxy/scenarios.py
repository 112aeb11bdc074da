"""Each fault at each kind of point, and what a real peer then receives of one conversation, to the message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tests.proxy.pairs import PATIENCE, Message, paired
from zmqfuzz.fault import Fault
from zmqfuzz.proxy import Proxy
from zmqfuzz.zmtp.wire import Frame, encode

CONVERSATION: list[Message] = [[b"1"], [b"2", b"2b", b"2c"], [b"3" * 300], [b"4"], [b"end"]]
ONE, TWO, THREE, FOUR, END = CONVERSATION


class Then(Enum):
    """What comes after the messages that are received."""

    ALL = "nothing: these were all"
    ENDS = "the connection ends"
    HELD = "nothing, until the fault is healed, and then the rest"
    LOST = "nothing, healed or not"


@dataclass(frozen=True)
class Scenario:
    """``fault`` as :meth:`Fault.read` takes it, what arrives, and what then; it is set before the first octet."""

    fault: str
    heard: tuple[Message, ...]
    then: Then = Then.ALL

    def play(self) -> str:
        """Play it; what was different, empty where nothing was."""
        with paired() as pair, Proxy(pair.endpoint) as proxy:
            setting = proxy.fault(self.fault)
            pair.through(proxy)
            pair.say(*CONVERSATION)
            wanted = list(self.heard)
            heard = pair.heard(len(wanted))
            proxy.wait_for("fault", within=PATIENCE / 1000)
            if heard != wanted:
                return f"heard {heard}"
            if not (pair.ended() if self.then is Then.ENDS else pair.silent()):
                return f"also {pair.heard(1)}"
            setting.heal()
            rest = CONVERSATION[len(wanted) :] if self.then is Then.HELD else []
            if rest and (healed := pair.heard(len(rest))) != rest:
                return f"healed, heard {healed}"
            return "" if self.then is Then.ENDS or pair.silent() else f"healed, also {pair.heard(1)}"


TO = "direction=client->server"
INJECTED = encode(Frame(b"new")).hex()
NONSENSE = "ff" * 9

SCENARIOS = [
    Scenario("hang", (), Then.HELD),
    Scenario("hang octets=70", (), Then.HELD),
    Scenario("hang after=GREETING", (), Then.HELD),
    Scenario("hang after=READY", (), Then.HELD),
    Scenario(f"hang after=message n=2 {TO}", (ONE, TWO), Then.HELD),
    Scenario("hang after=message n=2 part=1", (ONE,), Then.HELD),
    Scenario("hang after=message n=2 part=2", (ONE,), Then.HELD),
    Scenario("hang on=message n=3", (ONE, TWO), Then.HELD),
    Scenario("hang on=message n=3 within=length", (ONE, TWO), Then.HELD),
    Scenario("hang on=message n=3 within=body", (ONE, TWO), Then.HELD),
    Scenario("hang on=message n=3 octets=308", (ONE, TWO), Then.HELD),
    Scenario(f"half_close after=message n=2 {TO}", (ONE, TWO), Then.ENDS),
    Scenario(f"reset after=READY {TO}", (), Then.ENDS),
    Scenario("reset octets=121", (ONE, TWO), Then.ENDS),
    Scenario("close after=READY", (), Then.ENDS),
    Scenario("reset after=message n=2", (ONE, TWO), Then.ENDS),
    Scenario("reset after=message n=2 part=1", (ONE,), Then.ENDS),
    Scenario("reset on=message n=3 within=length", (ONE, TWO), Then.ENDS),
    Scenario("reset side=server after=message n=3", (ONE, TWO, THREE), Then.ENDS),
    Scenario("close after=message n=2", (ONE, TWO), Then.ENDS),
    Scenario("close on=message n=3 octets=100", (ONE, TWO), Then.ENDS),
    Scenario("vanish after=message n=2", (ONE, TWO), Then.HELD),
    Scenario("vanish side=server on=message n=2 part=2", (ONE,), Then.HELD),
    Scenario("drop after=message n=2", (ONE, TWO), Then.LOST),
    Scenario("drop on=message n=2", (ONE, THREE, FOUR, END)),
    Scenario("drop on=message n=2 part=2", (ONE, [b"2", b"2c"], THREE, FOUR, END)),
    Scenario("drop on=message times=2", (THREE, FOUR, END)),
    Scenario("truncate keep=2 on=message n=4", (ONE, TWO, THREE, [b"\x00"]), Then.LOST),
    Scenario("corrupt on=message n=3", (ONE, TWO, [b"3" * 299 + b"2"], FOUR, END)),
    Scenario("corrupt offset=9 mask=0x80 on=message n=3", (ONE, TWO, [b"\xb3" + b"3" * 299], FOUR, END)),
    Scenario("corrupt on=message n=2 part=1", (ONE, [b"3", b"2b", b"2c"], THREE, FOUR, END)),
    Scenario(f"corrupt offset=12 on=GREETING {TO}", (), Then.ENDS),
    Scenario("duplicate on=message n=2", (ONE, TWO, TWO, THREE, FOUR, END)),
    Scenario("duplicate after=READY", (ONE, ONE, TWO, TWO, THREE, THREE, FOUR, FOUR, END, END)),
    Scenario("reorder on=message n=2", (ONE, THREE, TWO, FOUR, END)),
    Scenario("reorder on=message n=1", (TWO, ONE, THREE, FOUR, END)),
    Scenario("delay 20ms after=READY", (ONE, TWO, THREE, FOUR, END)),
    Scenario("delay 50ms on=message n=3", (ONE, TWO, THREE, FOUR, END)),
    Scenario("throttle 5000 after=GREETING", (ONE, TWO, THREE, FOUR, END)),
    Scenario("split after=connect", (ONE, TWO, THREE, FOUR, END)),
    Scenario(f"inject {INJECTED} after=message n=1", (ONE, [b"new"], TWO, THREE, FOUR, END)),
    Scenario(f"inject {INJECTED} on=message n=1", ([b"new"], ONE, TWO, THREE, FOUR, END)),
    Scenario(f"inject {NONSENSE} after=message n=3", (ONE, TWO, THREE), Then.ENDS),
]


def read(scenario: Scenario) -> Fault:
    """Its fault."""
    return Fault.read(scenario.fault)
