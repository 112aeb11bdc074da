"""The gateway's own test, and three ways to attack it."""

import gateway
from hypothesis import example, given, settings
from hypothesis import strategies as st

import zmqfuzz
from zmqfuzz import strategies as zst
from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.zmtp.wire import Fill, Frame

server = zmqfuzz.target(gateway.serve, name="gateway", max_frame="64KiB")  # the function, in a process of its own
words = st.sampled_from([b"put", b"get", b"a", b"text"]) | st.binary(max_size=8)
asks = Script((Connect(), Shake("DEALER"), Send((Frame(b"get", more=True), Frame(b"a"))), Expect("message")))


def test_notes():
    notes = {}
    assert gateway.answer(notes, [b"put", b"a", b"text"]) == [b"ok"]
    assert gateway.answer(notes, [b"get", b"a"]) == [b"text"]


@server.parametrize(families="malformed-message")  # without families=: an item for each of all
def test_families(attack):
    attack.run(stop_after=1)


@settings(max_examples=20, deadline=None)
@given(script=zst.scripts(messages=st.lists(words, min_size=1, max_size=3), odd=st.nothing()))
@example(script=asks)
def test_conversations(zmq_target, script):
    """zmq_target is what pyproject.toml declares; Hypothesis says what is sent to it."""
    zmq_target.check(zmq_target.play(script))


def test_large_frames_are_refused():
    """One attack, written by hand."""
    put = (Frame(b"put", more=True), Frame(b"a", more=True), Frame(Fill(65537)))
    large = Script((Connect(), Shake("DEALER"), Send(put), Expect("close")))
    server.check(server.play(large))
