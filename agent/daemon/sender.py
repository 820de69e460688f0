"""The outbox on its way to Knock: sends when it can, marks in batches, wakes at once on a new visit (promise P3).

Rule 1: a visit is marked as being sent, on disk, before the request leaves; whatever happens then, its row is still there.
Rule 2: one visit at a time per prospect, several prospects at once; while the way to Knock is shut, one probe at a time.
Rule 3: nothing slow is loaded before the first visit, and then in a thread: no scan waits for an import.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol, TypeVar

from agent.core.replay import Delivered, Mark, Outcome, Refused, RetryPolicy, RowState, TryAgain, Unknown, backoff_s, settle
from agent.core.tour import Visit
from agent.daemon.events import Events
from agent.errors import StoreError
from agent.store import outbox
from agent.store.journal import Moment, Note, write_note
from agent.store.upkeep import Upkeep

T = TypeVar("T")
LONGEST_SLEEP_S = 600.0
STORE_RETRY_S = 5.0


class Reporter(Protocol):
    """Whoever tells Knock: `agent.knock.Knock`, or a fake."""

    async def report(self, visit: Visit) -> Outcome:
        """What became of it."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class _Finished:
    parcel: outbox.Parcel
    outcome: Outcome
    mark: Mark | None


class Sender:
    """The outbox worker. All methods run on the agent's loop."""

    def __init__(
        self,
        upkeep: Upkeep,
        connect: Callable[[], Awaitable[Reporter]],
        policy: RetryPolicy,
        *,
        at_once: int,
        moment: Callable[[], Moment],
        chance: Callable[[], float],
        events: Events,
    ) -> None:
        self._upkeep = upkeep
        self._connect = connect
        self._policy = policy
        self._at_once = at_once
        self._moment = moment
        self._chance = chance
        self._events = events
        self._wake = asyncio.Event()
        self._sending: dict[asyncio.Task[Outcome], outbox.Parcel] = {}
        self._unmarked: set[str] = set()
        """The visits that left, until what became of them is written."""
        self._is_unsure = False
        """Whether a claim may have been written although the store said that it failed."""
        self._has_heard = False
        self._failures = 0
        self._was_down = False
        self._has_more_to_hurry = False
        """Whether rows may be left that waited for the way to Knock, although it is open again."""
        self._paused_until_s = 0.0
        self._asked_until_s = 0.0
        """Until when Knock asked us to stay away (Retry-After)."""

    @property
    def link(self) -> dict[str, object]:
        """For `status`: whether the last word from Knock was a good one (None before the first), and the failures since a good one."""
        return {"is_up": self._failures == 0 if self._has_heard else None, "failures": self._failures, "sending": len(self._sending)}

    def wake(self) -> None:
        """There is a new visit, or a person asked for a retry: look at once, even while the way is shut, unless Knock said when."""
        self._paused_until_s = self._asked_until_s
        self._wake.set()

    async def run(self) -> None:
        """Send for ever; cancelled at the stop of the agent."""
        recovered = await self._write(lambda conn: outbox.recover(conn, self._policy.in_doubt, self._moment().at_ms))
        if recovered:
            self._events.publish("visits_in_doubt", count=recovered)
        reporter: Reporter | None = None
        finished: list[_Finished] = []
        try:
            while True:
                self._wake.clear()
                try:
                    parcels, next_due_ms = await self._mark_and_claim(finished)
                except StoreError as error:
                    # what Knock answered is kept until it can be written: a lost mark would send the visit again
                    self._is_unsure = True
                    self._events.publish("store_failed", error=str(error))
                    await asyncio.sleep(STORE_RETRY_S)
                    continue
                if parcels and reporter is None:
                    reporter = await self._connect()
                if reporter is not None:
                    self._unmarked |= {parcel.visit.visit_id for parcel in parcels}
                    for parcel in parcels:
                        self._sending[asyncio.create_task(reporter.report(parcel.visit), name=f"visit {parcel.visit.visit_id}")] = parcel
                finished = await self._wait(next_due_ms)
        finally:
            await self._let_go(reporter)

    async def _mark_and_claim(self, finished: list[_Finished]) -> tuple[list[outbox.Parcel], int | None]:
        """One transaction: what became of the last ones, and the next ones to send."""
        moment = self._moment()
        is_down = self._failures > 0
        is_hurry = not is_down and (self._was_down or self._has_more_to_hurry)
        hurried = 0
        limit = (1 if is_down else self._at_once) - len(self._sending)
        is_paused = time.monotonic() < self._paused_until_s
        busy = {parcel.visit.prospect_id for parcel in self._sending.values()}
        unmarked = set(self._unmarked) if self._is_unsure else None

        def work(conn: Connection) -> tuple[list[outbox.Parcel], int | None]:
            nonlocal hurried
            for one in finished:
                _write_outcome(conn, one, moment)
            if unmarked is not None:
                outbox.give_back(conn, unmarked)
            if is_hurry:
                hurried = outbox.link_is_up(conn, moment.at_ms)
            parcels = [] if is_paused or limit <= 0 else outbox.claim(conn, moment.at_ms, busy, limit)
            return parcels, outbox.next_due_ms(conn)

        result = await self._write(work)
        self._is_unsure = False
        # the rest in the next rounds, one transaction each; until then more are due than can be sent at once
        self._has_more_to_hurry = hurried == outbox.MAX_HURRIED
        for one in finished:
            self._unmarked.discard(one.parcel.visit.visit_id)
            self._tell(one)
        if is_down != self._was_down:
            self._was_down = is_down
            self._events.publish("link_down" if is_down else "link_up")
        return result

    async def _wait(self, next_due_ms: int | None) -> list[_Finished]:
        """Until a visit is answered, a new one is there, or the next is due; returns what was answered."""
        waker = asyncio.create_task(self._wake.wait(), name="outbox wake")
        try:
            await asyncio.wait({waker, *self._sending}, timeout=self._sleep_s(next_due_ms), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waker.cancel()
        done = [(task, parcel) for task, parcel in self._sending.items() if task.done()]
        finished = []
        for task, parcel in done:
            del self._sending[task]
            outcome = _outcome(task)
            self._judge_link(outcome)
            finished.append(self._settled(parcel, outcome))
        return finished

    def _sleep_s(self, next_due_ms: int | None) -> float:
        if next_due_ms is None or len(self._sending) >= (1 if self._failures else self._at_once):
            return LONGEST_SLEEP_S
        ahead_ms = next_due_ms - self._moment().at_ms
        due_s = ahead_ms / 1000 if ahead_ms <= outbox.FAR_MS else 0.0
        # a row that is due but whose prospect is busy must not spin: an answer wakes us anyway
        least_s = 1.0 if self._sending else 0.02
        return min(max(due_s, self._paused_until_s - time.monotonic(), least_s), LONGEST_SLEEP_S)

    def _settled(self, parcel: outbox.Parcel, outcome: Outcome) -> _Finished:
        if isinstance(outcome, Delivered):
            return _Finished(parcel, outcome, None)
        now_ms = self._moment().at_ms
        mark = settle(outcome, self._policy, attempts=parcel.attempts, doubts=parcel.doubts, now_ms=now_ms, chance=self._chance())
        return _Finished(parcel, outcome, mark)

    def _judge_link(self, outcome: Outcome) -> None:
        self._has_heard = True
        if isinstance(outcome, Unknown) or (isinstance(outcome, TryAgain) and outcome.is_link):
            self._failures += 1
            retry_after_s = outcome.retry_after_s if isinstance(outcome, TryAgain) else None
            now_s = time.monotonic()
            self._asked_until_s = now_s + min(retry_after_s or 0.0, self._policy.max_wait_s)
            self._paused_until_s = now_s + backoff_s(self._failures, self._policy, self._chance(), retry_after_s)
        else:
            self._failures = 0
            self._paused_until_s = self._asked_until_s = 0.0

    def _tell(self, one: _Finished) -> None:
        appointment_id = one.parcel.visit.appointment_id
        if isinstance(one.outcome, Delivered):
            self._events.publish("visit_delivered", appointment_id=appointment_id, attempts=one.parcel.attempts + 1)
        elif isinstance(one.outcome, Refused):
            self._events.publish("visit_refused", appointment_id=appointment_id)
        else:
            kind = "visit_in_doubt" if isinstance(one.outcome, Unknown) else "visit_waits"
            self._events.publish(kind, appointment_id=appointment_id, attempts=one.parcel.attempts + 1)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self._upkeep.submit(work))

    async def _let_go(self, reporter: Reporter | None) -> None:
        """Requests under way are left: their rows say that they were being sent. What was claimed and never left is due again."""
        unmarked = set(self._unmarked)
        self._upkeep.submit(lambda conn: outbox.give_back(conn, unmarked))
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        self._sending.clear()
        self._unmarked.clear()
        if reporter is not None:
            await reporter.close()


def _outcome(task: asyncio.Task[Outcome]) -> Outcome:
    """What a reporter said; one that raised is at fault itself, and Knock may have the visit."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return task.result() if error is None else Unknown(f"the report failed ({type(error).__name__})")


def _write_outcome(conn: Connection, one: _Finished, moment: Moment) -> None:
    visit = one.parcel.visit
    if isinstance(one.outcome, Delivered):
        outbox.deliver(conn, visit.visit_id, one.outcome.knock_visit_id, moment.at_ms)
    elif one.mark is not None:
        outbox.mark(conn, visit.visit_id, one.mark)
        if one.mark.state is RowState.DEAD:
            write_note(conn, Note(moment, "dead_letter", appointment_id=visit.appointment_id))
