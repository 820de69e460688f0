"""A store as tourlatch 0.1.0 made it: the statements of schema 1 as they were released, and what such an agent wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

STATEMENTS = (
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
    # what sqlite-utils writes of a migration that it applied
    "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)",
    "CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name ON _sqlite_migrations (migration_set, name)",
    """INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
        VALUES ('tourlatch', 'm001_journal_and_outbox', '2026-11-24 09:00:00+00:00')""",
    "PRAGMA user_version = 1",
)


def write_v1(path: Path, *rows: str) -> None:
    """Make the file, with `rows` written by further statements and left in its log as by a power cut."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        for statement in (*STATEMENTS, *rows):
            conn.execute(statement)
