"""No visit lost (P3): the queue under any order of claims, answers, crashes, people and clocks."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core.replay import InDoubt, Mark, Outcome, Refused, RetryPolicy, RowState, TryAgain, Unknown, settle
from agent.store import files, outbox
from agent.store.outbox import FAR_MS, Parcel
from tests.store.made import T0_MS, moment, queue_visit

YEAR_MS = 365 * 86_400_000


@dataclass
class Known:
    """What the machine knows of a row."""

    prospect: str
    state: str
    next_try_ms: int


class Queue(RuleBasedStateMachine):
    """Visits come, are claimed and answered, the agent dies, people retry and drop, and the clock jumps by years both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        for statement in files._SCHEMA_1:
            self.conn.execute(statement)
        self.conn.execute("PRAGMA foreign_keys = ON")
        self.now_ms = T0_MS
        self.minted = 0
        self.waiting: dict[str, Known] = {}
        self.gone: dict[str, str] = {}
        self.sending: dict[str, Parcel] = {}
        self.policy = RetryPolicy(5.0, 300.0)

    @initialize(in_doubt=st.sampled_from(InDoubt))
    def choose(self, in_doubt: InDoubt) -> None:
        """The setting for doubts."""
        self.policy = RetryPolicy(5.0, 300.0, in_doubt=in_doubt)

    @rule(prospect=st.integers(1, 3))
    def admit(self, prospect: int) -> None:
        """A tour begins."""
        self.minted += 1
        visit_id = queue_visit(self.conn, self.minted, prospect=prospect, at_ms=self.now_ms)
        self.waiting[visit_id] = Known(f"p{prospect}", "due", self.now_ms)

    @rule(by_ms=st.sampled_from([1, 4_000, 400_000, 86_400_000, YEAR_MS, 20 * YEAR_MS]), sign=st.sampled_from([1, -1]))
    def move_the_clock(self, by_ms: int, sign: int) -> None:
        """Time passes, or the clock is set."""
        self.now_ms = max(self.now_ms + sign * by_ms, 0)

    @rule(limit=st.integers(0, 4))
    def claim(self, limit: int) -> None:
        """The sender takes what is due: one per prospect, nobody's who is busy, as many as it may."""
        busy = {parcel.visit.prospect_id for parcel in self.sending.values()}
        due = {visit_id for visit_id, known in self.waiting.items() if known.state == "due" and self._is_due(known)}
        parcels = outbox.claim(self.conn, self.now_ms, busy, limit)
        taken = {parcel.visit.visit_id for parcel in parcels}
        prospects = [parcel.visit.prospect_id for parcel in parcels]
        assert taken <= due
        assert len(set(prospects) - busy) == len(prospects) == len(parcels) <= limit
        left = {self.waiting[visit_id].prospect for visit_id in due - taken} - busy - set(prospects)
        assert len(parcels) == limit or not left, "somebody was passed over"
        for parcel in parcels:
            self.sending[parcel.visit.visit_id] = parcel
            self.waiting[parcel.visit.visit_id].state = "sending"

    def _is_due(self, known: Known) -> bool:
        return known.next_try_ms <= self.now_ms or known.next_try_ms > self.now_ms + FAR_MS

    @precondition(lambda self: self.sending)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """A 200."""
        visit_id = data.draw(st.sampled_from(sorted(self.sending)))
        outbox.deliver(self.conn, visit_id, "12345", self.now_ms)
        del self.sending[visit_id], self.waiting[visit_id]
        self.gone[visit_id] = "delivered"

    @precondition(lambda self: self.sending)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([Refused("400"), TryAgain("503", 7_200.0), TryAgain("400: future", is_link=False), Unknown("time-out")]),
    )
    def fail(self, data: st.DataObject, outcome: Outcome) -> None:
        """Any other answer, or none."""
        visit_id = data.draw(st.sampled_from(sorted(self.sending)))
        parcel = self.sending.pop(visit_id)
        assert isinstance(outcome, Refused | TryAgain | Unknown)
        made: Mark = settle(
            outcome, self.policy, attempts=parcel.attempts, doubts=parcel.doubts, now_ms=self.now_ms, chance=data.draw(st.floats(0, 0.99))
        )
        outbox.mark(self.conn, visit_id, made)
        known = self.waiting[visit_id]
        known.state, known.next_try_ms = made.state.value, made.next_try_ms

    @rule()
    def crash(self) -> None:
        """The agent dies and starts again."""
        assert outbox.recover(self.conn, self.policy.in_doubt, self.now_ms) == len(self.sending)
        for visit_id in self.sending:
            self.waiting[visit_id].state = "due" if self.policy.in_doubt is InDoubt.RETRY else "in_doubt"
            self.waiting[visit_id].next_try_ms = self.now_ms
        self.sending.clear()

    @rule()
    def link_up(self) -> None:
        """Knock answers again."""
        outbox.link_is_up(self.conn, self.now_ms)
        for visit_id, next_try_ms in self.conn.execute("SELECT visit_id, next_try_ms FROM outbox WHERE state = 'due'"):
            assert next_try_ms in (self.waiting[visit_id].next_try_ms, self.now_ms)
            self.waiting[visit_id].next_try_ms = next_try_ms

    @rule(everything=st.booleans())
    def retry(self, everything: bool) -> None:
        """A person wants them tried again."""
        asked = [visit_id for visit_id, known in self.waiting.items() if known.state in ("in_doubt", "dead")]
        assert outbox.retry(self.conn, None if everything else asked, self.now_ms) == len(asked)
        for visit_id in asked:
            self.waiting[visit_id].state, self.waiting[visit_id].next_try_ms = "due", self.now_ms

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """A person gives one up: it goes, unless it is being sent."""
        visit_id = data.draw(st.sampled_from(sorted(self.waiting)))
        dropped = outbox.drop(self.conn, [visit_id], moment(self.now_ms), "maria")
        assert dropped == ([] if visit_id in self.sending else [visit_id])
        if dropped:
            del self.waiting[visit_id]
            self.gone[visit_id] = "dropped"

    @invariant()
    def nothing_is_lost_or_invented(self) -> None:
        """The rows are exactly those that neither a 200 nor a person's hand took out, each as it was left."""
        found = {row[0]: Known(*row[1:]) for row in self.conn.execute("SELECT visit_id, prospect_id, state, next_try_ms FROM outbox")}
        assert found == self.waiting
        visits = self.conn.execute("SELECT visit_id, delivered_ms IS NOT NULL, dropped_ms IS NOT NULL FROM visit").fetchall()
        told = {
            visit_id: "delivered" if is_delivered else "dropped"
            for visit_id, is_delivered, is_dropped in visits
            if is_delivered or is_dropped
        }
        assert told == self.gone
        assert len(visits) == self.minted == len(self.waiting) + len(self.gone)

    def teardown(self) -> None:
        """Left alone with an open way, the sender empties the queue of everything that is not for a person."""
        outbox.recover(self.conn, InDoubt.RETRY, self.now_ms)
        for _ in range(2 * self.minted + 1):
            for parcel in outbox.claim(self.conn, self.now_ms, (), 4):
                outbox.deliver(self.conn, parcel.visit.visit_id, "12345", self.now_ms)
            self.now_ms = max(self.now_ms, outbox.next_due_ms(self.conn) or 0)
        assert outbox.next_due_ms(self.conn) is None
        assert {state for (state,) in self.conn.execute("SELECT state FROM outbox")} <= {RowState.IN_DOUBT, RowState.DEAD}
        self.conn.close()


TestQueue = Queue.TestCase
TestQueue.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
