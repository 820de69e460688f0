"""Daylight, and what wakes a waiting page."""

from __future__ import annotations

import asyncio
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from agent.kiosk.hub import Booking, Hub, _wall_ms, is_dark, is_dim, zone_of
from agent.kiosk.server import Server
from agent.settings.kiosk import LookSettings
from tests.kiosk.conftest import settings

LIMIT_S = 10.0
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("begins", "ends", "clock", "expected"),
    [
        (None, None, time(23), False),
        (time(19, 30), time(7), time(19, 29, 59), False),
        (time(19, 30), time(7), time(19, 30), True),
        (time(19, 30), time(7), time(0), True),
        (time(19, 30), time(7), time(6, 59, 59), True),
        (time(19, 30), time(7), time(7), False),
        (time(9), time(17), time(8, 59), False),
        (time(9), time(17), time(9), True),
        (time(9), time(17), time(17), False),
        (time(0), time(6), time(0), True),
        (time(18), time(0), time(23, 59), True),
        (time(18), time(0), time(0), False),
    ],
)
def test_table__dark_and_dim_are_from_a_time_to_a_time(begins: time | None, ends: time | None, clock: time, expected: bool) -> None:
    """Over midnight, too; the first minute belongs to it, the last does not."""
    assert is_dark(LookSettings(dark_from=begins, dark_to=ends), clock) is expected
    assert is_dim(LookSettings(dim_from=begins, dim_to=ends), clock) is expected


async def _hub() -> Hub:
    made = settings(Path("/nowhere"))
    return Hub(made, zone_of(made))


def test_ok__only_what_shows_moves_the_number_and_wakes() -> None:
    """The same status again, and events that are none of the screen's, wake nobody."""

    async def story() -> tuple[list[bool], list[int]]:
        hub = await _hub()
        hub.tell({"event": "agent_there"})
        number = hub.shown.number
        waiter = asyncio.ensure_future(hub.changed(number))
        await asyncio.sleep(0)
        woken = []
        for event in ({"event": "agent_there"}, {"event": "visit_delivered"}, {"event": "opened", "door": "back"}):
            hub.tell(event)
            await asyncio.sleep(0)
            woken.append(waiter.done())
        hub.tell({"event": "opened", "door": "front"})
        await asyncio.wait_for(waiter, LIMIT_S)
        first = hub.shown.number
        hub.tell_booking(Booking(is_reached=True, starts_ms=(5,)))
        return woken, [first - number, hub.shown.number - first]

    assert asyncio.run(story()) == ([False, False, False], [1, 1])


def test_ok__now_is_the_agents_as_it_last_said_it() -> None:
    """Each status sets it, as an event does, so a clock that was set heals by itself; an agent that goes leaves this board's own."""

    async def story() -> list[int]:
        hub = await _hub()
        found = []
        for event in (
            {"event": "opened", "door": "front", "at_ms": _wall_ms() + 2 * HOUR_MS},
            {"event": "status", "doors": {}, "at_ms": _wall_ms() - HOUR_MS},
            {"event": "status", "doors": {}},
            {"event": "status", "doors": {}, "at_ms": True},
            {"event": "agent_away"},
        ):
            hub.tell(event)
            found.append(round((hub.now_ms() - _wall_ms()) / HOUR_MS))
        hub.close()
        return found

    assert asyncio.run(story()) == [2, -1, -1, -1, 0]


def test_ok__free_times_are_those_of_the_agents_now() -> None:
    """One that has begun by its clock is not offered, whatever this board's own clock shows."""

    async def story() -> list[int]:
        made = settings(Path("/nowhere"), book={"url": "http://127.0.0.1:9", "community": "juniper-flats"})
        hub = Hub(made, zone_of(made))
        now_ms = _wall_ms() + 2 * HOUR_MS
        hub.tell({"event": "status", "doors": {}, "at_ms": now_ms})
        later_ms = now_ms + HOUR_MS
        hub.tell_booking(Booking(is_reached=True, starts_ms=(now_ms - 5 * HOUR_MS, now_ms - HOUR_MS, now_ms - 1, later_ms)))
        server = Server(made, hub, Nobody(), version="1")
        told = server._told(hub.shown, next(iter(server._languages)), is_remote=False)
        hub.close()
        return [one["start_ms"] - later_ms for one in told["book"]["times"]]

    assert asyncio.run(story()) == [0]


class Nobody:
    """An agent that is asked nothing."""

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Never."""
        raise AssertionError(request)


def test_ok__closing_lets_everybody_go() -> None:
    """A stop waits for no page."""

    async def story() -> int:
        hub = await _hub()
        waiters = [asyncio.ensure_future(hub.changed(hub.shown.number)) for _ in range(20)]
        await asyncio.sleep(0)
        assert hub.waiting == 20
        hub.close()
        await asyncio.wait_for(asyncio.gather(*waiters), LIMIT_S)
        return hub.waiting

    assert asyncio.run(story()) == 0


def test_ok__somebody_at_the_door_is_never_dimmed(tmp_path: Path) -> None:
    """Dim is for a screen that nobody looks at."""

    async def story() -> list[bool]:
        made = settings(tmp_path / "s", look={"dim_from": "00:00", "dim_to": "23:59", "dark_from": "00:00", "dark_to": "23:59"})
        hub = Hub(made, lambda _ms: zone_of(made)(0))
        hub.tell({"event": "agent_there"})
        found = [hub.shown.is_dim, hub.shown.is_dark]
        hub.tell({"event": "scan", "door": "front"})
        found += [hub.shown.is_dim, hub.shown.is_dark]
        hub.close()
        return found

    assert asyncio.run(story()) == [True, True, False, True]
