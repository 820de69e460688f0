"""Opening hours on the property's clock, turned into instants.

Rule 1: an instant is an aware `datetime` in UTC. The zone is used twice: to find a day's opening and closing, and to write an answer.
Rule 2: between opening and closing, slots follow each other in real minutes, so a day of 23 or 25 hours has fewer or more of them and
        none names a time that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from agent.sandbox.settings import MINUTES_A_DAY, Community


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until just before `end`."""

    start: datetime
    end: datetime

    def overlaps(self, other: Span) -> bool:
        """Whether some instant is in both."""
        return self.start < other.end and other.start < self.end


def free_starts(community: Community, taken: Iterable[Span], now: datetime) -> Iterator[datetime]:
    """The starts that can be booked at `now`, earliest first: open, later than the notice time, and not overlapping what is taken."""
    slot, earliest = timedelta(minutes=community.slot_minutes), now + timedelta(minutes=community.notice_minutes)
    busy = [span for span in taken if span.end > now]
    for start in _starts(community, now, slot):
        if start > earliest and not any(span.overlaps(Span(start, start + slot)) for span in busy):
            yield start


def in_zone(instants: Sequence[datetime], zone: ZoneInfo) -> list[str]:
    """ISO 8601 with the zone's numeric offset at each instant (Knock Appointment Creation API, as its users read it)."""
    return [instant.astimezone(zone).isoformat() for instant in instants]


def _starts(community: Community, now: datetime, slot: timedelta) -> Iterator[datetime]:
    zone, (opens, closes) = community.zone(), community.opening_minutes()
    today = now.astimezone(zone).date()
    for day in (today + timedelta(days=ahead) for ahead in range(community.days_ahead)):
        start, end = _instant(day, opens, zone, is_end=False), _instant(day, closes, zone, is_end=True)
        while start + slot <= end:
            yield start
            start += slot


def _instant(day: date, minute: int, zone: ZoneInfo, *, is_end: bool) -> datetime:
    """A minute of a day's clock, as an instant.

    When the clock goes back and shows it twice, opening is the first and closing the second of them. When the clock goes forward
    and never shows it, opening moves later and closing earlier, so hours that lie in the gap hold no slot.
    """
    days, minute = divmod(minute, MINUTES_A_DAY)
    local = datetime.combine(day + timedelta(days=days), time(minute // 60, minute % 60), tzinfo=zone)
    return local.replace(fold=int(is_end)).astimezone(UTC)
