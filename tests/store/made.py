"""What the tests of the store are made with: codes, moments, notes, an open store, and everything that is in it."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agent.core.clock import Interval
from agent.core.tour import TourCode, Window
from agent.store import files
from agent.store.journal import Journal, Moment, Note
from agent.store.upkeep import Upkeep

T0_MS = 1_800_000_000_000
"""An instant in 2027."""
TABLES = ("journal", "used", "visit", "outbox", "roster", "dead_code", "retired_key", "mark", "pin", "feed", "desk_order", "presence")


def moment(at_ms: int = T0_MS) -> Moment:
    """A moment known to 50 ms either way."""
    return Moment(at_ms, Interval(at_ms - 50, at_ms + 50))


def code(number: int = 1, *, prospect: int | None = None, issue: int = 0, units: tuple[str, ...] = ("204 B",)) -> TourCode:
    """The code of appointment `number`, of a prospect of its own unless another is named."""
    return TourCode(
        code_id=f"{number:08x}{issue:04x}",
        appointment_id=f"a{number}",
        prospect_id=f"p{number if prospect is None else prospect}",
        community_id="1001",
        doors=("front", "gym"),
        unit_names=units,
        window=Window(T0_MS - 60_000, T0_MS + 3_600_000),
        key_id="0badcafe",
    )


def admission(of: TourCode, door: str = "front", at_ms: int = T0_MS) -> Note:
    """The note of an admission as the doorman writes it."""
    return Note(moment(at_ms), "admission", door, f"{door}-reader", None, of.appointment_id, of.code_id)


def new_store(folder: Path) -> Path:
    """A fresh store: migrated once in this process, and copied from then on, since a test may want a hundred."""
    path = folder / "journal.db"
    path.write_bytes(_fresh())
    return path


@functools.cache
def _fresh() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        files.migrate(path)
        assert [found.name for found in Path(folder).iterdir()] == ["journal.db"]
        return path.read_bytes()


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, as another process would read it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        return {table: sorted(conn.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}  # noqa: S608 - constants


def one_row(path: Path, sql: str) -> tuple[Any, ...]:
    """The only row of a query, as another process would read it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        (row,) = conn.execute(sql).fetchall()
    return tuple(row)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Journal, Upkeep]]:
    """The agent's two connections on one gate."""
    gate = threading.RLock()
    journal, upkeep = Journal(path, gate), Upkeep(path, gate)
    try:
        yield journal, upkeep
    finally:
        upkeep.close(10.0)
        journal.close()


def queue_visit(conn: sqlite3.Connection, number: int, *, prospect: int | None = None, at_ms: int = T0_MS) -> str:
    """A visit and its outbox row, as an admission writes them; returns the visit's id."""
    visit_id = f"{number:032x}"
    of = code(number, prospect=prospect)
    conn.execute(
        "INSERT INTO visit (visit_id, appointment_id, prospect_id, community_id, visit_ms, unit_names) VALUES (?, ?, ?, ?, ?, ?)",
        (visit_id, of.appointment_id, of.prospect_id, of.community_id, at_ms, '["204 B"]'),
    )
    conn.execute(
        "INSERT INTO outbox (visit_id, prospect_id, state, next_try_ms) VALUES (?, ?, 'due', ?)", (visit_id, of.prospect_id, at_ms)
    )
    return visit_id
