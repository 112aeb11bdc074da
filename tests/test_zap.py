"""ZAP (RFC 27) behind real doors: what the grammar brings to a handler, what a deaf one is called, who survives."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import zmq

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.plain import attack_from_lines, attack_to_lines
from zmqfuzz.catalogue import Family, Situation, families
from zmqfuzz.credentials import Credentials
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.harness import Harness
from zmqfuzz.probe import Prober
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface

EXAMPLE = Path(__file__).resolve().parent.parent / "targets" / "examples" / "zap.py"
KNOWN = Credentials(username="ada", password="lovelace")
PUBLIC, SECRET = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
OURS, OUR_SECRET = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
"""The pairs of zmq_curve(7)."""

KNOWN_CURVE = Credentials.read(server_key=PUBLIC, client_key=f"{OURS}:{OUR_SECRET}")

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


def example(mechanism: str, *options: str) -> Spec:
    words = (sys.executable, str(EXAMPLE), "--mechanism", mechanism, f"--secret-key={SECRET}", f"--allow={OURS}")
    known = {"plain": KNOWN, "curve": KNOWN_CURVE}.get(mechanism, Credentials())
    return Spec((*words, *options), credentials=known, limits=Limits(recover=1.0))


def drawn(family: Family, surface: Surface, seed: int) -> Attack:
    situation = Situation(surface, Limits(), Budget())
    return Attack(family.draw(RandomDraw(seed), situation), family.name, seed)


@contextmanager
def listening(mechanism: str) -> Iterator[tuple[str, list[list[bytes]]]]:
    """A door whose handler lets in whom we are, and the credentials of all that it was asked about."""
    asked: list[list[bytes]] = []
    over = threading.Event()
    with zmq.Context() as context, context.socket(zmq.REP) as zap, context.socket(zmq.REP) as door:
        zap.linger = door.linger = 0
        zap.bind("inproc://zeromq.zap.01")
        door.zap_domain = b"test"
        if mechanism == "PLAIN":
            door.plain_server = True
        else:
            door.curve_server, door.curve_secretkey = True, SECRET.encode()
        door.bind("tcp://127.0.0.1:*")

        def gate() -> None:
            while not over.is_set():
                if zap.poll(50):
                    version, number, *_, said = [*(parts := zap.recv_multipart())[:6], parts[6:]]
                    good = said in ([b"ada", b"lovelace"], [KNOWN_CURVE.client_public])
                    asked.append(said)
                    zap.send_multipart([version, number, b"200" if good else b"400", b"", b"", b""])

        thread = threading.Thread(target=gate)
        thread.start()
        try:
            yield door.get_string(zmq.LAST_ENDPOINT), asked
        finally:
            over.set()
            thread.join()


def brought(mechanism: str, wanted: Callable[[list[list[bytes]]], set[str]]) -> set[str]:
    """Of what is ``wanted`` in all that a handler was asked, what hundreds of attacks on the handshake left out."""
    family = families()[f"{mechanism.lower()}-handshake"]

    async def session(endpoint: str) -> None:
        known = KNOWN if mechanism == "PLAIN" else KNOWN_CURVE
        with trio.fail_after(120):
            async with Spec(connect=(endpoint,), credentials=known).harness() as harness:
                (surface,) = harness.surfaces(await harness.standing())
                for seed in range(300):
                    await harness.trial(drawn(family, surface, seed), surface.key)
                    if not wanted(asked):
                        break

    with listening(mechanism) as (endpoint, asked):
        trio.run(session, endpoint)
    return wanted(asked)


def not_text(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return True
    return False


def missing_words(asked: list[list[bytes]]) -> set[str]:
    assert all(len(said) == 2 for said in asked)
    known = {password for name, password in asked if name == b"ada"}
    missing = set() if b"lovelace" in known else {"who we are"}
    missing |= set() if known - {b"lovelace"} else {"a known name with another password"}
    for what, texts in (("name", {said[0] for said in asked}), ("password", {said[1] for said in asked})):
        shapes = {
            "not UTF-8": any(map(not_text, texts)),
            "empty": b"" in texts,
            "zeros": any(b"\0" in text for text in texts),
            "long": any(len(text) >= 254 for text in texts),
        }
        missing |= {f"{what}: {shape}" for shape, there in shapes.items() if not there}
    return missing


def test_a_plain_handler_is_asked_about_all_kinds_of_names_and_passwords() -> None:
    assert brought("PLAIN", missing_words) == set()


def missing_keys(asked: list[list[bytes]]) -> set[str]:
    keys = {said[0] for said in asked}
    missing = set() if KNOWN_CURVE.client_public in keys else {"who we are"}
    return missing | (set() if len(keys) > 2 else {"strangers"})


def test_a_curve_handler_is_asked_about_keys_that_it_does_not_know() -> None:
    assert brought("CURVE", missing_keys) == set()


def test_an_attack_under_a_known_name_is_saved_without_it() -> None:
    asked = [drawn(families()["plain-handshake"], Surface("", "REP", "PLAIN"), seed) for seed in range(60)]
    with_name = [attack for attack in asked if "known_name" in "\n".join(attack_to_lines(attack, {}))]
    assert with_name
    for attack in with_name:
        assert attack_from_lines(attack_to_lines(attack, {}))[0] == attack


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (("dead",), "does its ZAP handler (RFC 27) answer?"),
        (("wrong", "--reply", "300"), "does its ZAP handler (RFC 27) answer?"),
        (("wrong", "--reply", "400"), "are the keys and the password the right ones?"),
    ],
    ids=["dead", "300", "400"],
)
def test_a_handler_that_lets_nobody_in_is_told_from_one_that_does_not_answer(
    handler: tuple[str, ...], said: str
) -> None:
    async def session() -> None:
        with trio.fail_after(60):
            async with example("plain", "--handler", *handler).target().run() as running:
                surface = running.surfaces[0]
                prober = Prober(credentials=KNOWN)
                try:  # the handler may bind after the door does: the first may find none
                    for _ in range(2):
                        result = await trio.to_thread.run_sync(prober.ask, surface, 2.0)
                        assert not result.ok
                finally:
                    prober.close()
                assert said in result.detail

    trio.run(session)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["null", "plain"])
def test_a_run_against_a_dead_handler_is_inconclusive_in_one_sentence(tmp_path: Path, mechanism: str) -> None:
    words = ["--username", "ada", "--password", "lovelace"] if mechanism == "plain" else []
    command = [sys.executable, "-m", "zmqfuzz", "run", "--cases", "3", *words, "--", sys.executable, str(EXAMPLE)]
    command += ["--mechanism", mechanism, "--handler", "dead"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("zmqfuzz: Inconclusive, nothing was attacked: ")
    assert "does its ZAP handler (RFC 27) answer?" in sentence


async def unserved(harness: Harness, names: tuple[str, ...], most: int) -> bool:
    """Whether an honest client is no longer served after one of the first draws of these families."""
    (surface,) = harness.surfaces(await harness.standing())
    assert (await harness.calibrate(surface.key)).level == "application"
    for seed in range(most):
        attack = drawn(families()[names[seed % len(names)]], surface, seed)
        trial = await harness.trial(attack, surface.key, ask=True)
        if not trial.observation.probes[-1].ok:
            return True
    return False


OTHERS = ("hardened", "thread", "asyncio")
SHORT = [("plain", "weak"), ("curve", "weak"), *(("plain", other) for other in OTHERS)]
LONG = [("null", "weak"), *((mechanism, other) for mechanism in ("null", "curve") for other in OTHERS)]


@pytest.mark.parametrize(
    ("mechanism", "handler"), [*SHORT, *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG)]
)
def test_strangers_end_the_weak_handler_and_no_other(mechanism: str, handler: str) -> None:
    form = {"weak": (), "hardened": ("--hardened",)}.get(handler, ("--handler", handler))
    names = ("identity", "metadata") if mechanism == "null" else (f"{mechanism}-handshake",)

    async def session() -> bool:
        with trio.fail_after(120):
            async with example(mechanism, *form).harness() as harness:
                return await unserved(harness, names, 60 if handler == "weak" else 12)

    assert trio.run(session) is (handler == "weak")
