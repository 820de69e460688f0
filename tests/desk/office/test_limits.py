"""How often one address may book: counted when Knock is really asked, once per submission, and never without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.booking import BookingState, Person
from agent.desk.office import NotDoneError, Office, Problem
from agent.desk.records import Booking
from tests.desk.office.stage import ADA, HOUR_MS, Stage, form, slot

Make = Callable[..., Stage]
HERE, ELSEWHERE = "203.0.113.77", "203.0.113.78"


def who(number: int) -> Person:
    """The `number`-th person."""
    return replace(ADA, email=f"a{number}@example.com", phone=f"+1310555010{number}")


def book(stage: Stage, number: int, client: str | None = HERE, office: Office | None = None) -> Booking:
    """Form `number`, of a person and for a time of its own."""
    office = office or stage.office
    return stage.run(office.book(stage.community, form(f"form-{number}", number, who(number)), client=client))


def move(stage: Stage, booking: Booking, number: int) -> Booking:
    """A move of an address that is counted."""
    return stage.run(stage.office.move(booking.booking_id, slot(number), f"move-{number}", client=HERE))


def problem(work: Callable[[], Booking]) -> Problem:
    """Why it is not done."""
    with pytest.raises(NotDoneError) as error:
        work()
    return error.value.problem


def test_refused__more_than_the_limit(make: Make) -> None:
    """Knock is not asked and nothing is written; another address, and this one an hour later, may book; nor is the shell counted."""
    stage = make(limits={"bookings": 2})
    assert [book(stage, number).state for number in (0, 1)] == [BookingState.CONFIRMED] * 2
    assert problem(lambda: book(stage, 2)) is Problem.TOO_MANY
    assert stage.store.by_submission("form-2") is None
    assert len(stage.received()) == 2
    assert book(stage, 3, ELSEWHERE).state is book(stage, 4, None).state is BookingState.CONFIRMED
    stage.now_ms += HOUR_MS + HOUR_MS // 6
    assert book(stage, 5).state is BookingState.CONFIRMED
    stage.store.close()
    assert not any(b"203.0.113" in path.read_bytes() for path in stage.path.parent.glob("desk.db*"))


def test_ok__no_limit(make: Make) -> None:
    """0 switches it off."""
    stage = make(limits={"bookings": 0})
    assert {book(stage, number).state for number in range(4)} == {BookingState.CONFIRMED}


def test_ok__a_form_that_is_sent_again_is_not_counted_again(make: Make) -> None:
    """A reload, and a double click in two processes, count once."""
    stage = make(limits={"bookings": 2})
    other = stage.another(stage.opened())

    async def click() -> list[Booking]:
        one = form("form-0", 0, who(0))
        return await asyncio.gather(*(office.book(stage.community, one, client=HERE) for office in (stage.office, other) * 3))

    stage.run(click())
    for _ in range(30):
        book(stage, 0)
    assert book(stage, 1).state is BookingState.CONFIRMED
    assert problem(lambda: book(stage, 2)) is Problem.TOO_MANY


@pytest.mark.parametrize(("route", "kind", "facts"), [("available-times", "refuse", {}), ("request", "status", {"status": 429})])
def test_ok__an_outage_locks_nobody_out(make: Make, route: str, kind: str, facts: dict[str, int]) -> None:
    """Whoever presses the button again and again while Knock is away books, and moves, once it is back."""
    stage = make(limits={"bookings": 2})
    stage.fault(route, kind, **facts)
    for _ in range(5):
        if route == "request":
            assert book(stage, 0).state is BookingState.UNSENT
        else:
            assert problem(lambda: book(stage, 0)) is Problem.UNREACHED
    stage.mend()
    booking = book(stage, 0)
    stage.fault(route, kind, **facts)
    for _ in range(5):
        assert problem(lambda: move(stage, booking, 3)) is Problem.UNREACHED
    stage.mend()
    assert move(stage, booking, 3).window.start_ms == slot(3)
    assert problem(lambda: move(stage, booking, 6)) is Problem.TOO_MANY
    assert stage.row(booking).window.start_ms == slot(3)


@pytest.mark.parametrize(("route", "kind", "facts"), [("available-times", "refuse", {}), ("request", "status", {"status": 429})])
def test_refused__tries_without_an_end(make: Make, route: str, kind: str, facts: dict[str, int]) -> None:
    """An address that goes on for ever is stopped before Knock is asked for anything, whatever its forms are."""
    stage = make(limits={"bookings": 1})
    stage.fault(route, kind, **facts)
    for _ in range(10):
        if route == "request":
            book(stage, 0)
        else:
            problem(lambda: book(stage, 0))
    stage.mend()
    asked = len(stage.received("available-times"))
    assert problem(lambda: book(stage, 0)) is problem(lambda: book(stage, 1)) is Problem.TOO_MANY
    assert len(stage.received("available-times")) == asked
    assert book(stage, 1, ELSEWHERE).state is BookingState.CONFIRMED
