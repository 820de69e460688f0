"""What a door tells of itself, as it goes into the journal, to listeners and to the lamps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.core.door import Effect
from agent.store.upkeep import Passage

TOLD = {
    Effect.TELL_OPENED: "opened",
    Effect.TELL_FORCED: "forced",
    Effect.TELL_STILL_FORCED: "still_forced",
    Effect.TELL_SHUT: "shut",
    Effect.TELL_HELD: "held",
    Effect.TELL_ALARM: "held_alarm",
}
"""The kinds of what the table tells as it stands; what is secured depends on the lock, too."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened at a door, at a tick. `appointment_id` and `code_id` are those of the admission that it belongs to.

    `passage` is what that admission changed in the store.
    """

    kind: str
    door: str
    at_ns: int
    appointment_id: str | None = None
    code_id: str | None = None
    detail: Mapping[str, object] | None = None
    passage: Passage | None = None


Tell = Callable[[Happening], None]
"""Called from any thread, with locks held: it returns at once and asks nothing of the door."""
