"""What a target shows without an attack: judged from records by hand, and seen in real processes and sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import zmqfuzz
from zmqfuzz.advisories import table
from zmqfuzz.assembly import Spec, check, replay
from zmqfuzz.binds import parse_expose
from zmqfuzz.budget import Limits
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan
from zmqfuzz.campaign.report import failure_message
from zmqfuzz.campaign.shown import tells, untold
from zmqfuzz.catalogue import invariants
from zmqfuzz.elsewhere import connect_from_elsewhere
from zmqfuzz.exposure import EXPOSURE, Exposure, Listening, Loaded
from zmqfuzz.finding import Severity, Verdict
from zmqfuzz.permits import permissions
from zmqfuzz.trial import Surface

ZF652, ZF653 = invariants()["ZF652"], invariants()["ZF653"]
EXAMPLE = (sys.executable, str(Path(__file__).parent.parent / "targets" / "examples" / "exposed.py"))
LOOPBACK = Limits(expose=("tcp://127.0.0.1:*", "ipc:///*"))
DOOR = Surface("tcp://127.0.0.1:5555", "REP")


def seen(*places: Listening) -> Exposure:
    return Exposure((DOOR,), places)


@pytest.mark.parametrize(
    ("place", "severity"),
    [
        (Listening("tcp://127.0.0.1:5555", True), None),
        (Listening("tcp://0.0.0.0:5555", True), Severity.HIGH),
        (Listening("tcp://[::]:5555", True), Severity.HIGH),
        (Listening("tcp://0.0.0.0:8080", False), Severity.HIGH),
        (Listening("tcp://192.168.1.7:5555", True), Severity.HIGH),
        (Listening("tcp://[::1]:5555", True), Severity.MEDIUM),
        (Listening("ipc:///run/x", True), None),
        (Listening("ipc://@x", True), Severity.HIGH),
        (Listening("ipc://@x", False), None),
        (Listening("tcp://127.0.0.1:5555", True, reached=False), None),
        (Listening("tcp://127.0.0.1:5555", True, reached=True), Severity.MEDIUM),
    ],
)
def test_a_listener_is_judged_by_where_it_is(place: Listening, severity: Severity | None) -> None:
    violation = ZF652.judge(seen(Listening("tcp://127.0.0.1:1", True), place), LOOPBACK)
    assert (violation.severity if violation is not None else None) == severity
    assert ZF652.judge(seen(place), Limits()) is None, "nothing was promised"
    assert not ZF652.applies(Limits())


def test_a_signature_has_no_address() -> None:
    first = ZF652.judge(seen(Listening("tcp://0.0.0.0:5555", True)), LOOPBACK)
    other = ZF652.judge(seen(Listening("tcp://0.0.0.0:6666", True)), LOOPBACK)
    assert first is not None
    assert other is not None
    assert first.signature == other.signature == "every address"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user may search, with its parents as they are."""
    made = tmp_path / "open"
    made.mkdir(mode=0o755)
    return made


@pytest.mark.parametrize(
    ("mode", "above", "anyone", "replaceable"),
    [
        (0o777, 0o755, True, False),
        (0o755, 0o755, False, False),
        (0o700, 0o755, False, False),
        (0o777, 0o750, False, False),
        (0o700, 0o777, False, True),
        (0o700, 0o1777, False, False),
        (0o702, 0o755, True, False),
    ],
)
def test_permissions_say_who_may_connect_and_who_may_replace(
    folder: Path, mode: int, above: int, anyone: bool, replaceable: bool
) -> None:
    for parent in folder.parents:  # pytest's own folders are for its user only
        if parent.stat().st_uid == os.getuid() and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        path.chmod(mode)
        folder.chmod(above)
        assert permissions(str(path))[:2] == (anyone, str(folder) if replaceable else "")
        place = Listening(f"ipc://{path}", True, *permissions(str(path)))
        violation = ZF653.judge(seen(place), LOOPBACK)
        assert (violation is None) == (not anyone and not replaceable)
        folder.chmod(0o700)


def test_what_cannot_be_seen_is_not_judged(tmp_path: Path) -> None:
    assert permissions(str(tmp_path / "nowhere")) == (None, "", "")
    assert ZF653.judge(seen(Listening("ipc:///x", True)), LOOPBACK) is None


def run(*words: str, expose: tuple[str, ...] | None = ("tcp://127.0.0.1:*",)) -> tuple[Outcome, list[Found]]:
    """A run that looks and does not attack."""
    told: list[Found] = []

    def tell(event: Event) -> None:
        if isinstance(event, Found):
            told.append(event)

    spec = Spec((*EXAMPLE, *words), limits=Limits(expose=expose), name="exposed")
    return check(spec, Plan((), seconds=5.0, stop="never", exposure="always"), tell), told


def test_the_weak_twin_is_caught_and_the_hardened_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, told = run("--port", "{port}")
    assert [(one.finding.code, one.finding.confirmed, one.finding.tried) for one in told] == [("ZF652", 2, 2)]
    assert outcome.verdict is Verdict.VIOLATED
    assert outcome.checks["ZF651"] == 1
    text = failure_message(told[0].finding, told[0].trial)
    assert "the target was only looked at" in text
    assert "Transcript" not in text
    corpus = Corpus(tmp_path)
    corpus.save(told[0].finding, Spec((*EXAMPLE,), limits=LOOPBACK).to_plain(), told[0].trial)
    finding, plain = corpus.load(told[0].finding.id)
    assert Spec.from_plain(plain).limits == LOOPBACK
    assert replay(finding, Spec.from_plain(plain)).confirmed.holds
    mended = Spec((*EXAMPLE, "--hardened"), limits=LOOPBACK)
    monkeypatch.setattr("zmqfuzz.campaign.exposing.COME_UP", 0.3)
    confirmed = replay(finding, mended).confirmed
    assert (confirmed.shown, confirmed.tried) == (0, 1)
    hardened, told = run("--port", "{port}", "--hardened")
    assert (told, hardened.verdict, hardened.doubts) == ([], Verdict.HELD, [])
    assert hardened.checks["ZF652"] == 1
    assert hardened.checks["ZF653"] == 0, "there is no ipc socket"


def test_an_ipc_socket_for_everybody_is_caught(tmp_path_factory: pytest.TempPathFactory) -> None:
    weak, told = run("--ipc", "{ipc}", expose=("tcp://*:*", "ipc:///*"))
    assert told == [], "its folder is for its own user only"
    assert weak.checks["ZF653"] == 1
    place = Path("/tmp" if os.access("/tmp", os.W_OK) else str(tmp_path_factory.getbasetemp()))
    path = place / f"zmqfuzz-test-{os.getpid()}.sock"
    try:
        _, told = run("--ipc", f"ipc://{path}", expose=("tcp://*:*", "ipc:///*"))
        assert [one.finding.code for one in told] == ["ZF653"]
        _, told = run("--ipc", f"ipc://{path}", "--hardened", expose=("tcp://*:*", "ipc:///*"))
        assert told == []
    finally:
        path.unlink(missing_ok=True)


def test_where_nothing_is_promised_it_is_observed() -> None:
    outcome, told = run("--port", "{port}", expose=None)
    assert told == []
    said = " ".join(outcome.envelope.observed(Limits()))
    assert "listens at tcp://0.0.0.0:" in said
    assert "(every address)" in said
    assert "libzmq " in said


def test_what_nothing_can_be_said_of_is_told() -> None:
    today = table().checked
    own = Loaded("/x/libzmq.so", (4, 3, 5))
    debian = Loaded(
        "/usr/lib/libzmq.so", (4, 3, 2), vendor="its package libzmq5", mended=frozenset({"GHSA-25wp-cf8g-938m"})
    )
    unknown = Loaded("/x/app", None, why="it is linked in", part=True)

    def told(*loaded: Loaded, days: int = 0) -> list[str]:
        return untold(Exposure((DOOR,), loaded=loaded), Limits(), today + timedelta(days=days))

    assert told(own) == []
    assert tells(Exposure((DOOR,), loaded=(own,)), "ZF651")
    (line,) = told(debian)
    assert "CVE-2021-20235, " in line, "what is reached here comes first"
    assert "CVE-2020-15166" not in line, "its package has mended it"
    assert not tells(Exposure((DOOR,), loaded=(own, debian)), "ZF651")
    assert "linked in" in told(unknown)[0]
    assert not tells(Exposure((DOOR,), loaded=(unknown,)), "ZF651")
    assert "no libzmq was seen" in told()[0]
    assert "days old" in told(own, days=1000)[0]
    hidden = Exposure((DOOR,), (Listening("ipc:///run/x", True),), (own,))
    assert "cannot be seen" in untold(hidden, LOOPBACK, today)[0]
    assert not tells(hidden, "ZF653")


def test_a_program_that_was_attached_to_is_told_once() -> None:
    with subprocess.Popen([*EXAMPLE], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        port = running.stderr.readline().strip().rpartition(":")[2]
        told: list[Event] = []
        spec = Spec(connect=(f"tcp://127.0.0.1:{port}",), pid=running.pid, limits=LOOPBACK)
        plan = Plan((), seconds=5.0, stop="never", exposure="always")
        check(spec, plan, told.append)
        blind = Spec(connect=(f"tcp://127.0.0.1:{port}",), limits=LOOPBACK)
        unseen = check(blind, plan, lambda event: None)
        running.kill()
    (found,) = (one for one in told if isinstance(one, Found))
    assert "attached to" in found.finding.notes[0]
    assert unseen.verdict is Verdict.INCONCLUSIVE
    assert any("no process to watch" in line for line in unseen.not_covered)


@pytest.fixture
def doors() -> Iterator[Callable[[str], int]]:
    """Opens a listener at an address."""
    opened: list[socket.socket] = []

    def listen(host: str) -> int:
        opened.append(socket.create_server((host, 0)))
        return int(opened[-1].getsockname()[1])

    yield listen
    for one in opened:
        one.close()


def test_another_namespace_reaches_a_wildcard_and_no_loopback(doors: Callable[[str], int]) -> None:
    wide, narrow = doors("0.0.0.0"), doors("127.0.0.1")
    seen = connect_from_elsewhere([wide, narrow])
    if seen.why:
        assert not seen.reached
        pytest.skip(f"not possible: {seen.why}")
    assert seen.reached == {wide: True, narrow: False}
    with open("/proc/net/dev") as file:
        assert f"zf{os.getpid():x}" not in file.read(), "the wire is gone"


def test_the_item_is_there_where_places_are_promised() -> None:
    def named(families: str | tuple[str, ...] = (), exclude: str = "", **promises: object) -> list[str]:
        target = zmqfuzz.target(["x"], **promises)  # type: ignore[arg-type]
        return [attack.family for attack in target.attacks(families, exclude or ())]

    assert EXPOSURE not in named()
    assert named(expose="tcp://127.0.0.1:*")[-1] == EXPOSURE
    assert EXPOSURE not in named(exclude=EXPOSURE, expose=["tcp://127.0.0.1:*"])
    assert named(EXPOSURE) == [EXPOSURE]
    assert parse_expose("tcp://127.0.0.1:*") == zmqfuzz.target(["x"], expose="tcp://127.0.0.1:*").limits.expose
