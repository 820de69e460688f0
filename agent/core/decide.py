"""The decision: may this open this door now? ONE total function for the door, the shell and every test.

Rule 1: no input raises and none is decided anywhere else.
Rule 2: the order is the order of the questions a person would ask: is it ours, is it for here, is it alive, is it now.
Rule 3: time is an interval (promise P6): too early or too late only if outside for all of it, admitted outright only if inside
        for all of it; between the two the site's written policy decides, and what has ended for sure is never let in.
Rule 4: during a lockout no answer tells a right PIN from a wrong one; a tour code, which nobody guesses, is decided as ever.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from agent.core.clock import Interval
from agent.core.codes import Unread
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
    """

    community_id: str
    grace_before_ms: int
    grace_after_ms: int
    admissions_per_door: int
    uncertain_clock: UncertainClock
    tolerated_ms: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at the moment of a scan: the door, its admissions of this appointment so far, whether the reader is locked out.

    `is_by_pin` says that the code was not shown: a PIN stands for it, and came to the door with the roster.
    """

    door: str
    now: Interval
    entry: RosterEntry | None = None
    admissions_here: int = 0
    is_locked_out: bool = False
    is_by_pin: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The door may open for this code."""

    code: TourCode


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
    if denied is None and facts.admissions_here >= rules.admissions_per_door:
        denied = Denied(Reason.USED_UP, presented)
    return denied or _mistimed(presented, facts, rules) or Granted(presented)


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
    opens_ms = code.window.start_ms - rules.grace_before_ms
    closes_ms = code.window.end_ms + rules.grace_after_ms
    now = facts.now
    if now.latest_ms < opens_ms:
        return Denied(Reason.TOO_EARLY, code, opens_ms)
    if now.earliest_ms > closes_ms:
        return Denied(Reason.TOO_LATE, code, closes_ms)
    if opens_ms <= now.earliest_ms and now.latest_ms <= closes_ms:
        return None
    is_tolerable = now.latest_ms - now.earliest_ms <= rules.tolerated_ms
    if is_tolerable or rules.uncertain_clock is UncertainClock.ADMIT:
        return None
    return Denied(Reason.CLOCK_UNCERTAIN, code)
