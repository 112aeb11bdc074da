"""A finding as one Python script that needs nothing but the standard library.

The script plays what :class:`~zmqfuzz.peer.Peer` plays, with the same times and the same octets. It is source text
made from data that may come from a target, so that data enters it as ``ascii()`` literals and one-line comments only.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from zmqfuzz.campaign.decode import head, next_framing, printable
from zmqfuzz.campaign.repro_player import PLAYER
from zmqfuzz.finding import Finding
from zmqfuzz.script import Attack, Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.zmtp.mechanism import Null
from zmqfuzz.zmtp.wire import Fill, Frame, Framing, Greeting, Raw, Unit, encode

__all__ = ["cannot_play", "repro_script"]
