"""SQLite files: made, migrated, read for reports, and shared by threads and processes. The only importer of sqlite-utils.

Rule 1: sqlite-utils is slow to load and heavy, so it is loaded by the functions that need it: importing this module is cheap, and a
        running agent calls none of them.
Rule 2: what only SQLite has (pragmas, BEGIN IMMEDIATE, who waits for whom) is here; the programs' own SQL is plain.
Rule 3: `with db.conn:` is banned: rows written through sqlite-utils inside it are committed although an exception follows. And no
        `db["name"].insert`: it makes a table of a mistyped name.
Rule 4: no commit to a file that is no longer at its path: what is written there nobody would find.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import StoreError

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

BUSY_S = 10.0
"""How long one writer waits for another, in seconds."""
COMPACTING_MS = 500
"""How long the log waits for a reader when it is emptied."""
LOG_BYTES = 4 * 1024 * 1024
"""The write-ahead log is cut back to this when it starts anew."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a schema, applied once and whole; never edited once released."""

    name: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of one kind of file: its steps, oldest first, by a name that never changes.

    `application_id` marks the file as one of this kind; 0 marks nothing.
    """

    name: str
    steps: tuple[Step, ...]
    application_id: int = 0

    @property
    def version(self) -> int:
        """How many steps there are, which is the file's `user_version` after them."""
        return len(self.steps)


def schema_version(path: Path, schema: Schema) -> int:
    """How many steps of its schema a file has, 0 for one that is absent or empty.

    Raises:
        StoreError: the folder is missing, the file is damaged, of another kind, or was made by a newer tourlatch. It was not touched.
    """
    if not path.parent.is_dir():
        raise StoreError(f"the store's folder {path.parent} does not exist: make it, owned by the user that runs the program")
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)) as conn:
            version, kind = (int(conn.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("user_version", "application_id"))
            is_empty = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be read ({error}): move it aside or restore a backup; it was not changed") from error
    if not is_empty and schema.application_id and kind != schema.application_id:
        raise StoreError(f"{path} is the file of another program, not a store of {schema.name}: name another path; it was not changed")
    if version > schema.version:
        raise StoreError(
            f"{path} was made by a newer tourlatch (schema {version}, this one knows {schema.version}): upgrade, or restore a backup"
        )
    return version


def migrate(path: Path, schema: Schema) -> None:
    """Bring the file to the schema's last step, making it when absent, all or nothing; raises `sqlite3.Error`.

    Several processes may do so at once: one does it, the others find it done.
    """
    from sqlite_utils import Database

    db = Database(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None), execute_plugins=False)
    try:
        db.conn.execute("PRAGMA synchronous = FULL")
        _begin_wal(db.conn)
        # with this lock each step is a savepoint inside one transaction
        db.conn.execute("BEGIN IMMEDIATE")
        try:
            _migrations(schema).apply(db)
            db.conn.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
    finally:
        db.close()


def rows(path: Path, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
    """The rows of one query, read beside a running program; raises `sqlite3.Error`."""
    from sqlite_utils import Database

    db = Database(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5), execute_plugins=False)
    try:
        return list(db.query(sql, dict(parameters or {})))
    finally:
        db.close()


def _migrations(schema: Schema) -> Migrations:
    from sqlite_utils import Migrations

    steps = Migrations(schema.name)
    for number, step in enumerate(schema.steps, start=1):

        def apply(db: Database, statements: Sequence[str] = step.statements, version: int = number) -> None:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version}")
            if schema.application_id:
                db.execute(f"PRAGMA application_id = {schema.application_id}")

        steps(name=step.name)(apply)
    return steps


def _begin_wal(conn: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; while another connection does the same, SQLite says busy without waiting."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            conn.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


class Transaction:
    """What can be asked inside one transaction; parameters are named (`:name`)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def rows(self, sql: str, **parameters: object) -> list[Row]:
        """All rows of a query."""
        return list(self._db.query(sql, parameters))

    def row(self, sql: str, **parameters: object) -> Row | None:
        """The first row of a query, or None."""
        return next(iter(self.rows(sql, **parameters)), None)

    def number(self, sql: str, **parameters: object) -> int:
        """The one number of a query, 0 for no row or NULL."""
        found = self.row(sql, **parameters)
        return int(next(iter(found.values())) or 0) if found else 0

    def run(self, sql: str, **parameters: object) -> int:
        """Run a statement; returns how many rows it touched."""
        return self._db.execute(sql, parameters).rowcount

    def insert(self, table: str, row: Mapping[str, object], *, or_nothing: bool = False) -> int:
        """Add a row to a table that exists; with `or_nothing` a row that is there already stays. Returns how many were added."""
        names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        ending = " ON CONFLICT DO NOTHING" if or_nothing else ""
        return self.run(f"INSERT INTO {table} ({names}) VALUES ({places}){ending}", **row)  # noqa: S608 - names of our own schema

    def update(self, table: str, key: str, row: Mapping[str, object]) -> int:
        """Write the row that has the key of `row`; returns how many there were."""
        changes = ", ".join(f"{name} = :{name}" for name in row if name != key)
        return self.run(f"UPDATE {table} SET {changes} WHERE {key} = :{key}", **row)  # noqa: S608 - names of our own schema


class SharedFile:
    """One migrated file, for any number of threads and of processes beside this one; every method raises `StoreError`.

    A writer has the whole file for itself and waits up to `BUSY_S` for the others; readers wait for nobody. What is committed is on
    disk (`synchronous = FULL`), and what is deleted is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._name = path
        self._path = Path(os.path.realpath(path))
        self._idle: list[Database] = []
        self._guard = threading.Lock()
        self._writer = threading.Lock()
        self._is_closed = False
        try:
            # never used again: while it is open SQLite removes no log, so another log is a stranger's
            self._anchor = self._connect()
            self._anchor.conn.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            raise StoreError(self._words(error)) from error
        self._files = {file: _identity(file) for file in (self._path, Path(f"{self._path}-wal"))}

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """One snapshot: all queries inside see the same moment."""
        with self._connection() as db:
            db.conn.execute("BEGIN")
            yield Transaction(db)
            db.conn.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One transaction that no other writer runs beside; rolled back whatever is raised inside it."""
        # one thread after the other: SQLite's own waiting is by sleeping, and unfair
        if not self._writer.acquire(timeout=BUSY_S):
            raise StoreError(self._busy())
        try:
            with self._connection() as db:
                db.conn.execute("BEGIN IMMEDIATE")
                yield Transaction(db)
                self._check_place()
                db.conn.execute("COMMIT")
        finally:
            self._writer.release()

    def compact_log(self) -> None:
        """Bring the log into the file and empty it, unless a reader is in the way for long, so that deleted rows are in neither."""
        with self._connection() as db:
            # writers wait meanwhile
            db.conn.execute(f"PRAGMA busy_timeout = {COMPACTING_MS}").fetchall()
            try:
                db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                db.conn.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}").fetchall()

    def close(self) -> None:
        """Close; what is under way ends first, each for itself. A second close is the same."""
        with self._guard:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for db in [*idle, self._anchor]:
            db.close()

    @contextmanager
    def _connection(self) -> Iterator[Database]:
        """A connection for this thread alone; rolled back and given up when anything is raised."""
        with self._guard:
            if self._is_closed:
                raise StoreError(f"the store {self._name} is closed: the program is ending")
            db = self._idle.pop() if self._idle else None
        try:
            if db is None:
                db = self._connect()
            yield db
        except BaseException as error:
            if db is not None:
                self._give_back(db, is_sound=not isinstance(error, sqlite3.Error))
            if isinstance(error, sqlite3.Error):
                raise StoreError(self._words(error)) from error
            raise
        self._give_back(db, is_sound=True)

    def _connect(self) -> Database:
        from sqlite_utils import Database

        conn = sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", f"journal_size_limit = {LOG_BYTES}"):
                conn.execute(f"PRAGMA {pragma}").fetchall()
            return Database(conn, execute_plugins=False, recursive_triggers=False)
        except BaseException:
            conn.close()
            raise

    def _give_back(self, db: Database, *, is_sound: bool) -> None:
        try:
            if db.conn.in_transaction:
                db.conn.execute("ROLLBACK")
        except sqlite3.Error:
            is_sound = False
        with self._guard:
            is_kept = is_sound and not self._is_closed
            if is_kept:
                self._idle.append(db)
        if not is_kept:
            db.close()

    def _check_place(self) -> None:
        """Refuse to commit when the store or its log is another file than the one that is open."""
        if any(_identity(file) != known for file, known in self._files.items()):
            raise StoreError(f"the store {self._name} was removed or replaced while it was open: restart the program")

    def _words(self, error: sqlite3.Error) -> str:
        name = getattr(error, "sqlite_errorname", "")
        if _is_busy(error):
            return self._busy()
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return f"the store {self._name} is damaged ({error}): stop the program, then move it aside or restore a backup"
        if name.startswith("SQLITE_FULL"):
            return f"the store {self._name} cannot be written: the disk is full; make room"
        return f"the store {self._name} cannot be used: {error}"

    def _busy(self) -> str:
        return f"the store {self._name} is busy: another process or thread has been writing for {BUSY_S:.0f} s; try again"


def _identity(file: Path) -> tuple[int, int] | None:
    """The device and inode, or None for a file that is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
