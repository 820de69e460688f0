"""A disk that takes no admission, under the real agent: its status, which still works, says so over the socket until one is written."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.daemon.screen import PIN_EVERY_S
from agent.demo.stage import Stage
from agent.kiosk import view
from agent.kiosk.view import FAULT_TICKS, Facts, Kind
from tests.control.screened import PIN, screened, start
from tests.daemon.test_faults import UNWRITABLE


def _alter(stage: Stage, sql: str) -> None:
    conn = sqlite3.connect(stage.folder / "journal.db", timeout=10)
    conn.execute(sql)
    conn.commit()
    conn.close()


async def _type(stage: Stage, pin: str = PIN) -> str:
    """What becomes of a PIN."""
    for _ in range(100):
        if (await stage.ask({"do": "screen_pin", "door": "front", "pin": pin}))["taken"]:
            return str((await stage.event("admitted", "refused"))["event"])
        await asyncio.sleep(PIN_EVERY_S / 10)
    raise AssertionError("no PIN is taken any more")


async def _seen(stage: Stage) -> tuple[object, Kind]:
    """The fault that the status tells, and what a screen shows of it long after anything happened."""
    status: dict[str, Any] = await stage.ask({"do": "status"})
    facts = view.heard(Facts("front"), {"event": "store_failed"}, 0)
    later = 2 * FAULT_TICKS
    return status["doors"]["front"]["fault"], view.screen(view.heard(facts, {**status, "event": "status"}, later), later).kind


def test_fault__is_told_until_an_admission_is_written(tmp_path: Path, play: Callable[..., Any]) -> None:
    """The screen never asks for a code that the door cannot take; it does again once the door has taken one."""
    stage = screened(tmp_path)

    async def story() -> list[object]:
        await start(stage)
        found: list[object] = [await _seen(stage)]
        _alter(stage, UNWRITABLE)
        found += [await _type(stage), await _seen(stage)]
        _alter(stage, "DROP TRIGGER full")
        # another PIN between them, or the same digits so soon after would be taken for one scan
        found += [await _type(stage, "98321477"), await _seen(stage), await _type(stage)]
        await stage.relay_record("locked", 0)
        return [*found, (await _seen(stage))[0]]

    try:
        told = play(story())
    finally:
        play(stage.close())
    assert told == [(None, Kind.READY), *["refused", ("store_failed", Kind.OUT_OF_ORDER)] * 2, "admitted", None]
