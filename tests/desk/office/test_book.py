"""Booking: once per submission, with a code only for what Knock confirmed, and nothing repeated that may have arrived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.core.booking import Booked, BookingState, SmsConsent
from agent.core.tour import Standing, Window
from agent.desk.office import NotDoneError, Problem
from agent.desk.records import Booking, JobKind
from tests.desk.office.stage import ADA, BEN, MAIL, MINUTE_MS, NOON_MS, LateKnock, Stage, form, slot, texts

Make = Callable[..., Stage]


def test_ok__a_confirmed_booking_has_a_code_that_a_door_reads(stage: Stage) -> None:
    """The code holds Knock's ids, the units, the window of the property's tour length and the doors of those units, and no person."""
    booking = stage.book()
    held = stage.held(booking)
    code = stage.code(held)
    assert booking.state is BookingState.CONFIRMED
    assert (code.appointment_id, code.prospect_id) == (booking.appointment_id, booking.prospect_id)
    assert stage.in_knock() == {booking.appointment_id}
    assert (code.community_id, code.doors, code.unit_names) == ("1001", ("front",), ("101",))
    assert code.window == Window(slot(0), slot(0) + 30 * MINUTE_MS)
    assert (held.opens_ms, held.closes_ms) == (slot(0) - 15 * MINUTE_MS, slot(0) + 60 * MINUTE_MS)
    assert stage.live() == {code.code_id: stage.secrets.pin_hashes(held.pin, "1001", ["front"])["front"]}
    assert "Ada" not in texts([held, code])
    assert held.pin not in texts([held])
    assert held.code_text not in texts([held])


def test_ok__the_doors_are_those_of_the_units(stage: Stage) -> None:
    """A unit behind another door opens that door, too, and the PIN is known there by another hash."""
    held = stage.held(stage.book(unit_names=("305",)))
    assert [door.name for door in held.doors] == ["front", "annex"]
    assert set(stage.live("front").values()) != set(stage.live("annex").values())


def test_ok__knock_gets_what_the_form_says(stage: Stage) -> None:
    """Name, email, phone, title, consent with its wording, and the property's offset are in the one request."""
    stage.book(sms_consent=SmsConsent(True, "Yes to texts", "https://tours.example.com/juniper-flats"))
    fields = stage.received()[0]["body"]
    assert fields["requestedTimes"] == [{"startTime": "2026-06-01T12:30:00-07:00", "endTime": "2026-06-01T13:00:00-07:00"}]
    assert (fields["sourceTitle"], fields["tourType"], fields["smsConsent"]) == ("A Website", "SELF_GUIDED", True)
    assert fields["profile"]["email"] == ADA.email


def test_ok__a_form_cannot_make_a_tour_longer(stage: Stage) -> None:
    """How long a tour lasts is the property's setting, whatever end a form names."""
    booking = stage.book(window=Window(slot(0), slot(0) + 600 * MINUTE_MS))
    assert booking.window.end_ms == slot(0) + 30 * MINUTE_MS


def test_ok__the_same_submission_books_once(stage: Stage) -> None:
    """A reload gives the same booking, with the same code."""
    first = stage.book()
    assert stage.book() == stage.book() == first
    assert len(stage.received()) == 1
    assert len(stage.live()) == 1


OTHERS: list[dict[str, Any]] = [
    {"person": BEN},
    {"person": replace(ADA, first_name="Ida")},
    {"person": replace(ADA, last_name="King")},
    {"person": replace(ADA, email="ada@example.org")},
    {"person": replace(ADA, phone=BEN.phone)},
    {"number": 3},
    {"unit_names": ()},
]


@pytest.mark.parametrize("changed", OTHERS)
@pytest.mark.parametrize("state", ["confirmed", "unknown", "cancelled"])
def test_refused__a_submission_that_comes_with_something_else(stage: Stage, changed: dict[str, Any], state: str) -> None:
    """Its token has booked for another person, time or unit: nothing of that is told, nothing is asked, and the first tour stands."""
    if state == "unknown":
        stage.fault("request", "lost", count=1)
    first = stage.book()
    if state == "cancelled":
        first = stage.run(stage.office.cancel(first.booking_id))
    with pytest.raises(NotDoneError) as error:
        stage.book(**changed)
    assert error.value.problem is Problem.FORM_USED
    assert stage.row(first) == first
    assert len(stage.received()) == 1


def test_refused__two_people_with_one_submission_at_once(stage: Stage) -> None:
    """Whichever comes second, in whichever process, gets nothing of the first one's tour."""
    other = stage.another(stage.opened())
    stage.fault("available-times", "slow", seconds=0.2)

    async def both() -> list[Booking | BaseException]:
        forms = (stage.office.book(stage.community, form()), other.book(stage.community, form(person=BEN)))
        return list(await asyncio.gather(*forms, return_exceptions=True))

    found = stage.run(both())
    assert [one.problem for one in found if isinstance(one, NotDoneError)] == [Problem.FORM_USED]
    assert [one.state for one in found if isinstance(one, Booking)] == [BookingState.CONFIRMED]
    assert len(stage.received()) == 1


def test_ok__a_double_click_in_two_processes_books_once(stage: Stage) -> None:
    """Two offices on one store, at once, several times: one request, and all hear the same."""
    offices = [stage.office, stage.another(stage.opened()), stage.another(stage.opened())]
    stage.fault("request", "slow", seconds=0.3)

    async def click() -> list[Booking]:
        return await asyncio.gather(*(office.book(stage.community, form()) for office in offices * 3))

    found = stage.run(click())
    assert {booking.booking_id for booking in found} == {found[0].booking_id}
    assert {booking.state for booking in found} == {BookingState.CONFIRMED}
    assert len(stage.received()) == stage.struck() == 1


def test_ok__a_second_click_that_looks_after_the_first_booked(stage: Stage) -> None:
    """Its own time is gone by then, since the first click has it: that is the booking, not a refusal."""
    late = stage.another(stage.opened(), LateKnock)
    knock = late.parts.knock
    assert isinstance(knock, LateKnock)

    async def click() -> list[Booking]:
        second = asyncio.create_task(late.book(stage.community, form()))
        await knock.has_come.wait()
        first = await stage.office.book(stage.community, form())
        knock.may_look.set()
        return [first, await second]

    first, second = stage.run(click())
    assert first == second
    assert len(stage.received()) == 1


def test_ok__mail_is_queued_only_when_there_is_a_mail_server(stage: Stage) -> None:
    """Without one no job is there; nothing piles up."""
    stage.book()
    assert stage.store.due_jobs(NOON_MS, 10) == []


def test_ok__mail_and_booking_are_one_transaction(make: Make) -> None:
    """With a mail server the email is queued with the confirmation, and the queue is woken."""
    stage = make(mail=MAIL)
    booking = stage.book()
    assert [(job.kind, job.subject) for job in stage.store.due_jobs(NOON_MS, 10)] == [(JobKind.MAIL_CONFIRMED, booking.booking_id)]
    assert stage.wakes > 0


def test_ok__a_second_booking_of_the_same_person_replaces_the_first(stage: Stage) -> None:
    """Knock cancels the earlier one by itself, and its code dies here in the same moment."""
    first, second = stage.book("one", 0), stage.book("two", 3)
    assert stage.row(first).state is BookingState.SUPERSEDED
    assert stage.entry(first.appointment_id).standing is Standing.SUPERSEDED
    assert stage.store.due_jobs(NOON_MS, 10) == []
    assert list(stage.live()) == [stage.code(stage.held(second)).code_id]
    assert stage.in_knock() == {second.appointment_id}
    assert stage.run(stage.office.pass_for(stage.row(first))) is None


@pytest.mark.parametrize("fault", [None, "lost"])
def test_ok__whose_tour_was_replaced_is_mailed_so(make: Make, fault: str | None) -> None:
    """Somebody else may have typed the address: who loses the tour hears of it, in the same transaction."""
    stage = make(mail=MAIL)
    if fault:
        stage.fault("request", fault, count=1)
    first, other = stage.book("one", 0), stage.book("other", 6, BEN)
    second = stage.book("two", 3, replace(BEN, first_name="Eve", email=ADA.email, phone="+13105550109"))
    assert stage.row(first).state is BookingState.SUPERSEDED
    mails = [(job.kind, job.subject) for job in stage.store.due_jobs(NOON_MS, 10) if job.kind is JobKind.MAIL_CANCELLED]
    assert mails == [(JobKind.MAIL_CANCELLED, first.booking_id)]
    assert {stage.row(one).state for one in (other, second)} == {BookingState.CONFIRMED}


def test_ok__nobody_is_mailed_of_a_replaced_tour_without_an_address(make: Make) -> None:
    """No address, no mail; and without a mail server nothing is queued at all."""
    stage = make(mail=MAIL)
    stage.book("one", 0, replace(ADA, email=""))
    stage.book("two", 3)
    assert JobKind.MAIL_CANCELLED not in {job.kind for job in stage.store.due_jobs(NOON_MS, 10)}


def test_ok__two_people_have_their_own(stage: Stage) -> None:
    """Another person's booking leaves the first alone."""
    first, second = stage.book("one", 0), stage.book("two", 3, BEN)
    assert {stage.row(first).state, stage.row(second).state} == {BookingState.CONFIRMED}
    assert stage.held(first).pin != stage.held(second).pin


def test_refused__a_slot_that_is_gone_is_not_asked_for(stage: Stage) -> None:
    """The free times are looked at first; nothing is written, and the same form may choose another."""
    stage.book("other", 0, BEN)
    refused = stage.book("one", 0)
    assert refused.state is BookingState.REFUSED
    assert stage.store.by_submission("one") is None
    assert len(stage.received()) == 1
    assert stage.book("one", 1).state is BookingState.CONFIRMED


def test_refused__a_slot_that_goes_between_look_and_request(stage: Stage) -> None:
    """Knock's own refusal is kept with its words, and gives no code."""
    other = stage.another()

    async def both() -> list[Booking]:
        return list(
            await asyncio.gather(stage.office.book(stage.community, form("one", 0)), other.book(stage.community, form("two", 0, BEN)))
        )

    stage.fault("available-times", "slow", seconds=0.3)
    found = stage.run(both())
    assert sorted(booking.state for booking in found) == [BookingState.CONFIRMED, BookingState.REFUSED]
    refused = next(booking for booking in found if booking.state is BookingState.REFUSED)
    assert "available" in stage.row(refused).words
    assert len(stage.live()) == 1
    assert stage.run(stage.office.pass_for(refused)) is None


@pytest.mark.parametrize("units", [("999",), ("101", "101"), ("101", "nowhere")])
def test_refused__units_that_the_community_has_not(stage: Stage, units: tuple[str, ...]) -> None:
    """A unit outside the list, or one named twice, is refused before anything is asked."""
    with pytest.raises(NotDoneError) as error:
        stage.book(unit_names=units)
    assert error.value.problem is Problem.BAD_UNIT
    assert stage.received("available-times") == []


@pytest.mark.parametrize("title", ["a\nb", "x" * 201, "\ud800"])
def test_refused__a_source_title_that_no_door_takes(stage: Stage, title: str) -> None:
    """It is refused before anything is asked; and were it in the store, Knock's answer would make no code of it."""
    with pytest.raises(NotDoneError) as error:
        stage.book(source_title=title)
    assert error.value.problem is Problem.BAD_TITLE
    assert stage.received("available-times") == []
    begun, _ = stage.store.begin(stage.office._asking._wished(stage.community, form(source_title="a\nb")))
    assert stage.office.settling.booked(begun, Booked("12", "CONFIRMED", "5")).state is BookingState.PENDING
    assert stage.live() == {}


@pytest.mark.parametrize("start_ms", [NOON_MS - 30 * MINUTE_MS, slot(0) + 1, 2**60 - 30 * MINUTE_MS])
def test_refused__a_start_that_knock_does_not_offer(stage: Stage, start_ms: int) -> None:
    """The past, a time between two starts, and one beyond the calendar are refused, and Knock is not asked to book."""
    wished = replace(form(), window=_Odd(start_ms, start_ms + 1))
    with contextlib.suppress(NotDoneError):
        assert stage.run(stage.office.book(stage.community, wished)).state is BookingState.REFUSED
    assert stage.received() == []
    assert stage.store.by_submission("form-1") is None


class _Odd(Window):
    """A window that nobody checked."""

    def __post_init__(self) -> None:
        """Let everything pass."""
