"""Opening hours as instants, on the days when the clock changes too; and settings that cannot be."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.errors import SandboxError
from agent.sandbox.settings import JUNIPER_FLATS, Community, SandboxSettings
from agent.sandbox.slots import Span, free_starts, in_zone

ZONE = "America/Los_Angeles"
BEFORE_SPRING = datetime(2026, 3, 8, 7, 59, tzinfo=UTC)
"""One minute before the day on which Los Angeles goes from 02:00 to 03:00."""
BEFORE_AUTUMN = datetime(2026, 11, 1, 6, 59, tzinfo=UTC)
"""One minute before the day on which Los Angeles sees 01:00 to 02:00 twice."""


def day_of(opening: str, now: datetime, *, ahead: int = 2, **changes: Any) -> list[str]:  # noqa: ANN401 - any setting
    """The times offered on the local day after `now`, without that day."""
    community = Community("1", "A", ZONE, opening=opening, days_ahead=ahead, **changes)
    return [text[11:] for text in in_zone(list(free_starts(community, [], now)), community.zone())]


def test_spring__the_missing_hour_has_no_slot() -> None:
    """A day of 23 hours has 46 half hours, and none of them between 02:00 and 03:00."""
    offered = day_of("00:00-24:00", BEFORE_SPRING)
    assert len(offered) == 46
    assert offered[3:5] == ["01:30:00-08:00", "03:00:00-07:00"]


def test_autumn__the_double_hour_is_offered_twice() -> None:
    """A day of 25 hours has 50 half hours; the hour that comes twice is told apart by its offset."""
    offered = day_of("00:00-24:00", BEFORE_AUTUMN)
    assert len(offered) == 50
    assert offered[2:6] == ["01:00:00-07:00", "01:30:00-07:00", "01:00:00-08:00", "01:30:00-08:00"]


def test_dst__usual_hours_stay_on_the_property_s_clock() -> None:
    """Nine to six is nine to six on both days, in the day's own offset."""
    for now, offset in ((BEFORE_SPRING, "-07:00"), (BEFORE_AUTUMN, "-08:00")):
        offered = day_of("09:00-18:00", now)
        assert (len(offered), offered[0], offered[-1]) == (18, "09:00:00" + offset, "17:30:00" + offset)


def test_dst__opening_inside_the_missing_hour() -> None:
    """Hours that do not exist hold no slot; an opening that does not exist moves later, a closing earlier."""
    assert day_of("02:00-03:00", BEFORE_SPRING) == []
    assert day_of("02:30-04:00", BEFORE_SPRING) == ["03:30:00-07:00"]
    assert day_of("01:00-02:30", BEFORE_SPRING) == ["01:00:00-08:00"]


@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 - hypothesis adds the zone
    zone=st.sampled_from([ZONE, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Pacific/Apia"]),
    opening=st.sampled_from(["00:00-24:00", "09:00-18:00", "01:15-03:45", "22:00-24:00"]),
    slot=st.sampled_from([15, 30, 45, 60]),
    notice=st.sampled_from([0, 90]),
)
def test_slots__are_future_ordered_and_never_overlap(now: datetime, zone: str, opening: str, slot: int, notice: int) -> None:
    """In any zone on any day: later than the notice, in order, apart by a slot at least, and readable back as the same instant."""
    moment = now.replace(tzinfo=UTC)
    community = Community("1", "A", zone, opening=opening, slot_minutes=slot, notice_minutes=notice, days_ahead=3)
    starts = list(free_starts(community, [], moment))
    assert all(start > moment + timedelta(minutes=notice) for start in starts)
    assert all(later - earlier >= timedelta(minutes=slot) for earlier, later in itertools.pairwise(starts))
    assert [datetime.fromisoformat(text) for text in in_zone(starts, community.zone())] == starts


def test_slots__taken_ones_are_gone() -> None:
    """What overlaps is gone, what only touches is not, and what has passed does not matter."""
    now = datetime(2026, 6, 1, 16, 15, tzinfo=UTC)
    taken = [Span(now - timedelta(hours=9), now), Span(now + timedelta(minutes=45), now + timedelta(minutes=75))]
    starts = list(free_starts(JUNIPER_FLATS, taken, now))
    assert [start.strftime("%H:%M") for start in starts[:3]] == ["16:30", "17:30", "18:00"]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "a/b"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../etc/passwd"},
        {"time_zone": ""},
        {"opening": "9-18"},
        {"opening": "18:00-09:00"},
        {"opening": "09:00-09:00"},
        {"opening": "09:00-24:01"},
        {"opening": "09:60-18:00"},
        {"slot_minutes": 0},
        {"notice_minutes": -1},
        {"days_ahead": 0},
        {"days_ahead": 100_000},
    ],
)
def test_refused__communities(changes: dict[str, Any]) -> None:
    """A community that cannot be is refused when it is made."""
    with pytest.raises(SandboxError):
        Community(**{"id": "1", "name": "A", "time_zone": ZONE} | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"port": -1},
        {"admin_port": 65536},
        {"port": 9000, "admin_port": 9000},
        {"prospect_key": ""},
        {"appointment_key": "a\nb"},
        {"key_header": "x api key"},
        {"communities": (JUNIPER_FLATS, JUNIPER_FLATS)},
        {"received_limit": 0},
    ],
)
def test_refused__settings(changes: dict[str, Any]) -> None:
    """Settings that cannot be are refused when they are made."""
    with pytest.raises(SandboxError):
        SandboxSettings(**changes)
