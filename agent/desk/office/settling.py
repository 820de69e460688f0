"""What Knock's answers, staff's word and a cancel do to a booking. Blocking: each call is made in a thread.

Rule 1: a booking, its code, its PIN, what it replaces and what is to be done about it change in one transaction.
Rule 2: whoever comes late finds the state changed and changes nothing; what Knock holds because of them is cancelled there.
Rule 3: a dead appointment stays dead (promise P5): no answer and no hand gives it a code again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from agent.core.booking import Booked, BookingOutcome, BookingState, state_after
from agent.core.replay import Refused, TryAgain
from agent.core.tour import Standing, TourError, Window
from agent.desk.office.parts import Jobs, Parts, fits
from agent.desk.office.passes import Tour
from agent.desk.office.values import NotDoneError, Problem
from agent.desk.records import Appointment, Booking, JobKind
from agent.desk.store import PinTakenError, StateError, Turn
from agent.desk.store.turns import is_same
from agent.errors import StoreError

Change = Callable[[Booking], Booking]

PIN_ATTEMPTS = 100
"""So many PINs are tried for one code; with 10,000 live ones at a door each is free with a probability of 0.9999."""
OPEN_STATES = frozenset({BookingState.ASKING, BookingState.UNKNOWN, BookingState.PENDING})
UNANSWERED = frozenset({BookingState.ASKING, BookingState.UNKNOWN})
WAITING = frozenset({BookingState.UNKNOWN, BookingState.PENDING})
_CONFIRMED = frozenset({BookingState.CONFIRMED})
_ENDED = frozenset({BookingState.REFUSED, BookingState.CANCELLED, BookingState.SUPERSEDED})
_PENDING = frozenset({BookingState.PENDING})

NOT_FREE = "The time is no longer free."
MAY_HOLD = "Cancelled here, but Knock may hold an appointment that this desk has no id of: look there."
MAY_HOLD_MOVE = "Cancelled here while a move was open: Knock may hold the new appointment: look there."
NO_FIT = "Knock's answer does not fit a code"
STOPPED = "The desk stopped while Knock was being asked."
REPLACED = "Replaced by a later booking of the same person."


class Settling:
    """Every change of a booking after it was begun."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store

    def begin_move(self, booking: Booking, window: Window, turn: Turn | None = None) -> tuple[Booking, bool]:
        """Write the intent to move; False when the same move is under way or done already.

        Raises:
            NotDoneError: NOT_LIVE, or MOVE_OPEN for another move.
            BusyError: Knock is being asked for another booking of the same person.
            LimitError: there were too many of the turn's address.
        """

        def change(found: Booking) -> Booking:
            if found.move_state is not None or found.window == window:
                raise StateError("the tour was moved meanwhile")
            return replace(found, moving_to=window, move_state=BookingState.ASKING, moving_appointment_id=None, words="")

        try:
            return self._settle(booking, _CONFIRMED, change, turn=turn or Turn()), True
        except StateError:
            found = self._found(booking)
            if found.state is BookingState.CONFIRMED and window in (found.window, found.moving_to):
                return found, False
            if found.state is not BookingState.CONFIRMED:
                raise NotDoneError(Problem.NOT_LIVE, f"the tour is {found.state}") from None
            raise NotDoneError(Problem.MOVE_OPEN, "another move is under way, or its outcome is not known") from None

    # what Knock answered

    def booked(self, booking: Booking, outcome: BookingOutcome) -> Booking:
        """Write what became of a booking that Knock was asked for."""
        if isinstance(outcome, Booked) and outcome.is_confirmed and outcome.prospect_id is not None:
            ids = outcome.appointment_id, outcome.prospect_id
            return self._or_late(booking, outcome, lambda: self.confirm(booking, *ids, expected=UNANSWERED))
        jobs = _ask_who(booking, outcome)
        written = self._or_late(booking, outcome, lambda: self._settle(booking, UNANSWERED, _answered(outcome), jobs))
        if jobs:
            self._parts.wake()
        return written

    def moved(self, booking: Booking, outcome: BookingOutcome) -> Booking:
        """Write what became of a move that Knock was asked for. Raises `NotDoneError` when the old tour stands."""
        if isinstance(outcome, Booked) and outcome.is_confirmed:
            ids = outcome.appointment_id, outcome.prospect_id or booking.prospect_id or ""
            return self._or_late(booking, outcome, lambda: self.confirm(booking, *ids, expected=_CONFIRMED))
        found = self._or_late(booking, outcome, lambda: self._settle(booking, _CONFIRMED, _move_answered(outcome)))
        if isinstance(outcome, Refused):
            raise NotDoneError(Problem.SLOT_GONE, f"Knock refused the move: {outcome.words}")
        if isinstance(outcome, TryAgain):
            raise NotDoneError(Problem.UNREACHED, f"Knock was not asked: {outcome.words}")
        return found

    def has_prospect(self, booking: Booking, prospect_id: str) -> Booking:
        """Knock told the prospect's id of a booking that waited for it alone."""
        if booking.appointment_id is None or booking.state is not BookingState.PENDING:
            return booking
        try:
            return self.confirm(booking, booking.appointment_id, prospect_id, expected=_PENDING)
        except StateError:
            return self._found(booking)

    def give_up_waiting(self, booking: Booking) -> Booking:
        """A booking or move that has been asked for too long is unknown: whoever asked has died."""

        def change(found: Booking) -> Booking:
            if found.changed_ms != booking.changed_ms:
                raise StateError("somebody changed it meanwhile")
            if found.state is BookingState.ASKING:
                return replace(found, state=BookingState.UNKNOWN, words=STOPPED)
            return replace(found, move_state=BookingState.UNKNOWN, words=STOPPED)

        try:
            return self._settle(booking, frozenset({BookingState.ASKING, BookingState.CONFIRMED}), change)
        except StateError:
            return self._found(booking)

    # what people say

    def cancel(self, booking: Booking) -> Booking:
        """Cancelled: the code is dead in the same transaction, Knock is told later. Raises `StateError` when it changed meanwhile."""
        now_ms = self._parts.now_ms()
        known = (booking.appointment_id, booking.moving_appointment_id)
        jobs: Jobs = [(JobKind.CANCEL, appointment_id) for appointment_id in known if appointment_id is not None]
        jobs += self._parts.mail(JobKind.MAIL_CANCELLED, booking)

        def change(found: Booking) -> Booking:
            if (found.appointment_id, found.moving_appointment_id) != known:
                raise StateError("the booking has changed meanwhile")
            if found.state is BookingState.CONFIRMED and self._parts.closes_ms(found) <= now_ms:
                raise NotDoneError(Problem.OVER, "the tour is over")
            is_lost_move = found.move_state is not None and found.moving_appointment_id is None
            words = MAY_HOLD if found.appointment_id is None else MAY_HOLD_MOVE if is_lost_move else ""
            return replace(found, state=BookingState.CANCELLED, moving_to=None, move_state=None, words=words)

        cancelled = self._settle(booking, OPEN_STATES | _CONFIRMED, change, jobs)
        self._parts.wake()
        return cancelled

    def leave(self, booking: Booking) -> Booking:
        """The prospect says that they have left; the last time counts. Raises `NotDoneError` before its code opens, `StateError`."""
        now_ms = self._parts.now_ms()

        def change(found: Booking) -> Booking:
            if now_ms < self._parts.opens_ms(found):
                raise NotDoneError(Problem.NOT_BEGUN, "nobody can have left: the code does not open yet")
            return replace(found, left_ms=now_ms)

        return self._settle(booking, _CONFIRMED, change)

    def not_booked(self, booking: Booking, staff: str) -> Booking:
        """Staff say that Knock has no such appointment: the booking is refused, or the move is off."""
        words = f"Settled by {staff}: not booked in Knock."

        def change(found: Booking) -> Booking:
            if found.changed_ms != booking.changed_ms:
                raise StateError("somebody settled it meanwhile")
            if found.state is BookingState.CONFIRMED:
                return replace(found, moving_to=None, move_state=None, moving_appointment_id=None, words=words)
            return replace(found, state=BookingState.REFUSED, words=words)

        return self._settle(booking, OPEN_STATES | _CONFIRMED, change)

    def booked_by_hand(self, booking: Booking, appointment_id: str, prospect_id: str, words: str, window: Window | None = None) -> Booking:
        """Somebody who saw it in Knock says which appointment it is. Raises `NotDoneError` BAD_ID, `StateError`."""
        for what, value in (("appointment", appointment_id), ("prospect", prospect_id)):
            if not fits(what, value):
                raise NotDoneError(Problem.BAD_ID, f"that cannot be the id of a Knock {what}")
        if self._is_anothers(booking, self._store.appointment(appointment_id)):
            raise NotDoneError(Problem.BAD_ID, "that appointment belongs to another tour here, or was cancelled")
        if booking.state is BookingState.CONFIRMED and appointment_id == booking.appointment_id:
            raise NotDoneError(Problem.BAD_ID, "that is the appointment of the old time: the move needs the new one's id")
        expected = _CONFIRMED if booking.state is BookingState.CONFIRMED else OPEN_STATES
        return self.confirm(booking, appointment_id, prospect_id, expected=expected, words=words, window=window)

    # the one way to a code

    def confirm(
        self,
        booking: Booking,
        appointment_id: str,
        prospect_id: str,
        *,
        expected: frozenset[BookingState],
        words: str = "",
        window: Window | None = None,
    ) -> Booking:
        """Give the tour its appointment, code and PIN; what does not fit a code leaves it waiting for a person's hand.

        Raises:
            StateError: it is in no state of `expected`, or the move is no longer open.
        """
        if self._is_anothers(booking, self._store.appointment(appointment_id)):
            return self._settle(booking, expected, _kept_waiting(f"{NO_FIT}: its appointment is another tour's here, or was cancelled."))
        try:
            made = self._parts.passes.new(self._tour(booking, appointment_id, prospect_id, window or booking.moving_to or booking.window))
        except TourError as error:
            kept_id = appointment_id if fits("appointment", appointment_id) else None
            return self._settle(booking, expected, _kept_waiting(f"{NO_FIT}: {error}.", kept_id))
        confirmed = self._with_pin(booking, made, expected, words)
        if confirmed.state is BookingState.CONFIRMED:
            with contextlib.suppress(StoreError):
                self._replace_waiting(confirmed)
        self._parts.wake()
        return confirmed

    def _with_pin(self, booking: Booking, made: Appointment, expected: frozenset[BookingState], words: str) -> Booking:
        is_move = booking.state is BookingState.CONFIRMED
        jobs = self._parts.mail(JobKind.MAIL_MOVED if is_move else JobKind.MAIL_CONFIRMED, booking)

        def change(found: Booking) -> Booking:
            return replace(
                _still_open(found),
                state=BookingState.CONFIRMED,
                window=made.window,
                appointment_id=made.appointment_id,
                prospect_id=made.prospect_id,
                asked_turn=found.asked_turn if found.move_state is None else found.moving_turn,
                moving_to=None,
                move_state=None,
                moving_appointment_id=None,
                words=words,
            )

        for attempt in range(PIN_ATTEMPTS):
            with contextlib.suppress(PinTakenError):
                return self._settle(booking, expected, change, jobs, replace(made, pin_attempt=attempt))
        raise StoreError(f"no PIN is free at the doors of community {booking.community_id}: too many tours are live")

    def _tour(self, booking: Booking, appointment_id: str, prospect_id: str, window: Window) -> Tour:
        community = self._parts.community(booking.community_id)
        if community is None:
            raise TourError("the settings no longer name the community")
        return Tour(
            appointment_id=appointment_id,
            prospect_id=prospect_id,
            community_id=booking.community_id,
            doors=tuple(door.name for door in community.doors_for(booking.unit_names)),
            unit_names=booking.unit_names,
            window=window,
            source_title=booking.source_title,
            first_name=booking.person.first_name,
            booking_id=booking.booking_id,
        )

    def _is_anothers(self, booking: Booking, known: Appointment | None) -> bool:
        """Whether an appointment of the roster is another booking's, or dead; one that a vendor told of may be this one."""
        return known is not None and (known.standing is not Standing.CONFIRMED or known.booking_id not in (None, booking.booking_id))

    def _settle(
        self,
        booking: Booking,
        expected: frozenset[BookingState],
        change: Change,
        jobs: Jobs | None = None,
        appointment: Appointment | None = None,
        *,
        turn: Turn | None = None,
    ) -> Booking:
        return self._store.settle(
            booking.booking_id,
            expected=expected,
            change=change,
            appointment=appointment,
            pins=None if appointment is None else self._parts.passes.pin_hashes(appointment),
            jobs=jobs or [],
            superseded_job=self._parts.superseded_job(),
            turn=turn,
            now_ms=self._parts.now_ms(),
        )

    def _or_late(self, booking: Booking, outcome: BookingOutcome, write: Callable[[], Booking]) -> Booking:
        """Write an answer; for a booking that has ended meanwhile, cancel in Knock what it just made."""
        try:
            return write()
        except StateError:
            found = self._found(booking)
            if isinstance(outcome, Booked) and found.state in _ENDED and self._is_nobodys(found, outcome.appointment_id):
                self._store.add_job(JobKind.CANCEL, outcome.appointment_id, self._parts.now_ms())
                self._parts.wake()
            return found

    def _is_nobodys(self, booking: Booking, appointment_id: str) -> bool:
        """Whether an appointment that Knock just made is no live tour's, and its cancel is not queued with the booking's own."""
        known = self._store.appointment(appointment_id)
        is_live = known is not None and known.standing is Standing.CONFIRMED
        return fits("appointment", appointment_id) and booking.appointment_id != appointment_id and not is_live

    def _replace_waiting(self, confirmed: Booking) -> None:
        """Bookings of the same person, asked for earlier, that wait or are unknown: of one prospect's tours Knock has the last."""
        for other in self._store.bookings(confirmed.community_id, states=WAITING, start_from_ms=self._parts.now_ms()):
            if other.asked_turn < confirmed.asked_turn and is_same(other.person, confirmed.person):
                with contextlib.suppress(StateError):
                    told = self._parts.mail(JobKind.MAIL_CANCELLED, other)
                    self._settle(other, WAITING, lambda found: replace(found, state=BookingState.SUPERSEDED, words=REPLACED), told)

    def _found(self, booking: Booking) -> Booking:
        return self._store.booking(booking.booking_id) or booking


def _ask_who(booking: Booking, outcome: BookingOutcome) -> Jobs:
    """Knock confirmed, and did not say who the prospect is: ask."""
    is_nameless = isinstance(outcome, Booked) and outcome.is_confirmed and fits("appointment", outcome.appointment_id)
    return [(JobKind.PROSPECT, booking.booking_id)] if is_nameless else []


def _still_open(found: Booking) -> Booking:
    """A move whose state is gone was settled by somebody else."""
    if found.state is BookingState.CONFIRMED and found.move_state is None:
        raise StateError("the move was settled meanwhile")
    return found


def _kept_waiting(words: str, appointment_id: str | None = None) -> Change:
    """A booking or move that Knock has, and that only a person can settle; the id is kept, so that a cancel can be told to Knock."""

    def change(found: Booking) -> Booking:
        if _still_open(found).state is BookingState.CONFIRMED:
            moving_id = appointment_id or found.moving_appointment_id
            return replace(found, move_state=BookingState.PENDING, moving_appointment_id=moving_id, words=words)
        return replace(found, state=BookingState.PENDING, appointment_id=appointment_id or found.appointment_id, words=words)

    return change


def _answered(outcome: BookingOutcome) -> Change:
    """What an answer that does not confirm makes of a booking."""

    def change(found: Booking) -> Booking:
        state = state_after(outcome)
        if not isinstance(outcome, Booked):
            return replace(found, state=state, words=outcome.words)
        is_fit = fits("appointment", outcome.appointment_id)
        waits = (
            "Knock did not say who the prospect is."
            if outcome.is_confirmed
            else f"Its status in Knock is {outcome.status[:40] or 'not told'}."
        )
        return replace(
            found,
            state=state,
            appointment_id=outcome.appointment_id if is_fit else None,
            prospect_id=outcome.prospect_id,
            words=waits if is_fit else f"{NO_FIT}.",
        )

    return change


def _move_answered(outcome: BookingOutcome) -> Change:
    """What an answer that does not confirm makes of a move."""

    def change(found: Booking) -> Booking:
        _still_open(found)
        if isinstance(outcome, Booked):
            words = f"Knock has appointment {outcome.appointment_id[:40]} for the move; its status is {outcome.status[:40] or 'not told'}."
            moving_id = outcome.appointment_id if fits("appointment", outcome.appointment_id) else None
            return replace(found, move_state=BookingState.PENDING, moving_appointment_id=moving_id, words=words)
        if state_after(outcome) is BookingState.UNKNOWN:
            return replace(found, move_state=BookingState.UNKNOWN, words=outcome.words)
        return replace(found, moving_to=None, move_state=None, words=outcome.words)

    return change
