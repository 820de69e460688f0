"""What happens, told at once to the log and to whoever listens on the socket.

Rule 1: an event is a flat dict with `event` first; it holds ids, numbers and the names of units and doors, never a code, a PIN, a key, a
        person's name, an email or a phone.
Rule 2: nobody who listens slowly holds anything up: a listener that falls behind is let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

MAX_BEHIND = 256

_LEVELS = {
    # of every scan; what became of it is told at INFO
    "scan": logging.DEBUG,
    "staff_refused": logging.WARNING,
    "staff_locked_out": logging.WARNING,
    "staff_unlocks_over": logging.WARNING,
    "store_failed": logging.ERROR,
    "relay_failed": logging.ERROR,
    "component_failed": logging.ERROR,
    "reader_lost": logging.WARNING,
    "reader_tampered": logging.WARNING,
    "fire": logging.WARNING,
    "tamper": logging.WARNING,
    "forced": logging.WARNING,
    "held": logging.WARNING,
    "held_alarm": logging.WARNING,
    "input_lost": logging.WARNING,
    "relay2_failed": logging.WARNING,
    "passback": logging.WARNING,
    "link_down": logging.WARNING,
    "visit_refused": logging.WARNING,
    "visit_in_doubt": logging.WARNING,
    "visits_in_doubt": logging.WARNING,
    "scan_dropped": logging.WARNING,
    "store_made": logging.WARNING,
    "feed_refused": logging.ERROR,
    "feed_lost": logging.WARNING,
    "roster_skipped": logging.WARNING,
}

Event = dict[str, object]


class Events:
    """Publish from the loop; listeners are queues. `now_ms` stamps each event with the best guess of the instant."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._log = logging.getLogger("tourlatch")
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def publish(self, event: str, **facts: object) -> None:
        """Tell everybody. On the loop only."""
        told: Event = {"event": event, "at_ms": self._now_ms(), **facts}
        self._log.log(_LEVELS.get(event, logging.INFO), event, extra={"facts": facts})
        for listener in list(self._listeners):
            try:
                listener.put_nowait(told)
            except asyncio.QueueFull:
                self._listeners.discard(listener)
                listener.get_nowait()
                listener.put_nowait(None)

    def listen(self) -> asyncio.Queue[Event | None]:
        """A queue of all events from now on; None in it says that the listener fell behind and gets no more."""
        listener: asyncio.Queue[Event | None] = asyncio.Queue(MAX_BEHIND)
        self._listeners.add(listener)
        return listener

    def forget(self, listener: asyncio.Queue[Event | None]) -> None:
        """The listener has left."""
        self._listeners.discard(listener)
