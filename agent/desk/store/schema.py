"""The desk's file: its tables, and how it is opened. Only the words STRICT, WITHOUT ROWID and AUTOINCREMENT are SQLite's own.

Rule 1: the schema only moves forward; a step is never edited once released.
Rule 2: a person is in the columns `first_name`, `last_name`, `email` and `phone` of `booking` and `first_name` of `appointment`, and
        nowhere else: to delete the rows is to forget.
Rule 3: instants are milliseconds UTC; lists are JSON.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from agent import sqlite
from agent.errors import StoreError

_TABLES_1 = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO counter (name, value) VALUES ('seq', 0), ('pruned_seq', 0), ('revision_floor', 0)",
    """CREATE TABLE booking (
        booking_id TEXT PRIMARY KEY, submission TEXT NOT NULL UNIQUE, community_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN
            ('asking', 'unsent', 'unknown', 'pending', 'confirmed', 'refused', 'cancelled', 'superseded')),
        start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
        first_name TEXT NOT NULL, last_name TEXT NOT NULL, email TEXT NOT NULL, phone TEXT NOT NULL,
        consent_given INTEGER CHECK (consent_given IN (0, 1)), consent_wording TEXT, consent_page TEXT,
        language TEXT NOT NULL, source_title TEXT NOT NULL, unit_names TEXT NOT NULL,
        created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, appointment_id TEXT, prospect_id TEXT,
        moving_start_ms INTEGER, moving_end_ms INTEGER,
        move_state TEXT CHECK (move_state IN ('asking', 'unknown', 'pending')),
        moving_appointment_id TEXT, asked_turn INTEGER NOT NULL, moving_turn INTEGER NOT NULL,
        words TEXT NOT NULL, left_ms INTEGER
    ) STRICT""",
    "CREATE INDEX booking_by_moving_appointment ON booking (moving_appointment_id) WHERE moving_appointment_id IS NOT NULL",
    "INSERT INTO counter (name, value) VALUES ('turn', 0)",
    "CREATE INDEX booking_by_start ON booking (community_id, start_ms)",
    "CREATE INDEX booking_by_end ON booking (end_ms)",
    "CREATE INDEX booking_by_prospect ON booking (community_id, prospect_id) WHERE prospect_id IS NOT NULL",
    "CREATE INDEX booking_by_appointment ON booking (appointment_id) WHERE appointment_id IS NOT NULL",
    "CREATE INDEX booking_asked ON booking (changed_ms) WHERE state = 'asking' OR move_state = 'asking'",
    """CREATE TABLE appointment (
        appointment_id TEXT PRIMARY KEY, booking_id TEXT, community_id TEXT NOT NULL, prospect_id TEXT NOT NULL,
        standing TEXT NOT NULL CHECK (standing IN ('confirmed', 'cancelled', 'superseded')),
        code_id TEXT NOT NULL, key_id TEXT NOT NULL, doors TEXT NOT NULL, unit_names TEXT NOT NULL,
        start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, source_title TEXT, pin_attempt INTEGER NOT NULL,
        revision INTEGER NOT NULL, seq INTEGER NOT NULL UNIQUE, first_name TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX appointment_by_start ON appointment (community_id, start_ms)",
    "CREATE INDEX appointment_by_end ON appointment (end_ms)",
    "CREATE INDEX appointment_by_prospect ON appointment (community_id, prospect_id)",
    "CREATE INDEX appointment_by_booking ON appointment (booking_id) WHERE booking_id IS NOT NULL",
    # a door that an appointment once named stays here, so that it hears of what comes after; `seq` is the appointment's
    """CREATE TABLE roster_door (
        appointment_id TEXT NOT NULL REFERENCES appointment (appointment_id), community_id TEXT NOT NULL, door TEXT NOT NULL,
        seq INTEGER NOT NULL, PRIMARY KEY (appointment_id, community_id, door)
    ) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX roster_page ON roster_door (community_id, door, seq)",
    "CREATE INDEX roster_news ON roster_door (seq, community_id, door)",
    """CREATE TABLE live_pin (
        community_id TEXT NOT NULL, door TEXT NOT NULL, pin_hash TEXT NOT NULL,
        appointment_id TEXT NOT NULL REFERENCES appointment (appointment_id), ends_ms INTEGER NOT NULL,
        PRIMARY KEY (community_id, door, pin_hash)
    ) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX live_pin_by_appointment ON live_pin (appointment_id, community_id, door)",
    "CREATE INDEX live_pin_by_end ON live_pin (ends_ms)",
    """CREATE TABLE job (
        job_id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('due', 'sending', 'in_doubt', 'dead')),
        attempts INTEGER NOT NULL, doubts INTEGER NOT NULL, next_try_ms INTEGER NOT NULL, words TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX job_next_due ON job (state, next_try_ms)",
    "CREATE INDEX job_by_subject ON job (subject, kind)",
    """CREATE TABLE door_access (
        token_id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, community_id TEXT NOT NULL, door TEXT NOT NULL,
        created_ms INTEGER NOT NULL, revoked_ms INTEGER, seen_ms INTEGER, applied_seq INTEGER, report TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE admission (
        community_id TEXT NOT NULL, door TEXT NOT NULL, appointment_id TEXT NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (community_id, at_ms, door, appointment_id)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE door_order (
        order_id INTEGER PRIMARY KEY AUTOINCREMENT, community_id TEXT NOT NULL, door TEXT NOT NULL,
        action TEXT NOT NULL, visit_ids TEXT NOT NULL, created_ms INTEGER NOT NULL, seq INTEGER NOT NULL,
        UNIQUE (community_id, door, action, visit_ids)
    ) STRICT""",
    "CREATE INDEX door_order_news ON door_order (seq, community_id, door)",
    """CREATE TABLE vendor (
        name TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, community_ids TEXT NOT NULL, revoked_ms INTEGER
    ) STRICT""",
    "CREATE TABLE session (token_hash TEXT PRIMARY KEY, name TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX session_by_name ON session (name)",
    """CREATE TABLE hit (
        kind TEXT NOT NULL, slot_ms INTEGER NOT NULL, who TEXT NOT NULL, hits INTEGER NOT NULL,
        PRIMARY KEY (kind, slot_ms, who)
    ) STRICT, WITHOUT ROWID""",
)

SCHEMA = sqlite.Schema("the desk", (sqlite.Step("m001_bookings_and_roster", _TABLES_1),), application_id=0x746C6473)
"""The mark is `tlds` in ASCII."""


def opened(path: Path) -> sqlite.SharedFile:
    """The desk's file, made or brought up to date; raises `StoreError`."""
    path = Path(os.path.realpath(path))
    if sqlite.schema_version(path, SCHEMA) < SCHEMA.version:
        try:
            # nobody else's business from the first byte on; the log and its index take over the mode
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            sqlite.migrate(path, SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the store {path} could not be prepared: {error}") from error
    file = sqlite.SharedFile(path)
    try:
        with file.writing() as db:
            db.insert("about", {"name": "epoch", "value": secrets.token_hex(8)}, or_nothing=True)
    except BaseException:
        file.close()
        raise
    return file
