"""The routes for whoever runs a demo or a test: look inside, switch faults, move the clock. Loopback only, never on the public port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from agent.sandbox.faults import Fault, FaultBoard
from agent.sandbox.fields import Fields, parse_json, refuse
from agent.sandbox.ledger import Ledger
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.state import ROUTES
from agent.web import Answer, Call, Dialect, Handler, json_answer

_MOST_SECONDS = 20 * 366 * 24 * 3600


DIALECT = Dialect(refused="error", unrouted="error")


class Admin:
    """The admin API; `apply_port` opens or closes the public port as the board says, and may raise `RefusedError`."""

    def __init__(self, settings: SandboxSettings, ledger: Ledger, board: FaultBoard, apply_port: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._board = board
        self._apply_port = apply_port

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/healthz": {"GET": self._health},
            "/received": {"GET": self._received},
            "/state": {"GET": self._state},
            "/clock": {"POST": self._move_clock},
            "/faults": {"DELETE": self._clear_faults},
            "/faults/{route}": {"PUT": self._switch_fault, "DELETE": self._clear_fault},
        }

    async def _health(self, call: Call) -> Answer:
        del call
        return json_answer({"status": "ok", "now": self._ledger.now().isoformat()})

    async def _received(self, call: Call) -> Answer:
        route = call.query.get("route")
        if route is not None and route not in ROUTES:
            refuse(f"there is no route {route!r}; there are {', '.join(ROUTES)}")
        received = self._ledger.state.received
        return json_answer([one.to_json() for one in received if route in (None, one.route)])

    async def _state(self, call: Call) -> Answer:
        del call
        state = self._ledger.state.to_json()
        del state["received"]
        communities = [
            {"id": community.id, "name": community.name, "timeZone": community.time_zone, "units": list(community.units)}
            for community in self._settings.communities
        ]
        return json_answer({"communities": communities, **state, "faults": self._board.to_json(), **self._clock()})

    async def _move_clock(self, call: Call) -> Answer:
        fields = Fields(parse_json(await call.body()))
        fields.closed(("offset_seconds",))
        self._ledger.offset = timedelta(seconds=fields.number("offset_seconds", -_MOST_SECONDS, _MOST_SECONDS))
        return json_answer(self._clock())

    async def _switch_fault(self, call: Call) -> Answer:
        fault = Fault.from_json(parse_json(await call.body()))
        self._board.switch_on(call.path["route"], fault)
        return await self._faults()

    async def _clear_fault(self, call: Call) -> Answer:
        self._board.clear(call.path["route"])
        return await self._faults()

    async def _clear_faults(self, call: Call) -> Answer:
        del call
        self._board.clear()
        return await self._faults()

    async def _faults(self) -> Answer:
        await self._apply_port()
        return json_answer({"faults": self._board.to_json()})

    def _clock(self) -> dict[str, Any]:
        return {"now": self._ledger.now().isoformat(), "offset_seconds": self._ledger.offset.total_seconds()}
