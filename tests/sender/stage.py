"""What the tests of the sender are made with: a store, a sender on it, and reporters that record what they are told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agent.core.replay import Delivered, Outcome, RetryPolicy
from agent.core.tour import Visit
from agent.daemon.events import Event, Events
from agent.daemon.sender import Reporter, Sender
from agent.store.journal import Journal, Moment
from agent.store.upkeep import Upkeep
from tests.store.made import everything, moment, new_store, opened, queue_visit

WAIT_S = 20.0
QUICK = RetryPolicy(first_s=0.05, max_s=0.2)
Say = Callable[[Visit, int], Awaitable[Outcome] | Outcome]


def now_ms() -> int:
    """The clock of this machine."""
    return time.time_ns() // 1_000_000


class Recorder:
    """A reporter that answers as it is told, and records what it saw: every visit, and how many were under way at once."""

    def __init__(self, say: Say | None = None) -> None:
        self.say = say or (lambda visit, _: Delivered(f"k{visit.appointment_id}"))
        self.told: list[Visit] = []
        self.tries: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.most_at_once = 0
        self.most_per_prospect = 0
        self.closed = 0

    async def report(self, visit: Visit) -> Outcome:
        """Record, and answer."""
        self.told.append(visit)
        self.tries[visit.appointment_id] += 1
        self.under_way[visit.prospect_id] += 1
        self.most_at_once = max(self.most_at_once, self.under_way.total())
        self.most_per_prospect = max(self.most_per_prospect, self.under_way[visit.prospect_id])
        try:
            said = self.say(visit, self.tries[visit.appointment_id])
            if isinstance(said, Awaitable):
                return await said
            await asyncio.sleep(0)
            return said
        finally:
            self.under_way[visit.prospect_id] -= 1

    async def close(self) -> None:
        """Record that it was closed."""
        self.closed += 1

    @property
    def order(self) -> list[str]:
        """The appointments in the order in which they were told."""
        return [visit.appointment_id for visit in self.told]


class Stage:
    """A store with a sender on it that can be started, stopped as by a crash, and started again."""

    def __init__(self, path: Path, journal: Journal, upkeep: Upkeep, reporter: Reporter, **options: Any) -> None:  # noqa: ANN401 - the sender's
        self.path = path
        self.journal = journal
        self.upkeep = upkeep
        self.reporter = reporter
        self.connects = 0
        self.clock: Callable[[], int] = now_ms
        self.events = Events(now_ms)
        self.listener = self.events.listen()
        self._options = {"policy": QUICK, "at_once": 4, "chance": lambda: 0.5, **options}
        self.sender = self._made()
        self.task: asyncio.Task[None] | None = None

    def _made(self) -> Sender:
        policy, options = self._options["policy"], {name: value for name, value in self._options.items() if name != "policy"}
        return Sender(self.upkeep, self._connect, policy, moment=self._moment, events=self.events, **options)

    def _moment(self) -> Moment:
        return moment(self.clock())

    async def _connect(self) -> Reporter:
        self.connects += 1
        return self.reporter

    def start(self) -> None:
        """A new sender, as after a start of the agent."""
        self.sender = self._made()
        self.task = asyncio.create_task(self.sender.run())

    async def stop(self) -> None:
        """Cancel it, as the stop of the agent does."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    def queue(self, *numbers: int, prospects: int = 1_000_000, at_ms: int | None = None) -> None:
        """Visits of these appointments, each of prospect `number % prospects`, due since they were made."""
        due_ms = now_ms() if at_ms is None else at_ms
        work = [(number, number % prospects) for number in numbers]
        self.upkeep.submit(lambda conn: [queue_visit(conn, number, prospect=who, at_ms=due_ms) for number, who in work]).result(WAIT_S)

    def rows(self) -> dict[str, tuple[Any, ...]]:
        """The outbox by appointment: state, attempts, doubts, next try, link, words."""
        found = everything(self.path)
        names = {row[0]: row[1] for row in found["visit"]}
        return {names[row[0]]: row[2:] for row in found["outbox"]}

    def states(self) -> dict[str, str]:
        """The states of the outbox by appointment."""
        return {name: row[0] for name, row in self.rows().items()}

    def delivered(self) -> dict[str, str]:
        """Knock's ids of the visits that are delivered."""
        return {row[1]: row[7] for row in everything(self.path)["visit"] if row[7] is not None}

    def is_told(self, kind: str) -> bool:
        """Whether such an event waits to be heard."""
        return any(event is not None and event["event"] == kind for event in self.listener._queue)  # type: ignore[attr-defined]

    def heard(self) -> list[Event]:
        """The events since the last time, without their instants."""
        found = []
        while not self.listener.empty():
            event = self.listener.get_nowait()
            assert event is not None
            found.append({name: value for name, value in event.items() if name != "at_ms"})
        return found

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait for something to become true while the sender works; what killed the sender comes out here."""
        deadline_s = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < deadline_s, f"it never came about: {self.rows()}"
            if self.task is not None and self.task.done():
                await self.task
                raise AssertionError("the sender ended by itself")
            await asyncio.sleep(0.005)

    async def until_empty(self) -> None:
        """Wait until the outbox is empty."""
        await self.until(lambda: not self.rows())


@asynccontextmanager
async def staged(folder: Path, reporter: Reporter, **options: Any) -> AsyncIterator[Stage]:  # noqa: ANN401 - the sender's
    """Such a stage on a fresh store; the sender is not started yet."""
    path = new_store(folder)
    with opened(path) as (journal, upkeep):
        stage = Stage(path, journal, upkeep, reporter, **options)
        try:
            yield stage
        finally:
            await stage.stop()
