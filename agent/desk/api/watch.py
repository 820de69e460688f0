"""Held requests, and the one task that wakes them.

Rule 1: one look a quarter of a second asks the store which doors changed, however many requests are held; only those doors' wake.
Rule 2: a held request costs a timer and a note here, no thread; it ends when its time is over, its client is gone, a newer request of
        the same door takes its place, or the desk stops.
Rule 3: a change between reading the roster and holding the request is not missed: the watch knows up to which change it has looked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.errors import StoreError

LOOK_S = 0.25
MOST_HELD = 4
"""Requests held for one token at once; one more ends the oldest."""

DoorKey = tuple[str, str]
"""Community and door."""

_log = logging.getLogger("tourlatch")


@dataclass(eq=False, slots=True)
class Held:
    """One request that waits for news."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    def end(self) -> None:
        """No more waiting: answer now."""
        self.is_over = True
        self.woken.set()


class Watch:
    """Wakes the held requests of doors that changed; `changed_doors` is the store's, called in a thread."""

    def __init__(self, changed_doors: Callable[[int], tuple[set[DoorKey], int]], last_seq: Callable[[], int]) -> None:
        self._changed_doors = changed_doors
        self._last_seq = last_seq
        self._heard_seq: int | None = None
        self._held: dict[DoorKey, dict[str, list[Held]]] = defaultdict(lambda: defaultdict(list))
        self._look = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False

    @property
    def held(self) -> int:
        """How many requests are held."""
        return sum(len(held) for tokens in self._held.values() for held in tokens.values())

    async def run(self) -> None:
        """Look for changes until `stop`."""
        self._loop = asyncio.get_running_loop()
        is_well = True
        while not self._is_stopping:
            self._look.clear()
            try:
                await self._wake_changed()
                is_well = True
            except StoreError as error:
                if is_well:
                    _log.error("roster_watch_failed", extra={"facts": {"error": str(error)}})
                is_well = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()

    def look(self) -> None:
        """Look now: this process has just changed something. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._look.set)

    def stop(self) -> None:
        """End every held request, and hold no more."""
        self._is_stopping = True
        self._look.set()
        for tokens in self._held.values():
            for held in tokens.values():
                for one in held:
                    one.end()

    async def news(self, door: DoorKey, token_id: str, *, after_seq: int, until_s: float, gone: Callable[[], Awaitable[None]]) -> bool:
        """Hold a request until its door may have changed after `after_seq`; False when it is to be answered as it is.

        `until_s` is a time of the loop's clock; `gone` returns when the client went away.
        """
        if self._is_stopping or asyncio.get_running_loop().time() >= until_s:
            return False
        if self._heard_seq is None or self._heard_seq > after_seq:
            # looked further than what was read: the change may be this door's
            await asyncio.sleep(0 if self._heard_seq is not None else LOOK_S)
            return True
        one = self._take_place(door, token_id)
        leaving = asyncio.ensure_future(gone())
        leaving.add_done_callback(lambda _: one.end())
        try:
            async with asyncio.timeout_at(until_s):
                await one.woken.wait()
        except TimeoutError:
            return False
        else:
            return not one.is_over
        finally:
            leaving.cancel()
            self._leave_place(door, token_id, one)

    async def _wake_changed(self) -> None:
        if self._heard_seq is None:
            self._heard_seq = await asyncio.to_thread(self._last_seq)
        doors, seq = await asyncio.to_thread(self._changed_doors, self._heard_seq)
        self._heard_seq = max(seq, self._heard_seq)
        for door in doors & self._held.keys():
            for held in self._held[door].values():
                for one in held:
                    one.woken.set()

    def _take_place(self, door: DoorKey, token_id: str) -> Held:
        one = Held()
        places = self._held[door][token_id]
        places.append(one)
        if len(places) > MOST_HELD:
            places.pop(0).end()
        return one

    def _leave_place(self, door: DoorKey, token_id: str, one: Held) -> None:
        tokens = self._held[door]
        places = tokens[token_id]
        if one in places:  # else a newer request took it
            places.remove(one)
        if not places:
            del tokens[token_id]
        if not tokens:
            del self._held[door]
