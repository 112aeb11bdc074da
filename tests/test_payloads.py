"""The family of application payloads and what it is made of: documents, mutations, the user's own messages."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from types import ModuleType

import hypothesis
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.canary import carries
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import Draw, HypothesisDraw, RandomDraw
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Attack, Connect, Send
from zmqfuzz.seeds import SUBSCRIBED
from zmqfuzz.strategies.compressed import opened
from zmqfuzz.strategies.documents import Members, Node, read_json, write_json
from zmqfuzz.strategies.mutations import LARGEST, changed, octets_changed
from zmqfuzz.strategies.packed import read_msgpack, write_msgpack
from zmqfuzz.strategies.structures import DOCUMENTS, mutated
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Frame

FAMILY = families()["application-payload"]
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
PLAIN = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)
CONTAINERS = st.lists(PLAIN) | st.dictionaries(st.text(), PLAIN)


def situation(kind: str = "REP", **more: object) -> Situation:
    return Situation(Surface("tcp://127.0.0.1:1", kind), Limits(), Budget(), **more)  # type: ignore[arg-type]


def messages(attack: Attack) -> Iterator[tuple[bytes, ...]]:
    """The messages that are sent whole, in order."""
    for script in attack.scripts:
        frames: list[bytes] = []
        for step in script.steps:
            for unit in step.units if isinstance(step, Send) else ():
                assert isinstance(unit, Frame)
                assert isinstance(unit.body, bytes)
                frames.append(unit.body)
                if not unit.more:
                    yield tuple(frames)
                    frames = []
        assert not frames, "this family sends whole messages only"


def drawn(seed: int, where: Situation) -> Attack:
    return Attack(FAMILY.draw(RandomDraw(seed), where))


@settings(max_examples=150, deadline=None)
@given(CONTAINERS)
def test_json_is_written_as_it_was_read(plain: object) -> None:
    octets = json.dumps(plain).encode()
    assert json.loads(write_json(read_json(octets))) == plain


@settings(max_examples=150, deadline=None)
@given(CONTAINERS)
def test_msgpack_is_what_others_read_and_write(plain: object) -> None:
    """msgspec is a msgpack library of others."""
    octets = msgspec.msgpack.encode(plain)
    tree = read_msgpack(octets)
    assert msgspec.msgpack.decode(write_msgpack(tree)) == plain
    assert tree == read_json(json.dumps(plain).encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_octets_are_read_as_msgpack_or_refused(octets: bytes) -> None:
    try:
        tree = read_msgpack(octets)
    except ValueError:
        return
    assert read_msgpack(write_msgpack(tree)) is not None


@pytest.mark.parametrize("octets", [b"1", b'"a"', b"{", b"", b"\xff", b"[" * 100_000, b"[" * 70 + b"]" * 70])
def test_what_is_no_document_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(octets)


def test_keys_may_stand_twice_and_ext_types_are_kept() -> None:
    assert write_json(read_json(b'{"a": 1, "a": [2]}')) == b'{"a": 1, "a": [2]}'
    packed = b"\x82\xa1a\xd6\xff\0\0\0\1\xa1a\xc7\x03\x05xyz"
    assert write_msgpack(read_msgpack(packed)) == packed


def test_a_mutated_document_differs_in_one_place_and_stays_small() -> None:
    kinds: set[str] = set()
    for seed in range(600):
        draw: Draw = RandomDraw(seed)
        node = DOCUMENTS[seed % len(DOCUMENTS)]
        changed_node = mutated(draw, node)
        for write in (write_json, write_msgpack):
            assert len(write(changed_node)) < 2_000_000
        kinds.add(kind(write_json(changed_node)))
    assert {"duplicate key", "too deep", "not JSON", "fine"} <= kinds


def kind(octets: bytes) -> str:
    """What a strict reader makes of it."""
    try:
        pairs: list[bool] = []
        json.loads(octets, object_pairs_hook=lambda found: pairs.append(len(dict(found)) < len(found)))
        return "duplicate key" if any(pairs) else "fine"
    except RecursionError:
        return "too deep"
    except ValueError:
        return "not JSON"


def test_octets_and_frames_are_changed_within_bounds() -> None:
    seen: set[bytes] = set()
    counts: set[int] = set()
    for seed in range(800):
        octets = octets_changed(RandomDraw(seed), b'{"a": 12}')
        message = changed(RandomDraw(seed), (b"", b"key", b'{"a": 12}'))
        assert len(octets) <= LARGEST
        assert message
        assert sum(map(len, message)) <= 2 * LARGEST
        seen.add(octets)
        counts.add(len(message))
    assert len(seen) > 250
    assert {1, 2, 3, 4, 5} <= counts
    assert max(counts) > 500


def test_seeds_are_sent_as_they_are_and_changed_and_delimited_where_that_is_due() -> None:
    seed = (b"get", b'{"item": 1234567}')
    for where, due in (("REP", True), ("PULL", False)):
        sent = [
            message for number in range(200) for message in messages(drawn(number, situation(where, seeds=(seed,))))
        ]
        whole = (b"", *seed) if due else seed
        assert whole in sent
        like = [message for message in sent if any(b"1234567" in frame for frame in message)]
        assert len(set(like)) > 50
        assert len(like) > len(sent) / 5


def test_each_form_of_sending_is_drawn() -> None:
    attacks = [drawn(number, situation("ROUTER")) for number in range(300)]
    assert 30 < sum(map(carries, attacks)) < 270
    scripts = [script for attack in attacks for script in attack.scripts]
    connects = {sum(isinstance(step, Connect) for step in script.steps) for script in scripts}
    assert connects == {1, 2}
    assert any(getattr(script.steps[1], "identity", b"") for script in scripts)
    assert all(script.times == 1 for script in scripts if getattr(script.steps[1], "identity", b""))


OWN = st.tuples(st.just(b"mine"), st.binary(min_size=3, max_size=3))


def test_a_users_own_strategy_is_drawn_by_both_drivers() -> None:
    where = situation("PULL", payloads=OWN)
    fast = [message for number in range(30) for message in messages(drawn(number, where))]
    assert len({message for message in fast if message[0] == b"mine" and len(message) == 2}) > 15
    slow: set[tuple[bytes, ...]] = set()

    @settings(max_examples=60, suppress_health_check=list(hypothesis.HealthCheck), database=None, deadline=None)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        slow.update(messages(Attack(FAMILY.draw(HypothesisDraw(data), where))))

    draw()
    assert len({message for message in slow if message[0] == b"mine"}) > 15


def test_the_fast_driver_repeats_a_users_values() -> None:
    assert RandomDraw(5).value(OWN) == RandomDraw(5).value(OWN)
    assert len({RandomDraw(number).value(st.integers()) for number in range(40)}) > 10


@pytest.mark.parametrize("values", [st.just("text"), st.just([]), st.just([b"a", 1]), st.none()])
def test_what_is_no_message_is_said(values: st.SearchStrategy[object]) -> None:
    def draw_some() -> None:
        for number in range(20):
            drawn(number, situation("PULL", payloads=values))

    with pytest.raises(UsageError, match=r"payloads= gave .*; give bytes"):
        draw_some()


def test_a_tree_is_plain_data() -> None:
    tree: Node = Members((("a", (1, None)),))
    assert read_json(b'{"a": [1, null]}') == tree
    assert {tree: 1}[tree] == 1


def drawn_from(kind: str, *seeds: tuple[bytes, ...], count: int = 500) -> set[tuple[bytes, ...]]:
    return {one for number in range(count) for one in messages(drawn(number, situation(kind, seeds=seeds)))}


def test_words_change_one_at_a_time() -> None:
    said = {frame for message in drawn_from("PULL", (b"price.XETRA.SAP",)) for frame in message}
    assert {b"price.", b"price", b"price.XETRA", b"price.XETRASAP"} & said
    assert any(frame.startswith(b"price.XETRA.") and frame != b"price.XETRA.SAP" for frame in said)
    numbers = {frame[4:] for message in drawn_from("PULL", (b"ADD 5",)) for frame in message if frame[:4] == b"ADD "}
    assert any(not number.isascii() and number.decode(errors="replace").isdigit() for number in numbers)
    assert any(len(number) > 4300 and number.isdigit() for number in numbers), "more digits than int() takes"


def test_a_text_ends_with_what_a_repetition_of_repetitions_does_not_take() -> None:
    said = {frame for message in drawn_from("PULL", (b'{"name": "Mary"}',)) for frame in message}
    assert any(b"M" * 30 + b"!" in frame or b"a" * 30 + b"!" in frame for frame in said)


@pytest.mark.parametrize("module", [zlib, gzip, bz2, lzma])
def test_what_is_compressed_is_changed_within_or_becomes_very_large(module: ModuleType) -> None:
    seed = module.compress(b'{"op": "get", "key": "a"}')
    draw: Draw = RandomDraw(1)
    inner, large = set(), 0
    for _ in range(300):
        (frame,) = changed(draw, (seed,))[:1]
        if (within := opened(frame)) is not None:
            inner.add(within[0][:4096])
            large += len(within[0]) >= 64 * 1024
    assert large
    assert any(b"op" in one and one != b'{"op": "get", "key": "a"}' for one in inner)


def test_ext_types_of_msgpack_keep_their_code_with_other_octets() -> None:
    seed = b"\x82\xa4kind\xa1a\xa2at\xd7\x01" + bytes(8)
    said = {frame for message in drawn_from("PULL", (seed,), count=1500) for frame in message}
    assert any(b"\xa2at\xc7\x00\x01" in frame for frame in said), "none"
    assert any(b"\xa2at\xc7\x07\x01" in frame or b"\xa2at\xc7\x09\x01" in frame for frame in said), "one less or more"


def test_a_canary_stands_where_a_value_was() -> None:
    json_said = {frame for message in drawn_from("PULL", (b'{"op": "calc", "of": "1+2"}',)) for frame in message}
    assert any(frame.startswith(b'{"op": "calc", "of": "__import__') for frame in json_said)
    said = {frame for message in drawn_from("PULL", (b"ping host",)) for frame in message}
    assert any(frame.startswith(b"ping ") and b"$(mkdir /" in frame for frame in said)


def test_a_subscriber_gets_what_it_subscribed_to() -> None:
    for topics in ((b"price.",), (b"price.", b"news")):
        said = drawn_from("SUB", *((SUBSCRIBED + topic,) for topic in topics), count=100)
        assert all(message[0].startswith(topics) for message in said)
    assert any(not message[0].startswith(b"price.") for message in drawn_from("PULL", (b"\x01price.",), count=50))
