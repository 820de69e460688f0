"""Booking: once per submission, with a code only for what Knock confirmed, and nothing repeated that may have arrived."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.core.booking import Booked, BookingState, Person, SmsConsent
from agent.core.replay import TryAgain
from agent.core.tour import Standing, Window
from agent.desk.office import NotDoneError, Problem, Trouble
from agent.desk.records import Booking, JobKind
from agent.desk.secrets import Secrets
from agent.errors import StoreError
from tests.desk.office.stage import ADA, BEN, MAIL, MINUTE_MS, NOON_MS, SECRET, LateKnock, Stage, form, slot, texts

Make = Callable[..., Stage]
BROKEN = [
    ("lost", {}),
    ("truncated", {}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 504}),
    ("not-json", {}),
]
NOT_DONE = [("status", {"status": 429}), ("status", {"status": 403})]


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


@pytest.mark.parametrize(("kind", "facts"), [("refuse", {}), *BROKEN, *NOT_DONE])
def test_fail__without_free_times_nothing_is_written(stage: Stage, kind: str, facts: dict[str, int]) -> None:
    """Knock out of reach at the look: said so, nothing asked, nothing kept, and the same form works once it is back."""
    stage.fault("available-times", kind, **facts)
    with pytest.raises(NotDoneError) as error:
        stage.book()
    assert error.value.problem is Problem.UNREACHED
    assert stage.store.by_submission("form-1") is None
    assert isinstance(stage.run(stage.office.free_times(stage.community)), Trouble)
    stage.mend()
    assert stage.received() == []
    assert stage.book().state is BookingState.CONFIRMED


def test_fail__no_port_at_all(stage: Stage) -> None:
    """Nobody listens: nothing is lost or booked, and it works once Knock is back."""
    stage.fault("*", "refuse")
    with pytest.raises(NotDoneError):
        stage.book()
    stage.mend()
    assert stage.book().state is BookingState.CONFIRMED


@pytest.mark.parametrize(("kind", "facts"), NOT_DONE)
def test_fail__what_knock_surely_did_not_do_may_be_asked_again(stage: Stage, kind: str, facts: dict[str, int]) -> None:
    """Unsent is no booking; the same form asks again under the same booking id."""
    stage.fault("request", kind, **facts)
    unsent = stage.book()
    assert unsent.state is BookingState.UNSENT
    assert stage.live() == {}
    stage.mend()
    again = stage.book(number=2)
    assert (again.state, again.booking_id) == (BookingState.CONFIRMED, unsent.booking_id)
    assert again.window.start_ms == slot(2)
    assert len(stage.received()) == 1


@pytest.mark.parametrize(("kind", "facts"), BROKEN)
def test_fail__what_may_have_arrived_is_never_asked_again(stage: Stage, kind: str, facts: dict[str, int]) -> None:
    """Unknown, whatever happened: no code, and neither reload nor housekeeping nor queue sends a second request."""
    stage.fault("request", kind, **facts)
    unknown = stage.book()
    assert unknown.state is BookingState.UNKNOWN
    assert stage.book() == unknown
    stage.now_ms += 3_600_000
    stage.run(stage.queue().keep_house())
    assert stage.run(stage.queue().do_due()) == 0
    assert stage.book() == unknown
    assert stage.struck() == 1
    assert len(stage.received()) <= 1
    assert stage.live() == {}
    assert stage.run(stage.office.pass_for(unknown)) is None


def test_fail__an_answer_that_never_comes_is_unknown(make: Make) -> None:
    """After the request's longest time it is unknown, though Knock booked it; exactly one request."""
    stage = make(total_s=1.0)
    stage.fault("request", "slow", seconds=5)
    unknown = stage.book()
    assert unknown.state is BookingState.UNKNOWN
    assert len(stage.received()) == 1
    assert len(stage.in_knock()) == 1


def test_ok__whoever_books_anew_after_an_unknown_one_replaces_it(stage: Stage) -> None:
    """A deliberate second form is allowed; Knock cancels what it had, and the unknown one is superseded here."""
    stage.fault("request", "lost", count=1)
    unknown = stage.book("one", 0)
    stage.now_ms += 1000
    second = stage.book("two", 3)
    assert second.state is BookingState.CONFIRMED
    assert stage.row(unknown).state is BookingState.SUPERSEDED
    assert stage.in_knock() == {second.appointment_id}


def test_refused__an_unknown_one_of_another_person_stays(stage: Stage) -> None:
    """Only the same email or phone makes two people one."""
    stage.fault("request", "lost", count=1)
    unknown = stage.book("one", 0)
    stage.book("two", 3, BEN)
    assert stage.row(unknown).state is BookingState.UNKNOWN


@pytest.mark.parametrize("person", [replace(BEN, email="ADA@example.com"), replace(BEN, phone=ADA.phone)])
def test_ok__the_same_email_or_phone_is_the_same_person(stage: Stage, person: Person) -> None:
    """As Knock takes it: either is enough, in whatever case."""
    stage.fault("request", "lost", count=1)
    unknown = stage.book("one", 0)
    stage.book("two", 3, person)
    assert stage.row(unknown).state is BookingState.SUPERSEDED


def test_refused__not_confirmed_gives_no_code(stage: Stage) -> None:
    """Any other status waits, with the appointment's id kept for staff and for a cancel."""
    stage.fault("request", "form", booking_status="REQUESTED", count=1)
    pending = stage.book()
    assert pending.state is BookingState.PENDING
    assert pending.appointment_id in {entry["id"] for entry in stage.knows()["appointments"]}
    assert "REQUESTED" in pending.words
    assert stage.live() == {}
    assert stage.store.due_jobs(NOON_MS, 10) == []
    assert stage.book() == pending


def test_ok__a_missing_prospect_is_asked_for_and_then_there_is_a_code(stage: Stage) -> None:
    """Confirmed without the prospect's id waits, with one question queued, whose answer brings the code; no second request."""
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    pending = stage.book()
    assert (pending.state, pending.prospect_id) == (BookingState.PENDING, None)
    assert stage.run(stage.queue().do_due()) == 1
    confirmed = stage.row(pending)
    assert confirmed.state is BookingState.CONFIRMED
    assert confirmed.prospect_id == stage.knows()["appointments"][0]["prospectId"]
    assert stage.code(stage.held(confirmed)).appointment_id == pending.appointment_id
    assert len(stage.received()) == 1
    assert stage.run(stage.queue().do_due()) == 0


@pytest.mark.parametrize(
    ("outcome", "kept_id"),
    [
        (Booked("1 2", "CONFIRMED", "5"), None),
        (Booked("x" * 41, "CONFIRMED", "5"), None),
        (Booked("x" * 41, "CONFIRMED"), None),
        (Booked("1 2", "REQUESTED"), None),
        (Booked("12", "CONFIRMED", "a prospect"), "12"),
        (Booked("12", "CONFIRMED", "x" * 41), "12"),
    ],
)
def test_refused__ids_that_no_code_can_carry(stage: Stage, outcome: Booked, kept_id: str | None) -> None:
    """Knock has it and staff are told: no code, no crash, no question for an id; what Knock can be told of a cancel is kept."""
    begun, _ = stage.store.begin(stage.office._asking._wished(stage.community, form()))
    pending = stage.office.settling.booked(begun, outcome)
    assert (pending.state, pending.appointment_id) == (BookingState.PENDING, kept_id)
    assert pending.words
    assert stage.live() == {}
    assert stage.store.due_jobs(NOON_MS, 9) == []
    cancelled = stage.run(stage.office.cancel(pending.booking_id))
    assert [job.subject for job in stage.store.due_jobs(NOON_MS, 9)] == ([kept_id] if kept_id else [])
    assert bool(cancelled.words) == (kept_id is None)


def test_refused__a_time_with_milliseconds_has_no_code(stage: Stage) -> None:
    """A code's times are whole seconds: such a booking waits for staff."""
    wished = stage.office._asking._wished(stage.community, form(window=Window(slot(0) + 1, slot(1))))
    begun, _ = stage.store.begin(wished)
    assert stage.office.settling.booked(begun, Booked("12", "CONFIRMED", "5")).state is BookingState.PENDING
    assert stage.live() == {}


def test_refused__an_appointment_that_is_another_tours(stage: Stage) -> None:
    """Knock names an id that somebody else's tour has here: no second code for it, and the first tour keeps its own."""
    other = stage.book("other", 3, BEN)
    live = stage.live()
    begun, _ = stage.store.begin(stage.office._asking._wished(stage.community, form()))
    pending = stage.office.settling.booked(begun, Booked(other.appointment_id or "", "CONFIRMED", "5"))
    assert (pending.state, pending.appointment_id) == (BookingState.PENDING, None)
    assert stage.live() == live


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.2])
def test_ok__a_client_that_goes_away_does_not_stop_the_booking(stage: Stage, delay_s: float) -> None:
    """Cancelled at any moment, the work goes on to its end: what Knock confirmed has its code."""
    stage.fault("available-times", "slow", seconds=0.05)
    stage.fault("request", "slow", seconds=0.2)

    async def go_away() -> None:
        task = asyncio.create_task(stage.office.book(stage.community, form()))
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stage.office.finish()

    stage.run(go_away())
    booking = stage.store.by_submission("form-1")
    if booking is None:
        assert delay_s == 0.0
        assert stage.received() == []
    else:
        assert booking.state is BookingState.CONFIRMED
        assert stage.in_knock() == {booking.appointment_id}


def test_fail__a_process_that_dies_while_asking_leaves_it_unknown(stage: Stage) -> None:
    """Its booking is found as being asked, becomes unknown after twice the longest time, and is never asked again."""
    dead = stage.another(stage.opened())
    stage.fault("request", "slow", seconds=5)

    async def die() -> None:
        task = asyncio.create_task(dead.book(stage.community, form()))
        while not stage.received():  # noqa: ASYNC110 - the sandbox is another thread
            await asyncio.sleep(0.02)
        task.cancel()
        for under_way in set(dead._under_way):
            under_way.cancel()
        await asyncio.gather(task, *dead._under_way, return_exceptions=True)

    stage.run(die())
    asked = stage.store.by_submission("form-1")
    assert asked is not None
    assert asked.state is BookingState.ASKING
    stage.now_ms += stage.given_up_ms - 1
    stage.run(stage.queue().keep_house())
    assert stage.row(asked).state is BookingState.ASKING
    stage.now_ms += 1
    stage.run(stage.queue().keep_house())
    assert stage.row(asked).state is BookingState.UNKNOWN
    assert stage.book().state is BookingState.UNKNOWN
    assert stage.struck() == len(stage.received()) == 1


def test_refused__a_form_that_is_asked_for_anew_is_not_given_up(stage: Stage) -> None:
    """Housekeeping that read the row before the new asker took it changes nothing."""
    wished = stage.office._asking._wished(stage.community, form())
    stale, _ = stage.store.begin(wished)
    stage.now_ms += stage.given_up_ms
    stage.office.settling.booked(stale, TryAgain("429: later"))
    anew, is_ours = stage.store.begin(replace(wished, changed_ms=stage.now_ms))
    assert is_ours
    assert stage.office.settling.give_up_waiting(stale) == anew
    assert stage.row(stale).state is BookingState.ASKING


def test_fail__a_dead_process_is_not_waited_for(stage: Stage) -> None:
    """Who sends the form again after that time hears at once that it is unknown, before any housekeeping."""
    wished = stage.office._asking._wished(stage.community, form())
    stage.store.begin(wished)
    stage.now_ms += stage.given_up_ms
    assert stage.book().state is BookingState.UNKNOWN
    assert stage.received() == []


def test_ok__who_waits_for_another_process_waits_only_so_long(make: Make) -> None:
    """A form that is being asked for elsewhere is told as it is once the longest time is over."""
    stage = make(total_s=0.5)
    stage.store.begin(stage.office._asking._wished(stage.community, form()))
    assert stage.book().state is BookingState.ASKING
    assert stage.received() == []


def test_ok__who_sends_it_again_is_held_for_seconds_only(make: Make) -> None:
    """However long a request may take: after a process died, the browser comes to the page that looks again by itself."""
    stage = make(total_s=120.0)
    stage.store.begin(stage.office._asking._wished(stage.community, form()))
    booking = stage.run(asyncio.wait_for(stage.office.book(stage.community, form()), 60))
    assert (booking.state, stage.received()) == (BookingState.ASKING, [])


def test_fail__a_store_that_fails_after_knock_confirmed(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The booking is unknown in the end, the log names it without the person, and Knock is not asked again."""
    broken = stage.opened()
    office = stage.another(broken)

    async def book() -> None:
        task = asyncio.create_task(office.book(stage.community, form()))
        while not stage.received():  # noqa: ASYNC110 - the sandbox is another thread
            await asyncio.sleep(0.02)
        broken.close()
        with pytest.raises(StoreError):
            await task

    stage.fault("request", "slow", seconds=0.5)
    with caplog.at_level(logging.ERROR):
        stage.run(book())
    told = texts([{**record.__dict__} for record in caplog.records])
    assert "booking_not_written" in told
    assert not any(word in told for word in ("Ada", "Lovelace", "ada@example.com", "3105550100"))
    stage.now_ms += stage.given_up_ms
    assert stage.book().state is BookingState.UNKNOWN
    assert len(stage.received()) == 1


class _PoorSecrets(Secrets):
    """The first PINs are the same for everybody."""

    def pin(self, code_id: str, attempt: int) -> str:
        """A PIN that the code has no part in."""
        del code_id
        return f"{attempt:08d}"


class _OnePin(Secrets):
    """Everybody has the same PIN, however often another is wanted."""

    def pin(self, code_id: str, attempt: int) -> str:
        """The one PIN."""
        del code_id, attempt
        return "12345678"


def test_ok__a_pin_that_is_taken_gives_way_to_the_next(make: Make) -> None:
    """Whose first PIN is another live tour's gets the next one; the doors know two different ones."""
    stage = make(secrets=_PoorSecrets(SECRET))
    held = [stage.held(stage.book(f"form-{number}", number, person)) for number, person in enumerate((ADA, BEN))]
    assert [one.pin for one in held] == ["00000000", "00000001"]
    assert len(set(stage.live().values())) == 2


def test_fail__when_every_pin_is_taken_nothing_is_half_written(make: Make) -> None:
    """No PIN, no code: the booking stays unanswered for staff, and the first tour keeps its own."""
    stage = make(secrets=_OnePin(SECRET))
    first = stage.book("one", 0)
    with pytest.raises(StoreError):
        stage.book("two", 3, BEN)
    second = stage.store.by_submission("two")
    assert second is not None
    assert second.state is BookingState.ASKING
    assert list(stage.live()) == [stage.entry(first.appointment_id).code_id]


def test_ok__limits_are_per_address_and_hour(make: Make) -> None:
    """So many within the hour, for each address; 0 switches it off; the address itself is nowhere in the file."""
    stage = make(limits={"wrong_logins": 2, "wrong_links": 0})
    said = [stage.run(stage.office.allow("wrong_logins", "203.0.113.77")) for _ in range(3)]
    assert said == [True, True, False]
    assert stage.run(stage.office.allow("wrong_logins", "203.0.113.78"))
    assert all(stage.run(stage.office.allow("wrong_links", "203.0.113.77")) for _ in range(30))
    stage.now_ms += 2 * 3_600_000
    assert stage.run(stage.office.allow("wrong_logins", "203.0.113.77"))
    stage.store.close()
    assert not any(b"203.0.113" in path.read_bytes() for path in stage.path.parent.glob("desk.db*"))


def test_ok__a_manage_link_is_of_one_booking(stage: Stage) -> None:
    """The link leads to its booking, a changed letter leads nowhere, and it is on no list."""
    booking = stage.book()
    link = stage.office.manage_link(booking)
    token = link.rpartition("/")[2]
    assert link.startswith("https://tours.example.com/tour/")
    assert stage.run(stage.office.booking_by_token(token)) == booking
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert stage.run(stage.office.booking_by_token(forged)) is None
    assert token not in texts([booking, stage.held(booking)])
