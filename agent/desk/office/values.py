"""What goes into the office and what comes out of it. Values only.

Rule 1: a sentence here is for staff and logs; a page says a `Problem` in the prospect's own language.
Rule 2: PINs and codes are in `Pass` alone, and never printed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from agent.core.booking import Person, SmsConsent
from agent.core.tour import Window
from agent.desk.records import Appointment
from agent.errors import AgentError
from agent.settings.desk import DoorPlace


@dataclass(frozen=True, slots=True)
class BookingForm:
    """A registration, checked. `submission` is the form's own random token: it books once, however often it is sent.

    `source_title` is where the prospect came from; `unit_names` are wishes among the community's units.
    """

    submission: str = field(repr=False)
    window: Window
    person: Person = field(repr=False)
    sms_consent: SmsConsent | None
    language: str
    source_title: str
    unit_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ingested:
    """An appointment that a vendor booked in Knock on its own website and tells the desk of.

    `doors` are names of the community's; None: those that its units open.
    """

    prospect_id: str
    community_id: str
    window: Window
    unit_names: tuple[str, ...] = ()
    source_title: str | None = None
    first_name: str = field(default="", repr=False)
    doors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """What a prospect with a confirmed tour holds: the code's text (for a QR), the PIN, the doors, and when both work.

    `opens_ms` and `closes_ms` are the window with the community's grace.
    """

    appointment: Appointment
    code_text: str = field(repr=False)
    pin: str = field(repr=False)
    doors: tuple[DoorPlace, ...]
    opens_ms: int
    closes_ms: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Free times cannot be had now. `is_link`: the way to Knock (or the key) is the trouble, not this community."""

    words: str
    is_link: bool


class Problem(enum.StrEnum):
    """Why the office did not do what was asked; nothing has changed."""

    UNREACHED = "unreached"
    """Knock cannot be asked now: nothing was booked, the same form may be sent again."""
    SLOT_GONE = "slot_gone"
    """The time is no longer free; choose another."""
    NO_BOOKING = "no_booking"
    """There is no such booking (any more)."""
    NOT_LIVE = "not_live"
    """It is cancelled, refused or replaced by a newer booking."""
    OVER = "over"
    """The tour's time has passed."""
    NOT_BEGUN = "not_begun"
    """The tour's time has not come."""
    NOT_CONFIRMED = "not_confirmed"
    """Knock has not confirmed it, so there is nothing to move; it can be cancelled or booked anew."""
    MOVE_OPEN = "move_open"
    """A move is under way, or its outcome is not known yet."""
    TOO_MANY = "too_many"
    """Too many bookings and moves within the hour from one address, or far too many tries."""
    FORM_USED = "form_used"
    """The form's token has booked for another person, time or units: it needs a new one, and nothing is told of that booking."""
    BUSY = "busy"
    """Knock is being asked for another booking of the same person; the same form may be sent again in a minute."""
    NOT_OPEN = "not_open"
    """There is nothing to settle by hand."""
    BAD_UNIT = "bad_unit"
    """A unit that the community does not have, one named twice, or too many."""
    BAD_TITLE = "bad_title"
    """A source title that no door takes: too long, or not to be seen."""
    BAD_ID = "bad_id"
    """An id that was typed by hand cannot be one of Knock's, or belongs to another booking."""


class NotDoneError(AgentError):
    """The office did not do it, and nothing has changed; `problem` says why, for pages to say in words."""

    def __init__(self, problem: Problem, words: str) -> None:
        super().__init__(words)
        self.problem = problem
