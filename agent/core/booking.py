"""A booking's life, and what Knock's answers do to it. Pure: no I/O, no clock.

Rule 1: only an appointment that Knock calls CONFIRMED gives a code (an assumption in Knock's silence: every other word waits).
Rule 2: a request that may have reached Knock is never sent again by itself: a new request cancels the earlier appointment of the same
        prospect (Knock Appointment Creation API), so a blind repetition would kill what was just booked.
Rule 3: names, emails and phones live in `Person` alone; they are for the desk and for Knock, and never reach a door (promise P7).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from agent.core.replay import Refused, TryAgain, Unknown
from agent.core.tour import Window

CONFIRMED = "CONFIRMED"


class BookingState(enum.StrEnum):
    """Where a booking stands. What a person sees of it is the page's business."""

    ASKING = "asking"
    """The intent is on disk and Knock is being asked; found so after a crash, it is unknown."""
    UNSENT = "unsent"
    """Surely not booked: Knock was not reached, or said that it did nothing. The same form may ask again."""
    UNKNOWN = "unknown"
    """Knock may have it or not: kept and shown as such, until a person or Knock's next word settles it."""
    PENDING = "pending"
    """Knock has it, but has not confirmed it, or has not said who the prospect is: no code yet."""
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """Knock refused it: the time is gone, or something in the request is wrong."""
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    """The same prospect booked again, which cancels the earlier appointment in Knock."""


LIVE = frozenset({BookingState.ASKING, BookingState.UNKNOWN, BookingState.PENDING, BookingState.CONFIRMED})
"""States in which the prospect may come, or may believe so."""


@dataclass(frozen=True, slots=True)
class Person:
    """A prospect as the form took them; `phone` is E.164 (+15550100…) or empty, `email` may be empty. Never printed."""

    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    email: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SmsConsent:
    """The answer to the question about texts, the wording that was shown, and the page that showed it (Knock wants all three)."""

    is_given: bool
    wording: str
    page_url: str


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """What Knock is asked for: one self-guided tour.

    `zone` is the property's IANA zone, whose offset the times carry; `unit_names` are wishes, in words for the leasing office.
    """

    community_id: str
    window: Window
    zone: str
    person: Person
    source_title: str
    sms_consent: SmsConsent | None = None
    unit_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FreeTimes:
    """Starts that Knock offers, in milliseconds UTC, sorted, each once."""

    starts_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Booked:
    """Knock has an appointment: its id, its status in Knock's word, and the prospect's id when Knock told it."""

    appointment_id: str
    status: str
    prospect_id: str | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether it gives a code once the prospect's id is known."""
        return self.status.upper() == CONFIRMED


@dataclass(frozen=True, slots=True)
class Done:
    """Knock did what was asked: an appointment is cancelled, or a prospect has this id."""

    prospect_id: str | None = None


BookingOutcome = Booked | Refused | TryAgain | Unknown
"""`TryAgain` means here that Knock surely did nothing: no connection, no key, or a clear "later"."""


def state_after(outcome: BookingOutcome) -> BookingState:
    """The state of a booking that was being asked for."""
    if isinstance(outcome, Booked):
        is_whole = outcome.is_confirmed and outcome.prospect_id is not None
        return BookingState.CONFIRMED if is_whole else BookingState.PENDING
    if isinstance(outcome, Refused):
        return BookingState.REFUSED
    return BookingState.UNSENT if isinstance(outcome, TryAgain) else BookingState.UNKNOWN
