"""Whose turn it is to have Knock asked.

Rule 1: for one person Knock is asked one thing at a time, whichever process asks: it cancels what it booked earlier for the same person, so
        of two requests under way nobody could tell which appointment is left (Knock Appointment Creation API).
Rule 2: a turn is taken in the transaction that writes ASKING, or nothing is written, nor counted.
Rule 3: a submission counts once for its address, however often it is sent.
Rule 4: turns are numbered, so that what is answered late is still known to have been asked earlier.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.booking import Person
from agent.desk.records import Booking
from agent.desk.store.access import hit
from agent.desk.store.booking_rows import from_row
from agent.desk.store.topic import count_up
from agent.errors import StoreError
from agent.sqlite import Transaction

_ASKED = """SELECT * FROM booking WHERE (state = 'asking' OR move_state = 'asking') AND changed_ms >= :since_ms
    AND state IN ('asking', 'confirmed') AND community_id = :community_id AND booking_id <> :booking_id"""

BOOKINGS = "bookings"
_ONCE = "submissions"


class BusyError(StoreError):
    """Knock is being asked for another booking of the same person: wait for what becomes of it; nothing was written."""


class LimitError(StoreError):
    """There were too many submissions of one address; nothing was written."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many submissions of one address within a window that ends now. `who` and `submission` are keyed hashes."""

    who: str
    submission: str
    most: int
    now_ms: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A wish to ask Knock. Whoever asked for the same person before `since_ms` has died, and is not waited for."""

    since_ms: int = 0
    limit: Limit | None = None

    def take(self, db: Transaction, booking: Booking) -> int:
        """Take the turn inside the caller's transaction; returns its number. Raises `BusyError`, `LimitError`."""
        if is_asked(db, booking, self.since_ms):
            raise BusyError("Knock is being asked for another booking of the same person")
        limit = self.limit
        is_new = limit is not None and hit(db, _ONCE, limit.submission, limit.now_ms, limit.window_ms) == 1
        if limit is not None and is_new and hit(db, BOOKINGS, limit.who, limit.now_ms, limit.window_ms) > limit.most:
            raise LimitError("there were too many bookings from one address")
        return count_up(db, "turn")


def is_asked(db: Transaction, booking: Booking, since_ms: int) -> bool:
    """Whether Knock is being asked for another booking, or the move of one, of this booking's person in its community."""
    rows = db.rows(_ASKED, since_ms=since_ms, community_id=booking.community_id, booking_id=booking.booking_id)
    return any(is_same(from_row(row).person, booking.person) for row in rows)


def is_same(one: Person, other: Person) -> bool:
    """Knock takes two people for one by email or phone (Knock Appointment Creation API)."""
    return (one.email != "" and one.email.casefold() == other.email.casefold()) or (one.phone != "" and one.phone == other.phone)
