"""The decision: may this open this door now? ONE total function for the door, the shell and every test.

Rule 1: no input raises and none is decided anywhere else.
Rule 2: the order is the order of the questions a person would ask: is it ours, is it for here, is it alive, is it used up, is it now,
        is the house open, is it not too soon after the last time, is it not in already.
Rule 3: time is an interval (promise P6): too early or too late only if outside for all of it, admitted outright only if inside
        for all of it; between the two the site's written policy decides, and what has ended for sure is never let in.
        The door's hours and whatever lasts for a while are asked of the same interval, by the same policy.
Rule 4: during a lockout no answer tells a right PIN from a wrong one; a tour code, which nobody guesses, is decided as ever.
Rule 5: whoever leaves is asked less: uses, hours, pause and anti-passback are about coming in.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.clock import Answer, Interval
from agent.core.codes import Unread
from agent.core.hours import Hours
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing, TourCode


class UncertainClock(enum.StrEnum):
    """The site's policy for a code that is inside its window for a part of the interval only."""

    REFUSE = "refuse"
    ADMIT = "admit"


class AntiPassback(enum.StrEnum):
    """What becomes of a code that is in already, by another door of the same agent."""

    OFF = "off"
    SOFT = "soft"
    """Let in, and journaled."""
    HARD = "hard"
    """Refused."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a community allows. Graces are milliseconds before the start and after the end of a window.

    An interval no wider than `tolerated_ms` is good enough at the edges of a window, whatever `uncertain_clock` says of wider ones.
    `hours` are by the doors' names; a door that has none lets in at any time. After an admission an appointment waits for
    `reentry_pause_ms` before it opens the same door again, and it counts as in for `antipassback_ms`.
    """

    community_id: str
    grace_before_ms: int
    grace_after_ms: int
    admissions_per_door: int
    uncertain_clock: UncertainClock
    tolerated_ms: int
    reentry_pause_ms: int = 0
    antipassback: AntiPassback = AntiPassback.OFF
    antipassback_ms: int = 0
    hours: Mapping[str, Hours] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Presence:
    """Who came in and was not seen leaving: by which door, and when as well as the door could tell."""

    door: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at the moment of a scan: the door, its admissions of this appointment so far, whether the reader is locked out.

    `is_by_pin` says that the code was not shown: a PIN stands for it, and came to the door with the roster. `last_ms` is when the
    appointment was last admitted here, `presence` by which door it is in. `is_exit`: the reader is on the inner side.
    """

    door: str
    now: Interval
    entry: RosterEntry | None = None
    admissions_here: int = 0
    is_locked_out: bool = False
    is_by_pin: bool = False
    last_ms: int | None = None
    presence: Presence | None = None
    is_exit: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The door may open for this code. `is_passback`: it is in already, or perhaps, by another door, which the site lets pass."""

    code: TourCode
    is_passback: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """The door stays shut: why, for which code if it was genuine, and the instant that helps (when it opens, when it ended)."""

    reason: Reason
    code: TourCode | None = None
    time_ms: int | None = None


def decide(presented: TourCode | Unread, facts: Facts, rules: Rules) -> Granted | Denied:
    """Granted or denied, from what was presented, what is known and what is allowed."""
    if facts.is_locked_out and (facts.is_by_pin or isinstance(presented, Unread)):
        return Denied(Reason.LOCKED_OUT)
    if isinstance(presented, Unread):
        return Denied(presented.reason)
    denied = _misplaced(presented, facts, rules) or _dead(presented, facts)
    if facts.is_exit:
        return denied or _mistimed(presented, facts, rules) or Granted(presented)
    if denied is None and facts.admissions_here >= rules.admissions_per_door:
        denied = Denied(Reason.USED_UP, presented)
    denied = denied or _mistimed(presented, facts, rules) or _shut(presented, facts, rules) or _too_soon(presented, facts, rules)
    return denied or _unless_in(presented, facts, rules)


def _misplaced(code: TourCode, facts: Facts, rules: Rules) -> Denied | None:
    if code.community_id != rules.community_id:
        return Denied(Reason.WRONG_COMMUNITY, code)
    if facts.door not in code.doors:
        return Denied(Reason.WRONG_DOOR, code)
    return None


def _dead(code: TourCode, facts: Facts) -> Denied | None:
    entry = facts.entry
    if entry is None or entry.appointment_id != code.appointment_id:
        return None
    if entry.standing is Standing.CANCELLED:
        return Denied(Reason.CANCELLED, code)
    if entry.standing is Standing.SUPERSEDED or entry.code_id not in (None, code.code_id):
        return Denied(Reason.SUPERSEDED, code)
    return None


def _mistimed(code: TourCode, facts: Facts, rules: Rules) -> Denied | None:
    opens_ms, closes_ms = _good_for(code, rules)
    now = facts.now
    if now.latest_ms < opens_ms:
        return Denied(Reason.TOO_EARLY, code, opens_ms)
    if now.earliest_ms > closes_ms:
        return Denied(Reason.TOO_LATE, code, closes_ms)
    if opens_ms <= now.earliest_ms and now.latest_ms <= closes_ms:
        return None
    return _by_policy(code, now, rules)


def _shut(code: TourCode, facts: Facts, rules: Rules) -> Denied | None:
    """Asked after the window, and only for those instants of now at which the code is good."""
    hours = rules.hours.get(facts.door)
    if hours is None:
        return None
    opens_ms, closes_ms = _good_for(code, rules)
    earliest_ms = max(facts.now.earliest_ms, opens_ms)
    is_open = hours.is_open_throughout(earliest_ms, min(facts.now.latest_ms, closes_ms))
    if is_open is Answer.NO:
        reason = Reason.CLOSED_DAY if hours.is_closed_day(earliest_ms) else Reason.OUT_OF_HOURS
        return Denied(reason, code, hours.next_opening_ms(earliest_ms))
    return None if is_open is Answer.YES else _by_policy(code, facts.now, rules)


def _too_soon(code: TourCode, facts: Facts, rules: Rules) -> Denied | None:
    if facts.last_ms is None:
        return None
    is_paused = _is_within(facts.now, facts.last_ms, rules.reentry_pause_ms)
    if is_paused is Answer.YES:
        return Denied(Reason.REENTRY_PAUSE, code, facts.last_ms + rules.reentry_pause_ms)
    return None if is_paused is Answer.NO else _by_policy(code, facts.now, rules)


def _unless_in(code: TourCode, facts: Facts, rules: Rules) -> Granted | Denied:
    presence = facts.presence
    if rules.antipassback is AntiPassback.OFF or presence is None or presence.door == facts.door:
        return Granted(code)
    is_in = _is_within(facts.now, presence.since_ms, rules.antipassback_ms)
    if is_in is Answer.NO:
        return Granted(code)
    if rules.antipassback is AntiPassback.SOFT:
        return Granted(code, is_passback=True)
    if is_in is Answer.YES:
        return Denied(Reason.PASSBACK, code)
    return _by_policy(code, facts.now, rules) or Granted(code, is_passback=True)


def _good_for(code: TourCode, rules: Rules) -> tuple[int, int]:
    """The first and the last instant of the window with its graces."""
    return code.window.start_ms - rules.grace_before_ms, code.window.end_ms + rules.grace_after_ms


def _is_within(now: Interval, since_ms: int, lasts_ms: int) -> Answer:
    """Whether less than `lasts_ms` passed since then. What lies so far ahead was written by a clock that was wrong, and is over, too."""
    first_ms, last_ms = since_ms - lasts_ms + 1, since_ms + lasts_ms - 1
    if max(first_ms, now.earliest_ms) > min(last_ms, now.latest_ms):
        return Answer.NO
    return Answer.YES if first_ms <= now.earliest_ms and now.latest_ms <= last_ms else Answer.PERHAPS


def _by_policy(code: TourCode, now: Interval, rules: Rules) -> Denied | None:
    """The answer where some instants of now speak for the code and others against it."""
    is_tolerable = now.latest_ms - now.earliest_ms <= rules.tolerated_ms
    if is_tolerable or rules.uncertain_clock is UncertainClock.ADMIT:
        return None
    return Denied(Reason.CLOCK_UNCERTAIN, code)
