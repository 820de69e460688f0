"""What the door may say about time (promise P6).

Rule 1: an instant is an integer of milliseconds since 1970 in UTC, named `…_ms`; a tick counts nanoseconds since power-on and
        goes on while the wall clock jumps. Zones exist for what people read, and for the hours of a door, which people wrote.
Rule 2: "now" is never an instant but an interval, from the earliest to the latest that it can be.
Rule 3: a time without an offset is refused, never guessed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

FAR_FUTURE_MS = 253_402_300_799_000
"""The last second of the year 9999: the latest of an interval that has no upper end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NaiveTimeError(ValueError):
    """A time came without an offset from UTC, so it names no instant."""


def from_datetime(moment: datetime) -> int:
    """The instant of an aware `moment`; raises `NaiveTimeError` for a naive one."""
    if moment.utcoffset() is None:
        raise NaiveTimeError(f"{moment.isoformat()} has no offset from UTC; write it like 2026-03-31T15:30:00-07:00")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_iso(text: str) -> int:
    """The instant of an ISO 8601 text with offset; raises `NaiveTimeError` without one and `ValueError` for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; write it like 2026-03-31T15:30:00-07:00") from error
    return from_datetime(moment)


def to_iso(instant_ms: int) -> str:
    """The instant as Knock's Visit API writes it: `2020-03-31T23:22:06.214Z`."""
    return in_zone(instant_ms, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def for_people(instant_ms: int, zone: tzinfo, *, near_ms: int | None = None) -> str:
    """The instant in the property's zone, `3:30 PM`; with the day before it unless `near_ms` falls on the same day."""
    moment = in_zone(instant_ms, zone)
    clock = f"{moment.hour % 12 or 12}:{moment.minute:02d} {'AM' if moment.hour < 12 else 'PM'}"  # noqa: PLR2004 - noon
    if near_ms is not None and in_zone(near_ms, zone).date() == moment.date():
        return clock
    return f"{moment:%A, %B} {moment.day} at {clock}"


def in_zone(instant_ms: int, zone: tzinfo) -> datetime:
    """The instant as the clocks on the zone's walls show it; raises `OverflowError` beyond the years 1 to 9999."""
    return (_EPOCH + timedelta(milliseconds=instant_ms)).astimezone(zone)


@dataclass(frozen=True, slots=True)
class Interval:
    """All that now can be: both ends included, in milliseconds UTC."""

    earliest_ms: int
    latest_ms: int

    def __post_init__(self) -> None:
        """Refuse an interval whose ends are swapped."""
        if self.earliest_ms > self.latest_ms:
            raise ValueError(f"an interval cannot end ({self.latest_ms}) before it begins ({self.earliest_ms})")

    @property
    def is_open_ended(self) -> bool:
        """Whether nothing is known of how late it may be."""
        return self.latest_ms >= FAR_FUTURE_MS

    def nearest_ms(self, guess_ms: int) -> int:
        """The guess, moved into the interval when it lies outside."""
        return min(max(guess_ms, self.earliest_ms), self.latest_ms)


class Answer(enum.Enum):
    """To a question about now, which is an interval: for all of it, for none, or for a part."""

    YES = "yes"
    NO = "no"
    PERHAPS = "perhaps"


class Trust(enum.StrEnum):
    """Whose word on time counts."""

    NTP = "ntp"
    """The system clock, for as long as the kernel says that it is synchronised; then what was known, growing with drift."""
    SYSTEM = "system"
    """The system clock also without NTP: for a board with a battery-backed clock, and for a laptop."""


class ClockState(enum.StrEnum):
    """How the present interval came about."""

    TRUSTED = "trusted"
    """The configuration trusts the system clock, and it contradicts nothing."""
    SYNCHRONISED = "synchronised"
    HOLDING = "holding"
    """Not synchronised now, but it was since power-on: the interval grows with drift."""
    LOST = "lost"
    """No clock can be trusted since power-on: only the earliest is known."""


@dataclass(frozen=True, slots=True)
class ClockRules:
    """How much error to reckon with.

    `system_error_ms` is either way when the system clock is trusted; `drift_ppm` is how far a quartz may stray, in millionths.
    """

    trust: Trust
    system_error_ms: int = 2_000
    drift_ppm: int = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """What the kernel says at one moment: wall clock, tick, whether NTP holds the clock, and by how much it may err."""

    wall_ms: int
    tick_ns: int
    is_synchronised: bool
    error_ms: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """An interval that was true at a tick of this boot."""

    interval: Interval
    tick_ns: int

    @classmethod
    def at_start(cls, last_seen_ms: int, tick_ns: int) -> Anchor:
        """What is known after power-on: not earlier than the last time that was written down."""
        return cls(Interval(last_seen_ms, FAR_FUTURE_MS), tick_ns)

    def held_until(self, tick_ns: int, drift_ppm: int) -> Interval:
        """The interval at a later tick of the same boot, wider by drift."""
        passed_ns = max(tick_ns - self.tick_ns, 0)
        slack_ns = -(-passed_ns * drift_ppm // (1_000_000 - drift_ppm))
        earliest = self.interval.earliest_ms + (passed_ns - slack_ns) // 1_000_000
        latest = self.interval.latest_ms + -(-(passed_ns + slack_ns) // 1_000_000)
        return Interval(min(earliest, FAR_FUTURE_MS), min(latest, FAR_FUTURE_MS))


def reckon(reading: Reading, anchor: Anchor, rules: ClockRules) -> tuple[Interval, ClockState]:
    """All that now can be, and why; the caller keeps an interval that came from NTP as its next anchor."""
    if reading.is_synchronised:
        return _around(reading.wall_ms, reading.error_ms), ClockState.SYNCHRONISED
    held = anchor.held_until(reading.tick_ns, rules.drift_ppm)
    if rules.trust is Trust.SYSTEM:
        told = _around(reading.wall_ms, rules.system_error_ms)
        # a system clock that says less than what was surely reached is wrong: an empty battery, or somebody set it back
        if told.latest_ms >= held.earliest_ms:
            return Interval(max(told.earliest_ms, held.earliest_ms), told.latest_ms), ClockState.TRUSTED
    return held, ClockState.LOST if held.is_open_ended else ClockState.HOLDING


def _around(wall_ms: int, error_ms: int) -> Interval:
    return Interval(wall_ms - error_ms, wall_ms + error_ms)
