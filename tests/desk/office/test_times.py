"""Pages that show free times do not each ask Knock; whoever books does."""

from __future__ import annotations

import asyncio

from agent import config
from agent.core.booking import FreeTimes
from agent.desk.office.times import ShownTimes
from agent.desk.office.values import Trouble
from agent.settings.desk import CommunitySettings

PLACE = config.parse_as(
    CommunitySettings,
    {"id": "1001", "slug": "flats", "name": "Flats", "time_zone": "UTC", "address": "1 Street", "door": [{"name": "front"}]},
    "desk.toml",
)


class Knock:
    """Answers what it is told to, and counts."""

    def __init__(self, *answers: FreeTimes | Trouble) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def ask(self, _community: CommunitySettings) -> FreeTimes | Trouble:
        """The next answer, the last one for ever."""
        self.asked += 1
        await asyncio.sleep(0.01)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_ok__many_who_look_at_once_are_one_question() -> None:
    """And one who goes away takes nothing from the others."""
    knock = Knock(FreeTimes((1,)))

    async def look() -> list[FreeTimes | Trouble]:
        times = ShownTimes(knock.ask)
        lookers = [asyncio.create_task(times.shown(PLACE)) for _ in range(20)]
        await asyncio.sleep(0)
        lookers[0].cancel()
        return [*await asyncio.gather(*lookers[1:]), await times.shown(PLACE)]

    assert asyncio.run(look()) == [FreeTimes((1,))] * 20
    assert knock.asked == 1


def test_ok__what_was_asked_for_a_booking_is_shown_next() -> None:
    """A time that is gone is not offered again on the page that says so."""
    knock = Knock(FreeTimes((1, 2)), FreeTimes((2,)))

    async def look() -> list[FreeTimes | Trouble]:
        times = ShownTimes(knock.ask)
        return [await times.shown(PLACE), await times.fresh(PLACE), await times.shown(PLACE)]

    assert asyncio.run(look()) == [FreeTimes((1, 2)), FreeTimes((2,)), FreeTimes((2,))]


def test_ok__after_a_booking_knock_is_asked_again() -> None:
    """What was just taken is not shown as free."""
    knock = Knock(FreeTimes((1, 2)), FreeTimes((2,)))

    async def look() -> list[FreeTimes | Trouble]:
        times = ShownTimes(knock.ask)
        before = await times.shown(PLACE)
        times.forget(PLACE)
        return [before, await times.shown(PLACE)]

    assert asyncio.run(look()) == [FreeTimes((1, 2)), FreeTimes((2,))]


def test_fail__trouble_is_not_kept() -> None:
    """The next one asks again, and an old answer is not shown in place of the trouble."""
    knock = Knock(FreeTimes((1,)), Trouble("no connection", is_link=True), FreeTimes((3,)))

    async def look() -> list[FreeTimes | Trouble]:
        times = ShownTimes(knock.ask)
        return [await times.shown(PLACE), await times.fresh(PLACE), await times.shown(PLACE)]

    assert asyncio.run(look()) == [FreeTimes((1,)), Trouble("no connection", is_link=True), FreeTimes((3,))]
