"""A device that is lost and comes back: how long to wait before it is tried again, and the trying."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

from drivers.base import DeviceMissingError, ReaderState


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


async def use_for_ever(
    claim: Callable[[], None],
    use: Callable[[], Awaitable[str]],
    close: Callable[[], None],
    on_state: Callable[[ReaderState, str], None],
    backoff: Backoff,
) -> None:
    """Claim a device and use it until cancelled: whenever it is lost, say so and claim it again, with pauses.

    `claim` raises `DeviceMissingError`, and does nothing for a device that is claimed already. `use` returns the sentence of why the
    device was lost; by then it is closed. `close` is called at the end.
    """
    try:
        try:
            claim()
        except DeviceMissingError as error:
            on_state(ReaderState.LOST, f"{error} It is tried again.")
            await _claimed_again(claim, backoff)
        while True:
            ready_ns = time.monotonic_ns()
            on_state(ReaderState.LOST, await use())
            backoff.lasted(time.monotonic_ns() - ready_ns)
            await _claimed_again(claim, backoff)
    finally:
        close()


async def _claimed_again(claim: Callable[[], None], backoff: Backoff) -> None:
    while True:
        await backoff.pause()
        with contextlib.suppress(DeviceMissingError):
            return claim()
