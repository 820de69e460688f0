"""Deleting what is over (promise P7), so that doors notice what they may have missed.

Rule 1: what is deleted is a whole tour: booking, appointment, PINs, jobs; nothing of a person stays.
Rule 2: a door that had not heard of a deleted appointment's last change reads again from the start (`oldest_seq`). So whatever is
        left with a lower number takes a new one, and is told again: reading from the start then never leads below `oldest_seq`.
"""

from __future__ import annotations

from agent.desk.store.topic import PRUNED_SEQ, REVISION_FLOOR, Topic, counter, next_seq, raise_counter
from agent.sqlite import Transaction

_BOOKINGS = "FROM booking WHERE end_ms < :before_ms AND coalesce(moving_end_ms, 0) < :before_ms"
_APPOINTMENTS = "FROM appointment WHERE end_ms < :before_ms"


class Pruning(Topic):
    """The deleting of `DeskStore`."""

    def prune(self, before_ms: int) -> int:
        """Delete tours that ended before `before_ms`, with their persons, and admissions and log-ins as old; returns how many rows.

        The rows are overwritten in the file, and its log is emptied as far as nobody reads it at this moment.
        """
        with self._file.writing() as db:
            gone = _jobs(db, before_ms) + _roster(db, before_ms)
            gone += db.run(f"DELETE {_BOOKINGS}", before_ms=before_ms)
            gone += db.run("DELETE FROM admission WHERE at_ms < :before_ms", before_ms=before_ms)
            gone += db.run("DELETE FROM door_order WHERE created_ms < :before_ms", before_ms=before_ms)
            gone += db.run("DELETE FROM session WHERE expires_ms < :before_ms", before_ms=before_ms)
        if gone:
            self._file.compact_log()
        return gone


def _jobs(db: Transaction, before_ms: int) -> int:
    names = ("booking_id", "appointment_id", "moving_appointment_id")
    of = " UNION ".join(
        [*(f"SELECT {name} {_BOOKINGS} AND {name} IS NOT NULL" for name in names), f"SELECT appointment_id {_APPOINTMENTS}"]
    )
    return db.run(f"DELETE FROM job WHERE subject IN ({of})", before_ms=before_ms)  # noqa: S608 - our own words


def _roster(db: Transaction, before_ms: int) -> int:
    last = db.row(f"SELECT max(seq) AS seq, max(revision) AS revision {_APPOINTMENTS}", before_ms=before_ms)
    if last is None or last["seq"] is None:
        return 0
    raise_counter(db, PRUNED_SEQ, last["seq"])
    raise_counter(db, REVISION_FLOOR, last["revision"])
    for table in ("live_pin", "roster_door"):
        db.run(f"DELETE FROM {table} WHERE appointment_id IN (SELECT appointment_id {_APPOINTMENTS})", before_ms=before_ms)  # noqa: S608 - our own words
    gone = db.run(f"DELETE {_APPOINTMENTS}", before_ms=before_ms)
    below = "SELECT appointment_id FROM appointment WHERE seq <= :pruned ORDER BY seq"
    for row in db.rows(below, pruned=counter(db, PRUNED_SEQ)):
        seq = next_seq(db)
        db.run("UPDATE appointment SET seq = :seq WHERE appointment_id = :appointment_id", seq=seq, **row)
        db.run("UPDATE roster_door SET seq = :seq WHERE appointment_id = :appointment_id", seq=seq, **row)
    return gone
