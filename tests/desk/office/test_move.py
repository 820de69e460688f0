"""Moving: the old code lives until Knock confirmed the new time, and not a moment longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from agent.core.booking import Booked, BookingState
from agent.core.replay import Unknown
from agent.core.tour import Standing, Window
from agent.desk.office import NotDoneError, Problem
from agent.desk.records import Booking, JobKind
from tests.desk.office.stage import BEN, HOUR_MS, MAIL, NOON_MS, LateKnock, Stage, form, slot

Make = Callable[..., Stage]
BROKEN = [("lost", {}), ("truncated", {}), ("status", {"status": 500}), ("status", {"status": 503}), ("not-json", {})]


def refused(stage: Stage, booking: Booking, number: int = 3) -> Problem:
    """Why a move is not done; the booking must be as it was."""
    before = stage.row(booking)
    with pytest.raises(NotDoneError) as error:
        stage.move(booking, number)
    after = stage.row(booking)
    kept = (before.state, before.window, before.appointment_id, before.moving_to, before.move_state)
    assert (after.state, after.window, after.appointment_id, after.moving_to, after.move_state) == kept
    return error.value.problem


def test_ok__a_move_kills_the_old_code_and_makes_a_new_one(stage: Stage) -> None:
    """New window, new appointment, new code and PIN; the old appointment is superseded for doors and cancelled in Knock."""
    booking = stage.book()
    old = stage.held(booking)
    moved = stage.move(booking, 3)
    new = stage.held(moved)
    assert (moved.state, moved.window.start_ms, moved.move_state) == (BookingState.CONFIRMED, slot(3), None)
    assert moved.booking_id == booking.booking_id
    assert stage.code(new).window == moved.window
    assert (new.code_text != old.code_text, new.pin != old.pin) == (True, True)
    assert list(stage.live()) == [new.appointment.code_id]
    gone = stage.entry(booking.appointment_id)
    assert (gone.standing, gone.revision) == (Standing.SUPERSEDED, old.appointment.revision + 1)
    assert stage.in_knock() == {moved.appointment_id}
    assert len(stage.received()) == 2


def test_ok__there_and_back_again_makes_a_third_code(stage: Stage) -> None:
    """The old time again is no way back to the old code."""
    booking = stage.book()
    first = stage.held(booking).appointment.code_id
    stage.move(booking, 3)
    back = stage.move(booking, 0)
    assert back.window == booking.window
    assert stage.held(back).appointment.code_id != first
    assert len(stage.live()) == 1


def test_ok__the_same_time_changes_nothing(stage: Stage) -> None:
    """Nothing is asked, and the code stays."""
    booking = stage.book()
    assert stage.move(booking, 0) == booking
    assert len(stage.received()) == 1


def test_ok__a_move_is_mailed_when_there_is_mail(make: Make) -> None:
    """The email of the new time is queued in the same transaction."""
    stage = make(mail=MAIL)
    booking = stage.move(stage.book(), 3)
    kinds = [job.kind for job in stage.store.due_jobs(NOON_MS, 10) if job.subject == booking.booking_id]
    assert kinds == [JobKind.MAIL_CONFIRMED, JobKind.MAIL_MOVED]


def test_ok__a_double_click_in_two_processes_moves_once(stage: Stage) -> None:
    """The same move at once from several offices is one request, and all hear the same."""
    booking = stage.book()
    offices = [stage.office, stage.another(stage.opened()), stage.another(stage.opened())]
    stage.fault("request", "slow", seconds=0.3)

    async def click() -> list[Booking]:
        return await asyncio.gather(*(office.move(booking.booking_id, slot(3), "move") for office in offices * 2))

    found = stage.run(click())
    assert {one.window.start_ms for one in found} == {slot(3)}
    assert len(stage.received()) == 2
    assert len(stage.live()) == 1


def test_ok__a_second_click_that_looks_after_the_first_moved(stage: Stage) -> None:
    """Its time is gone by then, since the first click has it: that is the move, not a refusal."""
    booking = stage.book()
    late = stage.another(stage.opened(), LateKnock)
    knock = late.parts.knock
    assert isinstance(knock, LateKnock)

    async def click() -> list[Booking]:
        second = asyncio.create_task(late.move(booking.booking_id, slot(3), "move"))
        await knock.has_come.wait()
        first = await stage.office.move(booking.booking_id, slot(3), "move")
        knock.may_look.set()
        return [first, await second]

    first, second = stage.run(click())
    assert first == second
    assert len(stage.received()) == 2


def test_refused__another_move_while_one_is_under_way(stage: Stage) -> None:
    """Two different moves at once: one is done, the other is told to wait or comes to nothing; never two requests."""
    booking = stage.book()
    stage.fault("request", "slow", seconds=0.3)

    async def both() -> list[Booking | BaseException]:
        moves = (stage.office.move(booking.booking_id, slot(number), f"move-{number}") for number in (3, 6))
        return await asyncio.gather(*moves, return_exceptions=True)

    found = stage.run(both())
    problems = [one.problem for one in found if isinstance(one, NotDoneError)]
    assert problems == [Problem.MOVE_OPEN]
    assert len(stage.received()) == 2


def test_refused__to_a_time_that_is_gone(stage: Stage) -> None:
    """Not offered: the old tour stands, and Knock is not asked, which would have cancelled it."""
    stage.book("other", 3, BEN)
    booking = stage.book("one", 0)
    old = stage.held(booking)
    assert refused(stage, booking) is Problem.SLOT_GONE
    assert stage.held(booking) == old
    assert len(stage.received()) == 2
    assert stage.in_knock() >= {booking.appointment_id or ""}


def test_refused__by_knock_itself(stage: Stage) -> None:
    """Knock's refusal of the request leaves the old tour and its code."""
    booking = stage.book("one", 0)
    stage.fault("available-times", "slow", seconds=0.3)
    other = stage.another()

    async def both() -> None:
        move = asyncio.create_task(stage.office.move(booking.booking_id, slot(3), "move"))
        await asyncio.sleep(0.1)
        stage.mend()
        await other.book(stage.community, form("ben", 3, BEN))
        with pytest.raises(NotDoneError) as error:
            await move
        assert error.value.problem is Problem.SLOT_GONE

    stage.run(both())
    assert stage.row(booking).window == booking.window
    assert stage.held(stage.row(booking)).appointment.code_id in stage.live()


@pytest.mark.parametrize(("route", "kind", "facts"), [("available-times", "refuse", {}), ("request", "status", {"status": 429})])
def test_fail__knock_cannot_be_asked(stage: Stage, route: str, kind: str, facts: dict[str, int]) -> None:
    """Surely not asked: the old tour stands, and the same move may be tried again."""
    booking = stage.book()
    stage.fault(route, kind, **facts)
    assert refused(stage, booking) is Problem.UNREACHED
    stage.mend()
    assert stage.move(booking, 3).window.start_ms == slot(3)


@pytest.mark.parametrize(("kind", "facts"), BROKEN)
def test_fail__an_unknown_move_keeps_the_old_code_and_is_not_repeated(stage: Stage, kind: str, facts: dict[str, int]) -> None:
    """The old code stays alive, staff see the move as unknown, and no second request goes out, whatever is clicked."""
    booking = stage.book()
    old = stage.held(booking)
    stage.fault("request", kind, **facts)
    moved = stage.move(booking, 3)
    assert (moved.state, moved.move_state, moved.window) == (BookingState.CONFIRMED, BookingState.UNKNOWN, booking.window)
    assert moved.moving_to is not None
    assert moved.moving_to.start_ms == slot(3)
    assert stage.held(moved) == old
    assert [refused(stage, booking, number) for number in (3, 6)] == [Problem.MOVE_OPEN] * 2
    stage.now_ms += 1
    stage.run(stage.queue().keep_house())
    assert stage.struck() == 1


def test_fail__a_process_that_dies_while_moving_leaves_the_move_unknown(stage: Stage) -> None:
    """Found as being asked, it is unknown after twice the longest time; the old code stays."""
    booking = stage.book()
    window = stage.office.settling.begin_move(booking, _later(booking))[0].moving_to
    stage.now_ms += stage.given_up_ms
    stage.run(stage.queue().keep_house())
    found = stage.row(booking)
    assert (found.state, found.move_state, found.moving_to) == (BookingState.CONFIRMED, BookingState.UNKNOWN, window)
    assert stage.held(found).appointment.code_id in stage.live()
    assert len(stage.received()) == 1


def _later(booking: Booking) -> Window:
    return Window(booking.window.start_ms + HOUR_MS, booking.window.end_ms + HOUR_MS)


def test_refused__an_answer_to_a_move_that_staff_called_off(stage: Stage) -> None:
    """It comes too late to change anything: the tour stands as staff left it."""
    booking = stage.book()
    begun, _ = stage.office.settling.begin_move(booking, _later(booking))
    stage.now_ms += stage.given_up_ms
    settled = stage.run(stage.office.settle_by_hand(booking.booking_id, None, None, "sam"))
    for outcome in (Booked("99", "CONFIRMED", "5"), Booked("99", "REQUESTED", "5"), Unknown("lost")):
        assert stage.office.settling.moved(begun, outcome) == settled
    assert list(stage.live()) == [stage.held(booking).appointment.code_id]
    assert stage.store.appointment("99") is None


def test_refused__an_unconfirmed_move_keeps_the_old_code(stage: Stage) -> None:
    """Another status than CONFIRMED waits for staff, who are told the new appointment's id; the old code stays till then."""
    booking = stage.book()
    stage.fault("request", "form", booking_status="REQUESTED", count=1)
    moved = stage.move(booking, 3)
    assert (moved.window, moved.move_state) == (booking.window, BookingState.PENDING)
    new = max(stage.knows()["appointments"], key=lambda entry: entry["startTime"])["id"]
    assert new in moved.words
    assert stage.held(moved).appointment.appointment_id == booking.appointment_id


def test_ok__a_move_needs_no_word_on_the_prospect(stage: Stage) -> None:
    """Who it is, is known from the booking: the answer may leave it out."""
    booking = stage.book()
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    moved = stage.move(booking, 3)
    assert (moved.state, moved.window.start_ms, moved.prospect_id) == (BookingState.CONFIRMED, slot(3), booking.prospect_id)


@pytest.mark.parametrize("how", ["cancelled", "superseded", "begun", "pending", "nowhere"])
def test_refused__what_cannot_be_moved(stage: Stage, how: str) -> None:
    """Cancelled, replaced, begun, never confirmed or never there: Knock is not asked."""
    if how == "pending":
        stage.fault("request", "form", booking_status="REQUESTED", count=1)
    booking = stage.book("one", 0)
    if how == "cancelled":
        stage.run(stage.office.cancel(booking.booking_id))
    if how == "superseded":
        stage.book("two", 6)
    if how == "begun":
        stage.now_ms = slot(0)
    asked = len(stage.received())
    with pytest.raises(NotDoneError) as error:
        stage.run(stage.office.move("0" * 16 if how == "nowhere" else booking.booking_id, slot(3), "move"))
    expected = {"begun": Problem.OVER, "pending": Problem.NOT_CONFIRMED, "nowhere": Problem.NO_BOOKING}
    assert error.value.problem is expected.get(how, Problem.NOT_LIVE)
    assert len(stage.received()) == asked


def test_ok__a_client_that_goes_away_does_not_stop_the_move(stage: Stage) -> None:
    """What Knock confirmed is written although nobody waits for it."""
    booking = stage.book()
    stage.fault("request", "slow", seconds=0.3)

    async def go_away() -> None:
        task = asyncio.create_task(stage.office.move(booking.booking_id, slot(3), "move"))
        while len(stage.received()) < 2:  # noqa: ASYNC110 - the sandbox is another thread
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stage.office.finish()

    stage.run(go_away())
    assert stage.row(booking).window.start_ms == slot(3)
    assert stage.in_knock() == {stage.row(booking).appointment_id}


def test_ok__a_move_whose_asker_died_is_over_with_its_tour(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A newer booking takes the tour's place before housekeeping: nothing of the move is left, and nobody is told of it each minute."""
    booking = stage.book()
    stage.office.settling.begin_move(booking, _later(booking))
    stage.now_ms += stage.given_up_ms
    second = stage.book("two", 6)
    found = stage.row(booking)
    assert (found.state, found.move_state, found.moving_to) == (BookingState.SUPERSEDED, None, None)
    with caplog.at_level(logging.WARNING):
        stage.now_ms += stage.given_up_ms
        stage.run(stage.queue().keep_house())
    assert [record.message for record in caplog.records] == []
    assert stage.row(second).state is BookingState.CONFIRMED


def test_ok__what_is_given_up_is_told_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """One line for a move whose asker died, however often the house is kept."""
    booking = stage.book()
    stage.office.settling.begin_move(booking, _later(booking))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            stage.now_ms += stage.given_up_ms
            stage.run(stage.queue().keep_house())
    assert [record.message for record in caplog.records] == ["booking_unknown"]
