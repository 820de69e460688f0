"""What a door tells of itself: its clock, its outbox, dead letters, granted unlocks, orders done.

Rule 1: a report is about the token's own door, whatever stands in it.
Rule 2: sent twice it is written once: admissions are a set, the rest is the door's present state.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.desk.api import bodies
from agent.desk.api.auth import bearer_hash, unauthorized
from agent.desk.api.cursor import Extent
from agent.desk.api.messages import KEPT_WORDS, ReportBody
from agent.desk.api.sightings import Sightings
from agent.desk.records import Admission, DoorAccess
from agent.web import Answer, Call, json_answer

if TYPE_CHECKING:
    from agent.desk.store import DeskStore


class Report:
    """`POST /api/v1/report`; `now_ms` is the desk's clock."""

    def __init__(self, store: DeskStore, sightings: Sightings, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._sightings = sightings
        self._now_ms = now_ms

    async def handle(self, call: Call) -> Answer:
        """Take a report."""
        token = bearer_hash(call.headers)
        door = await asyncio.to_thread(self._door, token)
        body = await bodies.read(ReportBody, call)
        at_ms = self._now_ms()
        await asyncio.to_thread(self._write, door, body, at_ms)
        self._sightings.written(door.token_id, at_ms)
        return json_answer({"ok": True})

    def _door(self, token_hash: str) -> DoorAccess:
        door = self._store.door_by_token(token_hash)
        if door is None:
            raise unauthorized()
        return door

    def _write(self, door: DoorAccess, body: ReportBody, at_ms: int) -> None:
        extent = Extent(self._store.epoch, self._store.last_seq(), self._store.oldest_seq())
        admissions = [Admission(door.community_id, door.door, one.appointment_id, one.at_ms) for one in body.admissions]
        if admissions:
            self._store.add_admissions(admissions)
        if body.orders_done:
            self._store.orders_done(list(body.orders_done), door.community_id, door.door)
        told = body.model_dump(include={"version", "clock", "outbox"})
        told["dead_letters"] = [letter.model_dump() | {"words": letter.words[:KEPT_WORDS]} for letter in body.dead_letters]
        self._store.door_seen(door.token_id, at_ms, extent.applied_seq(body.applied_cursor), json.dumps(told))
