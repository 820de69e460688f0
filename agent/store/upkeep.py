"""Everything that a scan must not wait for: refusals, marks of the outbox, the roster, retired keys, checkpoints.

Rule 1: its own thread and connection. A job is a function of the connection; all jobs that wait become one transaction.
Rule 2: the transaction is committed with `synchronous = NORMAL`, which takes microseconds under the gate, and the log is then
        synced here with no lock held: a card that takes two seconds to sync delays these jobs, never a scan.
        A job's result is handed out only after that sync, so to its caller it is as durable as with FULL.
Rule 3: checkpoints happen here, when the log has grown, and never on the scan's connection.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from agent.core.clock import Anchor, Interval
from agent.core.decide import Presence
from agent.core.tour import RosterEntry, Standing
from agent.errors import StoreError
from agent.store.journal import LAST_SEEN, LOG_BYTES, Gate, Note, OpenFiles, connect, set_presence, write_note

T = TypeVar("T")
MAX_BATCH = 64
MAX_WAITING = 10_000
LOOK_BACK = 10_000
"""So many entries of the journal are looked through for what a door's leaf last did: a start does not read all of it."""
_LEAF = """SELECT kind FROM journal WHERE door = ? AND kind IN ('forced', 'still_forced', 'opened', 'shut', 'secured')
    AND seq > (SELECT max(seq) FROM journal) - ? ORDER BY seq DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody was let in by a door at an instant, or out: where the appointment was before, if it was in."""

    appointment_id: str
    door: str
    at_ms: int
    before: Presence | None
    is_exit: bool = False

    @property
    def after(self) -> Presence | None:
        """Where it is since."""
        return None if self.is_exit else Presence(self.door, self.at_ms)


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    future: Future[T]


class Upkeep:
    """The second writer of the agent's one process; see the module's rules.

    `on_lost` hears why a note could not be written, in this thread, or in the caller's when too many wait: it must be quick.
    """

    def __init__(self, path: Path, gate: Gate, on_lost: Callable[[str], None] | None = None) -> None:
        self._conn = connect(path, synchronous="NORMAL")
        self._gate = gate
        self._on_lost = on_lost
        self._lost_notes = 0
        self._count = threading.Lock()
        self._files = OpenFiles(path)
        self._wal = self._files.wal
        self._wal_fd: int | None = None
        self._is_sync_owed = False
        self._jobs: queue.Queue[_Job[object] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have `work` done in a transaction; the future ends when it is on disk, or with `StoreError`.

        It is done although its caller no longer waits: the future cannot be cancelled.
        """
        job = _Job(work, Future())
        job.future.set_running_or_notify_cancel()
        try:
            self._jobs.put_nowait(job)  # type: ignore[arg-type]  # a queue of jobs of any result
        except queue.Full:
            job.future.set_exception(StoreError(f"more than {MAX_WAITING} writes wait for the disk"))
        return job.future

    def note(self, note: Note) -> None:
        """Write an entry that nobody waits for; one that cannot be written is counted, and `on_lost` hears why."""
        self.submit(lambda conn: write_note(conn, note)).add_done_callback(self._look_after)

    def note_opened(self, note: Note) -> None:
        """The same for a door that was opened: the visit that it was opened for, if any, remembers when that first was."""
        self.submit(lambda conn: _opened(conn, note)).add_done_callback(self._look_after)

    def note_not_opened(self, note: Note, passage: Passage | None) -> None:
        """The same for a door that was not opened: whoever was let through it did not go through, so the presence is what it was."""
        self.submit(lambda conn: _not_opened(conn, note, passage)).add_done_callback(self._look_after)

    @property
    def lost_notes(self) -> int:
        """How many of the entries that nobody waits for could not be written since the start."""
        return self._lost_notes

    def _look_after(self, written: Future[int]) -> None:
        error = written.exception()
        if error is None:
            return
        with self._count:
            self._lost_notes += 1
        if self._on_lost is not None:
            self._on_lost(str(error))

    def is_alive(self) -> bool:
        """Whether the thread lives; without it nothing but admissions would be written any more."""
        return self._thread.is_alive()

    def close(self, timeout_s: float) -> None:
        """Finish what waits, for at most `timeout_s`; what a stalled disk leaves unfinished is told to nobody as done."""
        try:
            self._jobs.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        is_open = True
        while is_open:
            jobs = [self._jobs.get()]
            while len(jobs) < MAX_BATCH:
                try:
                    jobs.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            is_open = None not in jobs
            self._do([job for job in jobs if job is not None])
        self._conn.close()
        if self._wal_fd is not None:
            os.close(self._wal_fd)

    def _do(self, jobs: list[_Job[object]]) -> None:
        """One transaction and one sync for all jobs; one that fails is undone alone, a failed commit or sync fails them all."""
        done: list[tuple[_Job[object], object]] = []
        try:
            changes = self._conn.total_changes
            with self._gate:
                self._conn.execute("BEGIN IMMEDIATE")
                try:
                    for job in jobs:
                        self._one(job, done)
                    self._files.check()
                    self._conn.execute("COMMIT")
                except BaseException:
                    if self._conn.in_transaction:
                        self._conn.execute("ROLLBACK")
                    raise
            self._is_sync_owed |= self._conn.total_changes != changes
            if self._is_sync_owed:
                self._sync()
                self._is_sync_owed = False
        except (sqlite3.Error, OSError, StoreError) as error:
            failure = error if isinstance(error, StoreError) else _failure(error)
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(failure)
            return
        for job, result in done:
            job.future.set_result(result)
        self._checkpoint_if_grown()

    def _one(self, job: _Job[object], done: list[tuple[_Job[object], object]]) -> None:
        self._conn.execute("SAVEPOINT job")
        try:
            done.append((job, job.work(self._conn)))
        except Exception as error:
            if not self._conn.in_transaction:
                # SQLite has undone the whole transaction, as it may when the disk is full: all jobs have failed
                raise sqlite3.OperationalError(str(error)) from error
            self._conn.execute("ROLLBACK TO job")
            job.future.set_exception(_failure(error) if isinstance(error, sqlite3.Error) else error)
        self._conn.execute("RELEASE job")

    def _sync(self) -> None:
        """Make the log durable; SQLite keeps the same log file for as long as a connection is open."""
        if self._wal_fd is None:
            self._wal_fd = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
        os.fdatasync(self._wal_fd)

    def _checkpoint_if_grown(self) -> None:
        try:
            if self._wal.stat().st_size > LOG_BYTES:
                self._conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, OSError):
            # the log stays as it is and is tried again after the next batch; a disk that is at fault shows in the next write
            return


def _failure(error: Exception) -> StoreError:
    return StoreError(f"the store cannot be written: {error}")


def _opened(conn: sqlite3.Connection, note: Note) -> int:
    sql = "UPDATE visit SET opened_ms = ? WHERE appointment_id = ? AND opened_ms IS NULL"
    conn.execute(sql, (note.moment.at_ms, note.appointment_id))
    return write_note(conn, note)


def _not_opened(conn: sqlite3.Connection, note: Note, passage: Passage | None) -> int:
    """What came after this passage stays."""
    if passage is not None:
        found = conn.execute("SELECT door, since_ms FROM presence WHERE appointment_id = ?", (passage.appointment_id,)).fetchone()
        if (Presence(*found) if found else None) == passage.after:
            set_presence(conn, passage.appointment_id, passage.before)
    return write_note(conn, note)


def was_forced(conn: sqlite3.Connection, door: str) -> bool:
    """Whether the last that the journal says of a door's leaf, among its latest entries, is that it was forced."""
    found = conn.execute(_LEAF, (door, LOOK_BACK)).fetchone()
    return found is not None and found[0] in ("forced", "still_forced")


def last_seen_ms(conn: sqlite3.Connection) -> int:
    """The latest instant that was surely reached before, 0 in a new store."""
    found = conn.execute("SELECT value FROM mark WHERE name = ?", (LAST_SEEN,)).fetchone()
    return int(found[0]) if found else 0


def set_last_seen(conn: sqlite3.Connection, seen: Interval, *, is_certain: bool) -> None:
    """Remember that now is not earlier than `seen`; only a certain clock may move the memory back, after a wrong one."""
    keep = "excluded.value" if is_certain else "max(value, excluded.value)"
    conn.execute(
        f"INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = {keep}",  # noqa: S608 - a constant
        (LAST_SEEN, seen.earliest_ms),
    )


def known_anchor(conn: sqlite3.Connection, boot: int) -> Anchor | None:
    """What was certain of the time earlier in this same boot, or None."""
    marks = dict(conn.execute("SELECT name, value FROM mark WHERE name LIKE 'anchor_%'"))
    if marks.get("anchor_boot") != boot:
        return None
    return Anchor(Interval(marks["anchor_earliest_ms"], marks["anchor_latest_ms"]), marks["anchor_tick_ns"])


def set_anchor(conn: sqlite3.Connection, boot: int, anchor: Anchor) -> None:
    """Remember what is certain of the time, for the rest of this boot."""
    interval = anchor.interval
    marks = {"boot": boot, "earliest_ms": interval.earliest_ms, "latest_ms": interval.latest_ms, "tick_ns": anchor.tick_ns}
    conn.executemany(
        "INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?)", [(f"anchor_{name}", value) for name, value in marks.items()]
    )


def apply_roster(conn: sqlite3.Connection, entries: list[RosterEntry], now_ms: int) -> list[RosterEntry]:
    """Write what was heard; what is dead stays dead, in whatever order news arrives (promise P5). Returns what was new or changed."""
    return [entry for entry in entries if _apply(conn, entry, now_ms)]


def _apply(conn: sqlite3.Connection, entry: RosterEntry, now_ms: int) -> bool:
    row = conn.execute("SELECT standing, code_id, source_title, revision FROM roster WHERE appointment_id = ?", (entry.appointment_id,))
    known = row.fetchone()
    news = (entry.standing.value, entry.code_id, entry.source_title, entry.revision)
    if known is not None and (known == news or known[0] != Standing.CONFIRMED):
        return False
    is_other_code = known is not None and known[1] is not None and known[1] != entry.code_id
    if entry.standing is Standing.CONFIRMED and not _may_confirm(conn, entry, known):
        if is_other_code and entry.code_id is not None:
            # named beside a live one, and not newer: it is an old one, whoever names it again
            _bury(conn, entry.code_id, now_ms)
        return False
    if known is not None and is_other_code:
        _bury(conn, known[1], now_ms)
    conn.execute(
        "INSERT OR REPLACE INTO roster (appointment_id, standing, code_id, source_title, revision, heard_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.appointment_id, *news, now_ms),
    )
    # a PIN stands for one code: it dies with that, whoever told of it
    live = entry.code_id if entry.standing is Standing.CONFIRMED else None
    conn.execute("DELETE FROM pin WHERE appointment_id = ? AND code_id IS NOT ?", (entry.appointment_id, live))
    return True


def _bury(conn: sqlite3.Connection, code_id: str, now_ms: int) -> None:
    conn.execute("INSERT OR IGNORE INTO dead_code (code_id, heard_ms) VALUES (?, ?)", (code_id, now_ms))


def _may_confirm(conn: sqlite3.Connection, entry: RosterEntry, known: tuple[str, str | None, str | None, int] | None) -> bool:
    """Whether a confirmation is believed: not for a dead code, not when older than what was heard, and another code only when newer."""
    if conn.execute("SELECT 1 FROM dead_code WHERE code_id = ?", (entry.code_id,)).fetchone():
        return False
    if known is None:
        return True
    _, code_id, _, revision = known
    is_other_code = code_id is not None and code_id != entry.code_id
    if is_other_code:
        return entry.code_id is not None and entry.revision > revision
    return entry.revision >= revision


def retire_keys(conn: sqlite3.Connection, key_ids: list[str], now_ms: int) -> set[str]:
    """Remember retired keys for ever, and return all that ever were (promise P5)."""
    conn.executemany("INSERT OR IGNORE INTO retired_key (key_id, heard_ms) VALUES (?, ?)", [(key_id, now_ms) for key_id in key_ids])
    return {row[0] for row in conn.execute("SELECT key_id FROM retired_key")}
