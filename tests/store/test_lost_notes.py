"""Entries that nobody waits for: one that cannot be written is counted and told."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.store import upkeep as upkeeping
from agent.store.journal import Note
from agent.store.upkeep import Upkeep
from tests.store.made import everything, moment, new_store

WAIT_S = 10.0


@pytest.fixture
def lost() -> list[str]:
    """What was told of lost notes."""
    return []


@pytest.fixture
def keeper(tmp_path: Path, lost: list[str]) -> Iterator[Upkeep]:
    """The second writer, which tells."""
    made = Upkeep(new_store(tmp_path), threading.RLock(), lost.append)
    yield made
    made.close(WAIT_S)


def settled(keeper: Upkeep) -> None:
    """Wait until what was handed over before is done."""
    keeper.submit(lambda conn: conn.execute("SELECT 1").fetchone()).result(WAIT_S)


def test_ok__a_note_is_written_and_nothing_is_told(tmp_path: Path, keeper: Upkeep, lost: list[str]) -> None:
    """The usual case: it is in the journal, and none is counted as lost."""
    keeper.note(Note(moment(), "refusal", "front", reason="late"))
    settled(keeper)
    assert [(row[4], row[5], row[7]) for row in everything(tmp_path / "journal.db")["journal"]] == [("refusal", "front", "late")]
    assert (keeper.lost_notes, lost) == (0, [])


def test_fail__a_note_for_a_full_disk_is_counted_and_told(keeper: Upkeep, lost: list[str]) -> None:
    """Each one is told with the sentence of its failure, and a later one is written when there is room again."""

    def bound(conn: sqlite3.Connection, pages: int) -> None:
        conn.execute(f"PRAGMA max_page_count = {pages or conn.execute('PRAGMA page_count').fetchone()[0]}").fetchall()

    keeper.submit(lambda conn: bound(conn, 0)).result(WAIT_S)
    for _ in range(2):
        keeper.note(Note(moment(), "refusal", detail={"words": "x" * 50_000}))
        settled_anyhow(keeper)
    assert (keeper.lost_notes, lost) == (2, ["the store cannot be written: database or disk is full"] * 2)
    keeper.submit(lambda conn: bound(conn, 10_000)).result(WAIT_S)
    keeper.note(Note(moment(), "refusal"))
    settled(keeper)
    assert keeper.lost_notes == 2


def settled_anyhow(keeper: Upkeep) -> None:
    """Wait until what was handed over before is done, although the disk is full."""
    keeper.submit(lambda _: None).exception(WAIT_S)


def test_fail__a_note_too_many_is_counted_and_told(tmp_path: Path, lost: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the card has stalled and the queue is full, the note that finds no place is not lost without a word either."""
    monkeypatch.setattr(upkeeping, "MAX_WAITING", 1)
    gate = threading.RLock()
    keeper = Upkeep(new_store(tmp_path), gate, lost.append)
    with gate:
        for _ in range(4):
            keeper.note(Note(moment(), "refusal"))
        assert keeper.lost_notes >= 2
    keeper.close(WAIT_S)
    assert lost == ["more than 1 writes wait for the disk"] * keeper.lost_notes


def test_ok__nobody_needs_to_listen_and_a_listener_that_fails_harms_nobody(tmp_path: Path) -> None:
    """Without a listener a lost note is counted; with one that raises the thread goes on."""

    def fail(_error: str) -> None:
        raise RuntimeError

    path = new_store(tmp_path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("DROP TABLE journal")
    for on_lost in (None, fail):
        keeper = Upkeep(path, threading.RLock(), on_lost)
        keeper.note(Note(moment(), "refusal"))
        settled(keeper)
        assert (keeper.lost_notes, keeper.is_alive()) == (1, True)
        keeper.close(WAIT_S)
