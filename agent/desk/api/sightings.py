"""When a door was seen last, and how much of the roster it has: noted at each request, written now and then.

Rule 1: a request never waits for this to be written; a door is written down every `GAP_MS` at the most, however often it asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.errors import StoreError

GAP_MS = 10_000
LOOK_S = 1.0

_log = logging.getLogger("tourlatch")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A door's token asked at an instant, and had the roster up to `applied_seq` (None: nothing of it)."""

    token_id: str
    at_ms: int
    applied_seq: int | None


class Sightings:
    """Collects; `write` is called in a thread with those that are due."""

    def __init__(self, write: Callable[[Iterable[Sighting]], None], now_ms: Callable[[], int]) -> None:
        self._write = write
        self._now_ms = now_ms
        self._pending: dict[str, Sighting] = {}
        self._written_ms: dict[str, int] = {}
        self._stopping = asyncio.Event()

    def note(self, token_id: str, applied_seq: int | None) -> None:
        """The door asks now."""
        self._pending[token_id] = Sighting(token_id, self._now_ms(), applied_seq)

    def written(self, token_id: str, at_ms: int) -> None:
        """Somebody else has just written that the door was seen."""
        self._written_ms[token_id] = at_ms

    async def run(self) -> None:
        """Write what is due until `stop`, and everything then."""
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._stopping.wait()
            except TimeoutError:
                now_ms = self._now_ms()
                await self._flush([one for one in self._pending.values() if self._is_due(one.token_id, now_ms)])
        await self._flush(list(self._pending.values()))

    def stop(self) -> None:
        """Write what is there, and end."""
        self._stopping.set()

    def _is_due(self, token_id: str, now_ms: int) -> bool:
        written_ms = self._written_ms.get(token_id)
        return written_ms is None or not written_ms <= now_ms < written_ms + GAP_MS

    async def _flush(self, due: list[Sighting]) -> None:
        if not due:
            return
        try:
            await asyncio.to_thread(self._write, due)
        except StoreError as error:  # they stay, and are tried again
            _log.warning("sightings_not_written", extra={"facts": {"error": str(error)}})
            return
        for one in due:
            self._written_ms[one.token_id] = one.at_ms
            if self._pending.get(one.token_id) is one:
                del self._pending[one.token_id]
