"""A screen's handlers over a real doorman, for the tests of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent import config
from agent.core import staff_pin
from agent.core.staff_pin import StaffPin
from agent.daemon.build import Parts
from agent.daemon.events import Events
from agent.daemon.screen import Screen
from agent.errors import ScreenRefusedError
from tests.daemon.world import World

STAFF, NOT_STAFF = "730518", "730519"
KNOWN = staff_pin.make(STAFF, bytes(16))
SHOW = {"door": "front", "what": "show", "pin": STAFF}
HOUR_MS = 3_600_000
JOURNAL = "SELECT kind, door, reader, reason, detail FROM journal ORDER BY seq"

Ask = Callable[..., dict[str, Any]]


class Stand:
    """A screen over a real doorman; `told` are the events, without their time."""

    def __init__(self, world: World, known: StaffPin | None = KNOWN, doors: tuple[str, ...] = ("front", "stopped")) -> None:
        self.world = world
        written = {
            "community_id": "1001",
            "time_zone": "America/Los_Angeles",
            "store": {"path": str(world.store)},
            "control": {"kiosk_users": ["nobody"], "kiosk_doors": list(doors)},
            "door": [_door(name) for name in ("front", "stopped", "back")],
        }
        self.told: list[dict[str, object]] = []
        events = Events(lambda: 7)
        events.publish = lambda event, **facts: self.told.append({"event": event, **facts})  # type: ignore[method-assign]
        doorman = world.doorman
        parts = SimpleNamespace(
            doors=doorman._doors, pin_keys=doorman._pin_keys, upkeep=world.upkeep, clock=doorman._clock, staff_pin=known
        )
        self.screen = Screen(
            settings=config.parse(written, "agent.toml"),
            parts=cast("Parts", parts),
            doorman=doorman,
            events=events,
            present=doorman.present,
            knock=lambda: {"is_up": True, "failures": 0},
        )

    async def answer(self, do: str, **request: object) -> dict[str, Any]:
        """What is answered."""
        return await self.screen.handlers()[do]({"do": do, **request}, "nobody")

    def ask(self, do: str, **request: object) -> dict[str, Any]:
        """The same, from a test that runs no loop."""
        answer: dict[str, Any] = run(self.answer(do, **request))
        return answer

    def refusal(self, do: str, **request: object) -> tuple[str, str]:
        """Why a request is refused: the reason and the sentence, which holds no PIN."""
        with pytest.raises(ScreenRefusedError) as refused:
            self.ask(do, **request)
        sentence, pin = str(refused.value), request.get("pin")
        assert not (isinstance(pin, str) and pin and pin in sentence)
        assert refused.value.__cause__ is None
        return refused.value.reason, sentence


def _door(name: str) -> dict[str, Any]:
    found = {"driver": "serial", "name": f"{name}-scanner", "port": f"/dev/{name}"}
    return {"name": name, "relay": {"driver": "played", "path": f"/tmp/relay-{name}"}, "reader": [found]}


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it gives
    """Run it on a loop of its own."""
    return asyncio.run(coroutine)
