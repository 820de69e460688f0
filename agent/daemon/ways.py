"""How a door is locked and watched, as its settings have it, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from agent.core.door import LATE_NS, Span, is_expected
from agent.settings.door import DoorSettings

JUDGE_NS = 300_000_000
"""An opening that is being debounced, or told late by a busy board, still belongs to its admission."""


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


@dataclass(frozen=True, slots=True)
class Entry:
    """An admission whose door has not been seen open yet; `was_shut` says whether its opening could be seen."""

    code_id: str
    appointment_id: str | None
    span: Span
    was_shut: bool

    @property
    def ends_ns(self) -> int:
        """When the release for it ends."""
        return self.span.ends_ns or 0

    def due_ns(self, debounce_ms: int) -> int:
        """When no opening can belong to it any more."""
        return self.ends_ns + LATE_NS + debounce_ms * 1_000_000 + JUDGE_NS

    def cut(self, at_ns: int) -> Entry:
        """The same, locked at a tick: later than that its release did not end."""
        return replace(self, span=Span(self.span.begins_ns, min(self.ends_ns, at_ns)))


class Reasons:
    """Why the leaf may be opened: when the lock was last released, and when the exit was last asked for."""

    def __init__(self) -> None:
        self._released: Span | None = None
        self._exit: Span | None = None

    def unlocked(self, at_ns: int) -> None:
        """Released at a tick; what begins where the last one has just ended goes on with it."""
        last = self._released
        begins_ns = last.begins_ns if last is not None and last.holds(at_ns, LATE_NS) else at_ns
        self._released = Span(begins_ns)

    def locked(self, at_ns: int) -> None:
        """Locked again."""
        self._released = self._released and self._released.ended(at_ns)

    def exit_asked(self, at_ns: int) -> None:
        """The request-to-exit became active."""
        self._exit = Span(at_ns)

    def exit_over(self, at_ns: int) -> None:
        """It was let go."""
        self._exit = self._exit and self._exit.ended(at_ns)

    def explain(self, at_ns: int, suppress_s: float) -> bool:
        """Whether an opening at a tick is no forced one."""
        return is_expected(at_ns, self._released, self._exit, round(suppress_s * 1e9))
