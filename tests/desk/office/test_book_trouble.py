"""Booking when something goes wrong: nothing repeated that may have arrived, and nothing half written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.booking import Booked, BookingState, Person
from agent.core.replay import TryAgain
from agent.core.tour import Window
from agent.desk.office import NotDoneError, Problem, Trouble
from agent.desk.secrets import Secrets
from agent.errors import StoreError
from tests.desk.office.stage import ADA, BEN, NOON_MS, SECRET, Stage, form, slot, texts

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
