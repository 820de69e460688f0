"""The one task that wakes held requests: which, when, and at what cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agent.desk.api.watch import LOOK_S, DoorKey, Watch
from agent.errors import StoreError

FRONT, GYM = ("1001", "front"), ("1001", "gym")
LONG_S = 60.0
SOON_S = 10.0


class Changes:
    """What the store would say of changes; counts how often it is asked."""

    def __init__(self) -> None:
        self.changes: list[DoorKey] = []
        self.asked = 0
        self.is_broken = False

    def doors_after(self, seq: int) -> tuple[set[DoorKey], int]:
        """As `DeskStore.changed_doors`."""
        self.asked += 1
        if self.is_broken:
            raise StoreError("the disk is gone")
        return set(self.changes[seq:]), len(self.changes)

    def last_seq(self) -> int:
        """As `DeskStore.last_seq`."""
        return len(self.changes)


async def never() -> None:
    """A client that stays."""
    await asyncio.get_running_loop().create_future()


def watched(play: Callable[[Watch, Changes], Awaitable[None]]) -> None:
    """Run `play` beside a running watch."""

    async def run() -> None:
        changes = Changes()
        watch = Watch(changes.doors_after, changes.last_seq)
        running = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(SOON_S):
                while not changes.asked:  # noqa: ASYNC110 - the watch runs by itself, and tells nobody
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.01)
                await play(watch, changes)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(run())


def held(watch: Watch, door: DoorKey, after_seq: int, number: int = 0) -> asyncio.Task[bool]:
    """A request that is held."""
    until_s = asyncio.get_running_loop().time() + LONG_S
    return asyncio.create_task(watch.news(door, f"t{number}", after_seq=after_seq, until_s=until_s, gone=never))


def test_ok__what_was_heard_of_before_the_request_was_held_is_news() -> None:
    """The page was read, then the change came and the watch looked, and then the request is held: it is to be read again."""

    async def play(watch: Watch, changes: Changes) -> None:
        changes.changes.append(FRONT)
        asked = changes.asked
        watch.look()
        while changes.asked < asked + 2:  # one whole look after the change
            watch.look()
            await asyncio.sleep(0.001)
        assert await held(watch, FRONT, 0)
        waiting = held(watch, FRONT, 1)
        await asyncio.sleep(2 * LOOK_S)
        assert not waiting.done()
        waiting.cancel()

    watched(play)


def test_ok__only_the_doors_concerned_are_woken() -> None:
    """The others do not read the roster again for nothing."""

    async def play(watch: Watch, changes: Changes) -> None:
        front, gym = held(watch, FRONT, 0), held(watch, GYM, 0)
        await asyncio.sleep(0)
        changes.changes.append(GYM)
        assert await gym
        await asyncio.sleep(LOOK_S)
        assert not front.done()
        front.cancel()

    watched(play)


def test_ok__a_thousand_held_requests_are_one_question_a_round() -> None:
    """The store is asked as often as without them, and each of them is woken by its own change."""

    async def play(watch: Watch, changes: Changes) -> None:
        waiting = [held(watch, ("1001", f"d{number}"), 0, number) for number in range(1000)]
        await asyncio.sleep(0.1)
        asked, began_s = changes.asked, time.monotonic()
        await asyncio.sleep(4 * LOOK_S)
        assert 0 < changes.asked - asked <= (time.monotonic() - began_s) / LOOK_S + 1
        assert watch.held == 1000
        changes.changes += [("1001", f"d{number}") for number in range(1000)]
        assert all(await asyncio.gather(*waiting))
        assert watch.held == 0

    watched(play)


def test_ok__a_store_that_failed_for_a_while_is_asked_again() -> None:
    """What changed meanwhile is heard of afterwards."""

    async def play(watch: Watch, changes: Changes) -> None:
        waiting = held(watch, FRONT, 0)
        changes.is_broken = True
        await asyncio.sleep(2 * LOOK_S)
        changes.changes.append(FRONT)
        changes.is_broken = False
        assert await waiting

    watched(play)


def test_ok__a_change_in_this_process_is_looked_at_from_any_thread() -> None:
    """Offices work in threads."""

    async def play(watch: Watch, changes: Changes) -> None:
        waiting = held(watch, FRONT, 0)
        await asyncio.sleep(0)
        changes.changes.append(FRONT)
        await asyncio.to_thread(watch.look)
        assert await waiting

    watched(play)
