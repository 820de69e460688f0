"""What a screen's page is told of events and of the status: what its picture needs, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import glimpse
from agent.daemon.events import Events
from agent.kiosk import view
from tests.control.test_kiosk_peers import AS_KIOSK
from tests.control.test_peers import ask, listener

Serving = Callable[..., AbstractAsyncContextManager[Events]]
SECRET = "SECRET"
DOOR: dict[str, Any] = {
    "state": "locked",
    "lock": "locked",
    "leaf": "shut",
    "fire": False,
    "fault": "store_failed",
    "tamper": False,
    "hold_open_until_ms": None,
    "second_relay": None,
    "inputs": {"contact": "ready"},
    "rex": None,
    "lamps": {},
    "readers": {"front-scanner": "lost"},
    "locked_out": {"front-screen": 60.0},
    "screen": {"takes_pins": True, "serves_staff": True},
    "feed": {"state": "fresh", "words": SECRET},
    "report": {"trouble": SECRET},
}
STATUS: dict[str, Any] = {
    "ok": True,
    "at_ms": 7,
    "version": SECRET,
    "up_s": 5,
    "community_id": SECRET,
    "doors": {"front": DOOR, "gym": {**DOOR, "leaf": SECRET}},
    "clock": {"state": "trusted", "earliest_ms": 1, "latest_ms": 2},
    "keys": {SECRET: "active"},
    "outbox": {"due": 3},
    "unwritten": 0,
    "knock": {"is_up": True, "failures": 0, "words": SECRET},
}
FACTS: dict[str, Any] = {
    "at_ms": 7,
    "reader": "front-scanner",
    "units": ["101"],
    "doors": ["gym"],
    "reason": "wrong_door",
    "time_ms": 9,
    "lock_s": 30,
    **dict.fromkeys(("appointment_id", "code_id", "operator", "prospect", "user", "error", "words", "by", "detail"), SECRET),
}


def test_ok__a_status_holds_the_pages_own_door_and_what_it_shows_of_it() -> None:
    """No other door, key, count or version; the picture is the one that the whole would give."""
    told = glimpse.of_status(STATUS, ["front"])
    of_door = {"lock": "locked", "leaf": "shut", "fire": False, "fault": "store_failed"}
    of_door |= {"readers": {"front-scanner": "lost"}, "locked_out": {"front-screen": 60.0}}
    of_door |= {"screen": {"takes_pins": True, "serves_staff": True}, "feed": {"state": "fresh"}}
    assert told == {"ok": True, "at_ms": 7, "doors": {"front": of_door}, "knock": {"is_up": True}, "clock": {"state": "trusted"}}
    start = view.Facts("front")
    assert view.heard(start, {**told, "event": "status"}, 5) == view.heard(start, {**STATUS, "event": "status"}, 5)
    assert glimpse.of_status({**STATUS, "doors": {"front": {**DOOR, "feed": None}}}, ["front"])["doors"]["front"]["feed"] is None
    assert glimpse.of_status(STATUS, [])["doors"] == {}


@pytest.mark.parametrize("name", sorted(set(view._STEPS) - {"agent_there", "agent_away", "status", "status_refused"}))
def test_ok__every_event_that_the_page_knows_shows_as_the_whole_would(name: str) -> None:
    """And holds nothing beside."""
    whole = {"event": name, "door": "front", **FACTS}
    told = glimpse.of_event(whole, ["front"])
    assert told is not None
    assert SECRET not in json.dumps(told)
    facts = view.heard(view.Facts("front"), {"event": "opened", "door": "front"}, 0)
    assert view.heard(facts, told, 5) == view.heard(facts, whole, 5)


@pytest.mark.parametrize("name", ["admitted", "refused", "unlocked", "fire", "locked_by_staff"])
def test_ok__what_happens_at_a_door_without_a_screen_is_not_told(name: str) -> None:
    """Nor to a page without any door; what is of all doors is told without a door."""
    assert glimpse.of_event({"event": name, "door": "gym", **FACTS}, ["front"]) is None
    assert glimpse.of_event({"event": name, **FACTS}, []) is None
    assert "door" not in (glimpse.of_event({"event": name, **FACTS}, ["front"]) or {"door": 1})


@pytest.mark.parametrize("name", ["rex", "tamper", "visit_delivered", "roster", "passback", "started", "not_yet_invented", None, 5])
def test_ok__events_that_no_picture_needs_are_not_told(name: object) -> None:
    """Whatever is not listed stays inside."""
    assert glimpse.of_event({"event": name, "door": "front", **FACTS}, ["front"]) is None


def test_ok__the_socket_tells_pages_that_and_staff_all(serving: Serving, tmp_path: Path) -> None:
    """A page's user gets the filtered ones over the socket, in order, and a refused status as it is."""

    async def status(request: dict[str, Any], _user: str) -> dict[str, Any]:
        if "fail" in request:
            raise ValueError("it cannot say")
        return {name: value for name, value in STATUS.items() if name != "ok"}

    async def play(kind: dict[str, Any]) -> list[dict[str, Any]]:
        async with serving({"status": status}, **kind) as events:
            reader, writer = await listener(tmp_path / "s")
            events.publish("unlocked", door="gym", user=SECRET)
            events.publish("refused", door="front", reader="r", reason="too_late", time_ms=1, doors=[], operator=SECRET)
            events.publish("visit_delivered", appointment_id=SECRET)
            events.publish("locked", door="front", released_ms=5)
            told = [await ask(tmp_path / "s", {"do": "status"})]
            while told[-1].get("event") != "locked":
                told.append(json.loads(await asyncio.wait_for(reader.readline(), 10)))
            writer.close()
            return told

    page = asyncio.run(play({**AS_KIOSK, "doors": ("front",)}))
    refused = {"event": "refused", "at_ms": 7, "door": "front", "reader": "r", "reason": "too_late", "time_ms": 1, "doors": []}
    assert page == [glimpse.of_status(STATUS, ["front"]), refused, {"event": "locked", "at_ms": 7, "door": "front"}]
    whole = asyncio.run(play({}))
    assert (whole[0], [event["event"] for event in whole[1:]]) == (STATUS, ["unlocked", "refused", "visit_delivered", "locked"])
