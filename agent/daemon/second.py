"""The second relay of a door: an operator or a bell that follows each release of the lock.

Rule: whatever goes wrong with it is told, and never reaches the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from drivers.base import DriverError, Line, Pulse
from drivers.relay import PulsedRelay


class SecondRelay:
    """A relay on `line` that is energised for `pulse_s`, `delay_s` after each `follow`; `act` is called when `due_ns` has come.

    `on_news` hears in any thread, with a sentence, that it does not work, once, and with None that it does again. Raises `DriverError`
    when the line cannot be driven to rest.
    """

    def __init__(self, line: Line, *, delay_s: float, pulse_s: float, on_news: Callable[[str | None], None]) -> None:
        self._delay_ns = round(delay_s * 1e9)
        self._pulse_s = pulse_s
        self._on_news = on_news
        # reentrant: the relay may tell of its failure from within what it is asked
        self._lock = threading.RLock()
        self._is_stopped = False
        self._has_failed = False
        self.due_ns: int | None = None
        """The tick at which it is to be energised."""
        self._relay = PulsedRelay(line, max_s=pulse_s, on_fault=self._failed)

    @property
    def has_failed(self) -> bool:
        """Whether it did not work the last time."""
        return self._has_failed

    def follow(self, released_ns: int) -> None:
        """The lock was released at this tick."""
        with self._lock:
            if not self._is_stopped:
                self.due_ns = released_ns + self._delay_ns

    def cancel(self) -> None:
        """The lock is locked again by order, or there is fire: once this returns, what was not begun is not begun."""
        with self._lock:
            self.due_ns = None

    def act(self, now_ns: int) -> None:
        """Energise it if the time has come; one that is energised still is left alone."""
        with self._lock:
            if self.due_ns is None or now_ns < self.due_ns:
                return
            self.due_ns = None
            if self._relay.is_released:
                return
            try:
                self._relay.release(self._pulse_s, self._worked)
            except DriverError as error:
                self._failed(error)

    def stop(self) -> None:
        """To rest, and give the line back."""
        with self._lock:
            self._is_stopped, self.due_ns = True, None
        with suppress(DriverError):  # it was told
            self._relay.close()

    def _worked(self, _pulse: Pulse) -> None:
        with self._lock:
            is_news, self._has_failed = self._has_failed, False
        if is_news:
            self._on_news(None)

    def _failed(self, error: Exception) -> None:
        with self._lock:
            is_news, self._has_failed = not self._has_failed, True
        if is_news:
            self._on_news(str(error))
