"""Settling by hand: staff read in Knock what the desk could not hear, once, and no dead appointment comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.core.booking import BookingState
from agent.core.tour import Standing
from agent.desk.office import Ingested, NotDoneError, Problem
from agent.desk.records import Booking, JobKind
from tests.desk.office.stage import BEN, MAIL, NOON_MS, Stage, form, slot

Make = Callable[..., Stage]


def by_hand(stage: Stage, booking: Booking, appointment_id: str | None, prospect_id: str | None = None) -> Booking:
    """Settle it as Sam of the staff."""
    return stage.run(stage.office.settle_by_hand(booking.booking_id, appointment_id, prospect_id, "sam"))


def unknown(stage: Stage, number: int = 0) -> tuple[Booking, str, str]:
    """A booking whose answer was lost, and what Knock has of it."""
    stage.fault("request", "lost", count=1)
    booking = stage.book(number=number)
    entry = stage.knows()["appointments"][-1]
    return booking, entry["id"], entry["prospectId"]


def test_ok__an_unknown_booking_that_knock_has(stage: Stage) -> None:
    """With both ids it is confirmed, has its code, and says who settled it."""
    booking, appointment_id, prospect_id = unknown(stage)
    settled = by_hand(stage, booking, appointment_id, prospect_id)
    assert settled.state is BookingState.CONFIRMED
    assert "sam" in settled.words
    code = stage.code(stage.held(settled))
    assert (code.appointment_id, code.prospect_id, code.window) == (appointment_id, prospect_id, booking.window)
    assert len(stage.received()) == 1


def test_ok__an_unknown_booking_that_knock_has_not(stage: Stage) -> None:
    """It is refused, and the prospect may book anew."""
    stage.fault("request", "status", status=500, count=1)
    booking = stage.book()
    settled = by_hand(stage, booking, None)
    assert (settled.state, "sam" in settled.words) == (BookingState.REFUSED, True)
    assert stage.book("two").state is BookingState.CONFIRMED


def test_ok__a_waiting_one_needs_only_what_is_missing(stage: Stage) -> None:
    """The prospect's id that Knock gave is kept, so staff name the appointment alone."""
    stage.fault("request", "form", booking_status="REQUESTED", count=1)
    booking = stage.book()
    assert by_hand(stage, booking, booking.appointment_id).state is BookingState.CONFIRMED


def test_ok__an_unknown_move_that_knock_did(make: Make) -> None:
    """The new time gets its code, the old one dies, and it is mailed as a move."""
    stage = make(mail=MAIL)
    booking = stage.book()
    stage.fault("request", "lost", count=1)
    stage.move(booking, 3)
    new = next(iter(stage.in_knock()))
    settled = by_hand(stage, booking, new)
    assert (settled.window.start_ms, settled.appointment_id, settled.move_state) == (slot(3), new, None)
    assert stage.entry(booking.appointment_id).standing is Standing.SUPERSEDED
    assert list(stage.live()) == [stage.entry(new).code_id]
    assert JobKind.MAIL_MOVED in {job.kind for job in stage.store.due_jobs(NOON_MS, 10)}


def test_ok__an_unknown_move_that_knock_did_not(stage: Stage) -> None:
    """The move is off, the old tour stands with its code, and can be moved again."""
    booking = stage.book()
    held = stage.held(booking)
    stage.fault("request", "status", status=500, count=1)
    stage.move(booking, 3)
    settled = by_hand(stage, booking, None)
    assert (settled.state, settled.window, settled.move_state) == (BookingState.CONFIRMED, booking.window, None)
    assert stage.held(settled) == held
    assert stage.move(booking, 3).window.start_ms == slot(3)


def test_ok__one_that_its_process_left_being_asked(stage: Stage) -> None:
    """After twice the longest time staff need not wait for housekeeping; before it they must."""
    booking, _ = stage.store.begin(stage.office._asking._wished(stage.community, form()))
    with pytest.raises(NotDoneError) as error:
        by_hand(stage, booking, None)
    assert error.value.problem is Problem.NOT_OPEN
    stage.now_ms += stage.given_up_ms
    assert by_hand(stage, booking, None).state is BookingState.REFUSED


@pytest.mark.parametrize("state", ["confirmed", "cancelled", "refused", "superseded"])
def test_refused__what_is_settled_stays_settled(stage: Stage, state: str) -> None:
    """A confirmed, cancelled, refused or replaced booking is not changed by hand."""
    if state == "refused":
        booking, _, _ = unknown(stage)
        booking = by_hand(stage, booking, None)
    else:
        booking = stage.book()
    if state == "cancelled":
        booking = stage.run(stage.office.cancel(booking.booking_id))
    if state == "superseded":
        stage.book("two", 6)
        booking = stage.row(booking)
    for ids in ((None, None), ("999", "888")):
        with pytest.raises(NotDoneError) as error:
            by_hand(stage, booking, *ids)
        assert error.value.problem is Problem.NOT_OPEN
    assert stage.row(booking) == booking


@pytest.mark.parametrize("ids", [("1 2", "5"), ("x" * 41, "5"), ("", "5"), ("12", "pros pect"), ("12", None), ("12\n", "5"), ("1é", "5")])
def test_refused__what_cannot_be_an_id(stage: Stage, ids: tuple[str, str | None]) -> None:
    """An id that no code can carry, or a missing one, changes nothing."""
    booking, _, _ = unknown(stage)
    with pytest.raises(NotDoneError) as error:
        by_hand(stage, booking, *ids)
    assert error.value.problem is Problem.BAD_ID
    assert stage.row(booking) == booking


def test_refused__the_old_appointment_for_a_move(stage: Stage) -> None:
    """The id of the tour as it was says nothing of the move: it stays open, with the old code."""
    booking = stage.book()
    stage.fault("request", "lost", count=1)
    unknown = stage.move(booking, 3)
    with pytest.raises(NotDoneError) as error:
        by_hand(stage, booking, booking.appointment_id)
    assert error.value.problem is Problem.BAD_ID
    assert stage.row(booking) == unknown


@pytest.mark.parametrize("how", ["live", "cancelled", "moved"])
def test_refused__an_appointment_of_another_tour(stage: Stage, how: str) -> None:
    """Somebody else's appointment, dead or alive, is not given to a second prospect; its own code is left alone."""
    other = stage.book("other", 3, BEN)
    if how == "cancelled":
        stage.run(stage.office.cancel(other.booking_id))
    if how == "moved":
        stage.move(other, 9)
    live = stage.live()
    booking, _, _ = unknown(stage)
    with pytest.raises(NotDoneError) as error:
        by_hand(stage, booking, other.appointment_id, "5")
    assert error.value.problem is Problem.BAD_ID
    assert stage.live() == live


def test_refused__a_dead_appointment_of_a_vendors(stage: Stage) -> None:
    """What a vendor put and cancelled gives no booking a code."""
    body = Ingested("5", "1001", form().window)
    stage.run(stage.office.ingest(("1001",), "12", body))
    stage.run(stage.office.ingest_cancel(("1001",), "12"))
    booking, _, _ = unknown(stage)
    with pytest.raises(NotDoneError) as error:
        by_hand(stage, booking, "12", "5")
    assert error.value.problem is Problem.BAD_ID
    assert stage.live() == {}


def test_refused__ones_own_dead_appointment(stage: Stage) -> None:
    """A move back to an appointment that an earlier move has ended would bring a dead one to life (promise P5)."""
    booking = stage.book()
    moved = stage.move(booking, 3)
    stage.fault("request", "lost", count=1)
    stage.move(moved, 6)
    with pytest.raises(NotDoneError) as error:
        by_hand(stage, moved, booking.appointment_id)
    assert error.value.problem is Problem.BAD_ID
    assert stage.entry(booking.appointment_id).standing is Standing.SUPERSEDED
    assert stage.held(stage.row(moved)).appointment.appointment_id == moved.appointment_id


def test_refused__a_booking_that_is_not_there(stage: Stage) -> None:
    """An id of nobody is said to be one."""
    with pytest.raises(NotDoneError) as error:
        stage.run(stage.office.settle_by_hand("0" * 16, "1", "2", "sam"))
    assert error.value.problem is Problem.NO_BOOKING


def test_ok__resend_mails_the_confirmation_once_more(make: Make) -> None:
    """The job is due again; without a mail server nothing is queued, and that is said."""
    stage = make(mail=MAIL)
    booking = stage.book()
    stage.store.finish_job(stage.store.due_jobs(NOON_MS, 1)[0].job_id, None)
    assert stage.run(stage.office.resend(booking.booking_id))
    assert [job.kind for job in stage.store.due_jobs(NOON_MS, 9)] == [JobKind.MAIL_CONFIRMED]


def test_refused__resend_without_mail_or_without_a_pass(stage: Stage) -> None:
    """No mail server: False, and no job. No confirmed tour: refused."""
    booking = stage.book()
    assert not stage.run(stage.office.resend(booking.booking_id))
    stage.run(stage.office.cancel(booking.booking_id))
    with pytest.raises(NotDoneError) as error:
        stage.run(stage.office.resend(booking.booking_id))
    assert error.value.problem is Problem.NOT_CONFIRMED
