"""One ZMTP connection without I/O: octets in, events out; what the other side breaks is an event.

Contract: nothing here raises for what arrives, and the events depend on the octets alone, not on how they were cut.
``send`` encodes anything and refuses nothing. A connection that was not started only reads; a started one also
answers, as a well-behaved peer would, through ``data_to_send``.

====================  ====================================================  =========
state                 what is read                                          next
====================  ====================================================  =========
GREETING              3.x: 64 octets (RFC 37)                               HANDSHAKE
GREETING              2.0: 12 octets and an identity frame (RFC 15);        TRAFFIC
                      1.0: an identity frame (RFC 13)
HANDSHAKE             commands, until READY (a client's: INITIATE)          TRAFFIC
TRAFFIC               messages and commands
any                   end of stream, or octets that cannot be framed        CLOSED
====================  ====================================================  =========
"""

from __future__ import annotations

from collections import deque

from zmqfuzz.zmtp.events import (
    Breach,
    Closed,
    CommandReceived,
    ErrorReceived,
    Event,
    FrameReceived,
    HandshakeComplete,
    Role,
    State,
)
from zmqfuzz.zmtp.mechanism import Mechanism, MechanismError, Reply
from zmqfuzz.zmtp.reader import (
    HANDSHAKE_COMMANDS,
    OLD_GREETING_SIZE,
    OLD_VERSIONS,
    WITH_METADATA,
    Buffer,
    GreetingReceived,
    Unreadable,
    read_command,
    read_error,
    read_frame,
    read_greeting,
)
from zmqfuzz.zmtp.skim import skim
from zmqfuzz.zmtp.wire import (
    Command,
    CurveCommand,
    Frame,
    Framing,
    Greeting,
    Greeting1,
    Greeting2,
    Property,
    Unit,
    encode,
)

__all__ = [
    "MAX_BODY",
    "Breach",
    "Closed",
    "CommandReceived",
    "Connection",
    "ErrorReceived",
    "Event",
    "FrameReceived",
    "GreetingReceived",
    "HandshakeComplete",
    "Role",
    "State",
]

MAX_BODY = 256 * 1024 * 1024
"""Largest body read from a target, in octets; a header that announces more ends the reading, before any memory."""

_GREETINGS, _WRAPPED = (Greeting, Greeting1, Greeting2), (Frame, Command)


class Connection:
    """Both directions of one connection.

    ``framing`` is the layout our frames are sent in and follows the greetings we send. How the other side is read
    follows *its* octets, and the first twelve of ours: libzmq answers an older greeting in that version.
    ``instead``: units sent instead of our mechanism's first handshake commands, one for each, None for one that is
    sent as it is. ``older``: both greetings are of versions that have no handshake.
    """

    def __init__(
        self, mechanism: Mechanism | None = None, *, role: Role = Role.CLIENT, max_body: int = MAX_BODY
    ) -> None:
        self.mechanism = mechanism
        self.role = role
        self.state = State.GREETING
        self.framing = Framing.V2
        self.peer_version = ""
        self.peer_properties: tuple[Property, ...] = ()
        self.complete = self.older = False
        self.instead: deque[Unit | None] = deque()
        self._max_body = max_body
        self._buffer = Buffer()
        self._events: deque[Event] = deque()
        self._outgoing: list[tuple[Unit, bool]] = []  # and whether it is wrapped
        self._sent = b""  # the first octets we sent: they say which version we asked for
        self._started = False
        self._answering = False  # the mechanism runs and has not failed
        self._ended = self._end_told = False
        self._their_framing = Framing.V2
        self._their_mechanism = b""
        self._within_message = False

    def twin(self) -> Connection:
        """Another that stands where this one does; for when the handshake is over, as its mechanism is the same."""
        twin = Connection.__new__(Connection)
        twin.__dict__.update(self.__dict__)
        twin._buffer, twin._events = Buffer(bytes(self._buffer.octets)), deque(self._events)
        twin._outgoing, twin.instead = list(self._outgoing), deque(self.instead)
        return twin

    # what we send

    def send(self, unit: Unit) -> bytes:
        """The octets of ``unit``, whatever it is and whenever; a complete mechanism wraps frames and commands.

        With CURVE they are others each time. A CURVE command is sealed by the mechanism, as far as that has got.
        """
        octets = self._octets(unit, self._wraps())
        if isinstance(unit, _GREETINGS):
            versioned_1_0 = isinstance(unit, Greeting2) and unit.revision & 0xFF == 0
            self.framing = Framing.V1 if isinstance(unit, Greeting1) or versioned_1_0 else Framing.V2
        if len(self._sent) < OLD_GREETING_SIZE:
            self._sent += octets[:OLD_GREETING_SIZE]
        return octets

    def start(self, greeting: Greeting | None = None) -> bytes:
        """Our honest greeting; from now on the connection answers by itself.

        ``greeting`` gives another version (say 3.0); its mechanism and as-server are those of our mechanism.
        """
        greeting = greeting or Greeting()
        if self.mechanism is not None:
            ours = self.mechanism.name, int(self.mechanism.as_server)
            greeting = Greeting(greeting.major, greeting.minor, *ours, greeting.signature, greeting.filler)
        octets = self.send(greeting)
        self._started = True
        if self.state is State.HANDSHAKE:
            self._start_mechanism()
        return octets

    @property
    def untouched(self) -> bool:
        """Whether nothing was sent or read yet."""
        return not self._sent and not self._buffer and self.state is State.GREETING

    @property
    def seals(self) -> bool:
        """Whether what is sent is other octets each time (CURVE)."""
        return self.mechanism is not None and self.mechanism.seals

    @property
    def has_data_to_send(self) -> bool:
        """Whether an honest reply is waiting."""
        return bool(self._outgoing)

    def data_to_send(self) -> bytes:
        """The honest replies that reading has produced since the last call."""
        if not self._outgoing:
            return b""
        # Not before: what is sealed must leave in the order of its nonces, and others may be sent in between.
        octets = b"".join([self._octets(unit, wraps) for unit, wraps in self._outgoing])
        self._outgoing.clear()
        return octets

    # what we read

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; ``b""`` is the end of the stream, and nothing counts after it."""
        if self._ended:
            return
        if not data:
            self._ended = True
        elif self.state is not State.CLOSED:
            self._buffer.feed(data)

    def next_event(self) -> Event | None:
        """What happened next, or ``None``: more octets are needed."""
        while not self._events and self._read():
            pass
        return self._events.popleft() if self._events else None

    def skim(self) -> list[tuple[bool, int]]:
        """Ordinary message frames that come next, by MORE and size, instead of their events (zmqfuzz.zmtp.skim)."""
        ordinary = self.state is State.TRAFFIC and self._their_framing is Framing.V2 and not self.seals
        found = skim(self._buffer, self._max_body) if ordinary and not self._events else []
        self._within_message = found[-1][0] if found else self._within_message
        return found

    def _read(self) -> bool:
        """Read one thing; False when there is nothing more to read for now."""
        if self.state is State.CLOSED:
            told, self._end_told = self._end_told, self._ended
            if self._ended and not told:
                self._events.append(Closed())
            return False
        try:
            if self._read_greeting() if self.state is State.GREETING else self._read_frame():
                return True
        except Unreadable as error:
            self._breach(error.reason)
            self._close()
            return True
        if not self._ended:
            return False
        if self.state is not State.GREETING and self._buffer:
            self._breach(f"stream ended {len(self._buffer)} octets into a frame")
        self._close()
        return True

    # greetings

    def _read_greeting(self) -> bool:
        found = read_greeting(self._buffer, self._sent, self._max_body)
        if found is None:
            return False
        greeting, self._their_framing, properties = found
        self.peer_version, self._their_mechanism = greeting.version, greeting.mechanism
        self._events.append(greeting)
        if greeting.version in OLD_VERSIONS:
            self.older = self._sent[10:11] < b"\3"  # where ours announced no 3.x either
            self._completed(properties)
            return True
        if greeting.raw[32] > 1:
            self._breach(f"greeting with as-server {greeting.raw[32]}")
        self.state = State.HANDSHAKE
        if self._started:
            self._start_mechanism()
        return True

    def _start_mechanism(self) -> None:
        """Begin the handshake if both greetings name the same mechanism; otherwise one side must give up (RFC 37)."""
        if self.mechanism is not None and self.mechanism.name == self._their_mechanism:
            self._answering = True
            self._reply(self.mechanism.start())

    # frames

    def _read_frame(self) -> bool:
        frame = read_frame(self._buffer, self._their_framing, self._max_body)
        if frame is None:
            return False
        if frame.reserved:
            self._breach(f"frame with reserved flag bits {frame.reserved:#04x}")
        if self.complete and self._answering and self.mechanism is not None:
            try:
                frame = self.mechanism.unwrap(frame)
            except MechanismError as error:
                self._breach(error.reason)
        if frame.command and self.peer_version not in OLD_VERSIONS:
            self._take_command(frame)
        else:
            if frame.command:
                self._breach("COMMAND flag from a ZMTP 2.0 peer, where that bit is reserved")
            if self.state is State.HANDSHAKE:
                self._breach("message frame before the handshake was complete")
            self._within_message = frame.more
            self._events.append(FrameReceived(frame))
        return True

    def _take_command(self, frame: Frame) -> None:
        if frame.more:
            self._breach("command with the MORE flag")
        error = read_error(frame) if self.state is State.HANDSHAKE else None
        command, wrong = error or read_command(frame, self._their_mechanism)
        if wrong:
            self._breach(wrong)
        if isinstance(command, bytes):
            self._answering = False
            self._events.append(ErrorReceived(command))
            return
        if self._within_message:
            # RFC 37: "traffic = *( message | command )", and a message is whole; libzmq's PONG comes at once
            # (src/zmtp_engine.cpp:produce_pong_message): 177 of 197 while it sent messages of eight 20 kB frames.
            owner = " (libzmq src/zmtp_engine.cpp)" if command.name == b"PONG" else ""
            self._breach(f"command between the frames of one message{owner}")
        self._events.append(CommandReceived(command))
        if self.state is State.HANDSHAKE:
            self._shake(command)
        elif command.name in HANDSHAKE_COMMANDS:
            self._breach(f"{command.name.decode()} after the handshake")
        elif command.name == b"PING" and command.name_size is None:
            self._pong(command.data)

    def _shake(self, command: Command) -> None:
        if not self._answering or self.mechanism is None:
            if command.name in WITH_METADATA and command.name_size is None:
                self._completed(command.properties)
            return
        if command.name_size is not None:  # not a command, and told as a breach
            self._answering = False
            return
        try:
            self._reply(self.mechanism.receive(command))
        except MechanismError as error:
            self._answering = False
            self._breach(error.reason)
            return
        if self.mechanism.complete:
            self._completed(self.mechanism.peer_properties)

    def _pong(self, ping: bytes) -> None:
        # RFC 37: "ping = command-size %d4 "PING" ping-ttl ping-context ; ping-context = 0*16OCTET".
        if not 2 <= len(ping) <= 18:
            self._breach(f"PING with {len(ping)} octets behind its name")
        if self._started and len(ping) >= 2:
            self._reply((Command(b"PONG", ping[2:18]),))

    def _completed(self, properties: tuple[Property, ...]) -> None:
        self.complete = True
        self.state = State.TRAFFIC
        self.peer_properties = properties
        self._events.append(HandshakeComplete(properties))

    # small things

    def _reply(self, commands: tuple[Reply, ...]) -> None:
        for command in commands:
            unit = self.instead.popleft() if self.instead and not self.complete else None
            self._outgoing.append((command if unit is None else unit, self._wraps()))

    def _wraps(self) -> bool:
        return self.complete and self._answering and self.mechanism is not None

    def _octets(self, unit: Unit, wraps: bool) -> bytes:
        if self.mechanism is not None and isinstance(unit, CurveCommand):
            return encode(self.mechanism.seal(unit), self.framing)
        if wraps and self.mechanism is not None and isinstance(unit, _WRAPPED):
            frame = unit if isinstance(unit, Frame) else Frame(unit.body(), command=True, more=unit.more)
            return encode(self.mechanism.wrap(frame), self.framing)
        return encode(unit, self.framing)

    def _breach(self, reason: str) -> None:
        if Breach(reason) not in self._events:  # reader and mechanism may say the same of one frame
            self._events.append(Breach(reason))

    def _close(self) -> None:
        self.state = State.CLOSED
        self._buffer.clear()
