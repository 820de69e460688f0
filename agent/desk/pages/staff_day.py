"""One day of one property as staff see it: which tours there are by door, and what became of each. Pure.

Rule 1: what doors told is what is said: who came is who was admitted; nothing is guessed from the time alone but that nobody came.
Rule 2: a tour that was moved away is not shown unless somebody came by it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.core.tour import Standing
from agent.desk.records import Admission, Appointment, Booking
from agent.settings.desk import CommunitySettings, DoorPlace

_MS_A_MINUTE = 60_000
_YEARS = range(2000, 9000)


class Seen(enum.StrEnum):
    """What became of a tour, as far as the doors told."""

    EXPECTED = "expected"
    INSIDE = "inside"
    """Came, and its time with grace is not over."""
    OVERDUE = "overdue"
    """Came, its time with grace is over, and nobody said that they left."""
    LEFT = "left"
    """Said so, and was not admitted again after that."""
    NO_SHOW = "no_show"
    """Its time with grace is over, and no door let anybody in."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Row:
    """One tour in a door's list. `came_ms` is the first admission at any door, `came_by` that door's name for people."""

    appointment_id: str
    booking_id: str | None
    first_name: str = field(repr=False)
    start_ms: int
    end_ms: int
    unit_names: tuple[str, ...]
    seen: Seen
    came_ms: int | None
    came_by: str
    left_ms: int | None


@dataclass(frozen=True, slots=True)
class DoorList:
    """A door and its tours, by their start."""

    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """One day in the property's zone, from its first millisecond to the next day's."""

    day: date
    from_ms: int
    to_ms: int

    @classmethod
    def of(cls, day: date, zone: ZoneInfo) -> Span:
        """The day in this zone; 23 or 25 hours when clocks are changed."""
        return cls(day, _midnight_ms(day, zone), _midnight_ms(day + timedelta(days=1), zone))

    @classmethod
    def asked(cls, text: str, zone: ZoneInfo, now_ms: int) -> Span:
        """The day that a link asks for (`2026-03-31`); today for anything else."""
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return cls.today(zone, now_ms)
        return cls.of(day, zone) if day.year in _YEARS else cls.today(zone, now_ms)

    @classmethod
    def today(cls, zone: ZoneInfo, now_ms: int) -> Span:
        """The day that it is there."""
        return cls.of(datetime.fromtimestamp(now_ms / 1000, zone).date(), zone)


def lists(
    community: CommunitySettings,
    appointments: Sequence[Appointment],
    bookings: Mapping[str, Booking],
    admissions: Sequence[Admission],
    now_ms: int,
) -> list[DoorList]:
    """The day's tours by door; `bookings` by id, `admissions` in order."""
    came: dict[str, list[Admission]] = {}
    for admission in admissions:
        came.setdefault(admission.appointment_id, []).append(admission)
    rows = {
        one.appointment_id: _row(one, bookings.get(one.booking_id or ""), came.get(one.appointment_id, []), community, now_ms)
        for one in appointments
        if one.standing is not Standing.SUPERSEDED or one.appointment_id in came
    }
    doors = [*community.door, *_unknown_doors(community, appointments)]
    return [
        DoorList(
            door.label or door.name,
            tuple(rows[one.appointment_id] for one in appointments if one.appointment_id in rows and door.name in one.doors),
        )
        for door in doors
    ]


def _row(one: Appointment, booking: Booking | None, came: Sequence[Admission], community: CommunitySettings, now_ms: int) -> Row:
    labels = _labels(community)
    left_ms = booking.left_ms if booking else None
    return Row(
        one.appointment_id,
        one.booking_id,
        one.first_name,
        one.window.start_ms,
        one.window.end_ms,
        one.unit_names,
        _seen(one, came, left_ms, one.window.end_ms + community.grace_after_min * _MS_A_MINUTE, now_ms),
        came[0].at_ms if came else None,
        labels.get(came[0].door, came[0].door) if came else "",
        left_ms,
    )


def _seen(one: Appointment, came: Sequence[Admission], left_ms: int | None, closes_ms: int, now_ms: int) -> Seen:
    is_over = now_ms > closes_ms
    if not came:
        if one.standing is Standing.CANCELLED:
            return Seen.CANCELLED
        return Seen.NO_SHOW if is_over else Seen.EXPECTED
    if left_ms is not None and left_ms >= came[-1].at_ms:
        return Seen.LEFT
    return Seen.OVERDUE if is_over else Seen.INSIDE


def _labels(community: CommunitySettings) -> dict[str, str]:
    return {door.name: door.label or door.name for door in community.door}


def _unknown_doors(community: CommunitySettings, appointments: Sequence[Appointment]) -> list[DoorPlace]:
    """Doors that tours name and the settings do not (any more): their tours are shown all the same."""
    return [DoorPlace(name=name) for name in sorted({door for one in appointments for door in one.doors} - set(_labels(community)))]


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)
