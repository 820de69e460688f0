"""A small real desk on loopback: speaks the feed as the door knows it, and can be at fault in every way that a desk can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from agent.core import pin
from agent.listener import Listener
from agent.web import Answer, Call, Dialect, build, in_json, json_answer

TOKEN = "door-token-8f31"
PIN_KEY = bytes(range(64, 96))
COMMUNITY = "1001"
START_MS = 1_790_000_000_000


def confirmed(number: int, *, issue: int = 0, revision: int = 1, typed: str | None = None, **other: Any) -> dict[str, Any]:  # noqa: ANN401
    """An entry as the desk writes it; `typed` is its PIN."""
    return {
        "appointment_id": str(number),
        "standing": "confirmed",
        "revision": revision,
        "code_id": f"{number:08x}{issue:04x}",
        "key_id": "01234567",
        "prospect_id": str(5000 + number),
        "community_id": COMMUNITY,
        "doors": ["front"],
        "unit_names": ["101"],
        "start_ms": START_MS,
        "end_ms": START_MS + 900_000,
        "source_title": "Zumper",
        "pin_hash": pin.digest(PIN_KEY, typed or f"{number:08d}"),
    } | other


def cancelled(number: int, standing: str = "cancelled") -> dict[str, Any]:
    """The end of an appointment as the desk writes it."""
    return {"appointment_id": str(number), "standing": standing, "revision": 9}


class PlayedDesk:
    """`tell` news and `order`; `fault` answers in place of the feed while it is set, `report_fault` in place of the reports' end.

    `asked` are the cursors of all requests and `waits` how long each may be held, `reports` all bodies that were taken.
    """

    def __init__(self, token: str = TOKEN, page: int = 200) -> None:
        self._token = token
        self._page = page
        self._news: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._listener: Listener | None = None
        self.epoch = "epoch"
        self.orders: list[dict[str, Any]] = []
        self.fault: Callable[[Call], Answer | None] | None = None
        self.report_fault: Callable[[Call], Answer | None] | None = None
        self.asked: list[str | None] = []
        self.waits: list[int] = []
        self.reports: list[dict[str, Any]] = []
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Listen."""
        routes = {"/api/v1/roster": {"GET": self._roster}, "/api/v1/report": {"POST": self._report}}
        self._listener = Listener(build(routes, in_json(Dialect("error", "error"))), "127.0.0.1", port)
        await self._listener.start()
        self.url = f"http://127.0.0.1:{self._listener.address[1]}"

    async def stop(self) -> None:
        """Close the port for good."""
        if self._listener is not None:
            await self._listener.stop()

    async def vanish(self) -> None:
        """Close the port, and drop whoever waits."""
        assert self._listener is not None
        await self._listener.shut()

    async def come_back(self) -> None:
        """Listen again on the same port."""
        assert self._listener is not None
        await self._listener.open()

    def tell(self, *entries: dict[str, Any]) -> None:
        """News, to whoever waits for it."""
        self._news += entries
        self._wake()

    def order(self, **order: Any) -> None:  # noqa: ANN401 - JSON
        """Something to do, until it is said to be done."""
        self.orders.append(order)
        self._wake()

    def forget(self) -> None:
        """Be another desk, or the same after a restore: cursors of before are not known."""
        self.epoch += "x"
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _roster(self, call: Call) -> Answer:
        cursor = call.query.get("cursor")
        self.asked.append(cursor)
        self.waits.append(int(call.query["wait_s"]))
        if self.fault is not None:
            answer = self.fault(call)
            if answer is None:
                await asyncio.sleep(3600)
            return answer or Answer()
        if (refused := self._refused(call)) is not None:
            return refused
        until_s = asyncio.get_running_loop().time() + int(call.query["wait_s"])
        while True:
            changed = self._changed
            found = self._page_after(cursor)
            left_s = until_s - asyncio.get_running_loop().time()
            if found["entries"] or found["orders"] or found["is_resync"] or cursor is None or left_s <= 0 or self.fault is not None:
                return json_answer(found)
            try:
                await asyncio.wait_for(changed.wait(), left_s)
            except TimeoutError:
                continue

    def _page_after(self, cursor: str | None) -> dict[str, Any]:
        epoch, _, seq = (cursor or f"{self.epoch}.0").partition(".")
        is_known = epoch == self.epoch and int(seq) <= len(self._news)
        after = int(seq) if is_known else 0
        entries = self._news[after : after + self._page]
        end = after + len(entries)
        return {
            "entries": entries,
            "cursor": f"{self.epoch}.{end}",
            "has_more": end < len(self._news),
            "is_resync": not is_known,
            "orders": self.orders,
        }

    async def _report(self, call: Call) -> Answer:
        body = json.loads(await call.body())
        if self.report_fault is not None:
            return self.report_fault(call) or Answer()
        if (refused := self._refused(call)) is not None:
            return refused
        self.reports.append(body)
        self.orders = [order for order in self.orders if order["order_id"] not in body["orders_done"]]
        return json_answer({"ok": True})

    def _refused(self, call: Call) -> Answer | None:
        is_right = call.headers.get("authorization") == f"Bearer {self._token}"
        return None if is_right else json_answer({"error": f"unknown token {call.headers.get('authorization')}"}, 401)
