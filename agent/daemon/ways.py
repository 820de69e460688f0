"""How a door is locked and watched, as its settings have it, and how staff hold it unlocked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from agent.settings.door import DoorSettings

RENEW_S = 1.0
"""How often a hold is renewed: it outlives what renews it by the longest pulse."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The numbers of one door. With `is_hold` the release waits for the opening, and `relock` says what then ends it."""

    pulse_s: float
    max_pulse_s: float
    is_hold: bool = False
    relock: Literal["opened", "closed", "time"] = "time"
    has_contact: bool = False
    held_warn_s: float = 30.0
    held_alarm_s: float = 60.0
    debounce_ms: int = 0
    suppress_s: float = 0.0
    exit_unlocks: bool = False

    @property
    def release_s(self) -> float:
        """How long the relay is released if the door is not opened."""
        return self.max_pulse_s if self.is_hold else self.pulse_s

    @property
    def renew_every_ns(self) -> int:
        """How often a hold is renewed."""
        return round(min(RENEW_S, self.max_pulse_s / 3) * 1e9)

    def renewal_s(self, hold: Hold, now_ns: int) -> float:
        """For how long a hold is renewed at a tick: the guard of the relay ends it at its time, and soon after nobody renews it."""
        return max(min(self.max_pulse_s, (hold.until_ns - now_ns) / 1e9), 0.001)


def ways_of(door: DoorSettings) -> Ways:
    """As the settings say."""
    ways = Ways(door.pulse_s, door.max_pulse_s, is_hold=door.lock.mode == "hold", relock=door.lock.relock)
    if door.contact is not None:
        ways = replace(ways, has_contact=True, debounce_ms=door.contact.debounce_ms)
        ways = replace(ways, held_warn_s=door.contact.held_warn_s, held_alarm_s=door.contact.held_alarm_s)
    if door.rex is not None:
        ways = replace(ways, suppress_s=door.rex.suppress_s, exit_unlocks=door.rex.unlocks)
    return ways


@dataclass(frozen=True, slots=True)
class Hold:
    """Held unlocked by staff: until a tick, which is meant to be an instant."""

    until_ns: int
    until_ms: int
