"""What the desk knows. Values only; the store reads and writes them.

Rule 1: an instant is in milliseconds UTC, named `…_ms`; an id of Knock's is a text.
Rule 2: `Booking` alone holds a person; nothing of it but `first_name` is shown to staff in lists, and nothing of it goes to a door.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from agent.core.booking import BookingState, Person, SmsConsent
from agent.core.replay import RowState
from agent.core.tour import Standing, Window


@dataclass(frozen=True, slots=True)
class Booking:
    """One prospect's self-guided tour, through moves and cancels.

    `booking_id` is ours, 16 hexadecimal digits. `submission` is the form's own random token: one form books once. `language` is the
    prospect's (`en`). `appointment_id` is Knock's for the tour as it stands, None before there is one. `moving_to` is the window of a
    move that Knock was asked for and has not settled; meanwhile `window` and the code stay. `words` is the last trouble, for staff.
    """

    booking_id: str
    submission: str = field(repr=False)
    community_id: str
    state: BookingState
    window: Window
    person: Person = field(repr=False)
    sms_consent: SmsConsent | None
    language: str
    source_title: str
    unit_names: tuple[str, ...]
    created_ms: int
    changed_ms: int
    appointment_id: str | None = None
    prospect_id: str | None = None
    moving_to: Window | None = None
    move_state: BookingState | None = None
    """Of a move under way: ASKING, UNKNOWN or PENDING; None when there is none."""
    moving_appointment_id: str | None = None
    """Knock's appointment for a move that it has not confirmed; it may stand there beside `appointment_id`."""
    asked_turn: int = 0
    """The number of the request that the tour stands by: of two bookings of one person Knock has the one with the higher number."""
    moving_turn: int = 0
    """The number of the request of the last move."""
    words: str = ""
    left_ms: int | None = None
    """When the prospect said last that they have left."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """One appointment of Knock's as doors hear of it: the roster. `booking_id` is None for one that was ingested.

    `pin_attempt` is the counter that makes its PIN. `revision` counts its changes; `seq` is the desk's count of all changes, by which
    doors resume. `first_name` is for the staff's list and may be empty.
    """

    appointment_id: str
    booking_id: str | None
    community_id: str
    prospect_id: str
    standing: Standing
    code_id: str
    key_id: str
    doors: tuple[str, ...]
    unit_names: tuple[str, ...]
    window: Window
    source_title: str | None
    pin_attempt: int
    revision: int
    seq: int = 0
    first_name: str = field(default="", repr=False)


class JobKind(enum.StrEnum):
    """What the desk does behind the prospect's back, again and again until it succeeds."""

    MAIL_CONFIRMED = "mail_confirmed"
    MAIL_MOVED = "mail_moved"
    MAIL_CANCELLED = "mail_cancelled"
    CANCEL = "cancel"
    """Tell Knock that an appointment is cancelled; asking twice does no harm (assumption)."""
    PROSPECT = "prospect"
    """Ask Knock for the prospect's id, which its answer to the booking did not hold."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do. `subject` is the booking's id, for a cancel the appointment's."""

    job_id: int
    kind: JobKind
    subject: str = field(repr=False)
    state: RowState
    attempts: int
    doubts: int
    next_try_ms: int
    words: str


@dataclass(frozen=True, slots=True)
class DoorAccess:
    """One door's token: the hash is kept, the token itself is not. `applied_seq` is what the door says that it has."""

    token_id: str
    community_id: str
    door: str
    created_ms: int
    revoked_ms: int | None
    seen_ms: int | None
    applied_seq: int | None
    report: str
    """The door's last report of itself, a JSON object: clock state, outbox counts, dead letters, version."""


@dataclass(frozen=True, slots=True)
class Admission:
    """One granted unlock as a door reported it."""

    community_id: str
    door: str
    appointment_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """What staff ask of a door from afar: `retry` or nothing else; delivered with the roster, done when the door says so."""

    order_id: int
    door: str
    do: str
    visit_ids: tuple[str, ...]
