"""A running agent whose door has a screen, for the tests of what a screen may do."""

from __future__ import annotations

import os
import pwd
import threading
import time
from pathlib import Path

from agent import credentials
from agent.core import pin
from agent.core.clock import Interval
from agent.core.news import RosterNews
from agent.core.tour import RosterEntry, Standing, TourCode, Window
from agent.demo.stage import Stage
from agent.store import feed, files
from agent.store.journal import Moment
from agent.store.upkeep import Upkeep

KEY = bytes(range(32, 64))
PIN, STAFF = "40170236", "730518"
"""A prospect's PIN that opens the door now, and staff's."""
KIOSK_USER = "daemon" if os.getuid() == pwd.getpwnam("nobody").pw_uid else "nobody"
"""Another than these tests' own, which may do everything."""
CONTROL = f'[control]\nkiosk_users = ["{KIOSK_USER}"]\nstaff_pin_file = "{{}}/staff-pin"\n'


def screened(folder: Path) -> Stage:
    """The stage, not yet open."""
    return Stage(folder, replace={"pulse_s = 0.5": "pulse_s = 0.1", "[control]\n": CONTROL.format(folder)}, has_desk=True)


async def start(stage: Stage) -> None:
    """Open it and start the agent: staff have a PIN, and the desk, which is away now, told of one tour with a PIN."""
    await stage.open()
    for name, text in (("front-token", "x" * 43), ("front-pin-key", KEY.hex())):
        (stage.folder / name).touch(0o600)
        (stage.folder / name).write_text(text + "\n", "ascii")
    credentials.write_staff_pin(stage.folder / "staff-pin", STAFF)
    _hear(stage.folder / "journal.db")
    await stage.start_agent()


def _hear(store: Path) -> None:
    """The desk told of a tour, long before this start."""
    files.bring_up_to_date(store)
    now_ms = time.time_ns() // 1_000_000
    window = Window(now_ms - 60_000, now_ms + 3_600_000)
    code = TourCode("0102030405aa", "77", "5", "1001", ("front",), ("101", "204 B"), window, "00000000")
    news = RosterNews(RosterEntry("77", Standing.CONFIRMED, code.code_id, None, 1), code, pin.digest(KEY, PIN))
    keeper = Upkeep(store, threading.RLock())
    moment = Moment(now_ms, Interval(now_ms, now_ms))
    keeper.submit(lambda conn: feed.hear_news(conn, "front", [news], moment)).result(10)
    keeper.close(10)
