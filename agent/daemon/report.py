"""One door's voice at the desk: how it is, who came, which visits nobody wants, which orders are done.

Rule 1: a report is for people to look at; that it fails disturbs neither the feed nor the door.
Rule 2: an admission is told until the desk has it: the mark up to which it was told moves only then, and is on disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.core.news import Trouble
from agent.core.replay import backoff_s
from agent.daemon.feed import RETRY, DeskLink, Feed
from agent.errors import StoreError
from agent.store import feed
from agent.store.upkeep import Upkeep
from agent.timekeeping import Now

EVERY_S = 30.0
SOON_S = 0.5
"""After an admission, so that several are told at once."""


def clock_facts(now: Now) -> dict[str, object]:
    """The door's clock as `status` and a report tell it; `latest_ms` is None when nothing is known of how late it may be."""
    interval = now.interval
    latest_ms = None if interval.is_open_ended else interval.latest_ms
    return {"state": now.state.value, "earliest_ms": interval.earliest_ms, "latest_ms": latest_ms}


class Reports:
    """Reports for ever, for one door, while its feed is up. All methods run on the agent's loop."""

    def __init__(
        self,
        listener: Feed,
        *,
        token: str,
        link: DeskLink,
        upkeep: Upkeep,
        store: Path,
        now: Callable[[], Now],
        chance: Callable[[], float],
        version: str,
    ) -> None:
        self._feed = listener
        self._token = token
        self._link = link
        self._upkeep = upkeep
        self._store = store
        self._now = now
        self._chance = chance
        self._version = version
        self._wake = asyncio.Event()
        self._told_s: float | None = None
        self._trouble: Trouble | None = None

    @property
    def status(self) -> dict[str, object]:
        """For `status`: seconds since the desk had a report, None if not since the start, and the last trouble in words."""
        told_s = None if self._told_s is None else round(time.monotonic() - self._told_s)
        return {"told_s": told_s, "trouble": self._trouble.words if self._trouble else None}

    def wake(self) -> None:
        """There is something that the desk should hear soon."""
        self._wake.set()

    async def run(self) -> None:
        """Report for ever; cancelled at the stop of the agent."""
        failures = 0
        while True:
            await self._feed.is_up.wait()
            self._wake.clear()
            self._trouble = await self._tell_all()
            if self._trouble is None:
                failures, self._told_s = 0, time.monotonic()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), EVERY_S)
                    await asyncio.sleep(SOON_S)
            else:
                failures += 1
                await asyncio.sleep(max(backoff_s(failures, RETRY, self._chance(), self._trouble.retry_after_s), SOON_S))

    async def _tell_all(self) -> Trouble | None:
        """Report until no admission is left to tell."""
        client = await self._link.client()
        if isinstance(client, Trouble):
            return client
        has_more = True
        while has_more:
            try:
                told = await asyncio.to_thread(feed.outgoing, self._store, self._feed.door)
                trouble = await client.report(self._token, self._body(told))
                if trouble is None and (told.admissions or told.orders_done or told.is_mark_old):
                    await self._acknowledge(told)
            except StoreError as error:
                return Trouble(str(error))
            if trouble is not None:
                return trouble
            has_more = told.has_more
        return None

    async def _acknowledge(self, told: feed.Outgoing) -> None:
        await asyncio.wrap_future(self._upkeep.submit(lambda conn: feed.acknowledged(conn, self._feed.door, told)))

    def _body(self, told: feed.Outgoing) -> dict[str, object]:
        return {
            "version": self._version,
            "applied_cursor": self._feed.cursor,
            "clock": clock_facts(self._now()),
            "outbox": told.counts,
            "dead_letters": told.letters,
            "admissions": told.admissions,
            "orders_done": told.orders_done,
        }
