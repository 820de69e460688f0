"""The door's states, as a table.

Rule 1: everything that a door may do next stands in `TABLE`; whoever drives a door asks `step` and does the effect it names.
Rule 2: a pair that is not in the table raises and changes nothing.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Where a door is."""

    LOCKED = "locked"
    ADMITTING = "admitting"
    """Granted; the admission is being written, the relay has not moved (promise P2)."""
    RELEASED = "released"
    """The relay is in its pulse."""
    STOPPED = "stopped"
    """The agent is leaving; nothing opens any more."""


class Event(enum.StrEnum):
    """What happens to a door."""

    GRANT = "grant"
    """A code was admitted, or staff asked for an unlock."""
    WRITTEN = "written"
    WRITE_FAILED = "write_failed"
    PULSE_ENDED = "pulse_ended"
    RELAY_FAILED = "relay_failed"
    LOCK = "lock"
    """Staff order: lock now."""
    STOP = "stop"


class Effect(enum.StrEnum):
    """What has to be done on the way into the next state."""

    NONE = "none"
    WRITE = "write"
    RELEASE = "release"
    RELOCK = "relock"
    REPORT_FAULT = "report_fault"


class ImpossibleStepError(Exception):
    """A door was told something that cannot happen in its state; it stays as it is."""


TABLE: dict[State, dict[Event, tuple[State, Effect]]] = {
    State.LOCKED: {
        Event.GRANT: (State.ADMITTING, Effect.WRITE),
        Event.LOCK: (State.LOCKED, Effect.RELOCK),
        Event.STOP: (State.STOPPED, Effect.RELOCK),
    },
    State.ADMITTING: {
        Event.WRITTEN: (State.RELEASED, Effect.RELEASE),
        Event.WRITE_FAILED: (State.LOCKED, Effect.REPORT_FAULT),
        Event.LOCK: (State.ADMITTING, Effect.RELOCK),
        Event.STOP: (State.STOPPED, Effect.RELOCK),
    },
    State.RELEASED: {
        Event.PULSE_ENDED: (State.LOCKED, Effect.NONE),
        Event.RELAY_FAILED: (State.LOCKED, Effect.REPORT_FAULT),
        Event.LOCK: (State.RELEASED, Effect.RELOCK),
        Event.STOP: (State.STOPPED, Effect.RELOCK),
    },
    State.STOPPED: {
        Event.WRITTEN: (State.STOPPED, Effect.NONE),
        Event.WRITE_FAILED: (State.STOPPED, Effect.NONE),
        Event.PULSE_ENDED: (State.STOPPED, Effect.NONE),
        Event.RELAY_FAILED: (State.STOPPED, Effect.NONE),
        Event.LOCK: (State.STOPPED, Effect.RELOCK),
        Event.STOP: (State.STOPPED, Effect.RELOCK),
    },
}


def step(state: State, event: Event) -> tuple[State, Effect]:
    """The next state and what to do; raises `ImpossibleStepError` for a pair that the table does not hold."""
    try:
        return TABLE[state][event]
    except KeyError:
        raise ImpossibleStepError(f"a door that is {state} cannot meet {event}") from None


def can(state: State, event: Event) -> bool:
    """Whether the table holds the pair."""
    return event in TABLE[state]
