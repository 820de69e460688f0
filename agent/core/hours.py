"""When a door lets tours in: its hours on the clocks of the property's zone, and the days on which it is closed.

Rule 1: an instant is within the hours if the zone's clock then shows a time within them, the opening included and the closing not.
        So hours that a clock set forward skips do not happen that day, and hours that a clock set back shows twice happen twice.
Rule 2: the zone is handed in; nothing here knows what time it is.
Rule 3: no search looks further than `SEARCH_DAYS` ahead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from agent.core.clock import FAR_FUTURE_MS, Answer, in_zone

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
SEARCH_DAYS = 400
_LAST_MS = FAR_FUTURE_MS - 3 * DAY_MS
"""Soon after it a zone has no date any more: what lies beyond is answered as it is, and what lies before 1970 as 1970."""


@dataclass(frozen=True, slots=True)
class DailyHours:
    """From `opens_min` to `closes_min`, minutes of the day (1440 is its end), on these days of the week (0 is Monday)."""

    days: frozenset[int]
    opens_min: int
    closes_min: int

    def __post_init__(self) -> None:
        """Refuse hours that never are."""
        if not (self.days and self.days <= frozenset(range(7))):
            raise ValueError("the days of hours are one or more of 0 (Monday) to 6")
        if not 0 <= self.opens_min < self.closes_min <= DAY_MS // MINUTE_MS:
            raise ValueError("hours must open before they close, within one day")


@dataclass(frozen=True, slots=True)
class Hours:
    """A door's tables of hours, which may touch and overlap; without one it is always open. A day in `closed_on` has no hours."""

    zone: tzinfo
    tables: tuple[DailyHours, ...] = ()
    closed_on: frozenset[date] = frozenset()

    def is_closed_day(self, at_ms: int) -> bool:
        """Whether the day of this instant is one of those in `closed_on`."""
        return self._shown(_in_calendar(at_ms)).date() in self.closed_on

    def is_open(self, at_ms: int) -> bool:
        """Whether tours are let in at this instant."""
        shown = self._shown(_in_calendar(at_ms))
        if shown.date() in self.closed_on:
            return False
        day, of_day_ms = shown.weekday(), _of_day_ms(shown)
        return not self.tables or any(
            day in table.days and table.opens_min * MINUTE_MS <= of_day_ms < table.closes_min * MINUTE_MS for table in self.tables
        )

    def is_open_throughout(self, earliest_ms: int, latest_ms: int) -> Answer:
        """Whether tours are let in at every instant from `earliest_ms` to `latest_ms`, both included, at none, or at some."""
        is_open = self.is_open(earliest_ms)
        if self._first(earliest_ms, latest_ms, is_open=not is_open) is not None:
            return Answer.PERHAPS
        return Answer.YES if is_open else Answer.NO

    def next_opening_ms(self, at_ms: int) -> int | None:
        """The first instant from this one on at which tours are let in; None if there is none for `SEARCH_DAYS`."""
        return self._first(at_ms, at_ms + SEARCH_DAYS * DAY_MS, is_open=True)

    def _first(self, from_ms: int, until_ms: int, *, is_open: bool) -> int | None:
        from_ms = _in_calendar(from_ms)
        until_ms = min(_in_calendar(until_ms), from_ms + SEARCH_DAYS * DAY_MS)
        while from_ms <= until_ms:
            if self.is_open(from_ms) is is_open:
                return from_ms
            from_ms = self._next_edge(from_ms)
        return None

    def _next_edge(self, at_ms: int) -> int:
        """The next instant at which anything may change: an edge of the hours, the end of the day, or the zone's clocks being set."""
        shown = self._shown(at_ms)
        of_day_ms = _of_day_ms(shown)
        edge_ms = at_ms + min(edge for edge in self._edges() if edge > of_day_ms) - of_day_ms
        offset = shown.utcoffset()
        if self._shown(edge_ms).utcoffset() == offset:
            return edge_ms
        # the clocks are set on the way there; no zone sets them twice within a day
        return at_ms + bisect_left(range(at_ms, edge_ms), True, key=lambda ms: self._shown(ms).utcoffset() != offset)

    def _edges(self) -> Iterator[int]:
        yield DAY_MS
        for table in self.tables:
            yield table.opens_min * MINUTE_MS
            yield table.closes_min * MINUTE_MS

    def _shown(self, at_ms: int) -> datetime:
        return in_zone(at_ms, self.zone)


def _in_calendar(at_ms: int) -> int:
    return min(max(at_ms, 0), _LAST_MS)


def _of_day_ms(shown: datetime) -> int:
    """How far the clock is past midnight; not how long the day has lasted."""
    return ((shown.hour * 60 + shown.minute) * 60 + shown.second) * 1000 + shown.microsecond // 1000
