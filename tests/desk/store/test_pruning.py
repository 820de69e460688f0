"""Deleting what is over: the persons are gone from the file's bytes, and no door misses a change by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.booking import BookingState
from agent.core.tour import Standing
from agent.desk.records import Admission, JobKind
from agent.desk.store import DeskStore, StateError
from tests.desk.store.made import ASKING, HOUR_MS, T0_MS, appointment, booking, confirm, everything, new_store, opened, pins, window

OLD = window(-10)


def resync(store: DeskStore, limit: int) -> list[str]:
    """Read from the start as the feed does: a cursor below `oldest_seq` begins again, which must not happen on the way."""
    told: list[str] = []
    after_seq, has_more = 0, True
    while has_more:
        entries, after_seq, has_more = store.roster_page("1001", "front", after_seq, limit)
        assert after_seq >= store.oldest_seq()
        told += [one.appointment_id for one, _ in entries]
    return told


@pytest.mark.parametrize("state", list(BookingState))
def test_ok__a_tour_that_is_over_is_deleted_whole(tmp_path: Path, state: BookingState) -> None:
    """Whatever became of it: booking, appointment, doors, PINs and jobs, and the person is in no byte of the folder."""
    path = new_store(tmp_path)
    with opened(path) as store:
        confirm(store, 1, window=OLD)
        store.settle(
            booking(1).booking_id,
            expected={BookingState.CONFIRMED},
            change=lambda found: replace(found, state=state, words="Secretword"),
            jobs=[(JobKind.MAIL_CONFIRMED, booking(1).booking_id), (JobKind.CANCEL, "a1")],
            now_ms=T0_MS,
        )
        store.begin(booking(2, window=OLD, appointment_id="a2", moving_appointment_id="a9"))
        for appointment_id in ("a2", "a9"):
            store.add_job(JobKind.CANCEL, appointment_id, T0_MS)
        assert store.prune(T0_MS) > 0
        kept = {name: rows for name, rows in everything(path).items() if rows}
        assert set(kept) == {"about", "counter"}
        assert store.prune(T0_MS) == 0
        for file in tmp_path.iterdir():
            content = file.read_bytes()
            for text in (b"Ann1", b"Lee1", b"ann1@example.com", b"+15550100001", b"Lee2", b"Secretword", b"submission-1"):
                assert text not in content, file


def test_ok__what_is_not_over_stays(tmp_path: Path) -> None:
    """A tour that ends at the very instant, one that is being moved into the future, and one to come."""
    path = new_store(tmp_path)
    with opened(path) as store:
        confirm(store, 1)
        confirm(store, 2, window=OLD)
        store.begin(booking(3, window=OLD, moving_to=window(5), move_state=BookingState.UNKNOWN))
        store.add_job(JobKind.MAIL_CONFIRMED, booking(1).booking_id, T0_MS)
        end_ms = window(-10).end_ms
        assert store.prune(end_ms) == 0
        assert store.prune(end_ms + 1) > 0
        assert [int(found.booking_id, 16) for found in store.bookings("1001")] == [3, 1]
        assert store.appointment("a1") is not None
        assert store.appointment("a2") is None
        assert [job.subject for job in store.due_jobs(T0_MS, 9)] == [booking(1).booking_id]
        assert [pin for _, pin in store.roster_page("1001", "gym", 0, 9)[0]] == ["gym-1"]


def test_ok__old_admissions_orders_and_sessions_go_too(tmp_path: Path) -> None:
    """Each by its own time."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for at_ms in (T0_MS - 1, T0_MS):
            store.add_admissions([Admission("1001", "front", "a1", at_ms)])
            store.add_order("1001", "front", "outbox_retry", [f"v{at_ms}"], at_ms)
            store.add_session(f"{at_ms}", "ann", at_ms)
        assert store.prune(T0_MS) == 3
        assert {name: len(rows) for name, rows in everything(path).items() if name in {"admission", "door_order", "session"}} == {
            "admission": 1, "door_order": 1, "session": 1,
        }  # fmt: skip


def test_ok__a_door_that_missed_a_deleted_change_is_below_the_oldest(tmp_path: Path) -> None:
    """It has to read again from the start; a door that had heard of it goes on where it is."""
    with opened(tmp_path / "desk.db") as store:
        assert store.oldest_seq() == 0
        store.put_appointment(appointment(1, window=OLD), pins(1), T0_MS)
        store.put_appointment(appointment(2), pins(2), T0_MS)
        store.end_appointment("a1", Standing.CANCELLED, T0_MS)
        up_to_date = store.last_seq()
        store.prune(T0_MS)
        assert store.oldest_seq() == 3 == up_to_date
        told, last, _ = store.roster_page("1001", "front", up_to_date, 9)
        assert [one.appointment_id for one, _ in told] == ["a2"], "told again, since its number was below"
        assert last == store.last_seq() == 4


@pytest.mark.parametrize("limit", [1, 3, 200])
def test_ok__reading_from_the_start_after_a_deletion_comes_to_its_end(tmp_path: Path, limit: int) -> None:
    """However small the pages: no cursor on the way is too old, every tour that is left is told, in the order of before."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for number in range(1, 11):
            store.put_appointment(appointment(number), pins(number), T0_MS)
        store.put_appointment(appointment(11, window=OLD), pins(11), T0_MS)
        store.put_appointment(appointment(12), pins(12), T0_MS)
        store.prune(T0_MS)
        left = [f"a{number}" for number in (12, *range(1, 11))]
        assert resync(store, limit) == left
        with store._file.reading() as db:
            numbers = db.rows("SELECT a.seq AS one, d.seq AS other FROM appointment a JOIN roster_door d USING (appointment_id)")
        assert all(row["one"] == row["other"] > store.oldest_seq() for row in numbers)
        assert {store.appointment(one).revision for one in left} == {1}  # type: ignore[union-attr]


def test_ok__nothing_deleted_wakes_no_door(tmp_path: Path) -> None:
    """Housekeeping that finds nothing is no news."""
    with opened(tmp_path / "desk.db") as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        assert store.prune(T0_MS) == 0
        assert (store.oldest_seq(), store.changed_doors(1)) == (0, (set(), 1))


def test_ok__an_appointment_that_comes_back_has_a_higher_revision(tmp_path: Path) -> None:
    """Doors may remember the one that was deleted, and believe another code only with a higher revision."""
    with opened(tmp_path / "desk.db") as store:
        for title in ("A", "B", "C"):
            store.put_appointment(appointment(1, source_title=title, window=OLD), pins(1), T0_MS)
        store.prune(T0_MS)
        assert store.put_appointment(appointment(1, code_id="f" * 12), pins(1), T0_MS).revision == 4


def test_refused__settling_a_booking_that_was_deleted(tmp_path: Path) -> None:
    """An answer of Knock's that comes after all that time writes nothing."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1, window=OLD))
        store.prune(T0_MS + HOUR_MS)
        before = everything(path)
        with pytest.raises(StateError, match="the booking is deleted"):
            store.settle(booking(1).booking_id, expected=ASKING, change=lambda found: found, now_ms=T0_MS)
        assert everything(path) == before
