"""Cancelling: the code is dead at once, Knock is told until it knows, and what is uncertain is said to staff."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from agent.core.booking import Booked, BookingState
from agent.core.replay import RowState
from agent.core.tour import Standing, Window
from agent.desk.office import Ingested, NotDoneError, Problem
from agent.desk.records import Booking, JobKind
from agent.desk.store import StateError
from agent.errors import StoreError
from tests.desk.office.stage import HOUR_MS, MAIL, NOON_MS, Stage, form, slot

Make = Callable[..., Stage]


def cancel(stage: Stage, booking: Booking) -> Booking:
    """Cancel a booking as its prospect does."""
    return stage.run(stage.office.cancel(booking.booking_id))


def test_ok__dead_at_once_and_told_to_knock_by_the_queue(stage: Stage) -> None:
    """The roster has it as cancelled before Knock was asked; then Knock has it, too, and the slot is free again."""
    booking = stage.book()
    cancelled = cancel(stage, booking)
    assert (cancelled.state, cancelled.words) == (BookingState.CANCELLED, "")
    assert stage.entry(booking.appointment_id).standing is Standing.CANCELLED
    assert stage.live() == {}
    assert stage.received("cancel") == []
    assert stage.run(stage.queue().do_due()) == 1
    assert stage.in_knock("CANCELLED") == {booking.appointment_id}
    assert stage.store.due_jobs(NOON_MS + HOUR_MS, 10) == []
    assert stage.run(stage.office.pass_for(cancelled)) is None


def test_ok__a_second_cancel_is_the_same(stage: Stage) -> None:
    """Nothing more happens, however often it is clicked and in however many processes."""
    booking = stage.book()
    others = [stage.office, stage.another(stage.opened())]

    async def click() -> list[Booking]:
        return await asyncio.gather(*(office.cancel(booking.booking_id) for office in others * 3))

    found = stage.run(click())
    assert {one.state for one in found} == {BookingState.CANCELLED}
    assert cancel(stage, booking) == stage.row(booking)
    assert stage.run(stage.queue().do_due()) == 1
    assert len(stage.received("cancel")) == 1


def test_refused__a_cancel_by_what_was_read_before_a_move(stage: Stage) -> None:
    """Whoever read the booking before it was moved would tell Knock of the wrong appointment: nothing is done until it is read anew."""
    stale = stage.book()
    moved = stage.move(stale, 3)
    with pytest.raises(StateError):
        stage.office.settling.cancel(stale)
    assert stage.row(stale) == moved
    assert cancel(stage, stale).state is BookingState.CANCELLED
    assert [job.subject for job in stage.store.due_jobs(NOON_MS, 9)] == [moved.appointment_id]


@pytest.mark.parametrize(("kind", "facts"), [("refuse", {}), ("lost", {}), ("status", {"status": 503}), ("status", {"status": 401})])
def test_fail__knock_out_of_reach_is_told_later(stage: Stage, kind: str, facts: dict[str, int]) -> None:
    """The code is dead all the same; the cancel is tried again until Knock has it."""
    booking = stage.book()
    stage.fault("cancel", kind, **facts)
    cancel(stage, booking)
    queue = stage.queue()
    for _ in range(3):
        assert stage.run(queue.do_due()) == 1
        assert stage.run(queue.do_due()) == 0
        stage.now_ms += HOUR_MS
    stage.mend()
    stage.run(queue.do_due())
    assert stage.in_knock("CANCELLED") == {booking.appointment_id}


def test_fail__refused_for_good_is_a_dead_letter(stage: Stage) -> None:
    """What Knock will never do waits for staff, with Knock's words and the booking."""
    stage.store.add_job(JobKind.CANCEL, "no-such-appointment", NOON_MS)
    stage.run(stage.queue().do_due())
    [(job, _)] = stage.store.dead_jobs()
    assert (job.kind, job.state) == (JobKind.CANCEL, RowState.DEAD)
    assert "no appointment" in job.words
    assert stage.store.retry_job(job.job_id, NOON_MS)
    assert stage.run(stage.queue().do_due()) == 1


@pytest.mark.parametrize("fault", [{"kind": "lost"}, {"kind": "form", "booking_status": "REQUESTED"}])
def test_ok__what_was_never_confirmed_can_be_cancelled(stage: Stage, fault: dict[str, str]) -> None:
    """Unknown: staff are told that Knock may hold it. Waiting: Knock is told of the appointment that it named."""
    stage.fault("request", **fault)
    booking = stage.book()
    cancelled = cancel(stage, booking)
    assert cancelled.state is BookingState.CANCELLED
    done = stage.run(stage.queue().do_due())
    if booking.appointment_id is None:
        assert "Knock may hold" in cancelled.words
        assert done == 0
    else:
        assert stage.in_knock("CANCELLED") == {booking.appointment_id}


def test_ok__a_cancel_while_the_booking_is_asked_for_wins(stage: Stage) -> None:
    """The answer comes late: no code, and what Knock booked is cancelled there."""
    stage.fault("request", "slow", seconds=0.5)

    async def both() -> Booking:
        book = asyncio.create_task(stage.office.book(stage.community, form()))
        while (found := stage.store.by_submission("form-1")) is None:  # noqa: ASYNC110 - as another process sees it
            await asyncio.sleep(0.02)
        await stage.office.cancel(found.booking_id)
        return await book

    booking = stage.run(both())
    assert booking.state is BookingState.CANCELLED
    assert stage.live() == {}
    stage.run(stage.queue().do_due())
    assert stage.in_knock() == set()
    assert len(stage.in_knock("CANCELLED")) == 1


def test_ok__a_cancel_while_a_move_is_under_way_wins(stage: Stage) -> None:
    """Both appointments are cancelled: the one that was known, and the one that the late answer names."""
    booking = stage.book()
    stage.fault("request", "slow", seconds=0.5)

    async def both() -> Booking:
        move = asyncio.create_task(stage.office.move(booking.booking_id, slot(3), "move"))
        while stage.row(booking).move_state is None:  # noqa: ASYNC110 - as another process sees it
            await asyncio.sleep(0.02)
        cancelled = await stage.office.cancel(booking.booking_id)
        assert "Knock may hold the new appointment" in cancelled.words
        return await move

    assert stage.run(both()).state is BookingState.CANCELLED
    assert stage.live() == {}
    stage.run(stage.queue().do_due())
    assert stage.in_knock() == set()
    assert len(stage.in_knock("CANCELLED")) == 2


def test_ok__a_cancel_of_an_unknown_move_says_so_to_staff(stage: Stage) -> None:
    """The known appointment is cancelled, and staff are told to look for the other."""
    booking = stage.book()
    stage.fault("request", "lost")
    stage.move(booking, 3)
    cancelled = cancel(stage, booking)
    assert (cancelled.moving_to, cancelled.move_state) == (None, None)
    assert "Knock may hold the new appointment" in cancelled.words
    assert stage.live() == {}


def test_ok__a_cancel_is_mailed_when_there_is_mail(make: Make) -> None:
    """Together with the word for Knock."""
    stage = make(mail=MAIL)
    booking = cancel(stage, stage.book())
    kinds = {job.kind for job in stage.store.due_jobs(NOON_MS, 10) if job.subject in (booking.booking_id, booking.appointment_id)}
    assert kinds == {JobKind.MAIL_CONFIRMED, JobKind.MAIL_CANCELLED, JobKind.CANCEL}


@pytest.mark.parametrize("how", ["superseded", "refused", "over", "nowhere"])
def test_refused__what_cannot_be_cancelled(stage: Stage, how: str) -> None:
    """What was replaced, refused, is over or was never there stays as it is, and Knock hears nothing."""
    if how == "refused":
        stage.fault("request", "lost")
    booking = stage.book("one", 0)
    if how == "superseded":
        stage.book("two", 6)
    if how == "refused":
        stage.run(stage.office.settle_by_hand(booking.booking_id, None, None, "sam"))
    if how == "over":
        stage.now_ms = stage.held(booking).closes_ms
    before = stage.row(booking)
    with pytest.raises(NotDoneError) as error:
        stage.run(stage.office.cancel("0" * 16 if how == "nowhere" else booking.booking_id))
    expected = {"over": Problem.OVER, "nowhere": Problem.NO_BOOKING}
    assert error.value.problem is expected.get(how, Problem.NOT_LIVE)
    assert stage.row(booking) == before
    assert stage.run(stage.queue().do_due()) == 0


def test_ok__a_code_can_be_killed_as_long_as_it_opens(stage: Stage) -> None:
    """During the grace after the end, too, until its last millisecond; by the prospect, the vendor and the command line alike."""
    ways: list[Callable[[Booking], Any]] = [
        lambda booking: stage.office.cancel(booking.booking_id),
        lambda booking: stage.office.ingest_cancel(("1001",), booking.appointment_id or ""),
        lambda booking: stage.office.cancel_appointment(booking.appointment_id or ""),
    ]
    for number, way in enumerate(ways):
        booking = stage.book(f"form-{number}", 4 * number)
        stage.now_ms = stage.held(booking).closes_ms - 1
        stage.run(way(booking))
        assert (stage.row(booking).state, stage.live()) == (BookingState.CANCELLED, {})


def test_ok__a_vendors_tour_that_staff_cancel_is_told_to_knock(stage: Stage) -> None:
    """The end and the word for Knock are one step; a second cancel adds nothing."""
    window = Window(slot(0), slot(1))
    stage.run(stage.office.ingest(("1001",), "12", Ingested("77", "1001", window)))
    assert stage.run(stage.office.cancel_appointment("12")).standing is Standing.CANCELLED
    [job] = stage.store.due_jobs(NOON_MS, 10)
    assert (job.kind, job.subject) == (JobKind.CANCEL, "12")
    stage.store.finish_job(job.job_id, None)
    assert stage.run(stage.office.cancel_appointment("12")).standing is Standing.CANCELLED
    assert stage.store.due_jobs(NOON_MS, 10) == []


def test_fail__a_word_for_knock_that_cannot_be_written_leaves_the_tour_alive(stage: Stage) -> None:
    """The store fails at the second half of it: nothing of it is there, so that the next cancel does both."""
    stage.run(stage.office.ingest(("1001",), "12", Ingested("77", "1001", Window(slot(0), slot(1)))))
    with closing(sqlite3.connect(stage.path)) as conn:
        conn.execute("CREATE TRIGGER full BEFORE INSERT ON job BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
        conn.commit()
        with pytest.raises(StoreError):
            stage.run(stage.office.cancel_appointment("12"))
        assert stage.entry("12").standing is Standing.CONFIRMED
        conn.execute("DROP TRIGGER full")
        conn.commit()
    assert stage.run(stage.office.cancel_appointment("12")).standing is Standing.CANCELLED
    assert [job.subject for job in stage.store.due_jobs(NOON_MS, 10)] == ["12"]


def test_ok__a_cancel_while_a_move_waits_tells_knock_of_both(stage: Stage) -> None:
    """The new appointment's id is known though it is not confirmed: nothing is left in Knock, and staff need not look."""
    booking = stage.book()
    stage.fault("request", "form", booking_status="REQUESTED", count=1)
    moved = stage.move(booking, 3)
    [new] = {entry["id"] for entry in stage.knows()["appointments"]} - {booking.appointment_id}
    assert (moved.move_state, moved.moving_appointment_id) == (BookingState.PENDING, new)
    assert cancel(stage, booking).words == ""
    assert {job.subject for job in stage.store.due_jobs(NOON_MS, 9)} == {booking.appointment_id, new}


def test_refused__a_cancel_by_what_was_read_before_the_moves_answer(stage: Stage) -> None:
    """Whoever read the booking before the new appointment's id was known would tell Knock of the old one alone."""
    booking = stage.book()
    begun, _ = stage.office.settling.begin_move(booking, Window(slot(3), slot(4)))
    stage.office.settling.moved(begun, Booked("77", "REQUESTED"))
    with pytest.raises(StateError):
        stage.office.settling.cancel(begun)
    assert stage.row(booking).state is BookingState.CONFIRMED


def test_refused__a_cancel_by_what_was_read_before_the_answer(stage: Stage) -> None:
    """The booking has its appointment by now, of which Knock must be told."""
    begun, _ = stage.store.begin(stage.office._asking._wished(stage.community, form()))
    stage.office.settling.booked(begun, Booked("77", "CONFIRMED", "5"))
    with pytest.raises(StateError):
        stage.office.settling.cancel(begun)
    assert cancel(stage, begun).state is BookingState.CANCELLED
    assert [job.subject for job in stage.store.due_jobs(NOON_MS, 9)] == ["77"]


@pytest.mark.parametrize("status", ["CONFIRMED", "REQUESTED"])
@pytest.mark.parametrize("state", [BookingState.REFUSED, BookingState.SUPERSEDED, BookingState.CANCELLED])
@pytest.mark.parametrize("is_move", [False, True])
def test_ok__what_a_late_answer_names_is_cancelled_in_knock(stage: Stage, state: BookingState, status: str, is_move: bool) -> None:
    """The booking has ended meanwhile, however it did: nothing of it is left standing in Knock, and it has no code."""
    if is_move:
        begun, _ = stage.office.settling.begin_move(stage.book(), Window(slot(3), slot(4)))
    else:
        begun, _ = stage.store.begin(stage.office._asking._wished(stage.community, form()))
    stage.store.settle(begun.booking_id, expected={begun.state}, change=lambda found: replace(found, state=state), now_ms=NOON_MS)
    answered = stage.office.settling.moved if is_move else stage.office.settling.booked
    assert answered(begun, Booked("77", status, "5")).state is state
    assert [(job.kind, job.subject) for job in stage.store.due_jobs(NOON_MS, 9)] == [(JobKind.CANCEL, "77")]
    assert stage.live() == {}


def test_refused__a_late_answer_with_the_id_of_a_live_tour(stage: Stage) -> None:
    """Knock gave the appointment to the tour that took the place: its cancel would end that one."""
    begun, _ = stage.store.begin(stage.office._asking._wished(stage.community, form()))
    stage.store.settle(
        begun.booking_id, expected={begun.state}, change=lambda found: replace(found, state=BookingState.SUPERSEDED), now_ms=NOON_MS
    )
    stage.run(stage.office.ingest(("1001",), "77", Ingested("5", "1001", Window(slot(0), slot(1)))))
    stage.office.settling.booked(begun, Booked("77", "CONFIRMED", "5"))
    assert stage.store.due_jobs(NOON_MS, 9) == []


def test_ok__the_last_word_of_leaving_counts(stage: Stage) -> None:
    """Whoever went back in says it again; the code stays, for whoever forgot an umbrella."""
    booking = stage.book()
    stage.now_ms = stage.held(booking).opens_ms
    assert stage.run(stage.office.leave(booking.booking_id)).left_ms == stage.now_ms
    stage.now_ms += 60_000
    assert stage.run(stage.office.leave(booking.booking_id)).left_ms == stage.now_ms
    assert stage.held(booking).appointment.code_id in stage.live()


def test_refused__nobody_leaves_before_the_code_opens(stage: Stage) -> None:
    """A finger that slipped in the morning does not say in the evening that everybody is out."""
    booking = stage.book(number=2)
    stage.now_ms = stage.held(booking).opens_ms - 1
    with pytest.raises(NotDoneError) as error:
        stage.run(stage.office.leave(booking.booking_id))
    assert error.value.problem is Problem.NOT_BEGUN
    assert stage.row(booking) == booking


def test_refused__nobody_leaves_a_cancelled_tour(stage: Stage) -> None:
    """A tour that is not confirmed has nobody in it."""
    booking = cancel(stage, stage.book())
    with pytest.raises(NotDoneError) as error:
        stage.run(stage.office.leave(booking.booking_id))
    assert error.value.problem is Problem.NOT_LIVE
