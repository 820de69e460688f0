"""What a scan never waits for: batches, one sync for all of them, a failure for whom it concerns, a bounded log and a bounded end."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from agent.core.clock import Interval
from agent.errors import StoreError
from agent.store import upkeep as upkeeping
from agent.store.upkeep import Upkeep, last_seen_ms, set_last_seen
from tests.store.made import T0_MS, everything, new_store, opened

WAIT_S = 10.0


class Disk:
    """Stands where `fdatasync` is called: counts, and stalls or fails on demand."""

    def __init__(self) -> None:
        self.syncs = 0
        self.failures = 0
        self.is_reached = threading.Event()
        self.is_free = threading.Event()
        self.is_free.set()
        self._sync = os.fdatasync

    def fdatasync(self, fd: int) -> None:
        """Sync, unless the disk is to fail."""
        self.syncs += 1
        self.is_reached.set()
        assert self.is_free.wait(WAIT_S)
        if self.failures:
            self.failures -= 1
            raise OSError(5, "Input/output error")
        self._sync(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of this test."""
    made = Disk()
    monkeypatch.setattr("agent.store.upkeep.os.fdatasync", made.fdatasync)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh store."""
    return new_store(tmp_path)


@pytest.fixture
def keeper(disk: Disk, path: Path) -> Iterator[Upkeep]:
    """The second writer on it."""
    with opened(path) as (_, made):
        yield made
        disk.is_free.set()


def put(name: str, value: int = 0) -> Callable[[sqlite3.Connection], str]:
    """A job that writes a mark and returns its name."""

    def work(conn: sqlite3.Connection) -> str:
        conn.execute("INSERT INTO mark VALUES (?, ?)", (name, value))
        return name

    return work


def held_up(keeper: Upkeep) -> tuple[threading.Event, Future[None]]:
    """Keep the thread in a job, so that what is submitted meanwhile is one batch; set the event to let it go."""
    entered, go_on = threading.Event(), threading.Event()

    def work(_conn: sqlite3.Connection) -> None:
        entered.set()
        assert go_on.wait(WAIT_S)

    future = keeper.submit(work)
    assert entered.wait(WAIT_S)
    return go_on, future


def names(path: Path) -> list[str]:
    """The marks that are in the store."""
    return [name for name, _ in everything(path)["mark"]]


def test_ok__jobs_that_wait_are_one_transaction_and_one_sync(disk: Disk, path: Path, keeper: Upkeep) -> None:
    """Fifty refusals cost one sync of the card, and each caller has its own result."""
    go_on, first = held_up(keeper)
    futures = [keeper.submit(put(f"{number:02d}")) for number in range(50)]
    go_on.set()
    assert [future.result(WAIT_S) for future in futures] == [f"{number:02d}" for number in range(50)]
    assert (first.result(), disk.syncs, names(path)) == (None, 1, [f"{number:02d}" for number in range(50)])


def test_ok__a_batch_is_bounded(disk: Disk, keeper: Upkeep) -> None:
    """More jobs than a batch holds become several transactions, so the gate is never held for long."""
    go_on, _ = held_up(keeper)
    futures = [keeper.submit(put(f"{number}")) for number in range(2 * upkeeping.MAX_BATCH + 1)]
    go_on.set()
    assert len({future.result(WAIT_S) for future in futures}) == 2 * upkeeping.MAX_BATCH + 1
    assert disk.syncs == 3


def test_fail__a_job_that_fails_is_undone_alone(path: Path, keeper: Upkeep) -> None:
    """Its neighbours in the same transaction are kept, its own writes are not, and its error is its caller's."""

    def fail(conn: sqlite3.Connection) -> str:
        put("undone")(conn)
        raise KeyError("no such appointment")

    go_on, _ = held_up(keeper)
    futures = [keeper.submit(put("before")), keeper.submit(fail), keeper.submit(put("after"))]
    go_on.set()
    assert futures[0].result(WAIT_S) == "before"
    with pytest.raises(KeyError, match="no such appointment"):
        futures[1].result(WAIT_S)
    assert futures[2].result(WAIT_S) == "after"
    assert names(path) == ["after", "before"]


def test_fail__what_the_database_refuses_is_a_store_error(path: Path, keeper: Upkeep) -> None:
    """Whoever waits for a write needs to know one error only, also when SQLite refuses the statement and not the commit."""
    keeper.submit(
        lambda conn: conn.execute(f"PRAGMA max_page_count = {conn.execute('PRAGMA page_count').fetchone()[0]}").fetchall()
    ).result()
    before = everything(path)
    with pytest.raises(StoreError, match="the store cannot be written: database or disk is full"):
        keeper.submit(lambda conn: conn.executemany("INSERT INTO mark VALUES (?, 0)", [(f"{n:0200d}",) for n in range(100)])).result(WAIT_S)
    assert everything(path) == before


def test_fail__a_commit_that_fails_fails_for_all(path: Path, keeper: Upkeep) -> None:
    """When the transaction cannot be committed, nobody of the batch is told that it was, and the next batch works."""

    def orphan(conn: sqlite3.Connection) -> str:
        conn.execute("PRAGMA defer_foreign_keys = ON")
        conn.execute("INSERT INTO outbox (visit_id, prospect_id, state, next_try_ms) VALUES ('nobody', 'p', 'due', 0)")
        return "orphan"

    go_on, first = held_up(keeper)
    futures = [keeper.submit(put("a")), keeper.submit(orphan), keeper.submit(put("b"))]
    go_on.set()
    assert first.result(WAIT_S) is None
    for future in futures:
        with pytest.raises(StoreError, match="the store cannot be written: FOREIGN KEY constraint failed"):
            future.result(WAIT_S)
    assert names(path) == []
    assert keeper.submit(put("c")).result(WAIT_S) == "c"


def test_fail__a_sync_that_fails_fails_for_all(disk: Disk, keeper: Upkeep) -> None:
    """What may not be on disk is not called written, and the thread lives on."""
    disk.failures = 1
    go_on, reading = held_up(keeper)
    futures = [keeper.submit(put(name)) for name in "ab"]
    go_on.set()
    assert reading.result(WAIT_S) is None
    for future in futures:
        with pytest.raises(StoreError, match=r"the store cannot be written: .*Input/output error"):
            future.result(WAIT_S)
    assert keeper.submit(put("later")).result(WAIT_S) == "later"


def test_ok__reading_costs_no_sync_unless_one_is_owed(disk: Disk, keeper: Upkeep) -> None:
    """A status or news that change nothing do not wear the card; but after a sync that failed, what they saw is synced first."""
    assert keeper.submit(last_seen_ms).result(WAIT_S) == 0
    assert disk.syncs == 0
    disk.failures = 2
    for work in (lambda conn: set_last_seen(conn, Interval(7, 8), is_certain=True), last_seen_ms):
        with pytest.raises(StoreError, match="Input/output error"):
            keeper.submit(work).result(WAIT_S)
    assert [keeper.submit(last_seen_ms).result(WAIT_S) for _ in range(3)] == [7, 7, 7]
    assert disk.syncs == 3


def test_ok__a_result_comes_only_after_the_sync(disk: Disk, path: Path, keeper: Upkeep) -> None:
    """While the card stalls, the row is in the log and nobody has been told; the roster's answer may not come sooner."""
    disk.is_free.clear()
    future = keeper.submit(put("slow"))
    assert disk.is_reached.wait(WAIT_S)
    assert (future.done(), names(path)) == (False, ["slow"])
    disk.is_free.set()
    assert future.result(WAIT_S) == "slow"


def test_ok__a_caller_that_no_longer_waits_harms_nobody(disk: Disk, path: Path, keeper: Upkeep) -> None:
    """Work that was handed over is done although its caller was cancelled, and the thread goes on for the others."""
    disk.is_free.clear()
    waiting = keeper.submit(put("under way"))
    assert disk.is_reached.wait(WAIT_S)
    queued = keeper.submit(put("queued"))
    waiting.cancel()
    queued.cancel()
    disk.is_free.set()
    assert keeper.submit(put("next")).result(WAIT_S) == "next"
    assert names(path) == ["next", "queued", "under way"]


def test_fail__a_full_queue_says_so_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the card has stalled for ever, the caller hears it instead of filling the memory; what waits is still done."""
    monkeypatch.setattr(upkeeping, "MAX_WAITING", 3)
    with opened(path) as (_, keeper):
        go_on, _ = held_up(keeper)
        futures = [keeper.submit(put(name)) for name in "abcd"]
        with pytest.raises(StoreError, match="more than 3 writes wait for the disk"):
            futures[3].result(0)
        began_s = time.monotonic()
        keeper.close(0.2)
        assert time.monotonic() - began_s < 1.0
        go_on.set()
        assert [future.result(WAIT_S) for future in futures[:3]] == ["a", "b", "c"]


def test_ok__closing_finishes_what_waits(path: Path, keeper: Upkeep) -> None:
    """An orderly stop writes everything that was submitted before it, and lets go of the thread."""
    go_on, _ = held_up(keeper)
    for name in "abc":
        keeper.submit(put(name))
    go_on.set()
    keeper.close(WAIT_S)
    assert not keeper._thread.is_alive()
    assert names(path) == ["a", "b", "c"]


def test_ok__closing_does_not_wait_for_a_stalled_disk(disk: Disk, keeper: Upkeep) -> None:
    """The door must be gone within two seconds of SIGTERM, whatever the card does."""
    disk.is_free.clear()
    future = keeper.submit(put("slow"))
    assert disk.is_reached.wait(WAIT_S)
    began_s = time.monotonic()
    keeper.close(0.2)
    assert 0.2 <= time.monotonic() - began_s < 1.0
    assert not future.done()


@pytest.fixture
def short_log(monkeypatch: pytest.MonkeyPatch) -> int:
    """The log's bound, small enough to be met many times in a test."""
    limit = 128 * 1024
    monkeypatch.setattr("agent.store.journal.LOG_BYTES", limit)
    monkeypatch.setattr("agent.store.upkeep.LOG_BYTES", limit)
    return limit


def log_bytes(path: Path) -> int:
    """How long the write-ahead log is."""
    return Path(f"{path}-wal").stat().st_size


def test_ok__the_log_stays_bounded_and_its_rows_reach_the_file(path: Path, short_log: int) -> None:
    """Over thousands of writes the log is checkpointed again and again, and every row is there."""
    longest = 0
    with opened(path) as (_, keeper):
        for number in range(40):
            futures = [keeper.submit(put(f"{number}/{n}", n)) for n in range(50)]
            assert len({future.result(WAIT_S) for future in futures}) == 50
            longest = max(longest, log_bytes(path))
        assert longest < 2 * short_log
        assert path.stat().st_size > 10 * 4096, "nothing was ever moved from the log to the file"
        assert len(names(path)) == 2000


def test_ok__a_reader_that_stays_does_not_stop_writing_and_the_log_shrinks_after_it(path: Path, short_log: int) -> None:
    """A report that reads for long lets the log grow, holds up nobody, and when it is gone the log is cut back."""
    with opened(path) as (_, keeper):
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM mark").fetchall()
        for number in range(60):
            keeper.submit(lambda conn, number=number: [put(f"{number}/{n:0100d}")(conn) for n in range(30)]).result(WAIT_S)  # type: ignore[misc]
        assert log_bytes(path) > 2 * short_log
        assert reader.execute("SELECT count(*) FROM mark").fetchone() == (0,)
        reader.close()
        for name in "abc":
            keeper.submit(put(name)).result(WAIT_S)
        assert log_bytes(path) <= short_log


def test_ok__what_was_seen_only_grows_unless_the_clock_is_certain(keeper: Upkeep) -> None:
    """A clock that is not certain can only move the memory forward; a certain one mends what a wrong one wrote."""

    def seen(at_ms: int, *, is_certain: bool) -> int:
        keeper.submit(lambda conn: set_last_seen(conn, Interval(at_ms, at_ms + 10), is_certain=is_certain)).result(WAIT_S)
        return keeper.submit(last_seen_ms).result(WAIT_S)

    assert keeper.submit(last_seen_ms).result(WAIT_S) == 0
    year_ms = 365 * 86_400_000
    assert [
        seen(T0_MS, is_certain=False),
        seen(T0_MS - year_ms, is_certain=False),
        seen(T0_MS + year_ms, is_certain=False),
        seen(T0_MS + 1, is_certain=True),
        seen(T0_MS, is_certain=False),
        seen(T0_MS + 2, is_certain=False),
    ] == [T0_MS, T0_MS, T0_MS + year_ms, T0_MS + 1, T0_MS + 1, T0_MS + 2]
