"""The roster: appointments as doors hear of them, in the order in which they changed, and the PINs of the live ones.

Rule 1: each change takes the next number (`seq`), and a door reads on from the last one that it has.
Rule 2: a dead appointment lives again only with another code, never with one that doors have buried (promise P5).
Rule 3: a PIN is one live code's at each door; it is taken and freed in the transaction that says why.
Rule 4: every row that is there has a `seq` above `oldest_seq`, so that whoever reads from the start never has a cursor below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.core.tour import Standing, Window
from agent.desk.records import Appointment, JobKind
from agent.desk.store import jobs as queue
from agent.desk.store.topic import PRUNED_SEQ, REVISION_FLOOR, SEQ, PinTakenError, StateError, Topic, as_list, counter, from_list, next_seq
from agent.sqlite import Row, Transaction

LONGEST_GRACE_MS = 12 * 3600 * 1000
"""No setting gives more, so a PIN without an end of its own is kept for as long."""

PAGE = """SELECT appointment.*, live_pin.pin_hash AS pin_hash FROM roster_door
    JOIN appointment ON appointment.appointment_id = roster_door.appointment_id
    LEFT JOIN live_pin ON live_pin.appointment_id = roster_door.appointment_id
        AND live_pin.community_id = roster_door.community_id AND live_pin.door = roster_door.door
    WHERE roster_door.community_id = :community_id AND roster_door.door = :door AND roster_door.seq > :after_seq
    ORDER BY roster_door.seq LIMIT :limit"""
NEWS = """SELECT DISTINCT community_id, door FROM roster_door WHERE seq > :after_seq
    UNION SELECT DISTINCT community_id, door FROM door_order WHERE seq > :after_seq"""
_ONE = "SELECT * FROM appointment WHERE appointment_id = :appointment_id"
_LISTED = """SELECT * FROM appointment WHERE community_id = :community_id AND start_ms >= :from_ms AND start_ms < :to_ms
    ORDER BY start_ms, appointment_id"""
_OF_BOOKING = "SELECT * FROM appointment WHERE booking_id = :booking_id AND standing = 'confirmed'"
_OF_PROSPECT = """SELECT * FROM appointment WHERE community_id = :community_id AND prospect_id = :prospect_id
    AND standing = 'confirmed' AND start_ms > :now_ms ORDER BY start_ms, appointment_id"""
_PINS = "SELECT door, pin_hash FROM live_pin WHERE appointment_id = :appointment_id"


class Roster(Topic):
    """The appointments of `DeskStore`."""

    def appointment(self, appointment_id: str) -> Appointment | None:
        """An appointment by Knock's id."""
        with self._file.reading() as db:
            return found(db, appointment_id)

    def appointments(self, community_id: str, start_from_ms: int, start_to_ms: int) -> list[Appointment]:
        """A community's appointments by their start, the dead ones too; it is at or after `start_from_ms` and before `start_to_ms`."""
        with self._file.reading() as db:
            listed = db.rows(_LISTED, community_id=community_id, from_ms=start_from_ms, to_ms=start_to_ms)
        return [_appointment(row) for row in listed]

    def put_appointment(
        self,
        appointment: Appointment,
        pins: Mapping[str, str] | None,
        now_ms: int,
        *,
        pins_end_ms: int | None = None,
        seen_revision: int | None = None,
    ) -> Appointment:
        """Write what is known of an appointment now; returns the row, untouched when nothing is new.

        The store counts `revision` and `seq` itself. `pins` are the hashes of its PIN by door and replace those that it had; None
        leaves them while code and attempt are the same. They are its own until `pins_end_ms`, the window's end with grace; left
        out, with the longest grace there is. `seen_revision` is that of the row which the caller decided by, 0 when there was none.

        Raises:
            StateError: it is cancelled or superseded, and comes with the same code; or it has another revision than was seen.
            PinTakenError: a PIN is in use at one of the doors.
        """
        with self._file.writing() as db:
            if seen_revision is not None:
                check_seen(db, appointment.appointment_id, seen_revision)
            return put(db, appointment, pins, now_ms, pins_end_ms)

    def end_appointment(
        self, appointment_id: str, standing: Standing, now_ms: int, jobs: Sequence[tuple[JobKind, str]] = ()
    ) -> Appointment | None:
        """Cancel or supersede an appointment and free its PINs, together with what is to be done about that.

        A dead one stays as it is, and nothing is to be done. None: there is none.
        """
        if standing is Standing.CONFIRMED:
            raise ValueError("an appointment ends as cancelled or superseded")
        with self._file.writing() as db:
            there = found(db, appointment_id)
            if there is None or there.standing is not Standing.CONFIRMED:
                return there
            for kind, subject in jobs:
                queue.add(db, kind, subject, now_ms)
            return end(db, there, standing)

    def roster_page(
        self, community_id: str, door: str, after_seq: int, limit: int
    ) -> tuple[list[tuple[Appointment, str | None]], int, bool]:
        """What changed for a door after a number: appointments with the door's PIN hash, where to read on, and whether there is more.

        The hash is None unless the appointment is confirmed and names the door. A door that an appointment named once is told of
        it for ever. The next `after_seq` also passes what changed for other doors.
        """
        with self._file.reading() as db:
            last = counter(db, SEQ)
            listed = db.rows(PAGE, community_id=community_id, door=door, after_seq=after_seq, limit=limit + 1)
        has_more = len(listed) > limit
        entries = [(_appointment(row), row["pin_hash"]) for row in listed[:limit]]
        return entries, entries[-1][0].seq if has_more else last, has_more

    def last_seq(self) -> int:
        """The number of the last change; 0 before the first."""
        with self._file.reading() as db:
            return counter(db, SEQ)

    def oldest_seq(self) -> int:
        """A cursor below this may have missed an appointment that was deleted since: read again from the start."""
        with self._file.reading() as db:
            return counter(db, PRUNED_SEQ)

    def changed_doors(self, after_seq: int) -> tuple[set[tuple[str, str]], int]:
        """Communities and doors for which something changed after a number (an order for a door, too), and the last number now."""
        with self._file.reading() as db:
            last = counter(db, SEQ)
            if last == after_seq:
                return set(), last
            return {(row["community_id"], row["door"]) for row in db.rows(NEWS, after_seq=after_seq)}, last


def found(db: Transaction, appointment_id: str) -> Appointment | None:
    """An appointment by its id."""
    row = db.row(_ONE, appointment_id=appointment_id)
    return _appointment(row) if row else None


def live_of_booking(db: Transaction, booking_id: str) -> list[Appointment]:
    """The confirmed appointments of a booking; more than one only in the middle of a move."""
    return [_appointment(row) for row in db.rows(_OF_BOOKING, booking_id=booking_id)]


def live_of_prospect(db: Transaction, community_id: str, prospect_id: str, now_ms: int) -> list[Appointment]:
    """The confirmed appointments of a prospect that have not begun."""
    rows = db.rows(_OF_PROSPECT, community_id=community_id, prospect_id=prospect_id, now_ms=now_ms)
    return [_appointment(row) for row in rows]


def check_seen(db: Transaction, appointment_id: str, seen_revision: int) -> None:
    """Raise `StateError` unless an appointment has the revision that the caller decided by, 0 when there was none."""
    there = found(db, appointment_id)
    if seen_revision != (there.revision if there else 0):
        raise StateError("the appointment was changed by somebody else meanwhile")


def put(db: Transaction, new: Appointment, pins: Mapping[str, str] | None, now_ms: int, pins_end_ms: int | None) -> Appointment:
    """Write an appointment inside the caller's transaction; see `Roster.put_appointment`."""
    there = found(db, new.appointment_id)
    is_live = new.standing is Standing.CONFIRMED
    if there and is_live and there.standing is not Standing.CONFIRMED and there.code_id == new.code_id:
        raise StateError(f"the appointment is {there.standing}: its code stays dead, a new one is needed")
    had = {row["door"]: row["pin_hash"] for row in db.rows(_PINS, appointment_id=new.appointment_id)}
    if pins is None:
        pins = had if there and (there.code_id, there.pin_attempt) == (new.code_id, new.pin_attempt) else {}
    pins = {door: pins[door] for door in new.doors if door in pins} if is_live else {}
    if there and replace(new, revision=there.revision, seq=there.seq) == there and pins == had:
        return there
    new = replace(new, revision=_next_revision(db, there), seq=next_seq(db))
    if there:
        db.update("appointment", "appointment_id", _row(new))
    else:
        db.insert("appointment", _row(new))
    _name_doors(db, new)
    _take_pins(db, new, pins, now_ms, new.window.end_ms + LONGEST_GRACE_MS if pins_end_ms is None else pins_end_ms)
    return new


def end(db: Transaction, appointment: Appointment, standing: Standing) -> Appointment:
    """Let a live appointment die inside the caller's transaction, and free its PINs."""
    dead = replace(appointment, standing=standing, revision=_next_revision(db, appointment), seq=next_seq(db))
    db.update("appointment", "appointment_id", _row(dead))
    db.run("UPDATE roster_door SET seq = :seq WHERE appointment_id = :appointment_id", seq=dead.seq, appointment_id=dead.appointment_id)
    db.run("DELETE FROM live_pin WHERE appointment_id = :appointment_id", appointment_id=dead.appointment_id)
    return dead


def _next_revision(db: Transaction, there: Appointment | None) -> int:
    return max(there.revision if there else 0, counter(db, REVISION_FLOOR)) + 1


def _name_doors(db: Transaction, appointment: Appointment) -> None:
    """Keep the doors that were named before: they have to hear that they are not named any more."""
    of = {"appointment_id": appointment.appointment_id, "seq": appointment.seq}
    db.run("UPDATE roster_door SET seq = :seq WHERE appointment_id = :appointment_id", **of)
    for door in appointment.doors:
        db.insert("roster_door", {**of, "community_id": appointment.community_id, "door": door}, or_nothing=True)


def _take_pins(db: Transaction, of: Appointment, pins: Mapping[str, str], now_ms: int, ends_ms: int) -> None:
    db.run("DELETE FROM live_pin WHERE ends_ms < :now_ms OR appointment_id = :of", now_ms=now_ms, of=of.appointment_id)
    for door, pin_hash in pins.items():
        row = {"community_id": of.community_id, "door": door, "pin_hash": pin_hash, "appointment_id": of.appointment_id, "ends_ms": ends_ms}
        if not db.insert("live_pin", row, or_nothing=True):
            raise PinTakenError(f"a live code of the door {door} has the same PIN: take the next attempt")


def _row(appointment: Appointment) -> Row:
    return {
        "appointment_id": appointment.appointment_id,
        "booking_id": appointment.booking_id,
        "community_id": appointment.community_id,
        "prospect_id": appointment.prospect_id,
        "standing": appointment.standing.value,
        "code_id": appointment.code_id,
        "key_id": appointment.key_id,
        "doors": as_list(appointment.doors),
        "unit_names": as_list(appointment.unit_names),
        "start_ms": appointment.window.start_ms,
        "end_ms": appointment.window.end_ms,
        "source_title": appointment.source_title,
        "pin_attempt": appointment.pin_attempt,
        "revision": appointment.revision,
        "seq": appointment.seq,
        "first_name": appointment.first_name,
    }


def _appointment(row: Row) -> Appointment:
    return Appointment(
        appointment_id=row["appointment_id"],
        booking_id=row["booking_id"],
        community_id=row["community_id"],
        prospect_id=row["prospect_id"],
        standing=Standing(row["standing"]),
        code_id=row["code_id"],
        key_id=row["key_id"],
        doors=from_list(row["doors"]),
        unit_names=from_list(row["unit_names"]),
        window=Window(row["start_ms"], row["end_ms"]),
        source_title=row["source_title"],
        pin_attempt=row["pin_attempt"],
        revision=row["revision"],
        seq=row["seq"],
        first_name=row["first_name"],
    )
