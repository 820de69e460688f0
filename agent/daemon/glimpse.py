"""What the user of a screen's page sees of events and of the status: as much as its picture shows to whoever stands at the door.

Rule 1: only doors with a screen are told of, and of an event only what the picture is made of: no id of an appointment or a code, no
        sentence for operators, no user's name and reason.
Rule 2: what is not listed here is not told: an event or a fact that is new stays inside until somebody needs it on a screen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

FACTS: dict[str, tuple[str, ...]] = {
    "scan": ("reader",),
    "admitted": ("reader", "units"),
    "exit": ("reader",),
    "refused": ("reader", "reason", "time_ms", "doors"),
    "locked_out": ("reader", "lock_s"),
    "store_failed": (),
    "relay_failed": (),
    "unlocked": (),
    "locked": (),
    "locked_by_staff": (),
    "hold_open": (),
    "hold_open_over": (),
    "fire": (),
    "fire_over": (),
    "opened": (),
    "forced": (),
    "held": (),
    "held_alarm": (),
    "shut": (),
    "secured": (),
}
"""What is told of each event beside itself, its instant and its door; `doors` of a refusal are those that the visitor's own code opens."""
_OF_DOOR = ("lock", "leaf", "fire", "fault", "readers", "locked_out", "screen")


def of_event(event: Mapping[str, object], doors: Collection[str]) -> dict[str, object] | None:
    """What a screen's page is told of an event; None when it is none of its doors' or of no use to it."""
    facts = FACTS.get(str(event.get("event")))
    # without a door it is of all of them
    if facts is None or event.get("door", next(iter(doors), None)) not in doors:
        return None
    return {name: event[name] for name in ("event", "at_ms", "door", *facts) if name in event}


def of_status(status: Mapping[str, Any], doors: Collection[str]) -> dict[str, Any]:
    """What it is told of a status: how its doors are, whether anybody is reached, and what the clock says and whether it is good."""
    return {
        "ok": True,
        **(_parts(status, "at_ms") or {}),
        "doors": {
            name: {**(_parts(door, *_OF_DOOR) or {}), "feed": _parts(door.get("feed"), "state")}
            for name, door in status.get("doors", {}).items()
            if name in doors
        },
        "knock": _parts(status.get("knock"), "is_up"),
        "clock": _parts(status.get("clock"), "state"),
    }


def _parts(found: Mapping[str, Any] | None, *names: str) -> dict[str, Any] | None:
    return None if found is None else {name: found[name] for name in names if name in found}
