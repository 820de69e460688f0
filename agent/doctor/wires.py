"""What is wired to a door, by the names of its settings, and how to wire its lock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from agent.settings.door import DoorSettings, LockSettings
from agent.settings.parts import Part

_WIRES = frozenset(
    {
        *("driver", "pin", "chip", "active", "normally", "pull", "path", "port", "device", "d0", "d1", "address", "socket"),
        *("baud", "prefix", "suffix", "module", "layout", "key_file", "camera"),
    }
)
"""Keys that say where something is wired and how, and how it is read; a changed time needs no new look at the wires."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Something that has to be seen to move: its place below the door (`relay`, `contact`, `reader front`), and its settings.

    `feeds` is the lock that a relay feeds: another lock needs its other contact.
    """

    place: str
    part: Part
    feeds: LockSettings | None = None

    @property
    def mark(self) -> str:
        """Changes when the settings say that it is wired elsewhere or otherwise."""
        written: dict[str, Any] = self.part.model_dump(mode="json", include=set(_WIRES))
        if self.feeds is not None:
            written["feeds"] = how_to_feed(self.feeds)
        return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def words(self) -> str:
        """Where it is wired, for whoever stands before it."""
        pin, path = getattr(self.part, "pin", None), getattr(self.part, "path", None)
        if pin is not None:
            return f"GPIO{pin}"
        found = path or getattr(self.part, "port", None) or getattr(self.part, "device", None) or getattr(self.part, "socket", None)
        return str(found) if found else f"GPIO{getattr(self.part, 'd0', '?')} and GPIO{getattr(self.part, 'd1', '?')}"


def driven(door: DoorSettings) -> list[Wire]:
    """Relays, lamps and the buzzer: the lock's relay first."""
    return [Wire(place, line, door.lock if place == "relay" else None) for place, line in door.outputs()]


def watched(door: DoorSettings) -> list[Wire]:
    """The contact, the request-to-exit, fire and tamper."""
    return [Wire(place, line) for place, line in door.inputs()]


def readers(door: DoorSettings) -> list[Wire]:
    """Each reader."""
    return [Wire(f"reader {reader.name}", reader) for reader in door.reader]


def every(door: DoorSettings) -> list[Wire]:
    """All of them, in the order of the walk."""
    return [*driven(door), *watched(door), *readers(door)]


def how_to_feed(lock: LockSettings) -> str:
    """Through which of the relay's contacts the lock is fed, so that energised means released and a dead board leaves it locked."""
    if lock.fails == "secure":
        return "strike, fail-secure: fed through the relay's normally-open contact (NO); power is what unlocks it."
    what = "maglock" if lock.kind == "maglock" else "strike, fail-safe"
    return f"{what}: fed through the relay's normally-closed contact (NC); taking power away is what unlocks it."
