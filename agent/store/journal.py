"""What a scan waits for: facts before the decision, and one fsynced transaction after it (promises P2 and P3).

Rule 1: admission, use count, presence, visit and outbox row are one transaction on a connection with `synchronous = FULL`: when `admit`
        returns, they are on disk; when it raises, none of them is.
Rule 2: nothing else is done on this connection, so a scan waits for no commit but its own. It never checkpoints; `upkeep` does.
Rule 3: plain sqlite3 here, since this is the scan's path.
Rule 4: no commit to files that are no longer the store: `OpenFiles.check` stands before each.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.core.clock import Interval
from agent.core.decide import Presence
from agent.core.replay import RowState
from agent.core.tour import RosterEntry, Standing, TourCode, Window
from agent.errors import StoreError

LAST_SEEN = "last_seen_ms"
LOG_BYTES = 4 * 1024 * 1024
"""The write-ahead log grows a little past this before it is checkpointed, and is cut back to it when it starts anew."""

_ENTRY = "SELECT standing, code_id, source_title FROM roster WHERE appointment_id = ?"
_PIN = """SELECT code_id, appointment_id, prospect_id, community_id, doors, unit_names, start_ms, end_ms, key_id
    FROM pin WHERE door = ? AND pin_hash = ?"""
_USED = "SELECT admissions, last_ms FROM used WHERE appointment_id = ? AND door = ?"
_IN = "SELECT door, since_ms FROM presence WHERE appointment_id = ?"
_NOTE = """INSERT INTO journal (at_ms, earliest_ms, latest_ms, kind, door, reader, reason, appointment_id, code_id, detail)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_USE = """INSERT INTO used (appointment_id, door, admissions, last_ms) VALUES (?, ?, 1, ?)
    ON CONFLICT (appointment_id, door) DO UPDATE SET admissions = admissions + 1, last_ms = excluded.last_ms"""
_GIVE_BACK = "UPDATE used SET admissions = admissions - 1, last_ms = ? WHERE appointment_id = ? AND door = ? AND admissions > 0"
_COME_IN = """INSERT INTO presence (appointment_id, door, since_ms) VALUES (?, ?, ?)
    ON CONFLICT (appointment_id) DO UPDATE SET door = excluded.door, since_ms = excluded.since_ms"""
_LEAVE = "DELETE FROM presence WHERE appointment_id = ?"
_VISIT = """INSERT INTO visit (visit_id, appointment_id, prospect_id, community_id, visit_ms, unit_names, source_title)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (appointment_id) DO NOTHING"""
_OUTBOX = "INSERT INTO outbox (visit_id, prospect_id, state, next_try_ms) VALUES (?, ?, ?, ?)"
_SEEN = "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"


Gate = AbstractContextManager[bool]
"""A `threading.RLock`: whoever writes holds it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as it is written down: the best guess of the instant, and the interval that it lies in."""

    at_ms: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class Note:
    """One entry of the journal. `detail` holds numbers and words for people, never a code, key or personal data."""

    moment: Moment
    kind: str
    door: str | None = None
    reader: str | None = None
    reason: str | None = None
    appointment_id: str | None = None
    code_id: str | None = None
    detail: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of an appointment at a door: what the roster says of it, how often and when it was last admitted there.

    `last_ms` is also None for admissions that were written before it was. `presence` is by which door the appointment is in.
    """

    entry: RosterEntry | None = None
    admissions: int = 0
    last_ms: int | None = None
    presence: Presence | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A written admission: its place in the journal, and the id of the visit if this was the appointment's first."""

    seq: int
    new_visit_id: str | None


def resolved(path: Path) -> Path:
    """Where the store lies behind all symbolic links, which is where SQLite puts its -wal, too; it need not be there yet."""
    return Path(os.path.realpath(path))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of its own that can only read: however long it takes, no writer waits. Raises `StoreError`."""
    try:
        with closing(sqlite3.connect(f"file:{resolved(path)}?mode=ro", uri=True, timeout=5, isolation_level=None)) as conn:
            yield conn
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be read: {error}") from error


class OpenFiles:
    """Which files an agent has open as its store, taken just after opening: on Linux they can be removed under it without a word."""

    def __init__(self, path: Path) -> None:
        store = resolved(path)
        self._name = path
        self.wal = Path(f"{store}-wal")
        self._known = {file: found for file in (store, self.wal) if (found := _identity(file))}
        # SQLite makes the log at the first use at the latest: inside a transaction it is there
        self._files = (store, self.wal)

    def check(self) -> None:
        """Raise `StoreError` unless the paths still lead to these files: a commit to others would be lost. Call it inside a transaction."""
        try:
            is_same = all((found := _identity(file)) and self._known.setdefault(file, found) == found for file in self._files)
        except OSError as error:
            raise StoreError(f"the store {self._name} cannot be reached: {error.strerror}") from error
        if not is_same:
            raise StoreError(f"the store {self._name} was removed or replaced under the agent: restart it")


def _identity(file: Path) -> tuple[int, int] | None:
    """The device and inode, or None for a file that is not there."""
    try:
        found = os.stat(file)  # noqa: PTH116 - on the scan's path, twice for each admission
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """A connection of the agent's: explicit transactions, WAL, no checkpoint of its own; raises `StoreError`."""
    try:
        conn = sqlite3.connect(f"file:{resolved(path)}?mode=rw", uri=True, timeout=10, isolation_level=None, check_same_thread=False)
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute(f"PRAGMA synchronous = {synchronous}")
        conn.execute("PRAGMA foreign_keys = ON")
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        conn.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be opened: {error}") from error
    return conn


@contextmanager
def transaction(conn: sqlite3.Connection, before_commit: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One transaction, rolled back whatever happens inside it or at its end."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        before_commit()
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def write_note(conn: sqlite3.Connection, note: Note) -> int:
    """Add an entry inside the caller's transaction, and remember that this moment was seen; returns its sequence number."""
    interval = note.moment.interval
    detail = json.dumps(dict(note.detail)) if note.detail else "{}"
    row = (note.moment.at_ms, interval.earliest_ms, interval.latest_ms, note.kind, note.door, note.reader, note.reason)
    cursor = conn.execute(_NOTE, (*row, note.appointment_id, note.code_id, detail))
    conn.execute(_SEEN, (LAST_SEEN, interval.earliest_ms))
    return int(cursor.lastrowid or 0)


def set_presence(conn: sqlite3.Connection, appointment_id: str, presence: Presence | None) -> None:
    """Inside the caller's transaction: by which door the appointment is in; None for one that is not."""
    if presence is None:
        conn.execute(_LEAVE, (appointment_id,))
    else:
        conn.execute(_COME_IN, (appointment_id, presence.door, presence.since_ms))


class Journal:
    """The scan thread's connection. `gate` is shared with `upkeep`, so that neither ever sleeps in SQLite's busy handler.

    Whoever decides holds the gate from the facts to the admission: a cancel is heard either before both or after both.
    """

    def __init__(self, path: Path, gate: Gate) -> None:
        self._conn = connect(path, synchronous="FULL")
        self._files = OpenFiles(path)
        self.gate = gate

    def facts(self, appointment_id: str, door: str) -> Known:
        """What is known of the appointment at this door; raises `StoreError`."""
        try:
            heard = self._conn.execute(_ENTRY, (appointment_id,)).fetchone()
            used = self._conn.execute(_USED, (appointment_id, door)).fetchone()
            came_in = self._conn.execute(_IN, (appointment_id,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error
        entry = RosterEntry(appointment_id, Standing(heard[0]), heard[1], heard[2]) if heard else None
        admissions, last_ms = used or (0, None)
        return Known(entry, admissions, last_ms, Presence(*came_in) if came_in else None)

    def pin(self, door: str, pin_hash: str) -> TourCode | None:
        """What the tour code says that a PIN of this door stands for, None for a PIN of nobody's; raises `StoreError`."""
        try:
            row = self._conn.execute(_PIN, (door, pin_hash)).fetchone()
            if row is None:
                return None
            code_id, appointment_id, prospect_id, community_id, doors, unit_names, start_ms, end_ms, key_id = row
            names = (tuple(json.loads(doors)), tuple(json.loads(unit_names)))
            return TourCode(code_id, appointment_id, prospect_id, community_id, *names, Window(start_ms, end_ms), key_id)
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"the store cannot be read: {error}") from error

    def admit(self, code: TourCode, note: Note, source_title: str | None) -> Admitted:
        """Write the admission, and at the appointment's first the visit with its outbox row; on disk when this returns.

        Raises `StoreError`, with nothing written, when any of it fails.
        """
        visit_id = uuid.uuid4().hex
        at_ms = note.moment.at_ms
        visit = (visit_id, code.appointment_id, code.prospect_id, code.community_id, at_ms, json.dumps(code.unit_names), source_title)
        with self._written():
            seq = write_note(self._conn, note)
            self._conn.execute(_USE, (code.appointment_id, note.door, at_ms))
            self._conn.execute(_COME_IN, (code.appointment_id, note.door, at_ms))
            is_first = self._conn.execute(_VISIT, visit).rowcount == 1
            if is_first:
                self._conn.execute(_OUTBOX, (visit_id, code.prospect_id, RowState.DUE, at_ms))
        return Admitted(seq, visit_id if is_first else None)

    def give_back(self, appointment_id: str, door: str, last_ms: int | None, presence: Presence | None) -> None:
        """An admission did not open the door after all: it counts as no use, and the last time and the presence are what they were.

        What was journaled stays, and so does the visit. Raises `StoreError`.
        """
        with self._written():
            self._conn.execute(_GIVE_BACK, (last_ms, appointment_id, door))
            set_presence(self._conn, appointment_id, presence)

    def leave(self, appointment_id: str, note: Note) -> Admitted:
        """Write that somebody goes out: no use, no visit, and not in any more; on disk when this returns. Raises `StoreError`."""
        with self._written():
            seq = write_note(self._conn, note)
            set_presence(self._conn, appointment_id, None)
        return Admitted(seq, None)

    def stay(self, appointment_id: str, presence: Presence | None) -> None:
        """The door did not let somebody out after all: the presence is what it was. Raises `StoreError`."""
        with self._written():
            set_presence(self._conn, appointment_id, presence)

    def write(self, note: Note) -> int:
        """Write an entry that must be on disk before what it tells of, such as an unlock by staff; raises `StoreError`."""
        with self._written():
            return write_note(self._conn, note)

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            with self.gate, transaction(self._conn, self._files.check):
                yield
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be written: {error}") from error
