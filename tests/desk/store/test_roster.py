"""The roster: what changed for a door, in order, from any place on; and what is dead stays dead."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.tour import Standing
from agent.desk.records import Appointment
from agent.desk.store import DeskStore, StateError
from agent.desk.store.roster import NEWS, PAGE
from tests.desk.store.made import T0_MS, appointment, everything, new_store, opened, pins, start, together, window

PUT = """
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    store.put_appointment(appointment(number), pins(number), T0_MS)
"""
PUT_SAME = """
made = [store.put_appointment(appointment(number), pins(number), T0_MS) for number in range(1, 21)]
print([(one.seq, one.revision) for one in made])
"""


def put(store: DeskStore, number: int, **changes: object) -> Appointment:
    """Put appointment `number` with its PIN."""
    made = appointment(number, **changes)
    return store.put_appointment(made, pins(number, made.doors), T0_MS)


def read(store: DeskStore, door: str, after_seq: int = 0, limit: int = 3) -> list[tuple[str, Standing, str | None]]:
    """All that a door reads, page by page as a client does, with a page's promises checked."""
    told, has_more = [], True
    while has_more:
        entries, last, has_more = store.roster_page("1001", door, after_seq, limit)
        seqs = [one.seq for one, _ in entries]
        assert seqs == sorted(seqs)
        assert all(after_seq < seq <= last for seq in seqs)
        assert len(entries) == limit if has_more else len(entries) <= limit
        told += [(one.appointment_id, one.standing, pin) for one, pin in entries]
        after_seq = last
    assert after_seq == store.last_seq()
    return told


def test_ok__a_door_reads_its_own_appointments_page_by_page(tmp_path: Path) -> None:
    """In the order of their changes, each once as it now stands, with this door's PIN; others' news only move the cursor on."""
    with opened(tmp_path / "desk.db") as store:
        for number in range(1, 8):
            put(store, number)
        put(store, 8, doors=("pool",))
        put(store, 9, community_id="2")
        store.end_appointment("a2", Standing.CANCELLED, T0_MS)
        live = [(f"a{number}", Standing.CONFIRMED, f"gym-{number}") for number in (1, 3, 4, 5, 6, 7)]
        assert read(store, "gym") == [*live, ("a2", Standing.CANCELLED, None)]
        assert read(store, "pool") == [("a8", Standing.CONFIRMED, "pool-8")]
        assert read(store, "roof") == []
        assert read(store, "gym", after_seq=5) == [*live[4:], ("a2", Standing.CANCELLED, None)]
        assert store.roster_page("1001", "gym", store.last_seq(), 9) == ([], store.last_seq(), False)


@pytest.mark.parametrize("limit", [1, 2, 7, 8])
def test_ok__a_page_that_ends_at_the_last_entry_has_no_more(tmp_path: Path, limit: int) -> None:
    """Whatever the page's size: everything once, nothing twice, and the end is known."""
    with opened(tmp_path / "desk.db") as store:
        for number in range(1, 8):
            put(store, number)
        assert [one for one, _, _ in read(store, "front", limit=limit)] == [f"a{number}" for number in range(1, 8)]


def test_ok__putting_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """A vendor that repeats itself wakes no door: the same row comes back, and the file is as it was."""
    path = new_store(tmp_path)
    with opened(path) as store:
        first = put(store, 1)
        assert (first.revision, first.seq) == (1, 1)
        before = everything(path)
        assert put(store, 1) == put(store, 1, revision=77, seq=99) == first
        assert store.put_appointment(appointment(1), None, T0_MS) == first
        assert everything(path) == before
        assert store.changed_doors(1) == (set(), 1)


@pytest.mark.parametrize(
    "change",
    [
        {"window": window(1)},
        {"code_id": "f" * 12},
        {"key_id": "f" * 8},
        {"unit_names": ()},
        {"doors": ("front",)},
        {"prospect_id": "p9"},
        {"source_title": None},
        {"first_name": "Bo"},
        {"standing": Standing.CANCELLED},
        {"pin_attempt": 1},
    ],
)
def test_ok__whatever_changes_is_news(tmp_path: Path, change: dict[str, object]) -> None:
    """One more revision, the next number, and both doors hear of it."""
    with opened(tmp_path / "desk.db") as store:
        put(store, 1)
        put(store, 2)
        changed = put(store, 1, **change)
        assert changed == replace(appointment(1, **change), revision=2, seq=3) == store.appointment("a1")
        assert store.changed_doors(2) == ({("1001", "front"), ("1001", "gym")}, 3)
        assert [one for one, _ in store.roster_page("1001", "gym", 2, 9)[0]] == [changed]


def test_ok__a_door_that_is_not_named_any_more_hears_of_it_for_ever(tmp_path: Path) -> None:
    """Its old code has to die there: it is told of the appointment, which no longer names it, without a PIN."""
    with opened(tmp_path / "desk.db") as store:
        put(store, 1)
        put(store, 1, doors=("front",), code_id="f" * 12)
        for change in range(2):
            ((told, pin),) = store.roster_page("1001", "gym", store.last_seq() - 1, 9)[0]
            assert (told.doors, pin) == (("front",), None)
            if change == 0:
                put(store, 1, doors=("front",), code_id="e" * 12)
        store.end_appointment("a1", Standing.CANCELLED, T0_MS)
        assert read(store, "gym") == [("a1", Standing.CANCELLED, None)]


@pytest.mark.parametrize("standing", [Standing.CANCELLED, Standing.SUPERSEDED])
def test_refused__a_dead_code_lives_again(tmp_path: Path, standing: Standing) -> None:
    """Whoever puts it again, with whatever else changed, is refused; with another code it is another tour."""
    path = new_store(tmp_path)
    with opened(path) as store:
        put(store, 1)
        dead = store.end_appointment("a1", standing, T0_MS)
        assert dead == replace(appointment(1), standing=standing, revision=2, seq=2)
        before = everything(path)
        with pytest.raises(StateError, match=f"the appointment is {standing}: its code stays dead, a new one is needed"):
            put(store, 1, window=window(5))
        assert store.end_appointment("a1", Standing.CANCELLED, T0_MS) == dead, "a second cancel is the same"
        assert everything(path) == before
        assert put(store, 1, code_id="f" * 12).revision == 3


def test_refused__ending_as_confirmed(tmp_path: Path) -> None:
    """There is no such end; and what is not there cannot end."""
    with opened(tmp_path / "desk.db") as store:
        put(store, 1)
        with pytest.raises(ValueError, match="cancelled or superseded"):
            store.end_appointment("a1", Standing.CONFIRMED, T0_MS)
        assert store.end_appointment("a2", Standing.CANCELLED, T0_MS) is None
        assert store.last_seq() == 1


def test_ok__changed_doors_are_those_that_something_changed_for(tmp_path: Path) -> None:
    """Each once, from a number on, with the number to ask from next; an order for a door is news, too."""
    with opened(tmp_path / "desk.db") as store:
        assert store.changed_doors(0) == (set(), 0)
        put(store, 1)
        put(store, 2, doors=("pool",), community_id="2")
        assert store.changed_doors(0) == ({("1001", "front"), ("1001", "gym"), ("2", "pool")}, 2)
        assert store.changed_doors(1) == ({("2", "pool")}, 2)
        store.end_appointment("a1", Standing.SUPERSEDED, T0_MS)
        assert store.changed_doors(2) == ({("1001", "front"), ("1001", "gym")}, 3)
        store.add_order("1001", "gym", "outbox_retry", ["v1"], T0_MS)
        assert store.changed_doors(3) == ({("1001", "gym")}, 4)


def test_ok__appointments_are_listed_by_their_start(tmp_path: Path) -> None:
    """The day of a community, with the dead ones; from the first instant on, before the last."""
    with opened(tmp_path / "desk.db") as store:
        for number in (3, 1, 2):
            put(store, number, window=window(number))
        put(store, 4, community_id="2")
        store.end_appointment("a2", Standing.CANCELLED, T0_MS)
        listed = store.appointments("1001", window(1).start_ms, window(3).start_ms)
        assert [(one.appointment_id, one.standing) for one in listed] == [("a1", Standing.CONFIRMED), ("a2", Standing.CANCELLED)]


def test_ok__what_another_process_wrote_is_seen_at_once(tmp_path: Path) -> None:
    """Two processes put the same appointments at once: each has one row, one revision, one number."""
    path = new_store(tmp_path)
    assert len(set(together(PUT_SAME, [(path,)] * 3))) == 1, "whoever was first, all have the same rows"
    with opened(path) as store:
        assert store.last_seq() == 20
        entries, _, _ = store.roster_page("1001", "front", 0, 50)
        assert sorted(one.seq for one, _ in entries) == list(range(1, 21))
        assert {one.revision for one, _ in entries} == {1}


def test_ok__no_reader_sees_a_number_before_the_one_below_it(tmp_path: Path) -> None:
    """While processes write, a reader that goes on from the last number it saw misses none: they are there without a gap."""
    path = new_store(tmp_path)
    writers = [start(PUT, path, base) for base in (1000, 2000, 3000)]
    with opened(path) as store:
        for one in writers:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        seen: list[int] = []
        while len(seen) < 120:
            is_over = all(one.poll() is not None for one in writers)
            entries, last, has_more = store.roster_page("1001", "front", seen[-1] if seen else 0, 7)
            seen += [one.seq for one, _ in entries]
            assert seen == list(range(1, len(seen) + 1))
            assert has_more or last == len(seen)
            if is_over and not entries:
                break
        assert len(seen) == 120
        ended(writers)


def ended(writers: list[subprocess.Popen[str]]) -> None:
    """Every writer came to its end."""
    for one in writers:
        one.communicate(timeout=60)
    assert [one.returncode for one in writers] == [0] * len(writers)


def plan(conn: sqlite3.Connection, sql: str, **parameters: object) -> list[str]:
    """How SQLite would answer."""
    return [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


def test_ok__a_page_of_many_appointments_is_read_through_indexes(tmp_path: Path) -> None:
    """With 100,000 of them: the page starts at the cursor, sorts nothing, and scans no table; news start at the last number."""
    path = tmp_path / "desk.db"
    with opened(path) as store:
        for number in range(1, 4):
            put(store, number)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        _multiply(conn, 100_000)
        for analysed in (False, True):
            if analysed:
                conn.execute("ANALYZE")
            page = plan(conn, PAGE, community_id="1001", door="front", after_seq=99_000, limit=201)
            assert page[0] == "SEARCH roster_door USING COVERING INDEX roster_page (community_id=? AND door=? AND seq>?)"
            assert not [step for step in page if step.startswith("SCAN") or "TEMP B-TREE" in step]
            news = plan(conn, NEWS, after_seq=99_990)
            assert any("SEARCH roster_door USING COVERING INDEX roster_news (seq>?)" in step for step in news)
            assert not [step for step in news if step.startswith("SCAN")]
    with opened(path) as store:
        entries, last, has_more = store.roster_page("1001", "front", 99_000, 200)
        assert ([one.seq for one, _ in entries], last, has_more) == (list(range(99_001, 99_201)), 99_200, True)


def _multiply(conn: sqlite3.Connection, count: int) -> None:
    """Copy appointment 3 until there are `count`, with doors and PINs, numbered on."""
    conn.execute("BEGIN")
    columns = [row[1] for row in conn.execute("PRAGMA table_info(appointment)")]
    same = ", ".join(name for name in columns if name not in {"appointment_id", "seq"})
    numbers = f"WITH RECURSIVE numbers (n) AS (SELECT 4 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"  # noqa: S608 - ours
    of = "FROM numbers JOIN appointment ON appointment_id = 'a3'"
    conn.execute(f"INSERT INTO appointment (appointment_id, seq, {same}) {numbers} SELECT 'a' || n, n, {same} {of}")
    for door in ("front", "gym"):
        conn.execute(f"INSERT INTO roster_door {numbers} SELECT 'a' || n, '1001', '{door}', n FROM numbers")  # noqa: S608
        conn.execute(f"INSERT INTO live_pin {numbers} SELECT '1001', '{door}', 'x' || n, 'a' || n, {T0_MS} FROM numbers")  # noqa: S608
    conn.execute("UPDATE counter SET value = ? WHERE name = 'seq'", (count,))
    conn.execute("COMMIT")
