"""What the bodies of requests may hold. Their schemas are the OpenAPI document's.

Rule 1: closed and bounded, as settings are; a refusal names the field and never repeats what stood there.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from agent.core.clock import from_datetime
from agent.core.tour import LATEST_TOUR_MS, MAX_DOORS, MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS, MAX_UNITS, TourError, Window, check_door
from agent.settings.parts import AfterValidator, Field, Part, ValidationInfo, field_validator, refuse_twice

MOST_ADMISSIONS = 200
MOST_DEAD_LETTERS = 100
MOST_ORDERS = 100
MOST_FACTS = 32
KEPT_WORDS = 300

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EXAMPLE = "2026-03-31T15:30:00-07:00"


def instant_ms(text: str) -> int:
    """The instant of an RFC 3339 text, in milliseconds UTC; raises `ValueError` for anything else."""
    words = f"must be a time with its offset from UTC, like {_EXAMPLE}"
    if _INSTANT.fullmatch(text) is None:
        raise ValueError(words)
    try:
        return from_datetime(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise ValueError(words) from None


def _instant(text: str) -> str:
    instant_ms(text)
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


def _door(name: str) -> str:
    check_door(name)
    return name


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=r"^[!-~]+$")]
Time = Annotated[str, AfterValidator(_instant), Field(max_length=40, json_schema_extra={"format": "date-time"}, examples=[_EXAMPLE])]
Unit = Annotated[str, AfterValidator(_printable), Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Door = Annotated[str, AfterValidator(_door), Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Fact = (
    Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]
    | Annotated[float, Field(strict=True, ge=-(2**53), le=2**53)]
    | Annotated[str, Field(max_length=200)]
    | None
)
Facts = Annotated[dict[Annotated[str, Field(min_length=1, max_length=40)], Fact], Field(max_length=MOST_FACTS)]


class IngestedBody(Part):
    """An appointment that was booked in Knock. Self-guided and confirmed: only such a one may be sent."""

    community_id: Id
    """Knock's id of the property."""
    prospect_id: Id
    """Knock's id of the prospect; the visit is reported under it."""
    start: Time
    """When the tour starts, RFC 3339 with its offset from UTC."""
    end: Time
    """When it ends; at most 24 hours later."""
    unit_names: Annotated[tuple[Unit, ...], Field(max_length=MAX_UNITS)] = ()
    """The units to be shown; a door may open for some of them only."""
    source_title: Annotated[str, AfterValidator(_printable), Field(min_length=1, max_length=200)] | None = None
    """Where the prospect came from, for the visit's report; left out, the property's own."""
    first_name: Annotated[str, AfterValidator(_printable), Field(max_length=80, repr=False)] = ""
    """For the staff's list; no door is told it."""
    doors: Annotated[tuple[Door, ...], Field(min_length=1, max_length=MAX_DOORS)] | None = None
    """Names of the property's doors; left out, those that its units open."""

    @field_validator("doors")
    @classmethod
    def _each_door_once(cls, doors: tuple[str, ...] | None) -> tuple[str, ...] | None:
        refuse_twice("the door", list(doors or ()))
        return doors

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: str, info: ValidationInfo) -> str:
        if "start" in info.data:
            try:
                Window(instant_ms(info.data["start"]), instant_ms(end))
            except TourError as error:
                raise ValueError(str(error)) from error
        return end

    def window(self) -> Window:
        """From start to end."""
        return Window(instant_ms(self.start), instant_ms(self.end))


class DeadLetter(Part):
    """A visit that Knock refused for good."""

    visit_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
    """The door's own id of the visit, by which an order asks for another try."""
    appointment_id: Id
    """Which tour it was."""
    words: Annotated[str, Field(max_length=4000)] = ""
    """Knock's words; the first 300 characters are kept."""


class ReportedAdmission(Part):
    """One granted unlock."""

    appointment_id: Id
    """Which tour it was."""
    at_ms: Annotated[int, Field(strict=True, ge=0, le=LATEST_TOUR_MS)]
    """When, in milliseconds since 1970 UTC."""


class ReportBody(Part):
    """What a door tells of itself. Sent again, it changes nothing."""

    version: Annotated[str, Field(min_length=1, max_length=40)]
    """Of the door's program."""
    applied_cursor: Annotated[str, Field(max_length=200)] | None = None
    """The cursor of the last page of the roster that the door has on disk."""
    clock: Facts = Field(default={})
    """How far the door's clock can be trusted."""
    outbox: Facts = Field(default={})
    """How many visits wait, by state."""
    dead_letters: Annotated[tuple[DeadLetter, ...], Field(max_length=MOST_DEAD_LETTERS)] = ()
    """Visits that Knock refused for good, the oldest first; all that there are, up to the limit."""
    admissions: Annotated[tuple[ReportedAdmission, ...], Field(max_length=MOST_ADMISSIONS)] = ()
    """Granted unlocks since the last report that was answered."""
    orders_done: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, le=2**53)], ...],
        Field(max_length=MOST_ORDERS),
    ] = ()
    """Orders from the roster that were carried out."""
