"""The queries of the queue: whole rows before and after each, by index, and nothing else touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import InDoubt, Mark, RowState
from agent.core.tour import Visit
from agent.store import outbox
from agent.store.journal import connect
from agent.store.outbox import Parcel
from tests.store.made import T0_MS, moment, new_store, queue_visit

DAY_MS = 86_400_000
Row = tuple[Any, ...]


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection like upkeep's, to a fresh store."""
    with closing(connect(new_store(tmp_path), synchronous="NORMAL")) as made:
        yield made


def rows(conn: sqlite3.Connection) -> dict[str, Row]:
    """The outbox by visit: state, attempts, doubts, next try, link, words."""
    found = conn.execute("SELECT visit_id, state, attempts, doubts, next_try_ms, is_link, words FROM outbox")
    return {row[0]: row[1:] for row in found}


def put(conn: sqlite3.Connection, number: int, state: RowState, *, next_try_ms: int = T0_MS, is_link: bool = False, **more: Any) -> str:  # noqa: ANN401 - columns
    """A visit of its own prospect whose row is in this state."""
    visit_id = queue_visit(conn, number, **more)
    made = Mark(state, 3, 1, next_try_ms, "500: no explanation", is_link=is_link)
    outbox.mark(conn, visit_id, made)
    return visit_id


def delivered(conn: sqlite3.Connection) -> dict[str, Row]:
    """What the visits say of their delivery."""
    return {row[0]: row[1:] for row in conn.execute("SELECT visit_id, knock_visit_id, delivered_ms, dropped_ms FROM visit")}


def test_ok__a_parcel_is_the_visit_as_it_was_written(conn: sqlite3.Connection) -> None:
    """What is handed to the network is the visit to the last field, and its row says on disk that it is being sent."""
    visit_id = put(conn, 7, RowState.DUE)
    conn.execute("UPDATE visit SET source_title = 'Zumper: ads', unit_names = '[\"204 B\", \"305\"]'")
    visit = Visit(visit_id, "a7", "p7", "1001", T0_MS, ("204 B", "305"), "Zumper: ads")
    assert outbox.claim(conn, T0_MS, (), 4) == [Parcel(visit, 3, 1)]
    assert rows(conn) == {visit_id: ("sending", 3, 1, T0_MS, 0, "500: no explanation")}
    assert outbox.claim(conn, T0_MS, (), 4) == []


def test_ok__the_longest_due_go_first_one_per_prospect_and_no_busy_one(conn: sqlite3.Connection) -> None:
    """The order is by due time, a prospect's second visit waits for the first, and the limit holds."""
    ids = [queue_visit(conn, n, prospect=p, at_ms=T0_MS - n) for n, p in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 4)]]
    assert [parcel.visit.visit_id for parcel in outbox.claim(conn, T0_MS, {"p3"}, 2)] == [ids[5], ids[2]]
    assert [parcel.visit.visit_id for parcel in outbox.claim(conn, T0_MS, {"p4", "p2"}, 9)] == [ids[3], ids[1]]
    assert [parcel.visit.visit_id for parcel in outbox.claim(conn, T0_MS, set(), 9)] == [ids[4], ids[0]]
    assert outbox.claim(conn, T0_MS, set(), 0) == []


@pytest.mark.parametrize(
    ("next_try_ms", "is_claimed"),
    [(0, True), (T0_MS, True), (T0_MS + 1, False), (T0_MS + outbox.FAR_MS, False), (T0_MS + outbox.FAR_MS + 1, True), (2**62, True)],
)
def test_ok__a_next_try_from_a_wrong_clock_is_due(conn: sqlite3.Connection, next_try_ms: int, is_claimed: bool) -> None:
    """Up to two days ahead a row waits; what lies further ahead was written by a clock that was years wrong."""
    put(conn, 1, RowState.DUE, next_try_ms=next_try_ms)
    assert len(outbox.claim(conn, T0_MS, (), 1)) == int(is_claimed)


@pytest.mark.parametrize("state", [RowState.SENDING, RowState.IN_DOUBT, RowState.DEAD])
def test_fail__only_due_rows_are_claimed(conn: sqlite3.Connection, state: RowState) -> None:
    """What is being sent, waits for a person or is dead is never sent by itself, nor does it say when it is due."""
    put(conn, 1, state)
    before = rows(conn)
    assert (outbox.claim(conn, T0_MS + DAY_MS, (), 9), outbox.next_due_ms(conn)) == ([], None)
    assert rows(conn) == before


def test_ok__next_due_is_the_earliest_due_row(conn: sqlite3.Connection) -> None:
    """The sender sleeps until this instant, and for good when nothing waits."""
    assert outbox.next_due_ms(conn) is None
    put(conn, 1, RowState.DUE, next_try_ms=T0_MS + 9)
    put(conn, 2, RowState.DUE, next_try_ms=T0_MS + 5)
    put(conn, 3, RowState.DEAD, next_try_ms=T0_MS + 1)
    assert outbox.next_due_ms(conn) == T0_MS + 5


def test_ok__what_is_delivered_leaves_and_is_remembered(conn: sqlite3.Connection) -> None:
    """The row goes, the visit keeps Knock's id and the time, and the other visit is untouched; twice is as good as once."""
    first, second = put(conn, 1, RowState.SENDING), put(conn, 2, RowState.SENDING)
    for _ in range(2):
        outbox.deliver(conn, first, "12345", T0_MS + 9)
        assert rows(conn) == {second: ("sending", 3, 1, T0_MS, 0, "500: no explanation")}
        assert delivered(conn) == {first: ("12345", T0_MS + 9, None), second: (None, None, None)}


def test_ok__a_mark_is_written_whole(conn: sqlite3.Connection) -> None:
    """Every column of the mark is in the row, and only in that row."""
    first, second = put(conn, 1, RowState.SENDING), put(conn, 2, RowState.SENDING)
    outbox.mark(conn, first, Mark(RowState.IN_DOUBT, 9, 4, T0_MS + 77, "the answer was lost (ReadTimeout)", is_link=True))
    assert rows(conn) == {
        first: ("in_doubt", 9, 4, T0_MS + 77, 1, "the answer was lost (ReadTimeout)"),
        second: ("sending", 3, 1, T0_MS, 0, "500: no explanation"),
    }


def test_ok__an_open_link_makes_due_what_waited_for_it(conn: sqlite3.Connection) -> None:
    """Rows that waited for the way to Knock are due now; one that waits for another reason, or is not due, is not."""
    late_ms = T0_MS + 60_000
    waits = put(conn, 1, RowState.DUE, is_link=True, next_try_ms=late_ms)
    others = [
        put(conn, 2, RowState.DUE, next_try_ms=late_ms),
        put(conn, 3, RowState.DEAD, is_link=True, next_try_ms=late_ms),
        put(conn, 4, RowState.DUE, is_link=True),
    ]
    before = rows(conn)
    assert outbox.link_is_up(conn, T0_MS) == 1
    assert rows(conn) == {**{one: before[one] for one in others}, waits: ("due", 3, 1, T0_MS, 1, "500: no explanation")}


def test_ok__an_open_link_makes_due_a_bounded_number_at_once(conn: sqlite3.Connection) -> None:
    """However long the queue, one transaction touches two hundred rows, and the next ones go on until none is left."""
    for number in range(450):
        put(conn, number, RowState.DUE, is_link=True, next_try_ms=T0_MS + 60_000)
    assert [outbox.link_is_up(conn, T0_MS) for _ in range(4)] == [200, 200, 50, 0]
    assert {row[3] for row in rows(conn).values()} == {T0_MS}


@pytest.mark.parametrize(("policy", "state"), [(InDoubt.RETRY, "due"), (InDoubt.HOLD, "in_doubt")])
def test_ok__what_was_being_sent_at_a_crash_is_in_doubt(conn: sqlite3.Connection, policy: InDoubt, state: str) -> None:
    """It is tried again at once or held, by the setting, counted as a doubt; nothing else moves."""
    sent = put(conn, 1, RowState.SENDING, next_try_ms=T0_MS + 60_000)
    others = [put(conn, 2, RowState.DUE), put(conn, 3, RowState.IN_DOUBT), put(conn, 4, RowState.DEAD)]
    before = rows(conn)
    assert outbox.recover(conn, policy, T0_MS + 1) == 1
    words = "the agent stopped before an answer came"
    assert rows(conn) == {**{one: before[one] for one in others}, sent: (state, 4, 2, T0_MS + 1, 0, words)}
    assert outbox.recover(conn, policy, T0_MS + 2) == 0


def test_ok__what_was_claimed_and_never_left_is_given_back(conn: sqlite3.Connection) -> None:
    """It is due as it was, without a doubt or an attempt; what is on the way stays so, and nothing else moves."""
    never_left, on_the_way = put(conn, 1, RowState.SENDING), put(conn, 2, RowState.SENDING)
    others = [put(conn, 3, RowState.DUE), put(conn, 4, RowState.IN_DOUBT), put(conn, 5, RowState.DEAD)]
    before = rows(conn)
    assert outbox.give_back(conn, {on_the_way, others[2], "unknown"}) == 1
    assert rows(conn) == {**{one: before[one] for one in [*others, on_the_way]}, never_left: ("due", *before[never_left][1:])}
    assert outbox.give_back(conn, {on_the_way}) == 0


def test_ok__a_person_retries_all_that_waits_for_one_or_the_named(conn: sqlite3.Connection) -> None:
    """Without names: doubts and dead letters; with names: those, due ones too; what is being sent is left alone."""
    ids = {state: put(conn, number, state) for number, state in enumerate(RowState)}
    assert outbox.retry(conn, [ids[RowState.SENDING], "unknown"], T0_MS + 1) == 0
    assert outbox.retry(conn, [ids[RowState.DUE], ids[RowState.DEAD]], T0_MS + 1) == 2
    assert outbox.retry(conn, None, T0_MS + 2) == 1
    assert {visit_id: row[0::3] for visit_id, row in rows(conn).items()} == {
        ids[RowState.DUE]: ("due", T0_MS + 1),
        ids[RowState.SENDING]: ("sending", T0_MS),
        ids[RowState.IN_DOUBT]: ("due", T0_MS + 2),
        ids[RowState.DEAD]: ("due", T0_MS + 1),
    }


def test_ok__a_person_drops_what_is_named_and_it_is_journaled(conn: sqlite3.Connection) -> None:
    """Dropped rows are gone, their visits say when, the journal says who; one that is being sent cannot be dropped."""
    due, sending = put(conn, 1, RowState.DUE), put(conn, 2, RowState.SENDING)
    assert outbox.drop(conn, [due, sending, "unknown", due], moment(T0_MS + 5), "maria") == [due]
    assert list(rows(conn)) == [sending]
    assert delivered(conn) == {due: (None, None, T0_MS + 5), sending: (None, None, None)}
    notes = conn.execute("SELECT at_ms, kind, door, appointment_id, detail FROM journal").fetchall()
    assert notes == [(T0_MS + 5, "drop", None, None, f'{{"visit_id": "{due}", "user": "maria"}}')]


def test_ok__counts_name_every_state(conn: sqlite3.Connection) -> None:
    """For people: how many rows are in each state, zeros too, and how many answers were in doubt."""
    assert outbox.counts(conn) == {"due": 0, "sending": 0, "in_doubt": 0, "dead": 0, "doubts": 0}
    for number, state in enumerate([RowState.DUE, RowState.DUE, RowState.DEAD]):
        put(conn, number, state)
    assert outbox.counts(conn) == {"due": 2, "sending": 0, "in_doubt": 0, "dead": 1, "doubts": 3}


def test_fail__a_row_needs_its_visit_and_a_known_state(conn: sqlite3.Connection) -> None:
    """The file itself refuses what no code of ours would write."""
    visit_id = queue_visit(conn, 1)
    for statement in (
        "INSERT INTO outbox (visit_id, prospect_id, state, next_try_ms) VALUES ('nobody', 'p', 'due', 0)",
        "UPDATE outbox SET state = 'lost'",
        "DELETE FROM visit",
        "UPDATE visit SET visit_ms = 'noon'",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            conn.execute(statement)
    assert list(rows(conn)) == [visit_id]


def test_ok__the_senders_queries_are_steps_into_an_index(conn: sqlite3.Connection) -> None:
    """With ten thousand visits waiting, claiming and looking for the next one walks over no table and sorts nothing."""
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    for number in range(2):
        queue_visit(conn, number)
    del statements[:]
    outbox.claim(conn, T0_MS, (), 2)
    outbox.next_due_ms(conn)
    outbox.link_is_up(conn, T0_MS)
    outbox.recover(conn, InDoubt.RETRY, T0_MS)
    outbox.give_back(conn, ())
    outbox.mark(conn, "v", Mark(RowState.DUE, 1, 0, 0, ""))
    outbox.deliver(conn, "v", "1", T0_MS)
    outbox.drop(conn, ["v"], moment(), "maria")
    conn.set_trace_callback(None)
    plans = {
        step[3]
        for statement in statements
        for step in conn.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?")).fetchall()
    }
    # SQLite 3.46 takes the same index where 3.40 does, and says so in other words
    assert plans - {"SEARCH outbox USING COVERING INDEX sqlite_autoindex_outbox_1 (visit_id=?)"} == {
        "SEARCH o USING INDEX outbox_next_due (state=? AND next_try_ms<?)",
        "SEARCH o USING INDEX outbox_next_due (state=? AND next_try_ms>?)",
        "SEARCH outbox USING COVERING INDEX outbox_next_due (state=?)",
        "SEARCH outbox USING INDEX outbox_next_due (state=?)",
        "SEARCH outbox USING INDEX outbox_next_due (state=? AND next_try_ms>?)",
        "LIST SUBQUERY 1",
        "SEARCH outbox USING INDEX sqlite_autoindex_outbox_1 (visit_id=?)",
        "SEARCH v USING INDEX sqlite_autoindex_visit_1 (visit_id=?)",
        "SEARCH visit USING INDEX sqlite_autoindex_visit_1 (visit_id=?)",
    }
