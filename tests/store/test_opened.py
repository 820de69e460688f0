"""A visit remembers that its door was really opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.decide import Presence
from agent.store import files
from agent.store.journal import Note, set_presence
from agent.store.upkeep import Passage, was_forced
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


FRONT, GYM = Presence("front", T0_MS), Presence("gym", T0_MS - 9000)


@pytest.mark.parametrize(
    ("now", "passage", "then"),
    [
        (FRONT, Passage("a1", "front", T0_MS, None), None),
        (FRONT, Passage("a1", "front", T0_MS, GYM), GYM),
        (Presence("front", T0_MS + 1), Passage("a1", "front", T0_MS, None), Presence("front", T0_MS + 1)),
        (GYM, Passage("a1", "front", T0_MS, None), GYM),
        (FRONT, Passage("another", "front", T0_MS, None), FRONT),
        (None, Passage("a1", "front", T0_MS, GYM), None),
        (None, Passage("a1", "front", T0_MS, FRONT, is_exit=True), FRONT),
        (GYM, Passage("a1", "front", T0_MS, FRONT, is_exit=True), GYM),
        (FRONT, None, FRONT),
    ],
)
def test_ok__who_did_not_go_through_is_where_she_was(
    path: Path, now: Presence | None, passage: Passage | None, then: Presence | None
) -> None:
    """A door that was not opened gives the presence back, in or out, unless something else came since; it is journaled either way."""
    with opened(path) as (_, keeper):
        keeper.submit(lambda conn: set_presence(conn, "a1", now)).result(10)
        keeper.note_not_opened(Note(moment(T0_MS + 5000), "not_opened", "front", appointment_id="a1"), passage)
        keeper.submit(lambda _conn: None).result(10)
    rows = files.rows(path, "SELECT door, since_ms FROM presence WHERE appointment_id = 'a1'")
    assert [Presence(**row) for row in rows] == ([] if then is None else [then])
    assert [row["kind"] for row in files.rows(path, "SELECT kind FROM journal")] == ["not_opened"]


@pytest.mark.parametrize(
    ("kinds", "is_forced"),
    [
        ([], False),
        (["forced"], True),
        (["forced", "start", "not_opened", "rex"], True),
        (["forced", "still_forced"], True),
        (["forced", "secured"], False),
        (["forced", "secured", "opened"], False),
        (["shut", "forced"], True),
    ],
)
def test_ok__what_a_leaf_did_last(path: Path, kinds: list[str], is_forced: bool) -> None:
    """Forced stays forced until another entry tells of that door's leaf; another door's entries are nothing to it."""
    with opened(path) as (_, keeper):
        for at, kind in enumerate(kinds):
            keeper.note(Note(moment(T0_MS + at), kind, "front"))
        keeper.note(Note(moment(T0_MS + 99), "shut" if is_forced else "forced", "back"))
        assert keeper.submit(lambda conn: was_forced(conn, "front")).result(10) is is_forced
