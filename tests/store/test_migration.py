"""From schemas 1 and 2 to 3: a store of an agent in the field is taken over whole, or left as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.decide import AntiPassback, Denied, Facts, Granted, Presence, Rules, UncertainClock, decide
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing
from agent.errors import StoreError
from agent.store import files
from agent.store.journal import Journal, Known
from agent.store.upkeep import apply_roster
from tests.store.made import T0_MS, TABLES, admission, code, everything, moment, new_store, opened
from tests.store.v1 import STATEMENTS, write_v1
from tests.store.v2 import write_v2

NEW = ("pin", "feed", "desk_order", "presence")
MORE_COLUMNS = {"used": ("last_ms",), "visit": ("opened_ms",)}
"""By table; what was written before has NULL in them."""
ROWS_2 = (
    "INSERT INTO pin VALUES ('front', 'ab', 'a3', '00000003000a', '0badcafe', 'p3', '1001', '[\"front\"]', '[]', 1, 2)",
    "INSERT INTO feed VALUES ('front', 'here', 4, 0, 9)",
    "INSERT INTO desk_order VALUES ('front', 1, 1, 0)",
)
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


def columns(path: Path, table: str) -> list[tuple[object, ...]]:
    """Name, type, NOT NULL, default and place in the key of each column."""
    with closing(sqlite3.connect(path)) as conn:
        return [row[1:] for row in conn.execute(f"PRAGMA table_info({table})")]


def rows_of(path: Path, names: list[str]) -> dict[str, list[tuple[object, ...]]]:
    """Every row of these tables as an older agent left it, with NULL for the columns to come."""
    with closing(sqlite3.connect(path)) as conn:
        found = {table: conn.execute(f"SELECT * FROM {table}").fetchall() for table in names}  # noqa: S608 - constants
    assert all(found.values()), "a table without a row proves nothing"
    return {table: sorted(((*row, *[None] * len(MORE_COLUMNS.get(table, ()))) for row in rows), key=repr) for table, rows in found.items()}


@pytest.mark.parametrize(("write", "version"), [(write_v1, 1), (write_v2, 2)])
def test_ok__the_released_schema_is_still_the_first_steps(tmp_path: Path, write: Callable[..., None], version: int) -> None:
    """Steps 1 and 2 are never edited: the old statements and today's make the same tables, to which later steps only add."""
    path = tmp_path / "journal.db"
    write(path)
    (tmp_path / "today").mkdir()
    new = new_store(tmp_path / "today")
    old, today = tables(path), tables(new)
    assert {
        name: sql for name, sql in today.items() if name in old and not name.startswith(("_", "idx_")) and name not in MORE_COLUMNS
    } == {name: sql for name, sql in old.items() if not name.startswith(("_", "idx_")) and name not in MORE_COLUMNS}
    for table, more in MORE_COLUMNS.items():
        assert columns(new, table) == [*columns(path, table), *[(name, "INTEGER", 0, None, 0) for name in more]]
    assert set(today) - set(old) == set(NEW if version == 1 else ["presence"])


def test_ok__every_row_survives(tmp_path: Path) -> None:
    """Journal, queue, uses, roster and dead codes are what they were, the new tables are empty, and the store is no new one."""
    path = tmp_path / "journal.db"
    write_v1(path, *ROWS)
    before = rows_of(path, [table for table in TABLES if table not in NEW])
    assert files.bring_up_to_date(path) is False
    assert everything(path) == before | {table: [] for table in NEW}


def test_ok__every_row_of_schema_2_survives(tmp_path: Path) -> None:
    """PINs, cursors and orders of the desk, too."""
    path = tmp_path / "journal.db"
    write_v2(path, *ROWS, *ROWS_2)
    before = rows_of(path, [table for table in TABLES if table != "presence"])
    assert files.bring_up_to_date(path) is False
    assert everything(path) == before | {"presence": []}


def test_ok__an_admission_of_schema_2_goes_on_under_the_rules_of_today(tmp_path: Path) -> None:
    """Uses count on; a last time that was never written asks for no pause, and nobody is in; from the next admission on both are known."""
    path = tmp_path / "journal.db"
    write_v2(path, *ROWS, *ROWS_2)
    files.bring_up_to_date(path)
    rules = Rules("1001", 0, 0, 5, UncertainClock.REFUSE, 1000, 60_000, AntiPassback.HARD, 3_600_000)

    def said(journal: Journal, door: str) -> Granted | Denied:
        known = journal.facts("a1", door)
        return decide(
            code(1), Facts(door, moment().interval, None, known.admissions, last_ms=known.last_ms, presence=known.presence), rules
        )

    with opened(path) as (journal, _):
        assert journal.facts("a1", "front") == Known(None, 3)
        assert said(journal, "front") == said(journal, "gym") == Granted(code(1))
        assert journal.admit(code(1), admission(code(1)), None).new_visit_id is None
        assert journal.facts("a1", "front") == Known(None, 4, T0_MS, Presence("front", T0_MS))
        assert said(journal, "front") == Denied(Reason.REENTRY_PAUSE, code(1), T0_MS + 60_000)
        assert said(journal, "gym") == Denied(Reason.PASSBACK, code(1))
        journal.give_back("a1", "front", None, None)
        assert journal.facts("a1", "front") == Known(None, 3)


def test_ok__what_schema_1_promised_holds_after_it(tmp_path: Path) -> None:
    """The dead stay dead, the visit stays one, and the uses go on counting."""
    path = tmp_path / "journal.db"
    write_v1(path, *ROWS)
    files.bring_up_to_date(path)
    with opened(path) as (journal, keeper):
        revived = [RosterEntry("a2", Standing.CONFIRMED, "0000000200aa", revision=9), RosterEntry("a1", Standing.CONFIRMED, "00000001000f")]
        assert keeper.submit(lambda conn: apply_roster(conn, revived, T0_MS)).result(10) == []
        assert journal.admit(code(1), admission(code(1)), None).new_visit_id is None
        assert journal.facts("a1", "front") == Known(None, 4, T0_MS, Presence("front", T0_MS))


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


def test_fail__a_step_that_fails_leaves_schema_2(tmp_path: Path) -> None:
    """With something in the way of the new table, the new columns are not there either, and the older agent still starts."""
    path = tmp_path / "journal.db"
    write_v2(path, *ROWS, "CREATE TABLE presence (x)")
    before = {table: columns(path, table) for table in MORE_COLUMNS}
    with pytest.raises(StoreError, match="could not be prepared: table presence already exists"):
        files.bring_up_to_date(path)
    assert {table: columns(path, table) for table in MORE_COLUMNS} == before
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone()[0] == 2


def test_ok__the_old_statements_are_all_there() -> None:
    """The store that these tests call old has every table of its time."""
    assert sum(statement.startswith("CREATE TABLE") for statement in STATEMENTS) == 8 + 1
