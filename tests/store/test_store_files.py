"""The store's file: made, migrated, refused and locked; and never touched when it cannot be understood."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.errors import StoreBusyError, StoreError
from agent.store import files, outbox
from agent.store.journal import connect
from tests.store.made import T0_MS, TABLES, admission, code, everything, new_store, opened

HOLD = """
import sys
from pathlib import Path
from agent.errors import StoreBusyError
from agent.store.files import held
try:
    with held(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except StoreBusyError as error:
    print(error)
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the folder, to the byte."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def pragma(conn: sqlite3.Connection, name: str) -> object:
    """The value of one pragma."""
    return conn.execute(f"PRAGMA {name}").fetchone()[0]


def test_ok__an_absent_store_is_made_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The first start makes the file with its version, and this process has not loaded sqlite-utils for it."""
    path = tmp_path / "journal.db"
    program = "import sys; from pathlib import Path; from agent.store import files; files.bring_up_to_date(Path(sys.argv[1]))"
    seen = subprocess.run(
        [sys.executable, "-I", "-c", f"{program}; print('sqlite_utils' in sys.modules)", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (seen.stdout, seen.stderr) == ("False\n", "")
    assert everything(path) == {table: [] for table in TABLES}
    assert path.stat().st_mode & 0o077 == 0, "the journal holds who came when: nobody else's business"


def test_ok__a_fresh_file_is_strict_in_wal_and_of_the_known_version(tmp_path: Path) -> None:
    """Every table of ours refuses a value of the wrong type, and readers never block the writer."""
    path = new_store(tmp_path)
    with closing(sqlite3.connect(path)) as conn:
        listed = conn.execute("SELECT name, strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'").fetchall()
        strict = {name: bool(is_strict) for name, is_strict in listed if not name.startswith("_sqlite")}
        assert strict == dict.fromkeys(TABLES, True)
        assert pragma(conn, "user_version") == files.SCHEMA_VERSION == 3
        assert pragma(conn, "journal_mode") == "wal"
        with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
            conn.execute("INSERT INTO mark VALUES ('last_seen_ms', 'yesterday')")


def test_ok__migrating_again_changes_nothing(tmp_path: Path) -> None:
    """A second start, and a second migration, leave every byte of the store as it was."""
    path = new_store(tmp_path)
    before = path.read_bytes()
    files.migrate(path)
    assert files.bring_up_to_date(path) is False
    assert path.read_bytes() == before


def test_ok__an_empty_file_is_made_into_a_store(tmp_path: Path) -> None:
    """A start that was killed before the first byte does not stop the next one."""
    path = tmp_path / "journal.db"
    path.touch()
    assert files.bring_up_to_date(path) is True
    assert everything(path) == {table: [] for table in TABLES}


def test_ok__a_store_that_was_made_is_told_once(tmp_path: Path) -> None:
    """Whoever starts the agent hears whether the store began empty, which after a first start means that visits are gone."""
    path = tmp_path / "journal.db"
    assert [files.bring_up_to_date(path), files.bring_up_to_date(path)] == [True, False]


def test_fail__a_newer_store_is_left_alone(tmp_path: Path) -> None:
    """An older tourlatch says that it is older, and does not touch what it does not know."""
    path = new_store(tmp_path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 4")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"was made by a newer tourlatch \(schema 4, this one knows 3\)"):
        files.bring_up_to_date(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"\0" * 4096, b"not a database at all, but a text\n" * 200, b"SQLite format 3\0" + b"\xff" * 4080])
def test_fail__a_damaged_store_is_left_alone(tmp_path: Path, damage: bytes) -> None:
    """A file that is no store is named and kept for whoever can save something from it."""
    path = tmp_path / "journal.db"
    path.write_bytes(damage)
    with pytest.raises(StoreError, match=r"journal\.db cannot be read .*: move it aside or restore a backup; it was not changed"):
        files.bring_up_to_date(path)
    assert contents(tmp_path) == {"journal.db": damage}


def test_fail__a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    """A store on a disk that is not mounted must not be begun anew on the one beneath."""
    path = tmp_path / "missing" / "journal.db"
    with pytest.raises(StoreError, match=r"the store's folder .*missing does not exist"):
        files.bring_up_to_date(path)
    with pytest.raises(StoreError, match=r"missing: No such file"), files.held(path):
        pytest.fail("held what does not exist")
    assert contents(tmp_path) == {}


def test_fail__a_migration_that_fails_half_way_leaves_no_half_schema(tmp_path: Path) -> None:
    """A table of somebody else's in the way of ours stops the start, and none of our tables appears."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE outbox (letters TEXT)")
    with pytest.raises(StoreError, match="could not be prepared: table outbox already exists"):
        files.bring_up_to_date(path)
    with closing(sqlite3.connect(path)) as conn:
        names = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '_sqlite%'")]
        assert names == ["outbox"]
        assert pragma(conn, "user_version") == 0


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_ok__a_connection_of_the_agent_is_set_as_promised(tmp_path: Path, synchronous: str, level: int) -> None:
    """WAL, no checkpoint behind anybody's back, foreign keys on, explicit transactions."""
    conn = connect(new_store(tmp_path), synchronous=synchronous)
    with closing(conn):
        wanted = {"synchronous": level, "journal_mode": "wal", "foreign_keys": 1, "wal_autocheckpoint": 0}
        assert {name: pragma(conn, name) for name in wanted} == wanted
        assert conn.isolation_level is None
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            conn.execute("INSERT INTO outbox (visit_id, prospect_id, state, next_try_ms) VALUES ('v', 'p', 'due', 0)")


def test_ok__the_journal_syncs_each_commit_and_upkeep_does_it_itself(tmp_path: Path) -> None:
    """The scan's connection is FULL (2), and the other one NORMAL (1), so that its commits are short under the gate."""
    with opened(new_store(tmp_path)) as (journal, upkeep):
        assert pragma(journal._conn, "synchronous") == 2
        assert upkeep.submit(lambda conn: pragma(conn, "synchronous")).result() == 1


def test_fail__a_connection_never_makes_a_store(tmp_path: Path) -> None:
    """Opening what is not there is an error with its name, not an empty database."""
    path = tmp_path / "journal.db"
    with pytest.raises(StoreError, match=r"journal\.db cannot be opened: unable to open database file"):
        connect(path, synchronous="FULL")
    assert contents(tmp_path) == {}


def test_fail__a_second_process_cannot_hold_the_store(tmp_path: Path) -> None:
    """Two agents on one journal would admit twice: the second is refused for as long as the first one lives."""
    path = new_store(tmp_path)
    busy = f"another tourlatch process holds the store {path} (there is one agent per folder)"
    ask = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(ask, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(StoreBusyError, match=re.escape(busy)), files.held(path):
            pytest.fail("held twice")
        first.kill()
    with files.held(path):
        second = subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        assert second.stdout == f"{busy}\n"


def test_fail__a_deleted_lock_or_a_link_is_no_second_way_to_the_store(tmp_path: Path) -> None:
    """Holding leaves no file that could be deleted, and whoever comes by a link meets the one who holds the store itself."""
    (tmp_path / "real").mkdir()
    path, link = new_store(tmp_path / "real"), tmp_path / "link.db"
    link.symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    with files.held(path):
        assert [found.name for found in path.parent.iterdir()] == ["journal.db"]
        for other in (link, tmp_path / "folder" / "journal.db", path.with_name("other.db")):
            with pytest.raises(StoreBusyError, match="one agent per folder"), files.held(other):
                pytest.fail("held twice")


def test_ok__a_store_behind_a_link_is_one_store(tmp_path: Path) -> None:
    """Made, written, synced and counted through a link, everything lies where the link leads, its log beside it."""
    (tmp_path / "real").mkdir()
    path, link = tmp_path / "real" / "journal.db", tmp_path / "link.db"
    link.symlink_to(path)
    assert files.bring_up_to_date(link) is True
    with files.held(link), opened(link) as (journal, upkeep):
        journal.admit(code(1), admission(code(1)), None)
        assert upkeep.submit(lambda conn: conn.execute("INSERT INTO mark VALUES ('a', 1)").rowcount).result(10) == 1
        assert outbox.counted(link)["due"] == 1
    assert [found.name for found in path.parent.iterdir()] == ["journal.db"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["link.db", "real"]


def test_ok__reports_are_read_beside_a_running_agent(tmp_path: Path) -> None:
    """A command line sees what the agent has written, while the agent has the store open."""
    path = new_store(tmp_path)
    with files.held(path), opened(path) as (journal, _):
        journal.admit(code(1), admission(code(1)), "Zumper")
        assert files.rows(path, "SELECT appointment_id, visit_ms, source_title FROM visit WHERE prospect_id = :who", {"who": "p1"}) == [
            {"appointment_id": "a1", "visit_ms": T0_MS, "source_title": "Zumper"}
        ]


def test_fail__a_report_cannot_write(tmp_path: Path) -> None:
    """What reads for people has no way to change the journal, and what it cannot do is a sentence."""
    path = new_store(tmp_path)
    before = everything(path)
    with pytest.raises(StoreError, match="cannot be read: attempt to write a readonly database"):
        files.rows(path, "INSERT INTO mark VALUES ('last_seen_ms', 0) RETURNING name")
    assert everything(path) == before


def test_fail__a_report_without_a_store_says_so(tmp_path: Path) -> None:
    """Asking before the agent ever ran makes no file."""
    with pytest.raises(StoreError, match="it is made when the agent first runs"):
        files.rows(tmp_path / "journal.db", "SELECT 1")
    assert contents(tmp_path) == {}
