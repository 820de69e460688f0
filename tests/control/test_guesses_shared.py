"""The guesses at a door's scanner and on its screen are one budget, under the real agent; the status tells a page of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent import config
from agent.daemon.guesses import shared
from agent.daemon.screen import PIN_EVERY_S
from agent.settings.agent import AgentSettings
from tests.control.screened import PIN, screened, start


def test_denied__what_was_guessed_at_the_scanner_is_used_up_on_the_screen(tmp_path: Path, play: Callable[..., Any]) -> None:
    """After the lockout began there, the right PIN is not looked at on the pad either."""
    stage = screened(tmp_path)

    async def story() -> tuple[str, dict[str, Any]]:
        await start(stage)
        for number in range(10):
            stage.scan(f"nonsense {number}")
            await stage.event("refused")
        lockout = await stage.event("locked_out")
        for _ in range(100):
            if (await stage.ask({"do": "screen_pin", "door": "front", "pin": PIN}))["taken"]:
                break
            await asyncio.sleep(PIN_EVERY_S / 10)
        refused = await stage.event("admitted", "refused")
        door = (await stage.ask({"do": "status"}))["doors"]["front"]
        return lockout["reader"], {**door, "refused": refused}

    try:
        reader, door = play(story())
    finally:
        play(stage.close())
    assert (reader, list(door["locked_out"])) == ("front-scanner", ["front-scanner"])
    assert (door["refused"]["reader"], door["refused"]["reason"]) == ("front-screen", "locked_out")
    assert 0 < door["screen"]["pins_wait_s"] <= 30


def _door(name: str, *directions: str) -> dict[str, Any]:
    readers = [
        {"driver": "serial", "name": f"{name}-{number}", "port": f"/dev/{name}{number}", "direction": direction}
        for number, direction in enumerate(directions)
    ]
    return {"name": name, "relay": {"driver": "played", "path": f"/tmp/relay-{name}"}, "reader": readers}


def test_ok__who_shares_is_who_lets_in_at_one_door() -> None:
    """A reader that lets out counts for itself: nobody is kept inside by what is typed outside."""
    written = {
        "community_id": "1001",
        "time_zone": "UTC",
        "control": {"kiosk_users": ["nobody"], "kiosk_doors": ["front"]},
        "door": [_door("front", "in", "in", "out"), _door("back", "in")],
    }
    settings: AgentSettings = config.parse(written, "agent.toml")
    assert shared(settings) == {"front-0": "front", "front-1": "front", "front-screen": "front", "back-0": "back"}
