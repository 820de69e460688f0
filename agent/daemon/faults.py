"""Which doors could not do what they last had to: the admission could not be written, or the relay failed.

Rule: only the same done with success takes it back, however long that takes. Until then nobody is told that the door is well.
"""

from __future__ import annotations

from agent.core.reasons import Reason

FAULTS = frozenset({Reason.STORE_FAILED, Reason.RELAY_FAILED})


class Faults:
    """By the doors' names; any thread."""

    def __init__(self) -> None:
        self._found: dict[str, Reason] = {}

    def of(self, door: str) -> Reason | None:
        """What is wrong with a door."""
        return self._found.get(door)

    def failed(self, door: str, reason: Reason) -> None:
        """It could not be written, or the relay did not do it; what else a refusal is for is no fault."""
        if reason in FAULTS:
            self._found[door] = reason

    def worked(self, door: str) -> None:
        """An admission or an order was written, and the door did it."""
        self._found.pop(door, None)
