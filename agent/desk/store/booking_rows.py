"""Bookings as rows of their table, and whose booking a job is about."""

from __future__ import annotations

from agent.core.booking import BookingState, Person, SmsConsent
from agent.core.tour import Window
from agent.desk.records import Booking, JobKind
from agent.desk.store.topic import as_list, from_list
from agent.sqlite import Row, Transaction


def found(db: Transaction, booking_id: str) -> Booking | None:
    """A booking by its id."""
    row = db.row("SELECT * FROM booking WHERE booking_id = :booking_id", booking_id=booking_id)
    return from_row(row) if row else None


def of_job(db: Transaction, kind: JobKind, subject: str) -> Booking | None:
    """The booking that a job is about; a cancel names an appointment."""
    if kind is not JobKind.CANCEL:
        return found(db, subject)
    of = db.row("SELECT booking_id FROM appointment WHERE appointment_id = :subject", subject=subject)
    if of:
        return found(db, of["booking_id"]) if of["booking_id"] else None
    row = db.row(
        "SELECT * FROM booking WHERE appointment_id = :subject OR moving_appointment_id = :subject ORDER BY created_ms DESC",
        subject=subject,
    )
    return from_row(row) if row else None


def write(db: Transaction, booking: Booking, *, is_new: bool) -> None:
    """Write a booking that is new, or one that is there."""
    consent, moving = booking.sms_consent, booking.moving_to
    row = {
        "booking_id": booking.booking_id,
        "submission": booking.submission,
        "community_id": booking.community_id,
        "state": booking.state.value,
        "start_ms": booking.window.start_ms,
        "end_ms": booking.window.end_ms,
        "first_name": booking.person.first_name,
        "last_name": booking.person.last_name,
        "email": booking.person.email,
        "phone": booking.person.phone,
        "consent_given": int(consent.is_given) if consent else None,
        "consent_wording": consent.wording if consent else None,
        "consent_page": consent.page_url if consent else None,
        "language": booking.language,
        "source_title": booking.source_title,
        "unit_names": as_list(booking.unit_names),
        "created_ms": booking.created_ms,
        "changed_ms": booking.changed_ms,
        "appointment_id": booking.appointment_id,
        "prospect_id": booking.prospect_id,
        "moving_start_ms": moving.start_ms if moving else None,
        "moving_end_ms": moving.end_ms if moving else None,
        "move_state": booking.move_state.value if booking.move_state else None,
        "moving_appointment_id": booking.moving_appointment_id,
        "asked_turn": booking.asked_turn,
        "moving_turn": booking.moving_turn,
        "words": booking.words,
        "left_ms": booking.left_ms,
    }
    if is_new:
        db.insert("booking", row)
    else:
        db.update("booking", "booking_id", row)


def from_row(row: Row) -> Booking:
    """The booking of a row."""
    given = row["consent_given"]
    return Booking(
        booking_id=row["booking_id"],
        submission=row["submission"],
        community_id=row["community_id"],
        state=BookingState(row["state"]),
        window=Window(row["start_ms"], row["end_ms"]),
        person=Person(row["first_name"], row["last_name"], row["email"], row["phone"]),
        sms_consent=None if given is None else SmsConsent(bool(given), row["consent_wording"], row["consent_page"]),
        language=row["language"],
        source_title=row["source_title"],
        unit_names=from_list(row["unit_names"]),
        created_ms=row["created_ms"],
        changed_ms=row["changed_ms"],
        appointment_id=row["appointment_id"],
        prospect_id=row["prospect_id"],
        moving_to=None if row["moving_start_ms"] is None else Window(row["moving_start_ms"], row["moving_end_ms"]),
        move_state=BookingState(row["move_state"]) if row["move_state"] else None,
        moving_appointment_id=row["moving_appointment_id"],
        asked_turn=row["asked_turn"],
        moving_turn=row["moving_turn"],
        words=row["words"],
        left_ms=row["left_ms"],
    )
