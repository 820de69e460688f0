"""The vocabulary: window, tour code, roster entry, visit.

Rule 1: values only; each checks itself when it is made, so nobody downstream has to.
Rule 2: no name, email or phone of a prospect has a place here (promise P7).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

MAX_DOORS = 8
MAX_UNITS = 12
MAX_NAME_CHARACTERS = 40
MAX_REVISION = 2**53
MAX_ID_CHARACTERS = 40
CODE_ID_BYTES = 6
MAX_TOUR_MS = 24 * 3600 * 1000
LATEST_TOUR_MS = 253_370_764_800_000
"""The first instant of the year 9999: with any grace and in any zone, a time before it has a date."""

_DOOR = re.compile(r"[a-z0-9][a-z0-9-]*")


class TourError(ValueError):
    """A tour's facts contradict themselves or exceed what a code can hold."""


@dataclass(frozen=True, slots=True)
class Window:
    """From the appointment's start to its end, both included, in milliseconds UTC; grace is the door's business."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        """Refuse a window that ends before it begins, lasts longer than a day, or lies beyond the calendar."""
        if not 0 <= self.start_ms < self.end_ms:
            raise TourError("a tour must end after it starts")
        if self.end_ms - self.start_ms > MAX_TOUR_MS:
            raise TourError("a tour cannot last longer than 24 hours")
        if self.end_ms > LATEST_TOUR_MS:
            raise TourError("a tour must end before the year 9999")


@dataclass(frozen=True, slots=True)
class TourCode:
    """What a signed tour code says. Ids of Knock's are kept as text, whatever type Knock sent.

    `code_id` is 12 hexadecimal digits, `key_id` the id of the signing key in 8; `doors` are the names in the agent's
    configuration, `unit_names` go to Knock with the visit.
    """

    code_id: str
    appointment_id: str
    prospect_id: str
    community_id: str
    doors: tuple[str, ...]
    unit_names: tuple[str, ...]
    window: Window
    key_id: str

    def __post_init__(self) -> None:
        """Refuse what cannot be a code, naming the field."""
        if not re.fullmatch(r"[0-9a-f]{12}", self.code_id):
            raise TourError("the code id must be 12 hexadecimal digits")
        if not re.fullmatch(r"[0-9a-f]{8}", self.key_id):
            raise TourError("the key id must be 8 hexadecimal digits")
        check_id("appointment", self.appointment_id)
        check_id("prospect", self.prospect_id)
        check_id("community", self.community_id)
        if not 1 <= len(self.doors) <= MAX_DOORS:
            raise TourError(f"a code opens 1 to {MAX_DOORS} doors, not {len(self.doors)}")
        for door in self.doors:
            check_door(door)
        if len(self.unit_names) > MAX_UNITS:
            raise TourError(f"a code holds at most {MAX_UNITS} units, not {len(self.unit_names)}")
        for unit in self.unit_names:
            if not 1 <= len(unit) <= MAX_NAME_CHARACTERS or not unit.isprintable():
                raise TourError(f"a unit's name must have 1 to {MAX_NAME_CHARACTERS} printable characters")
        if len(set(self.doors)) != len(self.doors):
            raise TourError("a door is named twice")


def check_id(what: str, value: str) -> None:
    """Raise `TourError` unless `value` can be an id of Knock's: 1 to 40 visible ASCII characters."""
    if not 1 <= len(value) <= MAX_ID_CHARACTERS or not (value.isascii() and value.isprintable() and " " not in value):
        raise TourError(f"the {what} id must have 1 to {MAX_ID_CHARACTERS} visible ASCII characters")


def check_door(name: str) -> None:
    """Raise `TourError` unless `name` can be a door's: lower-case letters, digits and hyphens, at most 40."""
    if len(name) > MAX_NAME_CHARACTERS or not _DOOR.fullmatch(name):
        raise TourError(f"a door's name must be lower-case letters, digits and hyphens, at most {MAX_NAME_CHARACTERS}")


class Standing(enum.StrEnum):
    """What the roster says of an appointment."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    """Moved to another time: the prospect has a newer code."""


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """What a door has heard of one appointment.

    `code_id` is the one code that is alive, if the desk named it: every other code of the appointment is superseded.
    `source_title` is where the prospect came from, for the visit's report.
    """

    appointment_id: str
    standing: Standing
    code_id: str | None = None
    source_title: str | None = None
    revision: int = 0
    """Counts the desk's changes to the appointment: another code is named only with a higher one than was heard before."""

    def __post_init__(self) -> None:
        """Refuse an entry that names no appointment, or what is no code's id."""
        check_id("appointment", self.appointment_id)
        if self.code_id is not None and not re.fullmatch(r"[0-9a-f]{12}", self.code_id):
            raise TourError("the code id must be 12 hexadecimal digits")
        if not 0 <= self.revision <= MAX_REVISION:
            raise TourError(f"a revision is a number from 0 to {MAX_REVISION}")


@dataclass(frozen=True, slots=True)
class Visit:
    """What Knock is told, once per appointment (Knock Visit API): `visit_id` is ours and serves as the idempotency key."""

    visit_id: str
    appointment_id: str
    prospect_id: str
    community_id: str
    visit_ms: int
    unit_names: tuple[str, ...]
    source_title: str | None
