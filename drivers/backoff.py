"""How long to wait before a lost device is tried again."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Pauses of about `first_s` seconds, then of twice as long each time, up to `max_s`.

    The pauses grow on over losses that come soon after one another: a loose plug must not fill the log.
    """

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._next_s = first_s

    async def pause(self) -> None:
        """Wait, with jitter, lest several devices behind one hub that came back be all reached for in the same instant."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._max_s)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  spread, not a secret

    def lasted(self, ready_ns: int) -> None:
        """It was ready for so many nanoseconds; if that was long, the pauses are short again."""
        if ready_ns > self._max_s * 1e9:
            self._next_s = self._first_s
