"""The grammar as Hypothesis strategies: what is drawn can be played, printed, written down again, and shrinks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, example, find, given, settings
from hypothesis import strategies as st

import zmqfuzz.script
import zmqfuzz.zmtp.wire
from zmqfuzz import strategies as zst
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.zmtp.wire import Frame, Greeting, Greeting2, SocketTypeByte, Unit, encode

FEW = settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
NAMES = {**vars(zmqfuzz.zmtp.wire), **vars(zmqfuzz.script)}


@FEW
@example(attack=Attack((Script((Connect(), Send((Greeting2(SocketTypeByte.REQ, b"x"),)))),), "by hand"))
@given(attack=zst.attacks(socket_type="REP", exclude="application-payload"))
def test_attacks_are_plain_values_whose_text_makes_them_again(attack: Attack) -> None:
    assert attack.scripts
    assert attack.strategy
    assert eval(repr(attack), NAMES) == attack


@FEW
@given(unit=zst.frames() | zst.greetings(), message=zst.messages())
def test_units_have_octets(unit: Unit, message: tuple[Unit, ...]) -> None:
    assert isinstance(encode(unit), bytes)
    assert [part.more for part in message if isinstance(part, Frame)] == [True] * (len(message) - 1) + [False]


def test_what_is_found_is_the_simplest() -> None:
    bodies = st.sampled_from([b"a", b"die", b"b"])
    drawn = zst.scripts(messages=bodies, odd=st.nothing())
    least = find(
        drawn, lambda script: any(isinstance(step, Send) and step.units == (Frame(b"die"),) for step in script.steps)
    )
    assert least == Script((Connect(), Shake("DEALER"), Send((Frame(b"die"),)), Expect("message", within=0.005)))
    two = find(zst.scripts(messages=st.lists(bodies, min_size=2), odd=st.nothing()), lambda script: True)
    assert two.steps[2] == Send((Frame(b"a", more=True), Frame(b"a")))
    assert find(zst.greetings(), lambda greeting: True) == Greeting()


def test_a_rep_gets_the_delimiter_that_it_asks_for() -> None:
    bodies = st.just(b"a") | st.just([b"", b"a"])
    least = find(zst.scripts(socket_type="REP", messages=bodies, odd=st.nothing()), lambda script: True)
    assert Shake("REQ") in least.steps

    @FEW
    @given(script=zst.scripts(socket_type="REP", messages=bodies, odd=st.nothing()))
    def drawn(script: Script) -> None:
        sent = {step.units for step in script.steps if isinstance(step, Send)}
        assert sent == {(Frame(b"", more=True), Frame(b"a"))}

    drawn()


def test_only_what_fits_the_door_is_drawn() -> None:
    @FEW
    @given(attack=zst.attacks(families=("plain-handshake", "flood"), mechanism="CURVE"))
    def drawn(attack: Attack) -> None:
        assert attack.strategy == "flood"

    drawn()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"families": "floot"}, "Did you mean 'flood'"),
        ({"families": "curve-handshake"}, "None of these families attacks ROUTER sockets that ask for NULL"),
        ({"socket_type": "ROUT"}, "no socket type 'ROUT'"),
        ({"mechanism": "GSSAPI"}, "no mechanism 'GSSAPI'"),
    ],
)
def test_what_is_wrong_is_said_at_once(wrong: dict[str, str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        zst.attacks(**wrong)  # type: ignore[arg-type]


def test_public_names_are_not_hidden_by_families() -> None:
    code = (
        "from zmqfuzz.catalogue import families; families()\n"
        "from zmqfuzz import strategies as zst\n"
        "print(*[callable(getattr(zst, name)) for name in zst.__all__])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"True"}
