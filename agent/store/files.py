"""The store's file: schema, migrations, who holds it, and reading for reports.

Rule 1: the schema only moves forward; a migration is never edited once released.
Rule 2: sqlite-utils is slow to load and heavy, so a running agent never imports it: migrations run in a process of their own.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent import sqlite
from agent.errors import StoreBusyError, StoreError
from agent.store.journal import resolved

_SCHEMA_1 = (
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL, earliest_ms INTEGER NOT NULL, latest_ms INTEGER NOT NULL,
        kind TEXT NOT NULL, door TEXT, reader TEXT, reason TEXT, appointment_id TEXT, code_id TEXT,
        detail TEXT NOT NULL DEFAULT '{}'
    ) STRICT""",
    "CREATE INDEX journal_by_appointment ON journal (appointment_id) WHERE appointment_id IS NOT NULL",
    """CREATE TABLE used (
        appointment_id TEXT NOT NULL, door TEXT NOT NULL, admissions INTEGER NOT NULL,
        PRIMARY KEY (appointment_id, door)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE visit (
        visit_id TEXT PRIMARY KEY, appointment_id TEXT NOT NULL UNIQUE, prospect_id TEXT NOT NULL, community_id TEXT NOT NULL,
        visit_ms INTEGER NOT NULL, unit_names TEXT NOT NULL, source_title TEXT,
        knock_visit_id TEXT, delivered_ms INTEGER, dropped_ms INTEGER
    ) STRICT""",
    """CREATE TABLE outbox (
        visit_id TEXT PRIMARY KEY REFERENCES visit (visit_id), prospect_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('due', 'sending', 'in_doubt', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0, doubts INTEGER NOT NULL DEFAULT 0, next_try_ms INTEGER NOT NULL,
        is_link INTEGER NOT NULL DEFAULT 0, words TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX outbox_next_due ON outbox (state, next_try_ms)",
    """CREATE TABLE roster (
        appointment_id TEXT PRIMARY KEY, standing TEXT NOT NULL CHECK (standing IN ('confirmed', 'cancelled', 'superseded')),
        code_id TEXT, source_title TEXT, revision INTEGER NOT NULL, heard_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE TABLE dead_code (code_id TEXT PRIMARY KEY, heard_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE retired_key (key_id TEXT PRIMARY KEY, heard_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
)

_SCHEMA_2 = (
    """CREATE TABLE pin (
        door TEXT NOT NULL, pin_hash TEXT NOT NULL, appointment_id TEXT NOT NULL, code_id TEXT NOT NULL, key_id TEXT NOT NULL,
        prospect_id TEXT NOT NULL, community_id TEXT NOT NULL, doors TEXT NOT NULL, unit_names TEXT NOT NULL,
        start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
        PRIMARY KEY (door, pin_hash), UNIQUE (appointment_id, door)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE feed (
        door TEXT PRIMARY KEY, cursor TEXT NOT NULL, applied INTEGER NOT NULL, skipped INTEGER NOT NULL, heard_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE desk_order (
        door TEXT NOT NULL, order_id INTEGER NOT NULL, is_done INTEGER NOT NULL, is_told INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (door, order_id)
    ) STRICT, WITHOUT ROWID""",
)

_SCHEMA_3 = (
    # whether and when the door was really opened for the visit; NULL: not, or there is no contact
    "ALTER TABLE visit ADD COLUMN opened_ms INTEGER",
    # the last admission of the appointment at the door, for the pause between two
    "ALTER TABLE used ADD COLUMN last_ms INTEGER",
    # by which door an appointment is in
    "CREATE TABLE presence (appointment_id TEXT PRIMARY KEY, door TEXT NOT NULL, since_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
)

SCHEMA = sqlite.Schema(
    "tourlatch",
    (
        sqlite.Step("m001_journal_and_outbox", _SCHEMA_1),
        sqlite.Step("m002_the_desk", _SCHEMA_2),
        sqlite.Step("m003_a_real_door", _SCHEMA_3),
    ),
)
SCHEMA_VERSION = SCHEMA.version


def migrate(path: Path) -> None:
    """Bring the file to `SCHEMA_VERSION`, making it when absent; raises `sqlite3.Error`."""
    sqlite.migrate(path, SCHEMA)


def bring_up_to_date(path: Path) -> bool:
    """Migrate in a process of its own if the file is absent or behind; raises `StoreError` for a damaged or newer file.

    Returns whether the store was made anew, there being no file or an empty one: what an earlier one held is then not in it.
    """
    path = resolved(path)
    if sqlite.schema_version(path, SCHEMA) == SCHEMA_VERSION:
        return False
    is_new = not path.exists() or path.stat().st_size == 0
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-I", "-m", "agent.store.files", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StoreError(f"the store {path} could not be prepared: {done.stderr.strip() or done.returncode}")
    return is_new


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the store for this process alone; raises `StoreBusyError` when another one does, `StoreError` when it may not.

    What is locked is the folder that the store lies in, behind all links: so there is one agent per folder, no lock file that
    somebody could delete or that could be left with a wrong owner, and no second way to the same store.
    """
    folder = resolved(path).parent
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"the store {path} cannot be used: {folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusyError(f"another tourlatch process holds the store {path} (there is one agent per folder)") from error
        except OSError as error:
            raise StoreError(f"the store {path} cannot be used: {folder} cannot be locked: {error.strerror}") from error
        yield
    finally:
        os.close(lock)


def rows(path: Path, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of one query, read beside a running agent; raises `StoreError`."""
    if not path.exists():
        raise StoreError(f"there is no store at {path} yet: it is made when the agent first runs")
    try:
        return sqlite.rows(path, sql, parameters)
    except sqlite3.Error as error:
        raise StoreError(_unread(path, error)) from error


def _unread(path: Path, error: sqlite3.Error) -> str:
    """Why a store cannot be read: a table or column that it lacks has come since."""
    if isinstance(error, sqlite3.OperationalError):
        version = sqlite.schema_version(path, SCHEMA)
        if version < SCHEMA_VERSION:
            older = f"the store {path} is of an older tourlatch (schema {version}, this one reads {SCHEMA_VERSION})"
            return f"{older}: it is brought up to date when the agent next starts"
    return f"the store {path} cannot be read: {error}"


if __name__ == "__main__":
    os.umask(0o077)
    try:
        migrate(Path(sys.argv[1]))
    except (sqlite3.Error, OSError) as failure:
        sys.exit(str(failure))
