"""One person, several requests at once: Knock is asked for one thing at a time, so that desk and Knock agree which tour is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.booking import BookingState, Person
from agent.desk.office import NotDoneError, Office, Problem
from agent.desk.records import Booking
from tests.desk.office.stage import ADA, BEN, HOUR_MS, NOON_MS, Stage, form, slot

Make = Callable[..., Stage]
SAME = [ADA, replace(BEN, email="ADA@Example.com"), replace(BEN, phone=ADA.phone)]


def confirmed(stage: Stage) -> set[str | None]:
    """The appointments that the desk calls confirmed."""
    return {booking.appointment_id for booking in stage.store.bookings("1001", states={BookingState.CONFIRMED})}


async def asked(stage: Stage, count: int) -> None:
    """Wait until Knock has so many requests."""
    while len(stage.received()) < count:  # noqa: ASYNC110 - the sandbox is another thread
        await asyncio.sleep(0.02)


def begun(stage: Stage, submission: str = "dead", person: Person = ADA, since_ms: int = 0) -> Booking:
    """A booking that Knock is asked for by a process that died, begun so long ago."""
    wished = stage.office._asking._wished(stage.community, form(submission, 9, person))
    return stage.store.begin(replace(wished, changed_ms=stage.now_ms - since_ms))[0]


@pytest.mark.parametrize("person", SAME)
def test_ok__a_later_form_beside_a_slow_answer(stage: Stage, person: Person) -> None:
    """The answer to the first comes late: the second is asked for after it, and what the desk calls confirmed is what Knock has."""
    other = stage.another(stage.opened())
    stage.fault("request", "slow", seconds=1.0, count=1)

    async def both() -> list[Booking]:
        first = asyncio.create_task(stage.office.book(stage.community, form("one", 0)))
        await asked(stage, 1)
        second = await other.book(stage.community, form("two", 3, person))
        return [await first, second]

    first, second = stage.run(both())
    assert (stage.row(first).state, stage.row(second).state) == (BookingState.SUPERSEDED, BookingState.CONFIRMED)
    assert confirmed(stage) == stage.in_knock() == {second.appointment_id}
    assert list(stage.live()) == [stage.code(stage.held(second)).code_id]


def test_ok__a_move_of_the_first_tour_beside_a_slow_booking(stage: Stage) -> None:
    """The booking is answered first and takes the tour's place: the move is not asked for any more."""
    first, other = stage.book("one", 0), stage.another(stage.opened())
    stage.fault("request", "slow", seconds=1.0, count=1)

    async def both() -> Booking:
        booking = asyncio.create_task(stage.office.book(stage.community, form("two", 3)))
        await asked(stage, 2)
        with pytest.raises(NotDoneError) as error:
            await other.move(first.booking_id, slot(6), "move")
        assert error.value.problem is Problem.NOT_LIVE
        return await booking

    second = stage.run(both())
    assert confirmed(stage) == stage.in_knock() == {second.appointment_id}
    assert len(stage.received()) == 2


def test_ok__a_booking_beside_a_slow_move(stage: Stage) -> None:
    """The move is answered first, and the booking takes the moved tour's place."""
    first, other = stage.book("one", 0), stage.another(stage.opened())
    stage.fault("request", "slow", seconds=1.0, count=1)

    async def both() -> Booking:
        move = asyncio.create_task(stage.office.move(first.booking_id, slot(6), "move"))
        await asked(stage, 2)
        booking = await other.book(stage.community, form("two", 3))
        assert (await move).window.start_ms == slot(6)
        return booking

    second = stage.run(both())
    assert stage.row(first).state is BookingState.SUPERSEDED
    assert confirmed(stage) == stage.in_knock() == {second.appointment_id}


def test_ok__many_forms_of_one_person_in_several_processes(stage: Stage) -> None:
    """However they meet, one tour is left, and it is the one that Knock has."""
    offices = [stage.office, stage.another(stage.opened()), stage.another(stage.opened())]
    stage.fault("request", "slow", seconds=0.3, count=3)

    async def all_at_once() -> list[Booking]:
        forms = [(office, form(f"form-{number}", number)) for number, office in enumerate(offices * 2)]
        return await asyncio.gather(*(office.book(stage.community, one) for office, one in forms))

    assert {booking.state for booking in stage.run(all_at_once())} <= {BookingState.CONFIRMED, BookingState.SUPERSEDED}
    assert confirmed(stage) == stage.in_knock()
    assert len(stage.live()) == 1


def test_refused__the_time_was_taken_while_it_waited(stage: Stage) -> None:
    """Who waited looks anew: another person has the time by then, so Knock is not asked for it."""
    other = stage.another(stage.opened())
    stage.fault("request", "slow", seconds=1.0, count=1)

    async def all_three() -> Booking:
        first = asyncio.create_task(stage.office.book(stage.community, form("one", 0)))
        await asked(stage, 1)
        second = asyncio.create_task(other.book(stage.community, form("two", 3)))
        await looked(stage, 2)
        await stage.office.book(stage.community, form("ben", 3, BEN))
        await first
        return await second

    assert stage.run(all_three()).state is BookingState.REFUSED
    assert stage.store.by_submission("two") is None
    assert len(stage.received()) == 2


async def looked(stage: Stage, count: int) -> None:
    """Wait until the free times were asked for so often."""
    while len(stage.received("available-times")) < count:  # noqa: ASYNC110 - the sandbox is another thread
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("what", ["book", "move"])
def test_refused__nobody_waits_for_ever(make: Make, what: str) -> None:
    """After a request's longest time it is told as busy, nothing was asked or written, and later the same form books."""
    stage = make(total_s=0.5)
    first = stage.book("one", 0) if what == "move" else None
    begun(stage)

    def again(office: Office) -> Booking:
        work = office.move(first.booking_id, slot(3), "move") if first else office.book(stage.community, form("two", 3))
        return stage.run(work)

    asked_before = len(stage.received())
    with pytest.raises(NotDoneError) as error:
        again(stage.office)
    assert error.value.problem is Problem.BUSY
    assert stage.store.by_submission("two") is None
    assert first is None or stage.row(first) == first
    assert len(stage.received()) == asked_before
    stage.now_ms += stage.given_up_ms
    assert again(stage.office).window.start_ms == slot(3)


@pytest.mark.parametrize("since", ["another person", "another community", "long ago"])
def test_ok__nobody_waits_without_need(stage: Stage, since: str) -> None:
    """Neither another person's request nor one whose process must have died is in the way; none of them is waited for."""
    person = BEN if since == "another person" else ADA
    waiting = begun(stage, person=person, since_ms=stage.given_up_ms if since == "long ago" else 0)
    wished = replace(waiting, booking_id="0" * 16, submission="two", person=ADA)
    if since == "another community":
        wished = replace(wished, community_id="1002")
    assert not stage.store.is_asked_for_another(wished, stage.office._asking._turn().since_ms)
    assert stage.store.begin(wished, stage.office._asking._turn())[1]


def test_ok__what_waited_is_as_young_as_its_request(stage: Stage) -> None:
    """The time of asking is written when Knock is asked, however long it waited: it is not taken for dead too early."""
    stage.fault("available-times", "slow", seconds=0.3, count=1)

    async def later() -> Booking:
        task = asyncio.create_task(stage.office.book(stage.community, form()))
        await looked(stage, 1)
        stage.now_ms += HOUR_MS // 60
        return await task

    assert stage.run(later()).created_ms == NOON_MS + HOUR_MS // 60
