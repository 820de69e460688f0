"""Bookings: begun once per submission, and settled together with all that follows from it.

Rule 1: a booking is on disk before Knock is asked, and one submission is one booking, whichever process took it.
Rule 2: `settle` is one transaction: the booking, its appointments, their PINs, the prospect's other tours and the jobs, or nothing.
Rule 3: an appointment of a booking is alive only while the booking is CONFIRMED and names it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from agent.core.booking import BookingState
from agent.core.tour import Standing
from agent.desk.records import Appointment, Booking, JobKind
from agent.desk.store import jobs as queue
from agent.desk.store import roster
from agent.desk.store.booking_rows import found, from_row, write
from agent.desk.store.topic import StateError, Topic
from agent.desk.store.turns import Turn, is_asked
from agent.sqlite import Transaction

_OF_SUBMISSION = "SELECT * FROM booking WHERE submission = :submission"
_LISTED = """SELECT * FROM booking WHERE community_id = :community_id AND start_ms >= :from_ms AND start_ms < :to_ms
    AND state IN ({states}) ORDER BY start_ms, booking_id LIMIT :limit"""
_UNSETTLED = """SELECT * FROM booking WHERE community_id = :community_id
    AND (state IN ('asking', 'unknown', 'pending') OR (state = 'confirmed' AND move_state IS NOT NULL))
    ORDER BY start_ms, booking_id LIMIT :limit"""
_STALE = """SELECT * FROM booking WHERE (state = 'asking' OR move_state = 'asking') AND state IN ('asking', 'confirmed')
    AND changed_ms < :before_ms ORDER BY changed_ms"""
_OTHERS = """SELECT * FROM booking WHERE community_id = :community_id AND prospect_id = :prospect_id AND booking_id <> :but
    AND state = 'confirmed' AND start_ms > :now_ms AND asked_turn < :turn AND (move_state IS NULL OR moving_turn < :turn)
    ORDER BY start_ms, booking_id"""
_LATER = """SELECT * FROM booking WHERE community_id = :community_id AND prospect_id = :prospect_id AND booking_id <> :of
    AND state = 'confirmed' AND asked_turn > :turn LIMIT 1"""
_FOREVER_MS = 2**62
_ANY_TURN = Turn()


class Bookings(Topic):
    """The bookings of `DeskStore`."""

    def begin(self, booking: Booking, turn: Turn = _ANY_TURN) -> tuple[Booking, bool]:
        """Write that Knock is about to be asked for this booking; returns the submission's row, and whether the caller is to ask.

        False: another call was first, and the row is what became of it so far. An UNSENT row is taken over by this call: the new
        values, ASKING, under the booking id that it had.

        Raises:
            BusyError: Knock is being asked for another booking of the same person, as `turn` has it.
            LimitError: there were too many of the turn's address.
        """
        with self._file.writing() as db:
            row = db.row(_OF_SUBMISSION, submission=booking.submission)
            there = from_row(row) if row else None
            if there and there.state is not BookingState.UNSENT:
                return there, False
            if there:
                booking = replace(booking, booking_id=there.booking_id, created_ms=there.created_ms)
            booking = replace(booking, state=BookingState.ASKING)
            booking = replace(booking, asked_turn=turn.take(db, booking))
            write(db, booking, is_new=there is None)
        return booking, True

    def is_asked_for_another(self, booking: Booking, since_ms: int) -> bool:
        """Whether Knock has been asked since `since_ms` for another booking of the same person, and has not answered."""
        with self._file.reading() as db:
            return is_asked(db, booking, since_ms)

    def booking(self, booking_id: str) -> Booking | None:
        """A booking by its id."""
        with self._file.reading() as db:
            return found(db, booking_id)

    def by_submission(self, token: str) -> Booking | None:
        """The booking of a form's token."""
        with self._file.reading() as db:
            row = db.row(_OF_SUBMISSION, submission=token)
            return from_row(row) if row else None

    def settle(
        self,
        booking_id: str,
        *,
        expected: Collection[BookingState],
        change: Callable[[Booking], Booking],
        appointment: Appointment | None = None,
        pins: Mapping[str, str] | None = None,
        pins_end_ms: int | None = None,
        supersedes: bool = True,
        jobs: Sequence[tuple[JobKind, str]] = (),
        superseded_job: JobKind | None = None,
        turn: Turn | None = None,
        now_ms: int,
    ) -> Booking:
        """Change a booking and all that hangs on it, at once or not at all; returns it as it now stands.

        `change` gets the row as it is now; it runs while all writers wait, so it only computes, and what it raises calls everything
        off. `appointment` is Knock's for the tour, with the PIN's hash per door in `pins`; see `put_appointment`. An earlier
        appointment of the booking dies here, and so does its present one when the booking is no longer CONFIRMED. A confirmation
        with an appointment supersedes the prospect's other upcoming tours, unless `supersedes` is False (Knock cancels them itself).
        The order in which Knock was asked decides: it supersedes what was asked for earlier; when a later one is confirmed already, the
        booking itself ends SUPERSEDED, without a code.
        `superseded_job` is to be done about each booking that ends so and has an email address. `turn` is wanted by a change after which
        Knock is asked.

        Raises:
            StateError: the booking is gone, or in no state of `expected`; or the appointment is dead and comes with the same code.
            PinTakenError: a PIN is in use at one of the doors.
            BusyError: Knock is being asked for another booking of the same person, as `turn` has it.
            LimitError: there were too many of the turn's address.
        """
        with self._file.writing() as db:
            before = found(db, booking_id)
            if before is None or before.state not in expected:
                raise StateError(f"the booking is {before.state if before else 'deleted'}: somebody else settled it meanwhile")
            after = replace(change(before), booking_id=booking_id, submission=before.submission, changed_ms=now_ms)
            if turn is not None:
                after = replace(after, moving_turn=turn.take(db, after))
            if appointment is not None and supersedes and _is_replaced(db, after, appointment, now_ms):
                after, appointment = replace(after, state=BookingState.SUPERSEDED), None
                jobs = _about([after], superseded_job)
            after = _without_move(after)
            write(db, after, is_new=False)
            is_confirmed = after.state is BookingState.CONFIRMED
            _end_earlier(db, after, kept=after.appointment_id if is_confirmed else None)
            if appointment is not None:
                roster.put(db, appointment, pins, now_ms, pins_end_ms)
                if is_confirmed and supersedes:
                    ended = _supersede(db, appointment.community_id, appointment.prospect_id, after, now_ms)
                    jobs = [*jobs, *_about(ended, superseded_job)]
            for kind, subject in jobs:
                queue.add(db, kind, subject, now_ms)
        return after

    def put_told(
        self,
        appointment: Appointment,
        pins: Mapping[str, str],
        now_ms: int,
        *,
        seen_revision: int,
        superseded_job: JobKind | None = None,
    ) -> Appointment:
        """Write what a vendor told of an appointment; see `put_appointment`.

        One that is told of for the first time is the last that Knock was asked for, so it supersedes the prospect's other upcoming
        tours, with `superseded_job` as for `settle`; to tell it again or otherwise supersedes nothing.

        Raises:
            StateError, PinTakenError: as for `put_appointment`.
        """
        with self._file.writing() as db:
            roster.check_seen(db, appointment.appointment_id, seen_revision)
            put = roster.put(db, appointment, pins, now_ms, None)
            if seen_revision == 0:
                of = appointment.community_id, appointment.prospect_id
                ended = _supersede(db, *of, None, now_ms, kept_appointment=appointment.appointment_id)
                for kind, subject in _about(ended, superseded_job):
                    queue.add(db, kind, subject, now_ms)
        return put

    def supersede_others(self, community_id: str, prospect_id: str, *, but: str, now_ms: int) -> list[Booking]:
        """End the prospect's other upcoming tours, as Knock does when they book again; `but` is the booking that stays.

        Returns the bookings that this call ended, as they now stand. `settle` does it by itself.
        """
        with self._file.writing() as db:
            kept = found(db, but)
            return _supersede(db, community_id, prospect_id, kept, now_ms)

    def bookings(
        self,
        community_id: str,
        *,
        states: Collection[BookingState] | None = None,
        start_from_ms: int | None = None,
        start_to_ms: int | None = None,
        limit: int = 500,
    ) -> list[Booking]:
        """A community's bookings by their start, which is at or after `start_from_ms` and before `start_to_ms`."""
        wanted = {f"state{number}": state.value for number, state in enumerate(BookingState if states is None else states)}
        span = {"from_ms": start_from_ms or 0, "to_ms": _FOREVER_MS if start_to_ms is None else start_to_ms}
        listed = _LISTED.format(states=", ".join(f":{name}" for name in wanted))
        with self._file.reading() as db:
            return [from_row(row) for row in db.rows(listed, community_id=community_id, limit=limit, **span, **wanted)]

    def unsettled(self, community_id: str, limit: int = 200) -> list[Booking]:
        """A community's bookings whose outcome is open, or whose move is, by their start."""
        with self._file.reading() as db:
            return [from_row(row) for row in db.rows(_UNSETTLED, community_id=community_id, limit=limit)]

    def stale_asking(self, before_ms: int) -> list[Booking]:
        """Bookings and moves that Knock has been asked for since before `before_ms`: whoever asked has died."""
        with self._file.reading() as db:
            return [from_row(row) for row in db.rows(_STALE, before_ms=before_ms)]


def _end_earlier(db: Transaction, booking: Booking, *, kept: str | None) -> None:
    """End every live appointment of the booking but `kept`."""
    is_replaced = booking.state in {BookingState.CONFIRMED, BookingState.SUPERSEDED}
    standing = Standing.SUPERSEDED if is_replaced else Standing.CANCELLED
    for appointment in roster.live_of_booking(db, booking.booking_id):
        if appointment.appointment_id != kept:
            roster.end(db, appointment, standing)


def _without_move(booking: Booking) -> Booking:
    """Only a confirmed tour is being moved: with the tour its move is over, too."""
    return booking if booking.state is BookingState.CONFIRMED else replace(booking, moving_to=None, move_state=None)


def _about(ended: Sequence[Booking], kind: JobKind | None) -> list[tuple[JobKind, str]]:
    """A job about each of those that have an email address."""
    return [(kind, one.booking_id) for one in ended if kind is not None and one.person.email]


def _is_replaced(db: Transaction, booking: Booking, appointment: Appointment, now_ms: int) -> bool:
    """Whether Knock was asked for another tour of the prospect after this upcoming one, and confirmed that first."""
    if booking.state is not BookingState.CONFIRMED or booking.window.start_ms <= now_ms:
        return False
    of = {"community_id": appointment.community_id, "prospect_id": appointment.prospect_id, "of": booking.booking_id}
    return db.row(_LATER, **of, turn=booking.asked_turn) is not None


def _supersede(
    db: Transaction, community_id: str, prospect_id: str, kept: Booking | None, now_ms: int, *, kept_appointment: str | None = None
) -> list[Booking]:
    """End the other upcoming tours of the prospect: bookings here, and appointments that a vendor told of."""
    kept_booking, turn = (kept.booking_id, kept.asked_turn) if kept else ("", _FOREVER_MS)
    kept_appointment = kept.appointment_id if kept else kept_appointment
    ended = []
    others = {"community_id": community_id, "prospect_id": prospect_id, "but": kept_booking, "turn": turn}
    for row in db.rows(_OTHERS, **others, now_ms=now_ms):
        other = _without_move(replace(from_row(row), state=BookingState.SUPERSEDED, changed_ms=now_ms))
        write(db, other, is_new=False)
        _end_earlier(db, other, kept=None)
        ended.append(other)
    for appointment in roster.live_of_prospect(db, community_id, prospect_id, now_ms):
        if appointment.appointment_id != kept_appointment and appointment.booking_id is None:
            roster.end(db, appointment, Standing.SUPERSEDED)
    return ended
