"""Promise P6: time is an interval that contains the truth, and a time without an offset is no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.clock import (
    FAR_FUTURE_MS,
    Anchor,
    ClockRules,
    ClockState,
    Interval,
    NaiveTimeError,
    Reading,
    Trust,
    for_people,
    from_datetime,
    from_iso,
    reckon,
    to_iso,
)

FIRST_MS = -62_135_596_800_000
"""The first instant of the year 1."""
NOW_MS = 1_775_000_000_000
DAY_NS = 86_400 * 10**9
NTP = ClockRules(Trust.NTP)
SYSTEM = ClockRules(Trust.SYSTEM)


class NoOffset(tzinfo):
    """A zone that does not know its offset."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        """Known by name only."""
        return "somewhere"


def test_granted__an_instant_as_knock_writes_it() -> None:
    """The instant of Knock's own example is written the way Knock does, and the far future is the year 9999's last second."""
    assert to_iso(1_585_696_926_214) == "2020-03-31T23:22:06.214Z"
    assert to_iso(0) == "1970-01-01T00:00:00.000Z"
    assert to_iso(-1) == "1969-12-31T23:59:59.999Z"
    assert to_iso(FAR_FUTURE_MS) == "9999-12-31T23:59:59.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "2020-03-31T23:22:06.214Z",
        "2020-03-31T23:22:06.214+00:00",
        "2020-03-31T16:22:06.214-07:00",
        "2020-03-31 16:22:06.214999-07:00",
        "2020-04-01T05:07:06.214+05:45",
        "20200331T232206.214Z",
    ],
)
def test_granted__one_instant_in_many_offsets(text: str) -> None:
    """A time with an offset is its instant, whatever the offset; what is finer than a millisecond is cut off."""
    assert from_iso(text) == 1_585_696_926_214


@settings(deadline=None)
@given(instant_ms=st.integers(FIRST_MS, FAR_FUTURE_MS + 999))
def test_granted__iso_and_back(instant_ms: int) -> None:
    """Every instant of the calendar comes back from its text."""
    assert from_iso(to_iso(instant_ms)) == instant_ms


@pytest.mark.parametrize("text", ["2026-03-31T15:30:00", "2026-03-31 15:30", "2026-03-31", "20260331", "2026-W14-2"])
def test_denied__a_text_without_an_offset(text: str) -> None:
    """A time or a day without an offset is refused with an example of how to write one, never guessed."""
    with pytest.raises(NaiveTimeError, match=r"has no offset from UTC; write it like 2026-03-31T15:30:00-07:00$"):
        from_iso(text)


@pytest.mark.parametrize("zone", [None, NoOffset()], ids=["none", "unknown"])
def test_denied__a_datetime_without_an_offset(zone: tzinfo | None) -> None:
    """A naive datetime, and one whose zone knows no offset, names no instant."""
    with pytest.raises(NaiveTimeError, match=r"^2026-03-31T15:30:00 has no offset from UTC"):
        from_datetime(datetime(2026, 3, 31, 15, 30, tzinfo=zone))


@pytest.mark.parametrize(
    "text", ["", "now", "15:30", "2026-03-31T25:00:00Z", "2026-02-30T00:00:00Z", "1775000000", "2026-03-31T15:30:00-07:00 ", "\x00"]
)
def test_denied__a_text_that_is_no_time(text: str) -> None:
    """Anything else is refused, quoting it."""
    with pytest.raises(ValueError, match=r"is no time; write it like 2026-03-31T15:30:00-07:00$") as caught:
        from_iso(text)
    assert not isinstance(caught.value, NaiveTimeError)
    assert str(caught.value).startswith(repr(text))


@settings(deadline=None)
@given(
    moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # noqa: DTZ001 - the zone comes next
    offset_min=st.integers(-23 * 60, 23 * 60),
)
def test_granted__a_datetime_is_its_instant(moment: datetime, offset_min: int) -> None:
    """An aware datetime is as many milliseconds from 1970 as its wall clock says, less its offset."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    since = moment - datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock against wall clock
    whole_ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    assert from_datetime(aware) == whole_ms - offset_min * 60_000


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [
        (0, 0, "12:00 AM"),
        (0, 5, "12:05 AM"),
        (1, 0, "1:00 AM"),
        (11, 59, "11:59 AM"),
        (12, 0, "12:00 PM"),
        (12, 1, "12:01 PM"),
        (13, 0, "1:00 PM"),
        (23, 59, "11:59 PM"),
    ],
)
def test_granted__an_hour_as_people_say_it(hour: int, minute: int, said: str) -> None:
    """Noon is 12 PM, midnight is 12 AM, and between them hours count to eleven."""
    moment = from_datetime(datetime(2026, 3, 31, hour, minute, 59, tzinfo=ZoneInfo("America/Los_Angeles")))
    assert for_people(moment, ZoneInfo("America/Los_Angeles"), near_ms=moment) == said


def test_granted__another_day_is_named() -> None:
    """The day is told unless it is the same day for people in the zone, whatever day it is in UTC."""
    zone = ZoneInfo("America/Los_Angeles")
    evening = from_iso("2026-03-31T23:30:00-07:00")
    assert for_people(evening, zone, near_ms=from_iso("2026-03-31T00:00:00-07:00")) == "11:30 PM"
    assert for_people(evening, zone, near_ms=from_iso("2026-04-01T00:00:00-07:00")) == "Tuesday, March 31 at 11:30 PM"
    assert for_people(evening, zone, near_ms=from_iso("2026-03-30T23:59:59-07:00")) == "Tuesday, March 31 at 11:30 PM"
    assert for_people(evening, zone) == "Tuesday, March 31 at 11:30 PM"
    assert for_people(evening, UTC, near_ms=evening) == "6:30 AM"
    assert for_people(0, UTC) == "Thursday, January 1 at 12:00 AM"
    assert for_people(0, UTC, near_ms=0) == "12:00 AM"


def test_granted__an_interval_of_one_instant() -> None:
    """An interval may be a single instant."""
    assert Interval(5, 5).is_open_ended is False


@pytest.mark.parametrize(("earliest_ms", "latest_ms"), [(1, 0), (0, -1), (FAR_FUTURE_MS + 1, FAR_FUTURE_MS)])
def test_denied__an_interval_with_swapped_ends(earliest_ms: int, latest_ms: int) -> None:
    """An interval cannot end before it begins."""
    with pytest.raises(ValueError, match=rf"^an interval cannot end \({latest_ms}\) before it begins \({earliest_ms}\)$"):
        Interval(earliest_ms, latest_ms)


def test_granted__the_end_is_open_from_the_far_future_on() -> None:
    """An interval has no upper end from the last second of the year 9999 on."""
    assert [Interval(0, FAR_FUTURE_MS + more).is_open_ended for more in (-1, 0, 1)] == [False, True, True]


@pytest.mark.parametrize(("guess_ms", "nearest_ms"), [(-5, 10), (9, 10), (10, 10), (15, 15), (20, 20), (21, 20), (10**15, 20)])
def test_granted__the_nearest_instant(guess_ms: int, nearest_ms: int) -> None:
    """A guess is kept within the interval."""
    assert Interval(10, 20).nearest_ms(guess_ms) == nearest_ms


def test_granted__a_trusted_system_clock() -> None:
    """Where the system clock is trusted it counts with its set error without NTP; what was surely reached before narrows it."""
    reading = Reading(NOW_MS, 5, is_synchronised=False, error_ms=77)
    assert reckon(reading, Anchor.at_start(0, 0), SYSTEM) == (Interval(NOW_MS - 2000, NOW_MS + 2000), ClockState.TRUSTED)
    assert reckon(reading, Anchor.at_start(NOW_MS + 2000, 5), SYSTEM) == (Interval(NOW_MS + 2000, NOW_MS + 2000), ClockState.TRUSTED)


def test_denied__a_trusted_system_clock_that_says_less_than_was_reached() -> None:
    """An empty battery or a clock that was set back is no clock: an expired code does not come alive by it (promises P5 and P6)."""
    reading = Reading(NOW_MS, 5, is_synchronised=False, error_ms=77)
    late = NOW_MS + 2001
    assert reckon(reading, Anchor.at_start(late, 5), SYSTEM) == (Interval(late, FAR_FUTURE_MS), ClockState.LOST)
    known = Anchor(Interval(late, late + 10), 5)
    assert reckon(reading, known, SYSTEM) == (Interval(late, late + 10), ClockState.HOLDING)


@pytest.mark.parametrize("trust", Trust)
def test_granted__ntp_is_the_last_word(trust: Trust) -> None:
    """A synchronised clock counts also where it says less than was seen: what was seen then came from a wrong clock."""
    reading = Reading(NOW_MS, 5, is_synchronised=True, error_ms=77)
    anchor = Anchor.at_start(NOW_MS + 10**9, 0)
    assert reckon(reading, anchor, ClockRules(trust)) == (Interval(NOW_MS - 77, NOW_MS + 77), ClockState.SYNCHRONISED)


def test_granted__a_synchronised_clock() -> None:
    """While NTP holds the clock, the kernel's own error bounds it."""
    reading = Reading(NOW_MS, 5, is_synchronised=True, error_ms=77)
    assert reckon(reading, Anchor.at_start(0, 0), NTP) == (Interval(NOW_MS - 77, NOW_MS + 77), ClockState.SYNCHRONISED)


def test_granted__a_holding_clock() -> None:
    """After NTP the last interval moves on with the ticks and widens by drift, whatever the wall clock says."""
    anchor = Anchor(Interval(NOW_MS - 100, NOW_MS + 100), 7)
    day_ms = 86_400_000
    for wall_ms in (0, NOW_MS, 10**15):
        held, state = reckon(Reading(wall_ms, 7 + DAY_NS, is_synchronised=False, error_ms=1), anchor, NTP)
        assert state is ClockState.HOLDING
        assert held == Interval(NOW_MS - 100 + day_ms - 17_284, NOW_MS + 100 + day_ms + 17_284)


def test_denied__a_lost_clock() -> None:
    """Not synchronised since power-on, only the earliest is known: it grows, and the wall clock is not believed."""
    anchor = Anchor.at_start(NOW_MS, 7)
    assert anchor == Anchor(Interval(NOW_MS, FAR_FUTURE_MS), 7)
    for wall_ms in (0, NOW_MS + 10**9):
        held, state = reckon(Reading(wall_ms, 7 + 10**9, is_synchronised=False, error_ms=0), anchor, NTP)
        assert (held, state) == (Interval(NOW_MS + 999, FAR_FUTURE_MS), ClockState.LOST)


def test_denied__a_clock_far_in_the_future() -> None:
    """Neither end grows beyond the far future, and what comes there is lost."""
    anchor = Anchor(Interval(FAR_FUTURE_MS - 5, FAR_FUTURE_MS - 1), 0)
    assert anchor.held_until(0, 200) == anchor.interval
    assert reckon(Reading(0, 10**15, is_synchronised=False, error_ms=0), anchor, NTP) == (
        Interval(FAR_FUTURE_MS, FAR_FUTURE_MS),
        ClockState.LOST,
    )


def test_denied__a_tick_before_the_anchor() -> None:
    """A tick that runs backwards takes nothing back."""
    anchor = Anchor(Interval(NOW_MS, NOW_MS + 5), 10**9)
    assert anchor.held_until(0, 200) == anchor.held_until(10**9, 200) == anchor.interval


@settings(deadline=None)
@given(
    hours=st.integers(0, 20 * 365 * 24),
    more_ns=st.integers(0, 10**7),
    drift_ppm=st.integers(0, 10_000),
    strays=st.fractions(-1, 1, max_denominator=10**6),
    width_ms=st.integers(0, 10**6),
)
def test_granted__a_held_interval_contains_the_truth(*, hours: int, more_ns: int, drift_ppm: int, strays: Fraction, width_ms: int) -> None:
    """However a quartz within its bounds strays, for a moment or for years, the true time lies in the interval, to the nanosecond."""
    passed_ns = hours * 3600 * 10**9 + more_ns
    anchor = Anchor(Interval(NOW_MS, NOW_MS + width_ms), 3)
    held = anchor.held_until(3 + passed_ns, drift_ppm)
    for rate in (1 + stray * drift_ppm / 1_000_000 for stray in (Fraction(-1), strays, Fraction(1))):
        passed_ms = Fraction(passed_ns, 1_000_000) / rate
        assert held.earliest_ms <= NOW_MS + passed_ms
        assert NOW_MS + width_ms + passed_ms <= held.latest_ms


@settings(deadline=None)
@given(
    first_ns=st.integers(0, 10**7) | st.integers(0, 400 * DAY_NS),
    more_ns=st.integers(0, 10**7) | st.integers(0, 400 * DAY_NS),
    drift_ppm=st.integers(0, 10_000),
    width_ms=st.integers(0, 10**6),
    is_open=st.booleans(),
)
def test_granted__a_held_interval_never_shrinks(first_ns: int, more_ns: int, drift_ppm: int, width_ms: int, is_open: bool) -> None:
    """Both ends only move on; the width is never less than the anchor's, and but for rounding to milliseconds never less than before."""
    anchor = Anchor(Interval(NOW_MS, FAR_FUTURE_MS if is_open else NOW_MS + width_ms), 0)
    sooner, later = anchor.held_until(first_ns, drift_ppm), anchor.held_until(first_ns + more_ns, drift_ppm)
    assert anchor.interval.earliest_ms <= sooner.earliest_ms <= later.earliest_ms
    assert anchor.interval.latest_ms <= sooner.latest_ms <= later.latest_ms
    if not is_open:
        sooner_ms, later_ms = sooner.latest_ms - sooner.earliest_ms, later.latest_ms - later.earliest_ms
        assert width_ms <= sooner_ms <= later_ms + 1


@settings(deadline=None)
@given(
    wall_ms=st.integers(FIRST_MS, FAR_FUTURE_MS),
    tick_ns=st.integers(0, 10**18),
    is_synchronised=st.booleans(),
    error_ms=st.integers(0, 10**9),
    last_seen_ms=st.integers(0, FAR_FUTURE_MS),
    rules=st.builds(ClockRules, st.sampled_from(Trust), st.integers(0, 10**6), st.integers(1, 10_000)),
)
def test_granted__any_reading_has_an_interval(
    *, wall_ms: int, tick_ns: int, is_synchronised: bool, error_ms: int, last_seen_ms: int, rules: ClockRules
) -> None:
    """No reading raises, and each state is the one that trust and NTP call for."""
    interval, state = reckon(Reading(wall_ms, tick_ns, is_synchronised, error_ms), Anchor.at_start(last_seen_ms, 0), rules)
    if is_synchronised:
        assert (interval, state) == (Interval(wall_ms - error_ms, wall_ms + error_ms), ClockState.SYNCHRONISED)
    elif state is ClockState.TRUSTED:
        assert rules.trust is Trust.SYSTEM
        assert (interval.latest_ms, interval.earliest_ms >= last_seen_ms) == (wall_ms + rules.system_error_ms, True)
    else:
        assert (interval.latest_ms, state) == (FAR_FUTURE_MS, ClockState.LOST)
        assert interval.earliest_ms >= last_seen_ms
