"""What a door's screen shows staff: today's tours and the journal's last entries, read beside the writers.

Rule: nothing that says who a prospect is: no id of theirs is read.
"""

from __future__ import annotations

import json
from pathlib import Path

from agent.store import outbox
from agent.store.journal import reading

MAX_TOURS = 100
MAX_ENTRIES = 20

_KNOWN = """SELECT p.unit_names, p.start_ms, p.end_ms, CASE WHEN u.admissions > 0 THEN u.last_ms END
    FROM pin p LEFT JOIN used u ON u.appointment_id = p.appointment_id AND u.door = p.door
    WHERE p.door = :door AND p.start_ms < :end_ms AND p.end_ms > :start_ms ORDER BY p.start_ms LIMIT :limit"""
"""Tours that the desk told of with a PIN for this door: of no other does a door know the window before its code is shown."""
_CAME = """SELECT v.unit_names, NULL, NULL, u.last_ms FROM used u JOIN visit v USING (appointment_id)
    WHERE u.door = :door AND u.admissions > 0 AND u.last_ms >= :start_ms AND u.last_ms < :end_ms
    AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.door = u.door AND p.appointment_id = u.appointment_id
        AND p.start_ms < :end_ms AND p.end_ms > :start_ms)
    ORDER BY u.last_ms LIMIT :limit"""
"""Others that were admitted today."""
_ENTRIES = "SELECT kind, at_ms, reason FROM journal WHERE door = :door OR door IS NULL ORDER BY seq DESC LIMIT :limit"


def of_door(path: Path, door: str, start_ms: int, end_ms: int) -> dict[str, object]:
    """The tours between two instants, the journal's last entries (the latest first) and the outbox's counts; raises `StoreError`."""
    with reading(path) as conn:
        asked = {"door": door, "start_ms": start_ms, "end_ms": end_ms, "limit": MAX_TOURS}
        rows = [*conn.execute(_KNOWN, asked), *conn.execute(_CAME, asked)][:MAX_TOURS]
        entries = conn.execute(_ENTRIES, {"door": door, "limit": MAX_ENTRIES})
        return {
            "tours": [
                {"units": json.loads(units), "start_ms": start, "end_ms": end, "admitted_ms": admitted}
                for units, start, end, admitted in rows
            ],
            "entries": [{"kind": kind, "at_ms": at_ms, "reason": reason} for kind, at_ms, reason in entries],
            "outbox": outbox.counts(conn),
        }
