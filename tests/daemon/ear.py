"""A door's feed and reports over a real store, a real client and a played desk, all on one loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.clock import ClockState, Interval
from agent.daemon.events import Events
from agent.daemon.feed import DeskClient, DeskLink, Feed
from agent.daemon.report import Reports
from agent.roster import Desk
from agent.settings.agent import DeskLinkSettings
from agent.store import files
from agent.store.journal import Journal, Moment
from agent.store.upkeep import Upkeep
from agent.timekeeping import Now
from tests.daemon.played_desk import COMMUNITY, TOKEN, PlayedDesk

PATIENCE_S = 20.0
NOW = Now(Interval(1_790_000_000_000, 1_790_000_000_100), ClockState.SYNCHRONISED, 1_790_000_000_050)


class Ear:
    """`events` are all that were published; `upkeep` and `journal` are the door's two connections."""

    def __init__(self, folder: Path, desk: PlayedDesk, *, token: str = TOKEN, door: str = "front", chance: float = 0.02) -> None:
        self.path = folder / "journal.db"
        files.bring_up_to_date(self.path)
        gate = threading.RLock()
        self.upkeep, self.journal = Upkeep(self.path, gate), Journal(self.path, gate)
        self.orders = 0
        events = Events(lambda: NOW.guess_ms)
        self._listener = events.listen()
        self.events: list[dict[str, object]] = []
        self.settings = DeskLinkSettings(url=desk.url, wait_s=2, connect_timeout_s=0.5, read_timeout_s=0.5, total_timeout_s=3.0)
        self.link = DeskLink(self._made)
        moment = Moment(NOW.guess_ms, NOW.interval)
        self.feed = Feed(
            door,
            token=token,
            community_id=COMMUNITY,
            link=self.link,
            upkeep=self.upkeep,
            moment=lambda: moment,
            chance=lambda: chance,
            events=events,
            on_order=self._ordered,
            fresh_s=60.0,
        )
        self.reports = Reports(
            self.feed, token=token, link=self.link, upkeep=self.upkeep, store=self.path, now=lambda: NOW, chance=lambda: chance, version="1"
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _made(self) -> DeskClient:
        return Desk(self.settings, "1")

    def _ordered(self) -> None:
        self.orders += 1
        self.reports.wake()

    def start(self, *, has_reports: bool = False) -> None:
        """Listen, and report if asked to."""
        self._tasks = [asyncio.create_task(self.feed.run())]
        if has_reports:
            self._tasks.append(asyncio.create_task(self.reports.run()))

    async def until(self, is_so: Callable[[], Any]) -> None:
        """Wait for something to become so; a task that died meanwhile is the failure."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so():
            for task in self._tasks:
                if task.done():
                    task.result()
            assert time.monotonic() < deadline_s, f"it never became so: {self.feed.status}, {self.reports.status}"
            await asyncio.sleep(0.01)
        self._collect()

    async def heard(self, applied: int) -> None:
        """Wait until so many entries were applied, and the feed is well."""
        await self.until(lambda: self.feed.status["applied"] == applied and self.feed.state == "fresh")

    def _collect(self) -> None:
        while not self._listener.empty():
            if (event := self._listener.get_nowait()) is not None:
                self.events.append(event)

    def told(self, *kinds: str) -> list[str]:
        """The kinds of the events so far, of these kinds."""
        self._collect()
        return [str(event["event"]) for event in self.events if event["event"] in kinds]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What is in the store, as another process finds it."""
        return files.rows(self.path, sql)

    async def close(self) -> None:
        """Stop everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link.close()
        self.upkeep.close(10)
        self.journal.close()
