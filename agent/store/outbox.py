"""The queue of visits that Knock does not have yet: its queries, each run inside a transaction of `upkeep`.

Rule 1: a row is deleted by `deliver` and by `drop` only (promise P3).
Rule 2: "next due" is one step into an index, however long the queue.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from agent.core.replay import InDoubt, Mark, RowState
from agent.core.tour import Visit
from agent.store.journal import Moment, Note, reading, write_note

FAR_MS = 2 * 86_400_000
"""A next try further ahead than this was set by a clock that was wrong: it counts as due."""

MAX_HURRIED = 200
"""So many rows are made due in one transaction, since a scan waits for as long as it lasts."""

_LOOK_AHEAD = 256
_VISIT_COLUMNS = "v.visit_id, v.appointment_id, v.prospect_id, v.community_id, v.visit_ms, v.unit_names, v.source_title"
_DUE = f"""SELECT {_VISIT_COLUMNS}, o.attempts, o.doubts FROM outbox o JOIN visit v USING (visit_id)
    WHERE o.state = 'due' AND o.next_try_ms <= ? ORDER BY o.next_try_ms LIMIT {_LOOK_AHEAD}"""  # noqa: S608 - constants only
_HURRY = f"""UPDATE outbox SET next_try_ms = :now_ms WHERE visit_id IN (
    SELECT visit_id FROM outbox WHERE state = 'due' AND next_try_ms > :now_ms AND is_link LIMIT {MAX_HURRIED})"""  # noqa: S608 - a constant
_FAR = f"""SELECT {_VISIT_COLUMNS}, o.attempts, o.doubts FROM outbox o JOIN visit v USING (visit_id)
    WHERE o.state = 'due' AND o.next_try_ms > ? ORDER BY o.next_try_ms LIMIT {_LOOK_AHEAD}"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Parcel:
    """A visit on its way, with the counts of its row before this attempt."""

    visit: Visit
    attempts: int
    doubts: int


def claim(conn: sqlite3.Connection, now_ms: int, busy_prospects: Collection[str], limit: int) -> list[Parcel]:
    """Up to `limit` due visits, one per prospect and none of a busy one, marked as being sent."""
    taken: dict[str, Parcel] = {}
    for sql, bound in ((_DUE, now_ms), (_FAR, now_ms + FAR_MS)):
        for row in conn.execute(sql, (bound,)):
            if len(taken) >= limit:
                break
            prospect_id = row[2]
            if prospect_id in busy_prospects or prospect_id in taken:
                continue
            visit = Visit(row[0], row[1], prospect_id, row[3], row[4], tuple(json.loads(row[5])), row[6])
            taken[prospect_id] = Parcel(visit, row[7], row[8])
    parcels = list(taken.values())
    conn.executemany("UPDATE outbox SET state = 'sending' WHERE visit_id = ?", [(parcel.visit.visit_id,) for parcel in parcels])
    return parcels


def next_due_ms(conn: sqlite3.Connection) -> int | None:
    """When the next row is due, or None when none waits."""
    found = conn.execute("SELECT next_try_ms FROM outbox WHERE state = 'due' ORDER BY next_try_ms LIMIT 1").fetchone()
    return None if found is None else int(found[0])


def deliver(conn: sqlite3.Connection, visit_id: str, knock_visit_id: str, now_ms: int) -> None:
    """Knock has it: the row goes, the visit keeps Knock's id."""
    conn.execute("UPDATE visit SET knock_visit_id = ?, delivered_ms = ? WHERE visit_id = ?", (knock_visit_id, now_ms, visit_id))
    conn.execute("DELETE FROM outbox WHERE visit_id = ?", (visit_id,))


def mark(conn: sqlite3.Connection, visit_id: str, made: Mark) -> None:
    """Write what became of an attempt that did not deliver."""
    conn.execute(
        "UPDATE outbox SET state = ?, attempts = ?, doubts = ?, next_try_ms = ?, is_link = ?, words = ? WHERE visit_id = ?",
        (made.state, made.attempts, made.doubts, made.next_try_ms, int(made.is_link), made.words, visit_id),
    )


def link_is_up(conn: sqlite3.Connection, now_ms: int) -> int:
    """The way to Knock is open again: what waited for it is due now; returns how many rows, of which `MAX_HURRIED` are the most at once."""
    return conn.execute(_HURRY, {"now_ms": now_ms}).rowcount


def recover(conn: sqlite3.Connection, policy: InDoubt, now_ms: int) -> int:
    """After a start: what was being sent when the agent died is in doubt; returns how many there were."""
    state = RowState.DUE if policy is InDoubt.RETRY else RowState.IN_DOUBT
    words = "the agent stopped before an answer came"
    return conn.execute(
        "UPDATE outbox SET state = ?, attempts = attempts + 1, doubts = doubts + 1, next_try_ms = ?, words = ? WHERE state = 'sending'",
        (state, now_ms, words),
    ).rowcount


def give_back(conn: sqlite3.Connection, on_the_way: Collection[str]) -> int:
    """What says that it is being sent and is not on the way was claimed and never left, so it is due; returns how many."""
    claimed = [row for row in conn.execute("SELECT visit_id FROM outbox WHERE state = 'sending'") if row[0] not in on_the_way]
    conn.executemany("UPDATE outbox SET state = 'due' WHERE visit_id = ?", claimed)
    return len(claimed)


def retry(conn: sqlite3.Connection, visit_ids: Collection[str] | None, now_ms: int) -> int:
    """A person's hand: the named rows, or all that wait for one (None), are due now; returns how many."""
    if visit_ids is None:
        return conn.execute("UPDATE outbox SET state = 'due', next_try_ms = ? WHERE state IN ('in_doubt', 'dead')", (now_ms,)).rowcount
    again = "UPDATE outbox SET state = 'due', next_try_ms = ? WHERE visit_id = ? AND state <> 'sending'"
    return sum(conn.execute(again, (now_ms, visit_id)).rowcount for visit_id in visit_ids)


def drop(conn: sqlite3.Connection, visit_ids: Collection[str], moment: Moment, user: str) -> list[str]:
    """A person's hand: the named rows will never be sent, which is journaled; returns those that were there and not being sent."""
    dropped = []
    for visit_id in visit_ids:
        if conn.execute("DELETE FROM outbox WHERE visit_id = ? AND state <> 'sending'", (visit_id,)).rowcount:
            conn.execute("UPDATE visit SET dropped_ms = ? WHERE visit_id = ?", (moment.at_ms, visit_id))
            write_note(conn, Note(moment, "drop", detail={"visit_id": visit_id, "user": user}))
            dropped.append(visit_id)
    return dropped


def counts(conn: sqlite3.Connection) -> dict[str, int]:
    """How many rows are in each state, and how often an answer was in doubt; for people, never on a scan's path."""
    found = dict(conn.execute("SELECT state, count(*) FROM outbox GROUP BY state"))
    doubts = conn.execute("SELECT coalesce(sum(doubts), 0) FROM outbox").fetchone()[0]
    return {**{state.value: found.get(state.value, 0) for state in RowState}, "doubts": doubts}


def counted(path: Path) -> dict[str, int]:
    """The `counts`, read beside the writers; raises `StoreError`."""
    with reading(path) as conn:
        return counts(conn)
