"""Free times for the pages that show them: one question to Knock at a time, however many people look.

Rule 1: what is shown may be `SHOWN_S` old. Knock's list shrinks as time passes, so it is not kept longer (Knock Appointment Creation API).
Rule 2: whoever books asks anew, and what comes of that is what the pages show next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from agent.core.booking import FreeTimes
from agent.desk.office.values import Trouble
from agent.settings.desk import CommunitySettings

SHOWN_S = 2.0

Ask = Callable[[CommunitySettings], Awaitable[FreeTimes | Trouble]]


class ShownTimes:
    """Shares answers among those who only look; `ask` asks Knock."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._asked: dict[str, asyncio.Task[FreeTimes | Trouble]] = {}
        self._heard: dict[str, tuple[float, FreeTimes]] = {}

    async def shown(self, community: CommunitySettings) -> FreeTimes | Trouble:
        """What Knock said within the last `SHOWN_S`, or says now. Trouble is not kept."""
        heard = self._heard.get(community.id)
        if heard is not None and time.monotonic() - heard[0] < SHOWN_S:
            return heard[1]
        task = self._asked.get(community.id)
        if task is None:
            self._asked[community.id] = task = asyncio.create_task(self.fresh(community), name="free times")
            task.add_done_callback(lambda _: self._asked.pop(community.id, None))
        # shielded: one who goes away does not take the answer from the others
        return await asyncio.shield(task)

    async def fresh(self, community: CommunitySettings) -> FreeTimes | Trouble:
        """What Knock says now."""
        found = await self._ask(community)
        if isinstance(found, FreeTimes):
            self._heard[community.id] = (time.monotonic(), found)
        else:
            self._heard.pop(community.id, None)
        return found

    def forget(self, community: CommunitySettings) -> None:
        """Something was booked, moved or cancelled: what Knock said before is old."""
        self._heard.pop(community.id, None)
