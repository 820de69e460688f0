"""What the lamps, the buzzer and the readers of a door show.

Rule: of everything that lasts the gravest is shown; what an indicator does with it is its own affair.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from drivers.base import Indicator, Signal

ORDER = (Signal.DARK, Signal.FIRE, Signal.FORCED, Signal.HELD, Signal.FAULT, Signal.OFFLINE, Signal.READY)
"""The lasting signals, the gravest first."""


class Signs:
    """One door's indicators; any thread. `lamps` says of each lamp and the buzzer whether it is `ready` or `failed`."""

    def __init__(self, indicators: Sequence[Indicator], lamps: Callable[[], dict[str, str]] = dict) -> None:
        self._indicators = indicators
        self.lamps = lamps
        self._lock = threading.Lock()
        self._why: dict[Signal, set[str]] = {signal: set() for signal in ORDER}
        self._why[Signal.READY].add("well")
        self._shown: Signal | None = None
        self._show_gravest()

    @property
    def shown(self) -> Signal | None:
        """The lasting signal that is shown."""
        return self._shown

    def set(self, signal: Signal, why: str, *, is_on: bool) -> None:
        """A reason for a lasting signal came up or is over; it is shown for as long as it has any."""
        with self._lock:
            reasons = self._why[signal]
            if is_on:
                reasons.add(why)
            else:
                reasons.discard(why)
            self._show_gravest()

    def answer(self, *, is_granted: bool) -> None:
        """Show what became of a scan, once."""
        with self._lock:
            if self._shown is not Signal.DARK:
                self._show(Signal.GRANTED if is_granted else Signal.DENIED)

    def _show_gravest(self) -> None:
        gravest = next(signal for signal in ORDER if self._why[signal])
        if gravest is not self._shown:
            self._shown = gravest
            self._show(gravest)

    def _show(self, signal: Signal) -> None:
        for indicator in self._indicators:
            indicator.show(signal)
