"""From schema 1 to 2: a store of an agent in the field is taken over whole, or left as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.tour import RosterEntry, Standing
from agent.errors import StoreError
from agent.store import files
from agent.store.upkeep import apply_roster
from tests.store.made import T0_MS, TABLES, admission, code, everything, new_store, opened
from tests.store.v1 import STATEMENTS, write_v1

NEW = ("pin", "feed", "desk_order")
ROWS = (
    "INSERT INTO journal (at_ms, earliest_ms, latest_ms, kind, door, appointment_id) VALUES (1, 1, 1, 'admission', 'front', 'a1')",
    "INSERT INTO used VALUES ('a1', 'front', 3)",
    "INSERT INTO visit VALUES ('v1', 'a1', 'p1', '1001', 1, '[]', 'Zumper', NULL, NULL, NULL)",
    "INSERT INTO outbox VALUES ('v1', 'p1', 'dead', 7, 2, 99, 0, 'refused')",
    "INSERT INTO roster VALUES ('a2', 'cancelled', NULL, NULL, 4, 1)",
    "INSERT INTO dead_code VALUES ('00000001000f', 1)",
    "INSERT INTO retired_key VALUES ('aaaaaaaa', 1)",
    "INSERT INTO mark VALUES ('last_seen_ms', 77)",
)


def tables(path: Path) -> dict[str, str]:
    """What the file calls itself to be: its schema, by name."""
    with closing(sqlite3.connect(path)) as conn:
        return {name: " ".join(sql.split()) for name, sql in conn.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")}


def test_ok__the_released_schema_is_still_the_first_step(tmp_path: Path) -> None:
    """Step 1 is never edited: the old statements and today's make the same tables."""
    path = tmp_path / "journal.db"
    write_v1(path)
    (tmp_path / "today").mkdir()
    old, today = tables(path), tables(new_store(tmp_path / "today"))
    assert {name: sql for name, sql in today.items() if name in old and not name.startswith(("_", "idx_"))} == {
        name: sql for name, sql in old.items() if not name.startswith(("_", "idx_"))
    }
    assert set(today) - set(old) == set(NEW)


def test_ok__every_row_survives(tmp_path: Path) -> None:
    """Journal, queue, uses, roster and dead codes are what they were, the new tables are empty, and the store is no new one."""
    path = tmp_path / "journal.db"
    write_v1(path, *ROWS)
    old = [table for table in TABLES if table not in NEW]
    with closing(sqlite3.connect(path)) as conn:
        before = {table: sorted(conn.execute(f"SELECT * FROM {table}"), key=repr) for table in old}  # noqa: S608 - constants
    assert all(before.values()), "a table without a row proves nothing"
    assert files.bring_up_to_date(path) is False
    assert everything(path) == before | {table: [] for table in NEW}


def test_ok__what_schema_1_promised_holds_after_it(tmp_path: Path) -> None:
    """The dead stay dead, the visit stays one, and the uses go on counting."""
    path = tmp_path / "journal.db"
    write_v1(path, *ROWS)
    files.bring_up_to_date(path)
    with opened(path) as (journal, keeper):
        revived = [RosterEntry("a2", Standing.CONFIRMED, "0000000200aa", revision=9), RosterEntry("a1", Standing.CONFIRMED, "00000001000f")]
        assert keeper.submit(lambda conn: apply_roster(conn, revived, T0_MS)).result(10) == []
        assert journal.admit(code(1), admission(code(1)), None).new_visit_id is None
        assert journal.facts("a1", "front") == (None, 4)


def test_ok__migrated_and_made_anew_are_the_same(tmp_path: Path) -> None:
    """No site has a schema of its own, whichever version it began with."""
    path = tmp_path / "journal.db"
    write_v1(path)
    files.bring_up_to_date(path)
    (tmp_path / "other").mkdir()
    ours = {name: sql for name, sql in tables(path).items() if not name.startswith(("_", "idx_"))}
    assert ours == {name: sql for name, sql in tables(new_store(tmp_path / "other")).items() if not name.startswith(("_", "idx_"))}


def test_fail__a_step_that_fails_leaves_schema_1(tmp_path: Path) -> None:
    """With something in the way of the second of the new tables, the first is not there either, and the older agent still starts."""
    path = tmp_path / "journal.db"
    write_v1(path, *ROWS, "CREATE TABLE desk_order (x)")
    with pytest.raises(StoreError, match="could not be prepared: table desk_order already exists"):
        files.bring_up_to_date(path)
    assert set(NEW) & set(tables(path)) == {"desk_order"}
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone()[0] == 1


def test_ok__the_old_statements_are_all_there() -> None:
    """The store that these tests call old has every table of its time."""
    assert sum(statement.startswith("CREATE TABLE") for statement in STATEMENTS) == 8 + 1
