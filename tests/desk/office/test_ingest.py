"""Ingest: a vendor's appointments, the same as often as they are put, and dead for good once cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.core.booking import BookingState
from agent.core.tour import Standing, Window
from agent.desk.office import Ingested, Pass
from agent.desk.records import JobKind
from agent.errors import RefusedError
from tests.desk.office.stage import BEN, MAIL, MINUTE_MS, Stage, slot, texts

Make = Callable[..., Stage]
BODY = Ingested("77", "1001", Window(slot(0), slot(0) + 45 * MINUTE_MS), ("101",), "A Vendor", "Ada")
ALLOWED = ("1001",)


def put(stage: Stage, appointment_id: str = "12", body: Ingested = BODY, **other: Any) -> Pass:  # noqa: ANN401 - any field
    """Put an appointment as the vendor of Juniper Flats."""
    return stage.run(stage.office.ingest(ALLOWED, appointment_id, replace(body, **other)))


def refused(stage: Stage, appointment_id: str = "12", allowed: tuple[str, ...] = ALLOWED, **other: Any) -> RefusedError:  # noqa: ANN401 - any field
    """How it is refused; no live code may have changed."""
    before = stage.live()
    with pytest.raises(RefusedError) as error:
        stage.run(stage.office.ingest(allowed, appointment_id, replace(BODY, **other)))
    assert stage.live() == before
    return error.value


def test_ok__an_appointment_gets_a_code_and_knock_is_asked_nothing(stage: Stage) -> None:
    """The vendor booked it; the code holds what the vendor said, with the vendor's own length."""
    held = put(stage)
    code = stage.code(held)
    assert (code.appointment_id, code.prospect_id, code.doors, code.unit_names) == ("12", "77", ("front",), ("101",))
    assert code.window == BODY.window
    assert (held.appointment.booking_id, held.appointment.source_title, held.appointment.first_name) == (None, "A Vendor", "Ada")
    assert list(stage.live()) == [code.code_id]
    assert stage.received() == []
    assert "Ada" not in texts([held])


def test_ok__the_same_again_is_the_same(stage: Stage) -> None:
    """The same code, PIN and revision, and doors hear nothing new, whichever process takes it."""
    held = put(stage)
    seq = stage.store.last_seq()
    other = stage.another(stage.opened())
    assert stage.run(other.ingest(ALLOWED, "12", BODY)) == put(stage) == held
    assert stage.store.last_seq() == seq


def test_ok__the_same_at_once_in_several_processes_is_one_code(stage: Stage) -> None:
    """A vendor that asks again before it was answered gets one code, which is alive, every time."""
    offices = [stage.office, stage.another(stage.opened()), stage.another(stage.opened())]

    async def at_once() -> list[Pass]:
        return list(await asyncio.gather(*(office.ingest(ALLOWED, "12", BODY) for office in offices * 3)))

    assert {held.code_text for held in stage.run(at_once())} == {put(stage).code_text}
    assert len(stage.live()) == 1


def test_ok__a_cancel_beside_changes_is_the_end(stage: Stage) -> None:
    """Whatever is put at the same moment, nothing is alive once the cancel was answered and another put is refused."""
    put(stage)
    offices = [stage.office, stage.another(stage.opened()), stage.another(stage.opened())]

    async def at_once() -> None:
        puts = [office.ingest(ALLOWED, "12", replace(BODY, prospect_id=f"{number}")) for number, office in enumerate(offices * 3)]
        await asyncio.gather(*puts[:5], offices[1].ingest_cancel(ALLOWED, "12"), *puts[5:], return_exceptions=True)

    stage.run(at_once())
    assert stage.live() == {}
    assert refused(stage).status == 409


@pytest.mark.parametrize(
    "other",
    [
        {"window": Window(slot(2), slot(3))},
        {"unit_names": ("305",)},
        {"unit_names": ()},
        {"prospect_id": "78"},
        {"doors": ("front", "annex")},
    ],
)
def test_ok__a_change_makes_another_code(stage: Stage, other: dict[str, Any]) -> None:
    """Time, units, prospect, doors: each kills the old code and gives a new one, with a higher revision."""
    old = put(stage)
    new = put(stage, **other)
    assert new.appointment.code_id != old.appointment.code_id
    assert new.appointment.revision > old.appointment.revision
    assert list(stage.live()) == [new.appointment.code_id]
    assert new.pin != old.pin


def test_ok__there_and_back_again_makes_a_third_code(stage: Stage) -> None:
    """The first body again is no way back to the first code."""
    first = put(stage).appointment.code_id
    second = put(stage, prospect_id="78").appointment.code_id
    third = put(stage).appointment.code_id
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("other", [{"source_title": "Another"}, {"source_title": None}, {"first_name": "Ben"}])
def test_ok__what_no_code_holds_changes_no_code(stage: Stage, other: dict[str, Any]) -> None:
    """The title and the name are written, and the prospect's code stays good."""
    old, new = put(stage), put(stage, **other)
    assert (new.code_text, new.pin) == (old.code_text, old.pin)
    assert (new.appointment.source_title, new.appointment.first_name) != (old.appointment.source_title, old.appointment.first_name)


@pytest.mark.parametrize(("told", "kept"), [(("204b",), ("204 B",)), ((" 1 0 1 ", "101"), ("101",)), ((), ())])
def test_ok__units_are_matched_as_knock_matches_them(stage: Stage, told: tuple[str, ...], kept: tuple[str, ...]) -> None:
    """Without regard to case and space, each once, in the community's own spelling."""
    assert put(stage, unit_names=told).appointment.unit_names == kept


def test_ok__a_community_without_a_list_takes_any_unit(make: Make) -> None:
    """Where the desk was told no units there is nothing to be outside of; Knock ignores what it does not know."""
    stage = make(units=())
    assert put(stage, unit_names=("Penthouse",)).appointment.unit_names == ("Penthouse",)


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"community_id": "1002"}, 403),
        ({"unit_names": ("999",)}, 422),
        ({"doors": ("garage",)}, 422),
        ({"doors": ()}, 422),
        ({"prospect_id": "7 7"}, 422),
        ({"prospect_id": ""}, 422),
        ({"prospect_id": "x" * 41}, 422),
        ({"window": Window(slot(0) + 1, slot(1))}, 422),
    ],
)
def test_refused__what_is_no_tour_of_the_vendors(stage: Stage, other: dict[str, Any], status: int) -> None:
    """Another's community, an unknown unit or door, an id or a time that no code can carry: a status and a sentence, nothing written."""
    error = refused(stage, **other)
    assert (error.status, bool(str(error))) == (status, True)
    assert stage.store.appointment("12") is None


def test_refused__a_community_that_the_desk_no_longer_has(stage: Stage) -> None:
    """A token may outlive a community in the settings."""
    assert refused(stage, allowed=("1001", "1002"), community_id="1002").status == 422


@pytest.mark.parametrize("appointment_id", ["1 2", "x" * 41, "é"])
def test_refused__what_is_no_appointment_id(stage: Stage, appointment_id: str) -> None:
    """An id that no code can carry is refused."""
    assert refused(stage, appointment_id).status == 422


@pytest.mark.parametrize("other", [{}, {"window": Window(slot(2), slot(3))}])
def test_refused__a_cancelled_one_is_not_revived(stage: Stage, other: dict[str, Any]) -> None:
    """Neither the same body nor another brings it back; nothing is alive at the doors."""
    put(stage)
    stage.run(stage.office.ingest_cancel(ALLOWED, "12"))
    assert refused(stage, **other).status == 409
    assert stage.live() == {}


def test_ok__a_cancel_kills_and_a_second_one_is_the_same(stage: Stage) -> None:
    """Dead at once, revision counted once; the vendor told Knock itself, so nothing is queued."""
    held = put(stage)
    first = stage.run(stage.office.ingest_cancel(ALLOWED, "12"))
    second = stage.run(stage.office.ingest_cancel(ALLOWED, "12"))
    assert first == second
    assert (first.standing, first.revision) == (Standing.CANCELLED, held.appointment.revision + 1)
    assert stage.live() == {}
    assert stage.run(stage.queue().do_due()) == 0


@pytest.mark.parametrize(("appointment_id", "allowed"), [("13", ALLOWED), ("12", ("1002",)), ("12", ())])
def test_refused__to_cancel_what_is_not_the_vendors(stage: Stage, appointment_id: str, allowed: tuple[str, ...]) -> None:
    """Unknown and another's look alike, and the code lives on."""
    put(stage)
    with pytest.raises(RefusedError) as error:
        stage.run(stage.office.ingest_cancel(allowed, appointment_id))
    assert error.value.status == 404
    assert len(stage.live()) == 1


def test_ok__a_new_appointment_takes_the_place_of_the_prospects_earlier_ones(make: Make) -> None:
    """As in Knock: what was put or booked here before for the same prospect is dead in the same moment, and is mailed so."""
    stage = make(mail=MAIL)
    booking = stage.book(number=8)
    stage.run(stage.queue().do_due())
    put(stage, "12", prospect_id=booking.prospect_id)
    assert stage.row(booking).state is BookingState.SUPERSEDED
    assert [(job.kind, job.subject) for job in stage.store.due_jobs(stage.now_ms, 9)] == [(JobKind.MAIL_CANCELLED, booking.booking_id)]
    held = put(stage, "13", prospect_id=booking.prospect_id, window=Window(slot(4), slot(5)))
    assert [stage.entry(one).standing for one in ("12", booking.appointment_id)] == [Standing.SUPERSEDED] * 2
    assert list(stage.live()) == [held.appointment.code_id]
    assert refused(stage, "12", prospect_id=booking.prospect_id).status == 409


def test_refused__a_new_appointment_that_takes_no_place(stage: Stage) -> None:
    """Another prospect's tour stays, and so does one that has begun."""
    put(stage, "11", prospect_id="78")
    put(stage, "12")
    stage.now_ms = slot(0)
    put(stage, "13", window=Window(slot(4), slot(5)))
    assert [stage.entry(one).standing for one in ("11", "12", "13")] == [Standing.CONFIRMED] * 3


def test_refused__a_change_or_repetition_takes_no_place(stage: Stage) -> None:
    """Only the first word of an appointment is a new request: later words of an older one end nothing."""
    put(stage, "12")
    other = stage.book(person=BEN, number=6)
    put(stage, "12", prospect_id=other.prospect_id)
    put(stage, "12", prospect_id=other.prospect_id)
    put(stage, "12", prospect_id=other.prospect_id, window=Window(slot(4), slot(5)))
    assert stage.row(other).state is BookingState.CONFIRMED
    assert len(stage.live()) == 2


def test_refused__a_first_word_that_cannot_be_written_ends_nothing(stage: Stage) -> None:
    """What no code can carry leaves the earlier tour as it is."""
    put(stage, "12")
    assert refused(stage, "13", source_title="x" * 201).status == 422
    assert stage.entry("12").standing is Standing.CONFIRMED


def test_ok__it_settles_a_booking_that_waits(stage: Stage) -> None:
    """The vendor's word that Knock has it confirmed is enough: the desk's own booking gets its code."""
    stage.fault("request", "form", booking_status="REQUESTED", count=1)
    booking = stage.book()
    held = put(stage, booking.appointment_id or "", prospect_id=booking.prospect_id)
    found = stage.row(booking)
    assert (found.state, held.appointment.booking_id) == (BookingState.CONFIRMED, booking.booking_id)
    assert found.window == BODY.window
    assert stage.held(found) == held


def test_ok__it_settles_a_move_that_is_unknown(stage: Stage) -> None:
    """The same prospect at the time that was asked for: the move is done, the old code dies."""
    booking = stage.book()
    stage.fault("request", "lost", count=1)
    unknown = stage.move(booking, 3)
    assert unknown.moving_to is not None
    [new] = stage.in_knock()
    held = put(stage, new, prospect_id=booking.prospect_id, window=unknown.moving_to)
    assert stage.row(booking).window.start_ms == slot(3)
    assert list(stage.live()) == [held.appointment.code_id]


def test_refused__a_move_that_is_just_being_asked_for(stage: Stage) -> None:
    """Its answer is on its way: the vendor's appointment of the same prospect and time is not taken for it."""
    booking = stage.book()
    begun, _ = stage.office.settling.begin_move(booking, Window(slot(3), slot(4)))
    held = put(stage, "77", prospect_id=booking.prospect_id, window=begun.moving_to)
    assert held.appointment.booking_id is None
    assert stage.row(booking).appointment_id == booking.appointment_id


def test_ok__the_desks_own_appointment_is_answered_with_its_pass(stage: Stage) -> None:
    """A vendor that mirrors everything gets the code that the prospect has, and changes nothing."""
    booking = stage.book()
    held = put(stage, booking.appointment_id or "", prospect_id=booking.prospect_id, window=booking.window, first_name="Eve")
    assert held == stage.held(booking)


def test_refused__the_desks_own_appointment_is_moved_on_its_page(stage: Stage) -> None:
    """Another time or prospect for it is a contradiction, not a change."""
    booking = stage.book(person=BEN)
    assert refused(stage, booking.appointment_id or "", prospect_id=booking.prospect_id).status == 409
    assert refused(stage, booking.appointment_id or "", window=booking.window).status == 409


def test_ok__a_vendors_cancel_of_the_desks_own_ends_the_booking(stage: Stage) -> None:
    """The booking is cancelled, too, so that its page says so."""
    booking = stage.book()
    ended = stage.run(stage.office.ingest_cancel(ALLOWED, booking.appointment_id or ""))
    assert ended.standing is Standing.CANCELLED
    assert stage.row(booking).state is BookingState.CANCELLED


def test_refused__a_vendors_cancel_of_a_tour_that_is_over(stage: Stage) -> None:
    """A sentence for the vendor, and the booking stays what it was."""
    booking = stage.book()
    stage.now_ms = stage.held(booking).closes_ms
    with pytest.raises(RefusedError, match="the tour is over") as error:
        stage.run(stage.office.ingest_cancel(ALLOWED, booking.appointment_id or ""))
    assert error.value.status == 409
    assert stage.row(booking).state is BookingState.CONFIRMED


def test_ok__knock_may_name_an_appointment_that_a_vendor_put_already(stage: Stage) -> None:
    """The vendor was quicker than Knock's answer: it is one tour with one code, and it is the booking's."""
    stage.fault("request", "lost", count=1)
    booking = stage.book()
    [entry] = stage.knows()["appointments"]
    put(stage, entry["id"], prospect_id=entry["prospectId"], window=booking.window)
    settled = stage.run(stage.office.settle_by_hand(booking.booking_id, entry["id"], entry["prospectId"], "sam"))
    assert settled.state is BookingState.CONFIRMED
    assert list(stage.live()) == [stage.held(settled).appointment.code_id]


@pytest.mark.parametrize("title", ["a\nb", "x" * 201])
@pytest.mark.parametrize("is_known", [False, True])
def test_refused__a_source_title_that_no_door_takes(stage: Stage, title: str, is_known: bool) -> None:
    """Neither a new appointment nor a change of one brings in what a door would skip."""
    if is_known:
        put(stage)
    assert refused(stage, source_title=title).status == 422
    found = stage.store.appointment("12")
    assert found is None or found.source_title == "A Vendor"
