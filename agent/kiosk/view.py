"""What the screen shows, as a pure function of what the agent told: no I/O, no clock.

Rule 1: `heard` takes an event into the facts, `screen` says what they show at a tick, `due` when that changes by itself.
Rule 2: a status is the truth: it overrides whatever events said before it.
Rule 3: the answer to a scan goes before everything but fire; what lasts comes back when the answer's time is over.

Ticks are monotonic milliseconds; `time_ms` is an instant of the agent's clock.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core.pin import screen_reader
from agent.kiosk import lockouts
from agent.kiosk.lockouts import MAX_ITEMS, MAX_TEXT

CHECKING_TICKS = 4_000
"""A scan that gets no answer for so long was none: a repeat, or one that the agent passed over."""
FAULT_TICKS = 60_000
"""For so long after a fault the door counts as out of order, as it does for the agent's own lamps."""
CLOCK_LOST = "clock_lost"
"""Why a door is out of order that knows no time: it can check no code."""
PINS_WAIT = "pins_wait"
"""Of a lockout during which no PIN is looked at, at a door that takes PINs."""

_FIRE = frozenset({"fire", "fire_admitting"})
_OFFICE = frozenset({"office", "office_admitting"})
_AJAR = frozenset({"open", "held", "alarm", "forced"})
_NOBODYS = frozenset({"busy", "unreadable", "locked_out", "store_failed", "relay_failed"})
"""Refusals that are of no code (junk), or that may be otherwise a moment later: no reason to take a welcome down."""

Event = Mapping[str, Any]


class Kind(enum.StrEnum):
    """The pictures there are."""

    STARTING = "starting"
    """No agent answers yet, or not any more."""
    READY = "ready"
    CHECKING = "checking"
    WELCOME = "welcome"
    REFUSED = "refused"
    DOOR_OPEN = "door_open"
    """It stands open, or it is unlocked for the moment."""
    PLEASE_CLOSE = "please_close"
    LOCKED_OUT = "locked_out"
    OUT_OF_ORDER = "out_of_order"
    FIRE = "fire"
    HELD_UNLOCKED = "held_unlocked"
    """By staff, for a while."""


class Way(enum.StrEnum):
    """Whether whoever is welcome gets in."""

    UNLOCKED = "unlocked"
    OPEN = "open"
    """It is locked again, and still stands open."""
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Screen:
    """What is to be seen.

    `reason` is that of a refusal (`agent.core.reasons.Reason` by value), `CLOCK_LOST` of what is out of order, or `PINS_WAIT` of a lockout;
    `time_ms` the instant that helps then; `doors` those that the code does open; `units` those that the tour shows. `until` is the tick at
    which it is over by itself, None while it lasts; `counts_to` the tick that a countdown runs to (a lockout's end). `way` is of a
    welcome, which outlives the release.
    """

    kind: Kind
    reason: str | None = None
    units: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()
    time_ms: int | None = None
    until: int | None = None
    counts_to: int | None = None
    way: Way = Way.UNLOCKED


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one door, as of the last thing that was heard. `welcome_ticks` and `refused_ticks`: how long answers stand."""

    door: str
    welcome_ticks: int = 10_000
    refused_ticks: int = 15_000
    has_agent: bool = False
    lock: str = "locked"
    leaf: str | None = None
    readers: Mapping[str, str] = field(default_factory=dict)
    is_offline: bool = False
    takes_pins: bool = False
    """Whether the door knows PINs, by the agent's settings."""
    serves_staff: bool = False
    """Whether the agent has a PIN of staff's."""
    has_failed_until: int = 0
    has_fault: bool = False
    """The last admission could not be written, or the relay failed, and nothing has worked since."""
    is_faulty: bool = False
    """The agent does not know how it is itself, or knows no such door."""
    is_clock_lost: bool = False
    answer: Screen | None = None
    checking_until: int = 0
    locked_out: Mapping[str, int] = field(default_factory=dict)
    """The readers that do not look at wrong codes and PINs, and the ticks until which; the screen's own pad is one."""


def heard(facts: Facts, event: Event, tick: int) -> Facts:
    """The facts after an event of the agent, of `Link`'s `agent_there` and `agent_away`, or a `status`; others change nothing."""
    if event.get("door", facts.door) != facts.door:
        return facts
    step = _STEPS.get(str(event.get("event")))
    return facts if step is None else step(facts, event, tick)


def screen(facts: Facts, tick: int) -> Screen:
    """What is to be seen at a tick."""
    if not facts.has_agent:
        return Screen(Kind.STARTING)
    return next(found for look in _ORDER if (found := look(facts, tick)) is not None)


def due(facts: Facts, tick: int) -> int | None:
    """The next tick after this one at which something changes by itself; None when nothing does."""
    ends = [facts.checking_until, facts.has_failed_until, *facts.locked_out.values()]
    if facts.answer is not None and facts.answer.until is not None:
        ends.append(facts.answer.until)
    return min((end for end in ends if end > tick), default=None)


def pin_locked_until(facts: Facts, tick: int) -> int | None:
    """The tick until which PINs are not looked at on this screen."""
    until = facts.locked_out.get(screen_reader(facts.door), 0)
    return until if until > tick else None


# --- what is heard ---


def _there(facts: Facts, _event: Event, _tick: int) -> Facts:
    return replace(facts, has_agent=True)


def _away(facts: Facts, _event: Event, _tick: int) -> Facts:
    """Nothing that was known counts any more: an agent that comes back has locked its doors and forgotten its guesses."""
    return Facts(facts.door, facts.welcome_ticks, facts.refused_ticks)


def _status(facts: Facts, event: Event, tick: int) -> Facts:
    doors = event.get("doors")
    found = doors.get(facts.door) if isinstance(doors, dict) else None
    if not isinstance(found, dict):
        return replace(_away(facts, event, tick), has_agent=True, is_faulty=True)
    readers, knock, feed, clock = found.get("readers"), event.get("knock"), found.get("feed"), event.get("clock")
    is_knock_lost = isinstance(knock, dict) and knock.get("is_up") is False
    is_desk_lost = not isinstance(feed, dict) or feed.get("state") != "fresh"
    is_clock_lost = isinstance(clock, dict) and clock.get("state") == "lost"
    leaf, can = found.get("leaf"), found.get("screen")
    return replace(
        facts,
        has_agent=True,
        is_faulty=False,
        lock="fire" if found.get("fire") is True else str(found.get("lock"))[:MAX_TEXT],
        leaf=None if leaf is None else str(leaf)[:MAX_TEXT],
        has_fault=found.get("fault") is not None,
        readers={str(name): str(state) for name, state in list(readers.items())[:MAX_ITEMS]} if isinstance(readers, dict) else {},
        is_offline=is_knock_lost and is_desk_lost,
        is_clock_lost=is_clock_lost,
        locked_out=lockouts.by_reader(facts.locked_out, found.get("locked_out"), tick),
        takes_pins=isinstance(can, dict) and can.get("takes_pins") is True and not is_clock_lost,
        serves_staff=isinstance(can, dict) and can.get("serves_staff") is True,
    )


def _status_refused(facts: Facts, _event: Event, _tick: int) -> Facts:
    """The agent is there, but cannot say how it is, until it can."""
    return replace(facts, has_agent=True, is_faulty=True)


def _scan(facts: Facts, _event: Event, tick: int) -> Facts:
    return replace(facts, checking_until=tick + CHECKING_TICKS)


def _admitted(facts: Facts, event: Event, tick: int) -> Facts:
    answer = Screen(Kind.WELCOME, units=_texts(event.get("units")), until=tick + facts.welcome_ticks)
    lock = facts.lock if facts.lock in _FIRE | _OFFICE else "released"
    return replace(facts, answer=answer, checking_until=0, has_failed_until=0, has_fault=False, lock=lock)


def _left(facts: Facts, _event: Event, _tick: int) -> Facts:
    """Somebody goes out, who needs no welcome; the wait for an answer is over."""
    return replace(facts, checking_until=0)


def _refused(facts: Facts, event: Event, tick: int) -> Facts:
    """Whoever was let in keeps the welcome while the door is unlocked for them, whatever else is held before the reader meanwhile."""
    reason = str(event.get("reason"))[:MAX_TEXT]
    if reason in _NOBODYS and _is_welcome(facts, tick) and _way(facts) is Way.UNLOCKED:
        return replace(facts, checking_until=0)
    time_ms = event.get("time_ms")
    answer = Screen(
        Kind.REFUSED,
        reason=reason,
        doors=_texts(event.get("doors")),
        time_ms=time_ms if isinstance(time_ms, int) and not isinstance(time_ms, bool) else None,
        until=tick + facts.refused_ticks,
    )
    return replace(facts, answer=answer, checking_until=0)


def _is_welcome(facts: Facts, tick: int) -> bool:
    answer = facts.answer
    return answer is not None and answer.kind is Kind.WELCOME and answer.until is not None and answer.until > tick


def _locked_out(facts: Facts, event: Event, tick: int) -> Facts:
    """A lockout begins, at one reader alone."""
    lock_s, reader = event.get("lock_s"), str(event.get("reader"))[:MAX_TEXT]
    if not lockouts.is_lock(lock_s):
        return facts
    others = {name: until for name, until in facts.locked_out.items() if until > tick and name != reader}
    if len(others) >= MAX_ITEMS:
        return facts
    until = tick + round(lock_s * 1000)
    return replace(facts, locked_out={**others, reader: until})


def _failed(facts: Facts, _event: Event, tick: int) -> Facts:
    return replace(facts, has_failed_until=tick + FAULT_TICKS)


def _lock(state: str) -> Callable[[Facts, Event, int], Facts]:
    def step(facts: Facts, _event: Event, _tick: int) -> Facts:
        """Against fire nothing locks."""
        return facts if facts.lock in _FIRE else replace(facts, lock=state)

    return step


def _locked_by_staff(facts: Facts, _event: Event, _tick: int) -> Facts:
    """Whoever was welcome is not any more."""
    if facts.lock in _FIRE:
        return facts
    is_welcome = facts.answer is not None and facts.answer.kind is Kind.WELCOME
    return replace(facts, lock="locked", answer=None if is_welcome else facts.answer)


def _fire_over(facts: Facts, _event: Event, _tick: int) -> Facts:
    return replace(facts, lock="locked") if facts.lock in _FIRE else facts


def _after_pulse(facts: Facts, _event: Event, _tick: int) -> Facts:
    """The end of a pulse: fire and staff hold a door for longer than that."""
    return replace(facts, lock="locked") if facts.lock == "released" else facts


def _leaf(state: str) -> Callable[[Facts, Event, int], Facts]:
    def step(facts: Facts, _event: Event, _tick: int) -> Facts:
        return replace(facts, leaf=state)

    return step


_STEPS: dict[str, Callable[[Facts, Event, int], Facts]] = {
    "agent_there": _there,
    "agent_away": _away,
    "status": _status,
    "status_refused": _status_refused,
    "scan": _scan,
    "admitted": _admitted,
    "exit": _left,
    "refused": _refused,
    "locked_out": _locked_out,
    "store_failed": _failed,
    "relay_failed": _failed,
    "unlocked": _lock("released"),
    "locked": _after_pulse,
    "locked_by_staff": _locked_by_staff,
    "hold_open": _lock("office"),
    "hold_open_over": _lock("locked"),
    "fire": _lock("fire"),
    "fire_over": _fire_over,
    "opened": _leaf("open"),
    "forced": _leaf("forced"),
    "held": _leaf("held"),
    "held_alarm": _leaf("alarm"),
    "shut": _leaf("shut"),
    "secured": _leaf("shut"),
}
"""What each event does; every other one is none of the screen's."""


# --- what is seen ---


def _fire(facts: Facts, _tick: int) -> Screen | None:
    return Screen(Kind.FIRE) if facts.lock in _FIRE else None


def _stopped(facts: Facts, _tick: int) -> Screen | None:
    return Screen(Kind.STARTING) if facts.lock == "stopped" else None


def _checking(facts: Facts, tick: int) -> Screen | None:
    return Screen(Kind.CHECKING, until=facts.checking_until) if facts.checking_until > tick else None


def _answer(facts: Facts, tick: int) -> Screen | None:
    answer = facts.answer
    if answer is None or answer.until is None or answer.until <= tick:
        return None
    return replace(answer, way=_way(facts)) if answer.kind is Kind.WELCOME else answer


def _way(facts: Facts) -> Way:
    """The lock's word goes before the leaf's: who is let in pulls a door that is shut."""
    if facts.lock in _FIRE | _OFFICE | {"released", "admitting"}:
        return Way.UNLOCKED
    return Way.OPEN if facts.leaf in _AJAR else Way.LOCKED


def _open(facts: Facts, _tick: int) -> Screen | None:
    if facts.lock in _OFFICE:
        return Screen(Kind.HELD_UNLOCKED)
    if facts.leaf in _AJAR - {"open"}:
        return Screen(Kind.PLEASE_CLOSE)
    return Screen(Kind.DOOR_OPEN) if facts.leaf == "open" or facts.lock == "released" else None


def _out_of_order(facts: Facts, tick: int) -> Screen | None:
    readers = {state for name, state in facts.readers.items() if name != screen_reader(facts.door)}
    has_no_reader = bool(readers) and readers <= {"lost", "tampered"}
    if has_no_reader or facts.is_faulty or facts.has_fault or facts.has_failed_until > tick:
        return Screen(Kind.OUT_OF_ORDER)
    return Screen(Kind.OUT_OF_ORDER, reason=CLOCK_LOST) if facts.is_clock_lost else None


def _lockout(facts: Facts, tick: int) -> Screen | None:
    """Of what was guessed on the pad the pad itself says so, and codes are shown as ever."""
    ends = (until for reader, until in facts.locked_out.items() if until > tick and reader != screen_reader(facts.door))
    until = max(ends, default=None)
    if until is None:
        return None
    is_of_pins = facts.takes_pins and pin_locked_until(facts, tick) is not None
    return Screen(Kind.LOCKED_OUT, PINS_WAIT if is_of_pins else None, until=until, counts_to=until)


def _ready(_facts: Facts, _tick: int) -> Screen:
    return Screen(Kind.READY)


_ORDER: tuple[Callable[[Facts, int], Screen | None], ...] = (_stopped, _fire, _checking, _answer, _open, _out_of_order, _lockout, _ready)
"""Who is asked first; the last always answers."""


def _texts(value: object) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(str(text)[:MAX_TEXT] for text in value[:MAX_ITEMS]) if isinstance(value, list) else ()
