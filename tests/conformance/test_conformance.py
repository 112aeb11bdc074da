"""Every row of the table is what the installed libzmq does, and the page says what the rows say."""

from __future__ import annotations

import pytest
import zmq

from tests.conformance.properties import TOLD, given
from tests.conformance.row import Reaction, Row, Stage
from tests.conformance.table import PAGE, ROWS, page, reactions


@pytest.fixture(scope="module")
def seen() -> dict[str, str]:
    """All rows, played side by side; one at a time they would take minutes.

    What was not as the row says is played once more, by itself: libzmq's own threads race with each other in some (a
    command that came together with the one before it), and hundreds of connections at once can starve one.
    """
    rows = [row for row in ROWS if row.mechanism != "CURVE" or zmq.has("curve")]
    found = reactions(rows)
    for row in rows:
        if found[row.id] != row.reaction:
            found |= reactions([row])
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_libzmq_reacts_as_the_row_says(row: Row, seen: dict[str, str]) -> None:
    if row.id not in seen:
        pytest.skip("this libzmq was built without CURVE")
    assert seen[row.id] == row.reaction


def test_rows_are_many_and_differ() -> None:
    assert len(ROWS) >= 150
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {row.reaction for row in ROWS} == set(Reaction)
    assert {row.stage for row in ROWS} == set(Stage)


def test_a_wrong_row_is_noticed() -> None:
    closes = next(row for row in ROWS if row.reaction is Reaction.CLOSES)
    delivers = next(row for row in ROWS if row.reaction is Reaction.DELIVERS and row.side == "bind")
    wrong = [
        Row(closes.name, closes.rfc, delivers.units, closes.reaction, delivers.stage, delivers.socket_type, alone=True),
        Row(delivers.name, delivers.rfc, closes.units, delivers.reaction, closes.stage, closes.socket_type, alone=True),
    ]
    # The second one first: what closes is seen at once, whatever was expected.
    assert reactions(wrong[1:]) == {wrong[1].id: Reaction.CLOSES}
    assert reactions(wrong[:1]) == {wrong[0].id: Reaction.DELIVERS}


def test_libzmq_gives_what_a_peer_says_of_itself_where_no_handler_has_said_it() -> None:
    rows = [row for row in TOLD if row.mechanism != "CURVE" or zmq.has("curve")]
    assert given(rows) == [row.gives for row in rows]


def test_the_page_says_what_the_rows_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.conformance.table --write"
