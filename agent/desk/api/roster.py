"""The roster as a door follows it: pages of changes behind a cursor, held back while there is nothing new.

Rule 1: a page is read in one go in a thread: token, extent, changes, orders; nothing is kept between requests, so that any desk
        process may answer the next one.
Rule 2: a door hears of its own appointments only, and of what no longer names it that its code there is dead.
Rule 3: a page is bounded, in entries, in orders and in bytes; what does not fit comes with the next one.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.core.tour import Standing
from agent.desk.api.answers import BAD_REQUEST, ApiRefusedError
from agent.desk.api.auth import bearer_hash, unauthorized
from agent.desk.api.cursor import Extent
from agent.desk.api.sightings import Sightings
from agent.desk.api.watch import Watch
from agent.desk.records import Appointment, DoorAccess, Order
from agent.web import Answer, Call, to_json

if TYPE_CHECKING:
    from agent.desk.store import DeskStore

MOST_ENTRIES = 200
MOST_ENTRY_BYTES = 160 * 1024
MOST_ORDERS = 100
MOST_ORDER_BYTES = 80 * 1024
"""With the entries the whole page stays under 256 KB."""
MOST_WAIT_S = 50

_log = logging.getLogger("tourlatch")
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the feed, and whose it is."""

    door: DoorAccess
    entries: list[bytes]
    cursor: str
    seq: int
    """How far the store was looked through for it."""
    has_more: bool
    is_resync: bool
    orders: list[Order]
    applied_seq: int | None

    @property
    def is_news(self) -> bool:
        """Whether the roster's part of it is worth an answer now."""
        return bool(self.entries) or self.has_more or self.is_resync

    def content(self) -> bytes:
        """As JSON."""
        rest = {
            "cursor": self.cursor,
            "has_more": self.has_more,
            "is_resync": self.is_resync,
            "orders": [{"order_id": order.order_id, "do": order.do, "visit_ids": order.visit_ids} for order in self.orders],
        }
        return b'{"entries": [' + b", ".join(self.entries) + b"], " + to_json(rest)[1:]


class Roster:
    """`GET /api/v1/roster`."""

    def __init__(self, store: DeskStore, watch: Watch, sightings: Sightings, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._watch = watch
        self._sightings = sightings
        self._told: dict[str, int] = {}
        """The highest order told to each token: an order ends a wait once, not again and again until it is done."""

    async def handle(self, call: Call) -> Answer:
        """News for the door behind the cursor, at once or as soon as there is some."""
        token = bearer_hash(call.headers)
        cursor = call.query.get("cursor")
        began_s = asyncio.get_running_loop().time()
        page = await self._read(token, cursor)
        until_s = began_s + _wait_s(call.query.get("wait_s"))
        self._sightings.note(page.door.token_id, page.applied_seq)
        is_first = cursor is None
        while not (is_first or page.is_news or self._has_new_order(page)):
            key = (page.door.community_id, page.door.door)
            if not await self._watch.news(key, page.door.token_id, after_seq=page.seq, until_s=until_s, gone=call.gone):
                break
            page = await self._read(token, cursor)
        self._told[page.door.token_id] = max((order.order_id for order in page.orders), default=0)
        return Answer(content=page.content())

    async def _read(self, token: str, cursor: str | None) -> Page:
        return await asyncio.to_thread(read_page, self._store, token, cursor, self._now_ms())

    def _has_new_order(self, page: Page) -> bool:
        told = self._told.get(page.door.token_id, 0)
        return any(order.order_id > told for order in page.orders)


def read_page(store: DeskStore, token_hash: str, cursor: str | None, now_ms: int) -> Page:
    """The page behind a cursor, as the store is now; raises `ApiRefusedError` 401, and `StoreError`."""
    door = store.door_by_token(token_hash)
    if door is None:
        raise unauthorized()
    extent = _extent(store)
    if extent.is_behind(cursor) and store.renew_epoch(extent.epoch, now_ms):
        _log.warning("older_store", extra={"facts": {"door": door.door, "community_id": door.community_id}})
        extent = _extent(store)
    start = extent.start(cursor)
    found, seq, has_more = store.roster_page(door.community_id, door.door, start or 0, MOST_ENTRIES)
    told = [(to_json(entry(one, pin_hash)), one.seq) for one, pin_hash in found]
    fitting = _fitting([len(content) for content, _ in told], MOST_ENTRY_BYTES)
    if fitting < len(told):
        has_more, seq = True, told[fitting - 1][1]
    return Page(
        door=door,
        entries=[content for content, _ in told[:fitting]],
        cursor=extent.cursor(seq),
        seq=seq,
        has_more=has_more,
        is_resync=start is None and cursor is not None,
        orders=_first_orders(store.orders(door.community_id, door.door)),
        applied_seq=extent.applied_seq(cursor),
    )


def _extent(store: DeskStore) -> Extent:
    return Extent(store.epoch, store.last_seq(), store.oldest_seq())


def entry(appointment: Appointment, pin_hash: str | None) -> dict[str, object]:
    """What a door is told of an appointment; of a dead one its standing alone.

    One that no longer names the door is told as it is: its new code kills the old one there, and another door of the same agent, which
    shares the roster, goes on opening for it.
    """
    standing = appointment.standing
    told: dict[str, object] = {"appointment_id": appointment.appointment_id, "standing": standing, "revision": appointment.revision}
    if standing is not Standing.CONFIRMED:
        return told
    return told | {
        "code_id": appointment.code_id,
        "key_id": appointment.key_id,
        "prospect_id": appointment.prospect_id,
        "community_id": appointment.community_id,
        "doors": appointment.doors,
        "unit_names": appointment.unit_names,
        "start_ms": appointment.window.start_ms,
        "end_ms": appointment.window.end_ms,
        "source_title": appointment.source_title,
        "pin_hash": pin_hash,
    }


def _first_orders(orders: list[Order]) -> list[Order]:
    """As many as a page holds; the others come when these are done."""
    sizes = [sum(len(visit_id) + 4 for visit_id in order.visit_ids) for order in orders[:MOST_ORDERS]]
    return orders[: _fitting(sizes, MOST_ORDER_BYTES)]


def _fitting(sizes: list[int], limit: int) -> int:
    """How many things fit one after the other; one does, whatever its size."""
    total = 0
    for index, size in enumerate(sizes):
        total += size + 2
        if total > limit and index:
            return index
    return len(sizes)


def _wait_s(written: str | None) -> int:
    if written is None:
        return 0
    if _SECONDS.fullmatch(written) is None:
        raise ApiRefusedError(BAD_REQUEST, f"wait_s must be a whole number of seconds from 0 to {MOST_WAIT_S}.")
    return min(int(written), MOST_WAIT_S)
