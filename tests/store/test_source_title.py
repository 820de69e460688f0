"""Where a prospect came from reaches the visit, also when the door hears of the booking after they came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import Mark, RowState
from agent.core.tour import RosterEntry, Standing
from agent.store import feed, outbox
from tests.store.made import T0_MS, admission, code, moment, new_store, one_row, opened

_TITLE = "SELECT source_title FROM visit"


def _heard(title: str | None, appointment_id: str = "a1") -> list[RosterEntry]:
    return [RosterEntry(appointment_id, Standing.CONFIRMED, code(1).code_id, title, 1)]


@pytest.mark.parametrize(
    ("heard", "written"),
    [(_heard("Rent & Roost"), "Rent & Roost"), (_heard(None), "Property Website"), (_heard("Rent & Roost", "a2"), "Property Website")],
)
def test_ok__a_visit_that_waits_gets_the_title_of_its_booking(tmp_path: Path, heard: list[RosterEntry], written: str) -> None:
    """Its own, if the booking names one; nobody else's."""
    path = new_store(tmp_path)
    with opened(path) as (journal, keeper):
        journal.admit(code(1), admission(code(1)), "Property Website")
        keeper.submit(lambda conn: feed.hear(conn, heard, moment())).result()
    assert one_row(path, _TITLE) == (written,)


@pytest.mark.parametrize("mark", [None, Mark(RowState.DUE, 1, 1, T0_MS, "lost")], ids=["on its way", "to be sent again"])
def test_refused__a_visit_that_was_sent_keeps_what_was_sent(tmp_path: Path, mark: Mark | None) -> None:
    """The same idempotency key never comes with another body."""
    path = new_store(tmp_path)
    with opened(path) as (journal, keeper):
        journal.admit(code(1), admission(code(1)), "Property Website")
        claimed: list[Any] = keeper.submit(lambda conn: outbox.claim(conn, T0_MS, set(), 1)).result()
        assert len(claimed) == 1
        if mark is not None:
            keeper.submit(lambda conn: outbox.mark(conn, claimed[0].visit.visit_id, mark)).result()
        keeper.submit(lambda conn: feed.hear(conn, _heard("Rent & Roost"), moment())).result()
    assert one_row(path, _TITLE) == ("Property Website",)


def test_ok__tries_without_an_uplink_do_not_matter(tmp_path: Path) -> None:
    """That is when the door has not heard of the booking: the visit was tried in vain, and the news comes with the uplink."""
    path = new_store(tmp_path)
    with opened(path) as (journal, keeper):
        admitted = journal.admit(code(1), admission(code(1)), "Property Website")
        in_vain = Mark(RowState.DUE, 3, 0, T0_MS, "no connection", is_link=True)
        keeper.submit(lambda conn: outbox.mark(conn, str(admitted.new_visit_id), in_vain)).result()
        keeper.submit(lambda conn: feed.hear(conn, _heard("Rent & Roost"), moment())).result()
    assert one_row(path, _TITLE) == ("Rent & Roost",)
