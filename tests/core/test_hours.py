"""A door's hours: instants on the clocks of the property's zone, against an oracle that reads the clock minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.clock import FAR_FUTURE_MS, Answer, from_iso
from agent.core.hours import MINUTE_MS, SEARCH_DAYS, DailyHours, Hours

ANGELES, BERLIN, CAIRO, LORD_HOWE = (
    ZoneInfo(name) for name in ("America/Los_Angeles", "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe")
)
EVERY_DAY = frozenset(range(7))
WEEKDAYS = frozenset(range(5))
CHRISTMAS = date(2026, 12, 25)
"""A Friday."""


def table(opens: str, closes: str, days: frozenset[int] = EVERY_DAY) -> DailyHours:
    """Hours as a person writes them; 24:00 is the end of the day."""
    (opens_h, opens_min), (closes_h, closes_min) = (map(int, text.split(":")) for text in (opens, closes))
    return DailyHours(days, opens_h * 60 + opens_min, closes_h * 60 + closes_min)


def ms(local: str, zone: ZoneInfo, fold: int = 0) -> int:
    """The instant of a local time that exists."""
    return from_iso(datetime.fromisoformat(local).replace(tzinfo=zone, fold=fold).isoformat())


def spans(hours: Hours, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """Opening and closing of each time that the door is open, as seen by looking every minute."""
    told = [(minute, hours.is_open(minute)) for minute in range(from_ms, until_ms + 1, MINUTE_MS)]
    changes = [now for (_, was_open), (now, is_open) in pairwise(told) if is_open is not was_open]
    assert not told[0][1]
    assert not told[-1][1]
    return list(zip(changes[::2], changes[1::2], strict=True))


def in_utc(text: str) -> list[tuple[int, int]]:
    """`2026-03-07: 10:30-13:00 ...` as instants."""
    found, day = [], 0
    for word in text.split():
        if word.endswith(":"):
            day = from_iso(f"{word[:-1]}T00:00:00Z")
        else:
            opens_ms, closes_ms = (day + (int(time[:2]) * 60 + int(time[3:])) * MINUTE_MS for time in word.split("-"))
            found.append((opens_ms, closes_ms))
    return found


def test_granted__the_opening_is_within_and_the_closing_is_not() -> None:
    """To the millisecond, and so hours that touch leave no gap between them."""
    hours = Hours(BERLIN, (table("09:00", "12:00"), table("12:00", "18:30")))
    edges = {"08:59:59.999": False, "09:00": True, "11:59:59.999": True, "12:00": True, "18:29:59.999": True, "18:30": False}
    assert {edge: hours.is_open(ms(f"2026-07-01T{edge}", BERLIN)) for edge in edges} == edges


def test_granted__hours_that_touch_midnight() -> None:
    """00:00 is the end of the day when it closes and the beginning when it opens; over midnight the door never shuts."""
    hours = Hours(ANGELES, (table("20:00", "24:00"), table("00:00", "02:00")))
    edges = {
        "2026-07-01T19:59:59.999": False, "2026-07-01T20:00": True, "2026-07-01T23:59:59.999": True,
        "2026-07-02T00:00": True, "2026-07-02T01:59:59.999": True, "2026-07-02T02:00": False,
    }  # fmt: skip
    assert {edge: hours.is_open(ms(edge, ANGELES)) for edge in edges} == edges
    evening, night = ms("2026-07-01T20:00", ANGELES), ms("2026-07-02T02:00", ANGELES)
    assert hours.is_open_throughout(evening, night - 1) is Answer.YES
    assert hours.is_open_throughout(evening, night) is Answer.PERHAPS
    assert hours.is_open_throughout(night, night + 18 * 60 * MINUTE_MS - 1) is Answer.NO


def test_granted__several_tables_for_a_day() -> None:
    """A day is open in each of its tables, with lunch between them, and a table of other days says nothing of it."""
    hours = Hours(BERLIN, (table("09:00", "12:00", WEEKDAYS), table("14:00", "17:00", WEEKDAYS), table("10:00", "15:00", frozenset({5}))))
    told = in_utc("2026-07-03: 07:00-10:00 12:00-15:00 2026-07-04: 08:00-13:00 2026-07-06: 07:00-10:00")  # from a Friday on
    assert spans(hours, told[0][0] - MINUTE_MS, told[-1][1]) == told
    saturday_evening = ms("2026-07-04T15:00", BERLIN)
    assert hours.next_opening_ms(saturday_evening) == ms("2026-07-06T09:00", BERLIN)
    assert hours.is_open_throughout(saturday_evening, ms("2026-07-06T08:59", BERLIN)) is Answer.NO


def test_denied__a_closed_day() -> None:
    """A day of `closed_on` has no hours from its midnight to its midnight in the zone, whatever day of the week it is."""
    for tables in ((), (table("00:00", "24:00"),)):
        hours = Hours(ANGELES, tables, frozenset({CHRISTMAS, date(2026, 12, 26)}))
        begins, ends = ms("2026-12-25T00:00", ANGELES), ms("2026-12-27T00:00", ANGELES)
        assert [hours.is_open(at) for at in (begins - 1, begins, ends - 1, ends)] == [True, False, False, True]
        assert [hours.is_closed_day(at) for at in (begins - 1, begins, ends - 1, ends)] == [False, True, True, False]
        assert hours.next_opening_ms(begins) == ends
        assert hours.is_open_throughout(begins - 1, begins) is Answer.PERHAPS
        assert hours.is_open_throughout(begins, ends - 1) is Answer.NO


@pytest.mark.parametrize(
    ("zone", "hours", "expected"),
    [
        # 2 AM does not happen: it opens when the clock jumps to 3, or not at all
        (ANGELES, table("02:30", "05:00"), "2026-03-07: 10:30-13:00 2026-03-08: 10:00-12:00 2026-03-09: 09:30-12:00"),
        (ANGELES, table("02:00", "03:00"), "2026-03-07: 10:00-11:00 2026-03-09: 09:00-10:00"),
        (ANGELES, table("01:00", "02:30"), "2026-03-07: 09:00-10:30 2026-03-08: 09:00-10:00 2026-03-09: 08:00-09:30"),
        # 1 AM happens twice
        (ANGELES, table("01:00", "01:30"), "2026-10-31: 08:00-08:30 2026-11-01: 08:00-08:30 09:00-09:30 2026-11-02: 09:00-09:30"),
        (ANGELES, table("00:30", "03:00"), "2026-10-31: 07:30-10:00 2026-11-01: 07:30-11:00 2026-11-02: 08:30-11:00"),
        (ANGELES, table("01:30", "12:00"), "2026-10-31: 08:30-19:00 2026-11-01: 08:30-09:00 09:30-20:00 2026-11-02: 09:30-20:00"),
        (BERLIN, table("02:15", "04:00"), "2026-03-28: 01:15-03:00 2026-03-29: 01:00-02:00 2026-03-30: 00:15-02:00"),
        (BERLIN, table("02:00", "02:30"), "2026-10-24: 00:00-00:30 2026-10-25: 00:00-00:30 01:00-01:30 2026-10-26: 01:00-01:30"),
        (LORD_HOWE, table("02:00", "02:30"), "2026-10-02: 15:30-16:00 2026-10-04: 15:00-15:30"),
        # the first hour of the day does not happen, and the last one happens twice
        (CAIRO, table("00:00", "02:00"), "2026-04-22: 22:00-24:00 2026-04-23: 22:00-23:00 2026-04-24: 21:00-23:00"),
        (CAIRO, table("23:00", "24:00"), "2026-10-28: 20:00-21:00 2026-10-29: 20:00-22:00 2026-10-30: 21:00-22:00"),
    ],
)
def test_granted__the_days_on_which_clocks_are_set(zone: ZoneInfo, hours: DailyHours, expected: str) -> None:
    """What the clock on the wall shows decides: hours that it skips are skipped, and hours that it shows twice are there twice."""
    made, told = Hours(zone, (hours,)), in_utc(expected)
    assert spans(made, told[0][0] - MINUTE_MS, told[-1][1] + MINUTE_MS) == told
    for opens_ms, shuts_ms in told:
        assert made.is_open_throughout(opens_ms, shuts_ms - 1) is Answer.YES
        assert made.is_open_throughout(opens_ms, shuts_ms) is Answer.PERHAPS
    for (_, shuts_ms), (opens_ms, _) in pairwise(told):
        assert made.next_opening_ms(shuts_ms) == opens_ms
        assert made.is_open_throughout(shuts_ms, opens_ms - 1) is Answer.NO
        assert made.is_open_throughout(shuts_ms, opens_ms) is Answer.PERHAPS


def test_denied__a_door_that_never_opens() -> None:
    """A door whose every day is closed names no opening, and the search for one ends."""
    today = date(2026, 12, 25)
    closed = frozenset(today + timedelta(days) for days in range(-1, SEARCH_DAYS + 3))
    at = ms("2026-12-25T12:00", BERLIN)
    for hours in (Hours(BERLIN, (table("09:00", "18:00"),), closed), Hours(BERLIN, (), closed)):
        assert hours.next_opening_ms(at) is None
        assert hours.is_open_throughout(at, FAR_FUTURE_MS) is Answer.NO


def test_granted__an_opening_just_within_the_search() -> None:
    """The search looks as far as it says, and not less."""
    at = ms("2026-12-25T00:00", BERLIN)
    last = date(2026, 12, 25) + timedelta(SEARCH_DAYS)
    closed = frozenset(date(2026, 12, 25) + timedelta(days) for days in range(SEARCH_DAYS))
    assert Hours(BERLIN, (), closed).next_opening_ms(at) == ms(f"{last}T00:00", BERLIN)
    assert Hours(BERLIN, (), closed | {last}).next_opening_ms(at) is None


def test_granted__without_tables_it_is_always_open() -> None:
    """A door of which only closed days are known is open on all others, for as long as anybody looks."""
    hours = Hours(BERLIN, (), frozenset({CHRISTMAS}))
    at = ms("2026-12-26T00:00", BERLIN)
    assert hours.next_opening_ms(at) == at
    assert hours.is_open_throughout(at, FAR_FUTURE_MS) is Answer.YES


@pytest.mark.parametrize("at_ms", [-(10**20), -1, 0, FAR_FUTURE_MS, 10**20])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", "UTC"])
def test_granted__beyond_the_calendar_nothing_raises(at_ms: int, zone: str) -> None:
    """Instants that no zone has a date for are answered, and within the bounds of the search."""
    hours = Hours(ZoneInfo(zone), (table("09:00", "10:00"),), frozenset({CHRISTMAS}))
    assert hours.is_open_throughout(at_ms, at_ms + 10**20) in Answer
    assert hours.is_closed_day(at_ms) is False
    opening = hours.next_opening_ms(at_ms)
    assert opening is None or hours.is_open(opening)


@pytest.mark.parametrize(
    ("days", "opens_min", "closes_min"),
    [
        *[(days, 0, 1) for days in (frozenset(), frozenset({7}), frozenset({-1, 3}))],
        *[(WEEKDAYS, opens_min, closes_min) for opens_min, closes_min in ((5, 5), (6, 5), (-1, 5), (0, 1441))],
    ],
)  # fmt: skip
def test_denied__hours_that_never_are(days: frozenset[int], opens_min: int, closes_min: int) -> None:
    """Hours without a day, over midnight or of no length are refused when they are made."""
    with pytest.raises(ValueError, match="hours"):
        DailyHours(days, opens_min, closes_min)


def oracle(hours: Hours, instant: int) -> bool:
    """Read the clock on the wall at an instant and look into the tables, by words."""
    wall = datetime.fromtimestamp(instant / 1000, UTC).astimezone(hours.zone)
    if str(wall.date()) in {str(day) for day in hours.closed_on}:
        return False
    if not hours.tables:
        return True
    shown = f"{wall:%H:%M}"
    return any(
        wall.isoweekday() - 1 in one.days
        and f"{one.opens_min // 60:02d}:{one.opens_min % 60:02d}" <= shown < f"{one.closes_min // 60:02d}:{one.closes_min % 60:02d}"
        for one in hours.tables
    )


CHANGES: list[tuple[tzinfo, str]] = [
    *[(ANGELES, day) for day in ("2026-03-08", "2026-11-01", "2026-07-01")],
    *[(BERLIN, day) for day in ("2026-03-29", "2026-10-25", "2026-12-31")],
    *[(CAIRO, day) for day in ("2026-04-24", "2026-10-29")],
    *[(LORD_HOWE, day) for day in ("2026-04-05", "2026-10-04")],
    (timezone(timedelta(hours=5, minutes=45)), "2026-02-28"),
]
minutes_of_day = st.integers(0, 1440)
daily = st.builds(
    lambda days, edges: DailyHours(days, *sorted(edges)),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.tuples(minutes_of_day, minutes_of_day).filter(lambda edges: edges[0] != edges[1]),
)
near_the_night = st.builds(
    lambda opens, lasts: DailyHours(EVERY_DAY, opens, min(opens + lasts, 1440)), st.integers(0, 240), st.integers(1, 200)
)


@settings(deadline=None, max_examples=120)
@given(
    place=st.sampled_from(CHANGES),
    tables=st.lists(daily | near_the_night, max_size=3),
    closed=st.frozensets(st.integers(-1, 2), max_size=3),
    begins_min=st.integers(-12 * 60, 12 * 60),
    lasts_min=st.integers(0, 36 * 60),
    odd_ms=st.integers(0, MINUTE_MS - 1),
)
@example(place=CHANGES[0], tables=[table("02:00", "03:00")], closed=frozenset(), begins_min=0, lasts_min=36 * 60, odd_ms=1)
def test_granted__as_the_clock_on_the_wall_says_minute_by_minute(
    *,
    place: tuple[tzinfo, str],
    tables: list[DailyHours],
    closed: frozenset[int],
    begins_min: int,
    lasts_min: int,
    odd_ms: int,
) -> None:
    """Open, shut or something of both, and when it opens next, are what a reader of the clock would say who looks every minute."""
    zone, day = place
    midnight = from_iso(datetime.fromisoformat(day).replace(tzinfo=zone).isoformat())
    hours = Hours(zone, tuple(tables), frozenset(date.fromisoformat(day) + timedelta(off) for off in closed))
    earliest = midnight + begins_min * MINUTE_MS + odd_ms
    latest = earliest + lasts_min * MINUTE_MS
    # nothing changes within a minute, so its beginning speaks for it
    looks = [earliest, *range(midnight + (begins_min + 1) * MINUTE_MS, latest + 1, MINUTE_MS)]
    seen = {instant: oracle(hours, instant) for instant in looks}
    said = set(seen.values())
    expected = Answer.PERHAPS if len(said) > 1 else Answer.YES if said == {True} else Answer.NO
    assert {instant: hours.is_open(instant) for instant in looks} == seen
    assert hours.is_open_throughout(earliest, latest) is expected
    first = next((instant for instant, is_open in seen.items() if is_open), None)
    opening = hours.next_opening_ms(earliest)
    assert opening == first if first is not None else opening is None or opening > latest
    if opening is not None:
        assert oracle(hours, opening)
        assert opening == earliest or not oracle(hours, opening - 1)
