"""A visit remembers that its door was really opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.store import files
from agent.store.journal import Note
from tests.store.made import T0_MS, admission, code, moment, new_store, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new store."""
    return new_store(tmp_path)


def _note(at_ms: int, appointment_id: str | None) -> Note:
    return Note(moment(at_ms), "opened", "front", appointment_id=appointment_id, code_id=None if appointment_id is None else "c")


@pytest.mark.parametrize(
    ("openings", "remembered_ms"),
    [
        ([], None),
        ([(T0_MS + 5, None)], None),
        ([(T0_MS + 5, "another")], None),
        ([(T0_MS + 5, "a1")], T0_MS + 5),
        ([(T0_MS + 5, "a1"), (T0_MS + 9, "a1")], T0_MS + 5),
    ],
)
def test_ok__the_first_opening_of_its_own(path: Path, openings: list[tuple[int, str | None]], remembered_ms: int | None) -> None:
    """Nobody's opening and another's are journaled and leave the visit as it is; of several the first counts."""
    with opened(path) as (journal, keeper):
        journal.admit(code(1), admission(code(1)), None)
        for at_ms, appointment_id in openings:
            keeper.note_opened(_note(at_ms, appointment_id))
        keeper.submit(lambda _conn: None).result(10)
    assert [row["opened_ms"] for row in files.rows(path, "SELECT opened_ms FROM visit")] == [remembered_ms]
    assert len(files.rows(path, "SELECT 1 FROM journal WHERE kind = 'opened'")) == len(openings)
