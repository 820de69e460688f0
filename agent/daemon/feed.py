"""One door's ear at the desk: news of appointments and PINs, as they happen.

Rule 1: no scan waits for the desk. News is heard in small transactions of `upkeep`; the client is loaded and its pages are read in
        threads.
Rule 2: what was heard is kept, cursor and all, and never unheard: not by a resync, and not because the desk is gone.
Rule 3: a desk that is at fault, or that talks without end, costs the door nothing but the wait for the next try.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from sqlite3 import Connection
from typing import Protocol, TypeVar

from agent.core.news import Page, RosterNews, Trouble
from agent.core.replay import RetryPolicy, backoff_s
from agent.daemon.events import Events
from agent.errors import StoreError
from agent.store import feed
from agent.store.journal import Moment
from agent.store.upkeep import Upkeep

T = TypeVar("T")
RETRY = RetryPolicy(first_s=1.0, max_s=60.0, max_wait_s=60.0)
REFUSED_S = 60.0
"""A token that is not accepted needs a person's hand: no sooner than after half of this is it tried again."""
HEARD_EVERY_MS = 600_000
"""How often it is written down that the desk was heard, while there is no news."""
QUICK_S = 1.0
"""Answers that come sooner, one after the other, are asked for more slowly: news of a cancel still comes within two seconds."""
MAX_PAGES = 5000
"""More pages in a row than any roster has: a million entries."""
RESYNC_EVERY_S = 60.0


class DeskClient(Protocol):
    """Whoever speaks to the desk: `agent.roster.Desk`."""

    async def news(self, token: str, community_id: str, cursor: str | None, *, may_wait: bool) -> Page | Trouble:
        """What happened after the cursor, or why nobody knows; with `may_wait` the answer may be held back until there is news."""
        ...

    async def report(self, token: str, body: Mapping[str, object]) -> Trouble | None:
        """Tell the desk how the door is; None when the desk has it."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class DeskLink:
    """The one client of this agent, for all its doors: made in a thread when it is first needed."""

    def __init__(self, make: Callable[[], DeskClient]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._client: DeskClient | None = None

    async def client(self) -> DeskClient | Trouble:
        """The client, or why there can be none yet."""
        async with self._lock:
            if self._client is None:
                try:
                    self._client = await asyncio.to_thread(self._make)
                except OSError as error:
                    return Trouble(f"the certificates cannot be used ({error.strerror or type(error).__name__}): check desk.ca_file")
            return self._client

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.close()


class FeedState(enum.StrEnum):
    """How well a door is informed."""

    NEVER = "never"
    """Nothing was ever heard from a desk."""
    FRESH = "fresh"
    STALE = "stale"
    """The desk does not answer, or not well: what was heard before still counts."""
    REFUSED = "refused"
    """The desk does not accept the door's token: a person has to mend it."""


class Feed:
    """Listens for ever, for one door. All methods run on the agent's loop.

    `on_order` is called after an order of staff was carried out; `fresh_s` is how long after an answer the door counts as informed.
    """

    def __init__(
        self,
        door: str,
        *,
        token: str,
        community_id: str,
        link: DeskLink,
        upkeep: Upkeep,
        moment: Callable[[], Moment],
        chance: Callable[[], float],
        events: Events,
        on_order: Callable[[], None],
        fresh_s: float,
    ) -> None:
        self.door = door
        self._token = token
        self._community_id = community_id
        self._link = link
        self._upkeep = upkeep
        self._moment = moment
        self._chance = chance
        self._events = events
        self._on_order = on_order
        self._fresh_s = fresh_s
        self._known: feed.Progress | None = None
        self._heard_s: float | None = None
        self._trouble: Trouble | None = None
        self._failures = 0
        self._is_lost = False
        self._is_refused = False
        self._pages = 0
        self._quick = 0
        self._resync_s: float | None = None
        self.is_up = asyncio.Event()
        """Whether the last answer was a good one."""

    @property
    def cursor(self) -> str | None:
        """How far the door has heard, in the desk's own terms."""
        return self._known.cursor if self._known else None

    @property
    def state(self) -> FeedState:
        """How well the door is informed now."""
        if self._heard_s is not None and self._trouble is None and time.monotonic() - self._heard_s < self._fresh_s:
            return FeedState.FRESH
        if self._trouble is not None and self._trouble.is_refused:
            return FeedState.REFUSED
        return FeedState.NEVER if self._known is None and self._heard_s is None else FeedState.STALE

    @property
    def status(self) -> dict[str, object]:
        """For `status`: the state, seconds since the desk was last heard, the cursor, entries in all, and the last trouble in words."""
        known = self._known
        return {
            "state": self.state.value,
            "heard_s": self._since_heard_s(),
            "cursor": self.cursor,
            "applied": known.applied if known else 0,
            "skipped": known.skipped if known else 0,
            "trouble": self._trouble.words if self._trouble else None,
        }

    async def run(self) -> None:
        """Listen for ever; cancelled at the stop of the agent."""
        self._known = await self._write(lambda conn: feed.progress(conn, self.door))
        while True:
            began_s = time.monotonic()
            trouble = await self._listen_once()
            if trouble is None:
                self._went_well()
                await asyncio.sleep(self._pause_s(time.monotonic() - began_s))
            else:
                self._went_wrong(trouble)
                await asyncio.sleep(self._wait_s(trouble))

    async def _listen_once(self) -> Trouble | None:
        """Ask once, and hear what comes."""
        client = await self._link.client()
        if isinstance(client, Trouble):
            return client
        asked = self.cursor
        # the first answer after a start or a trouble is not held back: it says that the desk is there
        answer = await client.news(self._token, self._community_id, asked, may_wait=self.is_up.is_set())
        if isinstance(answer, Trouble):
            return answer
        try:
            await self._hear(answer)
        except StoreError as error:
            self._events.publish("store_failed", error=str(error))
            return Trouble(str(error))
        self._heard_s = time.monotonic()
        return self._doubt(answer, asked)

    async def _hear(self, page: Page) -> None:
        """Write the page, in transactions that a scan can wait for; the cursor is written with the last of them."""
        if page.news or page.skipped or page.is_resync or self._is_worth_writing(page):
            await self._write_page(page)
        for order in page.orders:
            again = await self._write(partial(feed.obey, door=self.door, order=order, moment=self._moment()))
            if again is not None:
                self._events.publish("outbox_retry", count=again, user="desk", door=self.door)
                self._on_order()

    def _is_worth_writing(self, page: Page) -> bool:
        known = self._known
        return known is None or known.cursor != page.cursor or not 0 <= self._moment().at_ms - known.heard_ms < HEARD_EVERY_MS

    async def _write_page(self, page: Page) -> None:
        moment, known, changed = self._moment(), self._known, 0
        starts = range(0, len(page.news), feed.BATCH) or range(1)

        def work(conn: Connection, batch: tuple[RosterNews, ...], *, is_last: bool) -> tuple[int, feed.Progress | None]:
            count = feed.hear_news(conn, self.door, batch, moment)
            if is_last:
                feed.finish_page(conn, self.door, page, moment)
            return count, feed.progress(conn, self.door)

        for start in starts:
            # one after the other: jobs that wait together become one transaction
            batch = page.news[start : start + feed.BATCH]
            count, known = await self._write(partial(work, batch=batch, is_last=start == starts[-1]))
            changed += count
        self._known = known
        if changed:
            self._events.publish("roster", door=self.door, changed=changed)
        if page.skipped:
            self._events.publish("roster_skipped", door=self.door, count=len(page.skipped), words=page.skipped[0])
        if page.is_resync:
            self._events.publish("roster_resync", door=self.door)

    def _doubt(self, page: Page, asked: str | None) -> Trouble | None:
        """Whether a desk that answers well is to be asked more slowly, since it does not get anywhere."""
        self._pages = self._pages + 1 if page.has_more else 0
        now_s = time.monotonic()
        is_again = page.is_resync and self._resync_s is not None and now_s - self._resync_s < RESYNC_EVERY_S
        self._resync_s = now_s if page.is_resync else self._resync_s
        if is_again:
            return Trouble("the desk forgets again and again what the door has heard: check whether several desks answer at desk.url")
        if page.has_more and page.cursor == asked:
            return Trouble("the desk repeats itself: there is more to come, but its cursor stands still")
        if self._pages > MAX_PAGES:
            return Trouble(f"the desk's roster has no end: {self._pages} pages in a row")
        return None

    def _went_well(self) -> None:
        self._failures, self._trouble = 0, None
        self.is_up.set()
        if self._is_lost:
            self._events.publish("feed_back", door=self.door)
        self._is_lost = self._is_refused = False

    def _went_wrong(self, trouble: Trouble) -> None:
        self._failures, self._trouble = self._failures + 1, trouble
        self.is_up.clear()
        if not self._is_lost:
            self._events.publish("feed_lost", door=self.door, words=trouble.words)
        if trouble.is_refused and not self._is_refused:
            self._events.publish("feed_refused", door=self.door, words=trouble.words)
        self._is_lost, self._is_refused = True, self._is_refused or trouble.is_refused

    def _wait_s(self, trouble: Trouble) -> float:
        if trouble.is_refused:
            return REFUSED_S * (1 + self._chance()) / 2
        return backoff_s(self._failures, RETRY, self._chance(), trouble.retry_after_s)

    def _pause_s(self, took_s: float) -> float:
        """Nothing before the next page; else a moment, if the desk answers and answers although it was asked to wait for news."""
        if self._pages:
            return 0.0
        self._quick = self._quick + 1 if took_s < QUICK_S else 0
        return min(0.05 * 2.0 ** min(self._quick, 10), QUICK_S) if self._quick else 0.0

    def _since_heard_s(self) -> int | None:
        if self._heard_s is not None:
            return round(time.monotonic() - self._heard_s)
        return None if self._known is None else max(0, self._moment().at_ms - self._known.heard_ms) // 1000

    def _write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        return asyncio.wrap_future(self._upkeep.submit(work))
