"""Promise P6: windows are instants; the clocks that people set forward and back change nothing but what people read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from agent.core.clock import Interval, for_people, from_datetime, from_iso
from agent.core.decide import Denied, Facts, Granted, Rules, UncertainClock, decide
from agent.core.reasons import Reason
from agent.core.tour import TourCode, Window

MINUTE_MS = 60_000


@dataclass(frozen=True)
class Change:
    """A tour over a change of clocks: its local ends with their folds, the same ends in UTC, how long it lasts, and what people read.

    `read` is the local time one minute before the change and at the change.
    """

    zone: str
    starts: str
    ends: str
    folds: tuple[int, int]
    utc: tuple[str, str]
    lasts_min: int
    changes_utc: str
    read: tuple[str, str]

    def local(self, which: int) -> datetime:
        """The start or the end as a datetime in the zone."""
        text = (self.starts, self.ends)[which]
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(self.zone), fold=self.folds[which])

    def window(self) -> Window:
        """The window as the desk makes it from local times."""
        return Window(from_datetime(self.local(0)), from_datetime(self.local(1)))


CHANGES = [
    Change(
        "America/Los_Angeles", "2026-03-08T01:30", "2026-03-08T03:30", (0, 0), ("2026-03-08T09:30:00Z", "2026-03-08T10:30:00Z"), 60,
        "2026-03-08T10:00:00Z", ("1:59 AM", "3:00 AM"),
    ),
    Change(
        "America/Los_Angeles", "2026-11-01T01:30", "2026-11-01T01:30", (0, 1), ("2026-11-01T08:30:00Z", "2026-11-01T09:30:00Z"), 60,
        "2026-11-01T09:00:00Z", ("1:59 AM", "1:00 AM"),
    ),
    Change(
        "Europe/Berlin", "2026-03-29T01:45", "2026-03-29T03:15", (0, 0), ("2026-03-29T00:45:00Z", "2026-03-29T01:15:00Z"), 30,
        "2026-03-29T01:00:00Z", ("1:59 AM", "3:00 AM"),
    ),
    Change(
        "Europe/Berlin", "2026-10-25T02:45", "2026-10-25T02:15", (0, 1), ("2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z"), 30,
        "2026-10-25T01:00:00Z", ("2:59 AM", "2:00 AM"),
    ),
    Change(
        "Australia/Lord_Howe", "2026-10-04T01:45", "2026-10-04T02:45", (0, 0), ("2026-10-03T15:15:00Z", "2026-10-03T15:45:00Z"), 30,
        "2026-10-03T15:30:00Z", ("1:59 AM", "2:30 AM"),
    ),
    Change(
        "Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-05T01:45", (0, 1), ("2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"), 30,
        "2026-04-04T15:00:00Z", ("1:59 AM", "1:30 AM"),
    ),
]  # fmt: skip
every_change = pytest.mark.parametrize("change", CHANGES, ids=[f"{change.zone}-{change.starts[:7]}" for change in CHANGES])


def around(window: Window) -> Iterator[int]:
    """Each minute from three hours before the window to three hours after, and the milliseconds at its edges."""
    yield from range(window.start_ms - 180 * MINUTE_MS, window.end_ms + 180 * MINUTE_MS, MINUTE_MS)
    for edge in (window.start_ms - 5 * MINUTE_MS, window.end_ms + 5 * MINUTE_MS):
        yield from (edge - 1, edge, edge + 1)


@every_change
def test_granted__a_window_over_a_change_is_its_instants(change: Change) -> None:
    """Local ends on both sides of a change name the instants that UTC names, and last as long as a stopwatch says."""
    window = change.window()
    assert window == Window(from_iso(change.utc[0]), from_iso(change.utc[1]))
    assert window.end_ms - window.start_ms == change.lasts_min * MINUTE_MS
    assert window == Window(from_iso(change.local(0).isoformat()), from_iso(change.local(1).isoformat()))


@every_change
def test_denied__every_minute_outside_a_window_over_a_change(change: Change, code: TourCode) -> None:
    """A tour over a change opens at exactly the instants of the same tour told in UTC, grace included, and at no others."""
    local = replace(code, window=change.window())
    opens_ms, closes_ms = from_iso(change.utc[0]) - 5 * MINUTE_MS, from_iso(change.utc[1]) + 5 * MINUTE_MS
    rules = Rules(code.community_id, 5 * MINUTE_MS, 5 * MINUTE_MS, 1, UncertainClock.REFUSE, 0)
    opened = 0
    for instant in around(local.window):
        expected: Granted | Denied = Granted(local)
        if instant < opens_ms:
            expected = Denied(Reason.TOO_EARLY, local, opens_ms)
        elif instant > closes_ms:
            expected = Denied(Reason.TOO_LATE, local, closes_ms)
        opened += isinstance(expected, Granted)
        assert decide(local, Facts("front", Interval(instant, instant)), rules) == expected
    assert opened == change.lasts_min + 11 + 4


@every_change
def test_granted__people_read_the_right_side_of_a_change(change: Change) -> None:
    """The minute before a change is told by the old offset, and the change itself by the new one, on the same day."""
    zone, changes_ms = ZoneInfo(change.zone), from_iso(change.changes_utc)
    for instant, read in zip((changes_ms - MINUTE_MS, changes_ms), change.read, strict=True):
        assert for_people(instant, zone, near_ms=changes_ms) == read
    day = f"{change.local(0):%A, %B} {change.local(0).day}"
    assert for_people(changes_ms, zone, near_ms=changes_ms - 86_400_000) == f"{day} at {change.read[1]}"


def test_granted__the_two_readings_of_a_fold_are_two_instants() -> None:
    """Half past one on the morning that has it twice is two instants, an hour apart, that read the same."""
    zone = ZoneInfo("America/Los_Angeles")
    first, second = (from_datetime(datetime(2026, 11, 1, 1, 30, tzinfo=zone, fold=fold)) for fold in (0, 1))
    assert second - first == 60 * MINUTE_MS
    assert for_people(first, zone, near_ms=second) == for_people(second, zone, near_ms=first) == "1:30 AM"
