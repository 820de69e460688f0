"""The door as tables: what its lock may do next, and what its leaf tells.

Rule 1: everything that a door may do next stands in `LOCK` and `LEAF`; whoever drives a door asks `step` and does the effects it names.
Rule 2: an event that neither region knows in its state raises and changes nothing.
Rule 3: fire is left by `FIRE_OFF` and by `STOP` only, and until then no effect locks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

LATE_NS = 500_000_000
"""Who opens a door so soon after it was locked again had it in her hand while it was released."""


class Lock(enum.StrEnum):
    """Whether the door may be opened."""

    LOCKED = "locked"
    ADMITTING = "admitting"
    """Granted; the admission is being written, the relay has not moved (promise P2)."""
    RELEASED = "released"
    """The relay is in its pulse."""
    OFFICE = "office"
    """Staff hold it unlocked until a time."""
    OFFICE_ADMITTING = "office_admitting"
    """Held unlocked, and an admission is being written."""
    FIRE = "fire"
    """Released for as long as the fire input is active."""
    FIRE_ADMITTING = "fire_admitting"
    """Fire, and an admission is being written."""
    STOPPED = "stopped"
    """The agent is leaving; nothing opens any more."""


class Leaf(enum.StrEnum):
    """Where the door's leaf is, by its contact; without one it stays unknown."""

    UNKNOWN = "unknown"
    SHUT = "shut"
    OPEN = "open"
    HELD = "held"
    """Open for too long: feedback warns."""
    ALARM = "alarm"
    """Still open."""
    FORCED = "forced"
    """Opened without a release and without the request-to-exit."""


class Event(enum.StrEnum):
    """What happens to a door."""

    GRANT = "grant"
    """A code was admitted, or staff gave an order to unlock."""
    WRITTEN = "written"
    WRITE_FAILED = "write_failed"
    OFFICE_ON = "office_on"
    """An order to hold it unlocked is written."""
    OFFICE_OFF = "office_off"
    """Its time is over."""
    PULSE_ENDED = "pulse_ended"
    RELAY_FAILED = "relay_failed"
    EXIT = "exit"
    """The request-to-exit, where it may unlock."""
    LOCK = "lock"
    """Staff order: lock now."""
    FIRE_ON = "fire_on"
    FIRE_OFF = "fire_off"
    STOP = "stop"
    OPENED = "opened"
    """The leaf was opened, as was to be expected."""
    FORCED = "forced"
    """The leaf was opened, and nobody may have opened it."""
    SHUT = "shut"
    HELD_DUE = "held_due"
    """It has stood open for long enough to warn."""
    ALARM_DUE = "alarm_due"
    """It has stood open for long enough to alarm."""
    CONTACT_LOST = "contact_lost"
    """Nobody knows where the leaf is."""
    WAS_FORCED = "was_forced"
    """It stands open as the agent starts, and the one before saw it being forced."""


class Effect(enum.StrEnum):
    """What has to be done on the way into the next state."""

    NONE = "none"
    WRITE = "write"
    RELEASE = "release"
    PASS = "pass"  # noqa: S105 - to let pass
    """The door is released already: nothing moves."""
    HOLD = "hold"
    """Release, and renew that until the time is over."""
    RELOCK = "relock"
    FOLLOW_OPENED = "follow_opened"
    """Where the lock waits for the opening: lock, or begin the time that is left."""
    FOLLOW_SHUT = "follow_shut"
    """Where the lock waits for the door to be shut again: lock."""
    FREE = "free"
    """Release for as long as there is fire, and end whatever else was under way."""
    FIRE_RELOCK = "fire_relock"
    REPORT_FAULT = "report_fault"
    TELL_OPENED = "tell_opened"
    TELL_FORCED = "tell_forced"
    TELL_STILL_FORCED = "tell_still_forced"
    TELL_SHUT = "tell_shut"
    TELL_HELD = "tell_held"
    TELL_ALARM = "tell_alarm"
    TELL_SECURED = "tell_secured"
    """Shut after it was held or forced; told once it is locked, too."""


LOCKS = frozenset({Effect.RELOCK, Effect.FOLLOW_OPENED, Effect.FOLLOW_SHUT, Effect.FIRE_RELOCK})
"""The effects that may lock."""
RELEASES = frozenset({Effect.RELEASE, Effect.HOLD, Effect.FREE})
"""The effects that release."""
FIRE = frozenset({Lock.FIRE, Lock.FIRE_ADMITTING})
OFFICE = frozenset({Lock.OFFICE, Lock.OFFICE_ADMITTING})
UNLOCKED = frozenset({Lock.RELEASED}) | FIRE | OFFICE


class ImpossibleStepError(Exception):
    """A door was told something that cannot happen in its state; it stays as it is."""


LOCK: dict[Lock, dict[Event, tuple[Lock, Effect]]] = {
    Lock.LOCKED: {
        Event.GRANT: (Lock.ADMITTING, Effect.WRITE),
        Event.EXIT: (Lock.RELEASED, Effect.RELEASE),
        Event.LOCK: (Lock.LOCKED, Effect.RELOCK),
        Event.FIRE_ON: (Lock.FIRE, Effect.FREE),
        Event.STOP: (Lock.STOPPED, Effect.RELOCK),
    },
    Lock.ADMITTING: {
        Event.WRITTEN: (Lock.RELEASED, Effect.RELEASE),
        Event.OFFICE_ON: (Lock.OFFICE, Effect.HOLD),
        Event.WRITE_FAILED: (Lock.LOCKED, Effect.REPORT_FAULT),
        Event.EXIT: (Lock.ADMITTING, Effect.NONE),
        Event.LOCK: (Lock.ADMITTING, Effect.RELOCK),
        Event.FIRE_ON: (Lock.FIRE_ADMITTING, Effect.FREE),
        Event.STOP: (Lock.STOPPED, Effect.RELOCK),
    },
    Lock.RELEASED: {
        Event.PULSE_ENDED: (Lock.LOCKED, Effect.NONE),
        Event.RELAY_FAILED: (Lock.LOCKED, Effect.REPORT_FAULT),
        Event.OPENED: (Lock.RELEASED, Effect.FOLLOW_OPENED),
        Event.SHUT: (Lock.RELEASED, Effect.FOLLOW_SHUT),
        Event.EXIT: (Lock.RELEASED, Effect.NONE),
        Event.LOCK: (Lock.RELEASED, Effect.RELOCK),
        Event.FIRE_ON: (Lock.FIRE, Effect.FREE),
        Event.STOP: (Lock.STOPPED, Effect.RELOCK),
    },
    Lock.OFFICE: {
        Event.GRANT: (Lock.OFFICE_ADMITTING, Effect.WRITE),
        Event.OFFICE_OFF: (Lock.LOCKED, Effect.RELOCK),
        Event.PULSE_ENDED: (Lock.LOCKED, Effect.NONE),
        Event.RELAY_FAILED: (Lock.LOCKED, Effect.REPORT_FAULT),
        Event.EXIT: (Lock.OFFICE, Effect.NONE),
        Event.LOCK: (Lock.LOCKED, Effect.RELOCK),
        Event.FIRE_ON: (Lock.FIRE, Effect.FREE),
        Event.STOP: (Lock.STOPPED, Effect.RELOCK),
    },
    Lock.OFFICE_ADMITTING: {
        Event.WRITTEN: (Lock.OFFICE, Effect.PASS),
        Event.OFFICE_ON: (Lock.OFFICE, Effect.HOLD),
        Event.WRITE_FAILED: (Lock.OFFICE, Effect.REPORT_FAULT),
        Event.OFFICE_OFF: (Lock.ADMITTING, Effect.RELOCK),
        Event.PULSE_ENDED: (Lock.ADMITTING, Effect.NONE),
        Event.EXIT: (Lock.OFFICE_ADMITTING, Effect.NONE),
        Event.LOCK: (Lock.ADMITTING, Effect.RELOCK),
        Event.FIRE_ON: (Lock.FIRE_ADMITTING, Effect.FREE),
        Event.STOP: (Lock.STOPPED, Effect.RELOCK),
    },
    Lock.FIRE: {
        Event.GRANT: (Lock.FIRE_ADMITTING, Effect.WRITE),
        Event.FIRE_OFF: (Lock.LOCKED, Effect.FIRE_RELOCK),
        Event.EXIT: (Lock.FIRE, Effect.NONE),
        Event.LOCK: (Lock.FIRE, Effect.NONE),
        Event.STOP: (Lock.STOPPED, Effect.NONE),
    },
    Lock.FIRE_ADMITTING: {
        Event.WRITTEN: (Lock.FIRE, Effect.PASS),
        Event.OFFICE_ON: (Lock.FIRE, Effect.NONE),
        Event.WRITE_FAILED: (Lock.FIRE, Effect.REPORT_FAULT),
        Event.FIRE_OFF: (Lock.ADMITTING, Effect.FIRE_RELOCK),
        Event.EXIT: (Lock.FIRE_ADMITTING, Effect.NONE),
        Event.LOCK: (Lock.FIRE_ADMITTING, Effect.NONE),
        Event.STOP: (Lock.STOPPED, Effect.NONE),
    },
    Lock.STOPPED: {
        Event.WRITTEN: (Lock.STOPPED, Effect.NONE),
        Event.OFFICE_ON: (Lock.STOPPED, Effect.NONE),
        Event.WRITE_FAILED: (Lock.STOPPED, Effect.NONE),
        Event.OFFICE_OFF: (Lock.STOPPED, Effect.NONE),
        Event.PULSE_ENDED: (Lock.STOPPED, Effect.NONE),
        Event.RELAY_FAILED: (Lock.STOPPED, Effect.NONE),
        Event.EXIT: (Lock.STOPPED, Effect.NONE),
        Event.LOCK: (Lock.STOPPED, Effect.NONE),
        Event.FIRE_ON: (Lock.STOPPED, Effect.NONE),
        Event.FIRE_OFF: (Lock.STOPPED, Effect.NONE),
        Event.STOP: (Lock.STOPPED, Effect.NONE),
    },
}

LEAF: dict[Leaf, dict[Event, tuple[Leaf, Effect]]] = {
    Leaf.UNKNOWN: {
        Event.OPENED: (Leaf.OPEN, Effect.NONE),
        Event.FORCED: (Leaf.OPEN, Effect.NONE),
        Event.SHUT: (Leaf.SHUT, Effect.NONE),
        Event.CONTACT_LOST: (Leaf.UNKNOWN, Effect.NONE),
    },
    Leaf.SHUT: {
        Event.OPENED: (Leaf.OPEN, Effect.TELL_OPENED),
        Event.FORCED: (Leaf.FORCED, Effect.TELL_FORCED),
        Event.CONTACT_LOST: (Leaf.UNKNOWN, Effect.NONE),
    },
    Leaf.OPEN: {
        Event.SHUT: (Leaf.SHUT, Effect.TELL_SHUT),
        Event.HELD_DUE: (Leaf.HELD, Effect.TELL_HELD),
        Event.WAS_FORCED: (Leaf.FORCED, Effect.TELL_STILL_FORCED),
        Event.CONTACT_LOST: (Leaf.UNKNOWN, Effect.NONE),
    },
    Leaf.HELD: {
        Event.SHUT: (Leaf.SHUT, Effect.TELL_SECURED),
        Event.ALARM_DUE: (Leaf.ALARM, Effect.TELL_ALARM),
        Event.CONTACT_LOST: (Leaf.UNKNOWN, Effect.NONE),
    },
    Leaf.ALARM: {
        Event.SHUT: (Leaf.SHUT, Effect.TELL_SECURED),
        Event.CONTACT_LOST: (Leaf.UNKNOWN, Effect.NONE),
    },
    Leaf.FORCED: {
        Event.SHUT: (Leaf.SHUT, Effect.TELL_SECURED),
        # until somebody sees it shut
        Event.CONTACT_LOST: (Leaf.FORCED, Effect.NONE),
    },
}


@dataclass(frozen=True, slots=True)
class DoorState:
    """Where a door is, in both regions."""

    lock: Lock = Lock.LOCKED
    leaf: Leaf = Leaf.UNKNOWN


def step(state: DoorState, event: Event) -> tuple[DoorState, tuple[Effect, ...]]:
    """The next state and what to do, the lock's effect first; raises `ImpossibleStepError` when neither region knows the event."""
    if not can(state, event):
        raise ImpossibleStepError(f"a door that is {state.lock} and {state.leaf} cannot meet {event}")
    lock, at_lock = LOCK[state.lock].get(event, (state.lock, Effect.NONE))
    leaf, at_leaf = LEAF[state.leaf].get(event, (state.leaf, Effect.NONE))
    return DoorState(lock, leaf), tuple(effect for effect in (at_lock, at_leaf) if effect is not Effect.NONE)


def can(state: DoorState, event: Event) -> bool:
    """Whether a region knows the event in its state."""
    return event in LOCK[state.lock] or event in LEAF[state.leaf]


@dataclass(frozen=True, slots=True)
class Span:
    """A time by its ticks in nanoseconds; without an end it goes on."""

    begins_ns: int
    ends_ns: int | None = None

    def holds(self, at_ns: int, margin_ns: int, until_ns: int | None = None) -> bool:
        """Whether a tick lies in it, or at most `margin_ns` after it; or with `until_ns`, any from the tick to that."""
        last_ns = at_ns if until_ns is None else max(at_ns, until_ns)
        return self.begins_ns <= last_ns and (self.ends_ns is None or at_ns <= self.ends_ns + margin_ns)

    def ended(self, at_ns: int) -> Span:
        """The same with its end; one that has an end keeps it."""
        return self if self.ends_ns is not None else replace(self, ends_ns=at_ns)


def is_expected(at_ns: int, released: Span | None, exit_asked: Span | None, suppress_ns: int, settled_ns: int | None = None) -> bool:
    """Whether an opening at a tick is no forced one.

    Args:
        at_ns: the tick of the contact's first edge.
        released: when the lock was last released, by whatever.
        exit_asked: when the request-to-exit was last active.
        suppress_ns: how long after it an opening is still somebody who leaves.
        settled_ns: the tick at which the opening counts. Who rattles at the door moves the contact before the release lets her in.
    """
    was_released = released is not None and released.holds(at_ns, LATE_NS, settled_ns)
    return was_released or (exit_asked is not None and exit_asked.holds(at_ns, suppress_ns, settled_ns))
