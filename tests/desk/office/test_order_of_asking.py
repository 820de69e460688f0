"""One person's tours that are confirmed in another order than they were asked for: Knock has the one that was asked for last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.booking import Booked, BookingState
from agent.desk.records import Booking, JobKind
from tests.desk.office.stage import ADA, HOUR_MS, MAIL, NOON_MS, Stage, form, slot

Make = Callable[..., Stage]


def nameless(stage: Stage) -> tuple[Booking, Booking]:
    """Two tours that Knock confirmed without a word on the prospect."""
    stage.fault("request", "form", left_out=["prospectId"], count=2)
    return stage.book("one", 0), stage.book("two", 4)


def told_who(stage: Stage, booking: Booking) -> Booking:
    """The prospect's id arrives for this booking alone."""
    prospect_id = stage.knows()["appointments"][0]["prospectId"]
    return stage.office.settling.has_prospect(stage.row(booking), prospect_id)


@pytest.mark.parametrize("is_in_order", [True, False])
def test_ok__whoever_is_confirmed_first_the_last_one_stays(stage: Stage, is_in_order: bool) -> None:
    """Both wait for the prospect's id, and it comes in any order: one tour is left, the one that Knock has."""
    first, second = nameless(stage)
    for booking in (first, second) if is_in_order else (second, first):
        told_who(stage, booking)
    assert (stage.row(first).state, stage.row(second).state) == (BookingState.SUPERSEDED, BookingState.CONFIRMED)
    assert stage.in_knock() == {stage.row(second).appointment_id}
    assert list(stage.live()) == [stage.code(stage.held(stage.row(second))).code_id]


def test_fail__an_earlier_one_that_is_confirmed_alone_leaves_the_later_one_waiting(stage: Stage) -> None:
    """Only the earlier one's question was answered so far: the later one is not given up."""
    first, second = nameless(stage)
    told_who(stage, first)
    assert stage.row(second).state is BookingState.PENDING
    assert stage.run(stage.queue().do_due()) == 2
    assert (stage.row(first).state, stage.row(second).state) == (BookingState.SUPERSEDED, BookingState.CONFIRMED)


def test_refused__an_unknown_one_that_a_hand_settles_after_a_later_one(stage: Stage) -> None:
    """The later one, of the same profile but another address, was confirmed: the earlier one has no code, and the later one keeps its."""
    stage.fault("request", "lost", count=1)
    unknown = stage.book("one", 0, replace(ADA, phone=""))
    second = stage.book("two", 4, replace(ADA, email="ada@example.org"))
    assert (unknown.state, second.state) == (BookingState.UNKNOWN, BookingState.CONFIRMED)
    settled = stage.run(stage.office.settle_by_hand(unknown.booking_id, "77", second.prospect_id, "sam"))
    assert settled == stage.row(unknown)
    assert settled.state is BookingState.SUPERSEDED
    assert stage.store.appointment("77") is None
    assert list(stage.live()) == [stage.code(stage.held(second)).code_id]


def test_refused__a_move_that_is_settled_after_a_later_booking(stage: Stage) -> None:
    """The move was asked for before it: old and new time of the moved tour have no code."""
    moved = stage.book("one", 0, replace(ADA, phone=""))
    stage.fault("request", "lost", count=1)
    stage.move(moved, 2)
    later = stage.office._asking._wished(stage.community, form("two", 6, replace(ADA, email="ada@example.org")))
    begun, _ = stage.store.begin(later)
    stage.office.settling.booked(begun, Booked("88", "CONFIRMED", moved.prospect_id))
    assert stage.row(moved).state is BookingState.SUPERSEDED
    assert [one.appointment_id for one, _ in stage.store.roster_page("1001", "front", 0, 9)[0] if one.standing == "confirmed"] == ["88"]


def test_ok__a_move_counts_from_when_it_was_asked_for(stage: Stage) -> None:
    """Booked first and moved last: the move is what Knock has, and the booking between them is replaced when it is confirmed late."""
    moved = stage.book("one", 0)
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    between = stage.book("two", 4)
    moved = stage.move(moved, 2)
    assert moved.window.start_ms == slot(2)
    assert told_who(stage, between).state is BookingState.SUPERSEDED
    assert stage.row(moved).state is BookingState.CONFIRMED
    assert stage.in_knock() == {moved.appointment_id}


def test_ok__a_move_that_knock_refused_counts_for_nothing(stage: Stage) -> None:
    """The booking between stands in Knock, and takes the tour's place once it is confirmed."""
    moved = stage.book("one", 0)
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    between = stage.book("two", 4)
    begun, _ = stage.office.settling.begin_move(moved, replace(moved.window, start_ms=slot(2), end_ms=slot(3)))
    stage.office.settling.not_booked(begun, "sam")
    assert told_who(stage, between).state is BookingState.CONFIRMED
    assert stage.row(moved).state is BookingState.SUPERSEDED


def test_ok__a_later_tour_that_has_begun_still_counts(stage: Stage) -> None:
    """Knock let go of the earlier one when the later one was asked for, whatever the clock says since."""
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    first = stage.book("one", 8)
    second = stage.book("two", 0)
    stage.now_ms = NOON_MS + HOUR_MS
    assert told_who(stage, first).state is BookingState.SUPERSEDED
    assert stage.row(second).state is BookingState.CONFIRMED


def test_ok__who_is_replaced_so_late_is_mailed(make: Make) -> None:
    """No pass and no confirmation, but the word that another tour took its place."""
    stage = make(mail=MAIL)
    first, second = nameless(stage)
    told_who(stage, second)
    told_who(stage, first)
    mails = [(job.kind, job.subject) for job in stage.store.due_jobs(NOON_MS, 10) if job.kind is not JobKind.PROSPECT]
    assert mails == [(JobKind.MAIL_CONFIRMED, second.booking_id), (JobKind.MAIL_CANCELLED, first.booking_id)]


def test_ok__a_move_that_may_stand_in_knock_is_not_ended_by_an_earlier_booking(stage: Stage) -> None:
    """The move was asked for last, and nobody knows its outcome: the booking before it is confirmed beside it."""
    moved = stage.book("one", 0)
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    between = stage.book("two", 4)
    stage.fault("request", "lost", count=1)
    moved = stage.move(moved, 2)
    told_who(stage, between)
    assert (stage.row(moved).state, stage.row(moved).move_state) == (BookingState.CONFIRMED, BookingState.UNKNOWN)
    settled = stage.run(stage.office.settle_by_hand(moved.booking_id, "77", None, "sam"))
    assert (settled.state, stage.row(between).state) == (BookingState.CONFIRMED, BookingState.SUPERSEDED)
