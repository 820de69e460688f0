"""A store as tourlatch 0.2.0 made it: what schema 2 added to schema 1, as it was released."""

from __future__ import annotations

from pathlib import Path

from tests.store.v1 import write_v1

MORE = (
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
    """INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
        VALUES ('tourlatch', 'm002_the_desk', '2026-11-24 10:00:00+00:00')""",
    "PRAGMA user_version = 2",
)


def write_v2(path: Path, *rows: str) -> None:
    """Make the file, with `rows` written by further statements and left in its log as by a power cut."""
    write_v1(path, *MORE, *rows)
