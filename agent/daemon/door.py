"""One door: its state and its relay, used from several threads.

The table in `agent.core.door` says what may happen; this holds the state and does the effects, all under one lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from agent.core.door import Effect, Event, State, can, step
from drivers.base import DriverError, Pulse, Relay


class Door:
    """A named door. `on_locked(name, pulse)` is called after every pulse, from the relay's thread."""

    def __init__(self, name: str, relay: Relay, pulse_s: float, on_locked: Callable[[str, Pulse], None]) -> None:
        self.name = name
        self._relay = relay
        self._pulse_s = pulse_s
        self._on_locked = on_locked
        self._lock = threading.Lock()
        self._state = State.LOCKED
        self._opened_for: str | None = None

    @property
    def state(self) -> State:
        """Where the door is."""
        return self._state

    @property
    def is_free(self) -> bool:
        """Whether a grant can be acted on now."""
        return can(self._state, Event.GRANT)

    @property
    def opened_for(self) -> str | None:
        """The id of the code for which the lock is released just now."""
        return self._opened_for if self._state is State.RELEASED else None

    def grant(self) -> bool:
        """Take the door for an admission; False when it is in use or stopped."""
        with self._lock:
            if not self.is_free:
                return False
            self._state, _ = step(self._state, Event.GRANT)
            return True

    def write_failed(self) -> None:
        """The admission could not be written: the door stays shut."""
        with self._lock:
            self._state, _ = step(self._state, Event.WRITE_FAILED)

    def release(self, code_id: str | None) -> int | None:
        """The admission is on disk: release the lock and return the tick, or None when the agent is stopping.

        Raises `DriverError` when the relay does not do it; the door is then locked.
        """
        with self._lock:
            self._state, effect = step(self._state, Event.WRITTEN)
            if effect is not Effect.RELEASE:
                return None
            self._opened_for = code_id
            try:
                return self._relay.release(self._pulse_s, self._pulse_ended)
            except DriverError:
                self._state, _ = step(self._state, Event.RELAY_FAILED)
                raise

    def lock(self) -> None:
        """Lock now, by order of staff."""
        with self._lock:
            self._state, _ = step(self._state, Event.LOCK)
        self._relay.lock()

    def stop(self) -> None:
        """Lock for good and give the relay back. The relay goes first: it needs no lock of ours to be locked."""
        with suppress(DriverError):  # the relay has told its fault already, and the other doors must be locked too
            self._relay.close()
        with self._lock:
            self._state, _ = step(self._state, Event.STOP)

    def _pulse_ended(self, pulse: Pulse) -> None:
        with self._lock:
            self._state, _ = step(self._state, Event.PULSE_ENDED)
        self._on_locked(self.name, pulse)
