"""Bookings, moves, cancels, faults, staff and time in any order: what must hold holds after each of them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.core.booking import LIVE, BookingState
from agent.core.clock import from_iso
from agent.desk.office import NotDoneError
from agent.desk.records import Booking, JobKind
from tests.desk.office.stage import ADA, BEN, MINUTE_MS, Stage, form, slot

PEOPLE = (ADA, BEN)
FAULTS: list[dict[str, Any]] = [
    {"kind": "lost"},
    {"kind": "truncated"},
    {"kind": "not-json"},
    {"kind": "refuse"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 429},
    {"kind": "form", "booking_status": "REQUESTED"},
    {"kind": "form", "left_out": ["prospectId"]},
]
forms = st.integers(0, 3)
slots = st.integers(0, 5)


class AnyOrder(RuleBasedStateMachine):
    """Four forms of two people, and six times."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.stage = Stage(Path(self.folder.name))
        self.offices = [self.stage.office, self.stage.another(self.stage.opened())]
        self.dead: set[str] = set()
        self.live: set[str] = set()

    def teardown(self) -> None:
        """End the sandbox and the store."""
        self.stage.close()
        self.folder.cleanup()

    def known(self, number: int) -> Booking | None:
        """The booking of a form."""
        return self.stage.store.by_submission(f"form-{number}")

    def asked(self) -> tuple[int, int]:
        """How many requests Knock accepted, and how many a fault befell."""
        faults = self.stage.knows()["faults"]
        return len(self.stage.received()), self.stage.struck() if "request" in faults else 0

    @rule(number=forms, at=slots, office=st.integers(0, 1))
    def book(self, number: int, at: int, office: int) -> None:
        """A form is sent, perhaps again: what was asked and is not surely unsent is not asked again."""
        before, asked = self.known(number), self.asked()
        wished = form(f"form-{number}", at, PEOPLE[number % 2])
        with contextlib.suppress(NotDoneError):
            self.stage.run(self.offices[office].book(self.stage.community, wished))
        if before is not None and before.state is not BookingState.UNSENT:
            assert self.asked() == asked

    @rule(number=forms, at=slots, office=st.integers(0, 1))
    def move(self, number: int, at: int, office: int) -> None:
        """A move: refused, it leaves the tour as it was."""
        before = self.known(number)
        if before is None:
            return
        asked = self.asked()
        try:
            self.stage.run(self.offices[office].move(before.booking_id, slot(at), "move"))
        except NotDoneError:
            after = self.stage.row(before)
            assert (after.window, after.appointment_id, after.state) == (before.window, before.appointment_id, before.state)
        if before.state is not BookingState.CONFIRMED or before.move_state is not None:
            assert self.asked() == asked

    @rule(number=forms)
    def cancel(self, number: int) -> None:
        """A cancel: nothing of the booking is alive after it."""
        booking = self.known(number)
        if booking is None:
            return
        with contextlib.suppress(NotDoneError):
            self.stage.run(self.stage.office.cancel(booking.booking_id))
            assert self.stage.row(booking).state is BookingState.CANCELLED

    @rule(number=forms)
    def by_hand(self, number: int) -> None:
        """Staff look in Knock and say what they see."""
        booking = self.known(number)
        if booking is None or booking.state not in LIVE:
            return
        window = booking.moving_to or booking.window
        found = [entry for entry in self.stage.knows()["appointments"] if _is_of(entry, window.start_ms)]
        mine = [entry for entry in found if self._profile(entry)["email"] == booking.person.email]
        appointment_id, prospect_id = (mine[-1]["id"], mine[-1]["prospectId"]) if mine else (None, None)
        with contextlib.suppress(NotDoneError):
            self.stage.run(self.stage.office.settle_by_hand(booking.booking_id, appointment_id, prospect_id, "sam"))

    @rule(fault=st.sampled_from(FAULTS))
    def break_knock(self, fault: dict[str, Any]) -> None:
        """The next requests to book go wrong."""
        self.stage.fault("request", **fault)

    @rule()
    def mend_knock(self) -> None:
        """Knock is well again."""
        self.stage.mend()

    @rule(minutes=st.integers(1, 20))
    def wait(self, minutes: int) -> None:
        """Time passes, and the desk does its duties."""
        self.stage.now_ms += minutes * MINUTE_MS
        queue = self.stage.queue()
        self.stage.run(queue.keep_house())
        self.stage.run(queue.do_due())

    def _profile(self, entry: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.stage.knows()["prospects"] if one["id"] == entry["prospectId"])["profile"]
        return found

    @invariant()
    def dead_codes_stay_dead(self) -> None:
        """A code that doors were told is dead is never told to be alive again (promise P5)."""
        now = set(self.stage.live())
        self.dead |= self.live - now
        self.live = now
        assert not now & self.dead

    @invariant()
    def one_code_a_booking(self) -> None:
        """A confirmed booking has exactly one live code, its own; no other has any; PINs differ."""
        bookings = [booking for number in range(4) if (booking := self.known(number)) is not None]
        confirmed = [booking for booking in bookings if booking.state is BookingState.CONFIRMED]
        held = [self.stage.held(booking) for booking in confirmed]
        assert set(self.stage.live()) == {one.appointment.code_id for one in held}
        assert len({one.pin for one in held}) == len({one.appointment.code_id for one in held}) == len(confirmed)
        assert all(one.appointment.window == booking.window for one, booking in zip(held, confirmed, strict=True))

    @invariant()
    def nothing_of_knocks_is_forgotten(self) -> None:
        """What Knock has confirmed has a code, or is waiting or unknown here, or is to be cancelled, or staff were told to look."""
        bookings = [booking for number in range(4) if (booking := self.known(number)) is not None]
        coded = {booking.appointment_id for booking in bookings if booking.state is BookingState.CONFIRMED}
        open_people = {booking.person.email for booking in bookings if _is_open(booking)}
        cancels = {row.subject for row in self._jobs()}
        for entry in self.stage.knows()["appointments"]:
            if entry["status"] == "CONFIRMED" and entry["id"] not in coded | cancels:
                assert self._profile(entry)["email"] in open_people, entry

    def _jobs(self) -> list[Any]:
        """Cancels that wait; claimed with a lease that has run out at once."""
        return [job for job in self.stage.store.due_jobs(2**50, 100, lease_ms=self.stage.now_ms - 2**50) if job.kind is JobKind.CANCEL]


def _is_open(booking: Booking) -> bool:
    is_waiting = booking.state in LIVE and (booking.state is not BookingState.CONFIRMED or booking.move_state is not None)
    return is_waiting or "Knock may hold" in booking.words


def _is_of(entry: dict[str, Any], start_ms: int) -> bool:
    return entry["status"] == "CONFIRMED" and from_iso(entry["startTime"]) == start_ms


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
