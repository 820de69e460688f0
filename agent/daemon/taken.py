"""Tells that a scan is being looked at, for a screen that says "checking".

Rule 1: telling costs the very interpreter that the doorman decides in. So it is put off: until the decision takes long enough to
        be worth a word, or until there is an outcome, which it always comes before.
Rule 2: what the doorman passes over, such as a code that is held up on and on, is not told.
"""

from __future__ import annotations

import asyncio

from agent.daemon.doorman import Scan
from agent.daemon.events import Events

TOLD_AFTER_S = 0.03


class Taken:
    """Scans that the doorman took and has not answered; no more than may wait with him. On the loop only."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._untold: dict[int, asyncio.TimerHandle] = {}

    def took(self, scan: Scan) -> None:
        """The doorman has it."""
        self._untold[id(scan)] = self._loop.call_later(TOLD_AFTER_S, self.tell, scan)

    def tell(self, scan: Scan) -> None:
        """Tell of it now, unless that was done."""
        if self.pass_over(scan):
            self._events.publish("scan", door=scan.door, reader=scan.reader)

    def pass_over(self, scan: Scan) -> bool:
        """Do not tell of it any more; whether that was still to be done."""
        timer = self._untold.pop(id(scan), None)
        if timer is not None:
            timer.cancel()
        return timer is not None
