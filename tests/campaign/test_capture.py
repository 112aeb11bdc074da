"""The capture of a finding: what a real program and its peer said, read again by scapy and by tshark where it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.sessions import TCPSession
from scapy.utils import PcapNgReader, rdpcap

from zmqfuzz.assembly import Spec, run
from zmqfuzz.campaign.capture import write_capture
from zmqfuzz.layers import ZMTP, ZMTPCommand, ZMTPFrame, ZMTPGreeting, ZMTPProperty, bind_zmtp
from zmqfuzz.script import Attack, Connect, Expect, Reset, Script, Send, Shake
from zmqfuzz.trial import Direction, Trial
from zmqfuzz.zmtp.wire import Frame

EXAMPLES = Path(__file__).parent.parent.parent / "targets" / "examples"
ASKS = Script((Connect(), Shake("REQ"), Send((Frame(b"", more=True), Frame(b"hello"))), Expect("message", 2.0)))
FLOODS = Script((Connect(), Shake("DEALER"), Send((Frame(b"x" * 50, more=True),), times=1000), Reset()))


@pytest.fixture(scope="module")
def trial() -> Trial:
    async def work() -> Trial:
        spec = Spec((sys.executable, str(EXAMPLES / "worker_crash.py"), "--hardened"))
        async with spec.harness() as harness:
            surface = harness.surfaces(await harness.standing())[0]
            return await harness.trial(Attack((ASKS, FLOODS)), surface.key)

    return run(work)


@pytest.fixture(scope="module")
def capture(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("capture") / "session.pcapng"
    assert write_capture(trial, file) > 10
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return file


def test_both_directions_hold_the_octets_of_the_transcript(trial: Trial, capture: Path) -> None:
    asks = trial.transcripts[0]
    packets = [packet for packet in rdpcap(str(capture)) if 40_000 in (packet[TCP].sport, packet[TCP].dport)]
    for direction, ours in ((Direction.SENT, "127.0.0.2"), (Direction.RECEIVED, "127.0.0.1")):
        said = b"".join(entry.data * entry.times for entry in asks.entries if entry.direction is direction)
        captured = b"".join(bytes(packet[TCP].payload) for packet in packets if packet[IP].src == ours)
        assert said
        assert captured == said
    assert [str(packet[TCP].flags) for packet in packets[:3]] == ["S", "SA", "A"]


def test_what_is_sent_very_often_is_shown_a_few_times_and_missing_beyond(capture: Path) -> None:
    flood = [packet for packet in rdpcap(str(capture)) if packet[TCP].sport == 40_001]
    frames = [packet for packet in flood if bytes(packet[TCP].payload).startswith(b"\x01\x32xx")]
    assert 1 <= len(frames) <= 4
    assert "R" in flood[-1][TCP].flags
    assert flood[-1][TCP].seq - flood[0][TCP].seq > 1000 * 52
    comments = [packet.comment for packet in PcapNgReader(str(capture)) if packet.comment]
    assert any(b"1 of 1,000" in comment for comment in comments)


def test_scapy_shows_a_real_conversation_in_layers(capture: Path) -> None:
    bind_zmtp(40_000)
    parts = [
        part
        for packet in rdpcap(str(capture))
        if ZMTP in packet and packet[TCP].sport == 40_000
        for part in packet[ZMTP].parts
    ]
    assert isinstance(parts[0], ZMTPGreeting)
    assert parts[0].mechanism.rstrip(b"\0") == b"NULL"
    ready = next(part.content for part in parts if isinstance(part, ZMTPFrame) and part.flags.COMMAND)
    assert ready.command_name == b"READY"
    assert {item.property_name: item.value for item in ready.properties}[b"Socket-Type"] == b"REQ"
    assert [part.body for part in parts if isinstance(part, ZMTPFrame) and not part.flags.COMMAND] == [b"", b"hello"]
    from scapy.sendrecv import sniff

    answers = [
        p for p in sniff(offline=str(capture), session=TCPSession, quiet=True) if ZMTP in p and p[TCP].sport != 40_000
    ]
    bodies = [
        part.body
        for packet in answers
        for part in packet[ZMTP].parts
        if isinstance(part, ZMTPFrame) and not part.flags.COMMAND
    ]
    assert bodies[0] == b""
    assert len(bodies) == 2


def test_layers_build_what_they_dissect() -> None:
    ready = ZMTPCommand(properties=[ZMTPProperty(property_name=b"Socket-Type", value=b"DEALER")])
    frames = [ZMTPFrame(flags="COMMAND", content=ready), ZMTPFrame(flags="LONG+MORE", body=b"x" * 300), ZMTPFrame()]
    octets = bytes(ZMTP(parts=[ZMTPGreeting(), *frames]))
    assert len(octets) == 64 + 2 + 28 + 9 + 300 + 2
    seen = ZMTP(octets)
    assert bytes(seen) == octets
    assert [type(part) for part in seen.parts] == [ZMTPGreeting, ZMTPFrame, ZMTPFrame, ZMTPFrame]
    assert seen.parts[1].content.properties[0].value == b"DEALER"
    assert seen.parts[2].size == 300
    cut = ZMTP(octets[:100])
    assert len(cut.parts) == 2
    assert bytes(cut) == octets[:100]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_it(capture: Path) -> None:
    fields = ["-T", "fields", "-e", "tcp.stream", "-e", "tcp.len", "-e", "frame.comment"]
    read = subprocess.run(["tshark", "-r", str(capture), *fields], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    assert {row[0] for row in rows} == {"0", "1"}
    assert any("greeting 3.1 NULL" in row[2] for row in rows)
