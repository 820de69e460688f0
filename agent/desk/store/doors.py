"""Doors: their tokens and what they report, the admissions that they tell of, and staff's orders to them.

Rule 1: a door tells everything until it is heard, so hearing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.desk.records import Admission, DoorAccess, Order
from agent.desk.store.topic import Topic, as_list, from_list, next_seq
from agent.errors import StoreError
from agent.sqlite import Row

_COLUMNS = "token_id, community_id, door, created_ms, revoked_ms, seen_ms, applied_seq, report"
_ALL = f"SELECT {_COLUMNS} FROM door_access ORDER BY community_id, door, created_ms, token_id"  # noqa: S608 - our own columns
_BY_TOKEN = f"SELECT {_COLUMNS} FROM door_access WHERE token_hash = :token_hash AND revoked_ms IS NULL"  # noqa: S608 - our own columns
_SEEN = """UPDATE door_access SET seen_ms = :now_ms, applied_seq = coalesce(:applied_seq, applied_seq),
    report = coalesce(:report, report) WHERE token_id = :token_id"""
_ADMISSIONS = """SELECT * FROM admission WHERE community_id = :community_id AND at_ms >= :from_ms AND at_ms < :to_ms
    ORDER BY at_ms, door, appointment_id"""
_ORDER = """SELECT order_id, door, action, visit_ids FROM door_order
    WHERE community_id = :community_id AND door = :door AND action = :action AND visit_ids = :visit_ids"""
_ORDERS = """SELECT order_id, door, action, visit_ids FROM door_order WHERE community_id = :community_id AND door = :door
    ORDER BY order_id"""
_DONE = "DELETE FROM door_order WHERE order_id = :order_id AND community_id = :community_id AND door = :door"


class Doors(Topic):
    """The doors of `DeskStore`."""

    def new_door(self, access: DoorAccess, token_hash: str) -> None:
        """Give a door a token, of which only the hash is kept; a door may have several while one replaces another.

        Raises:
            StoreError: the token or its id is given already.
        """
        row = {name: getattr(access, name) for name in _COLUMNS.split(", ")}
        with self._file.writing() as db:
            if not db.insert("door_access", {**row, "token_hash": token_hash}, or_nothing=True):
                raise StoreError(f"there is a door token {access.token_id} already: make another one")

    def revoke_door(self, token_id: str, now_ms: int) -> bool:
        """End a token at once; False when there is none, or it has ended."""
        with self._file.writing() as db:
            sql = "UPDATE door_access SET revoked_ms = :now_ms WHERE token_id = :token_id AND revoked_ms IS NULL"
            return db.run(sql, token_id=token_id, now_ms=now_ms) == 1

    def doors(self) -> list[DoorAccess]:
        """Every token, the revoked ones too, by community and door."""
        with self._file.reading() as db:
            return [DoorAccess(**row) for row in db.rows(_ALL)]

    def door_by_token(self, token_hash: str) -> DoorAccess | None:
        """Whose token it is; None for an unknown or a revoked one."""
        with self._file.reading() as db:
            row = db.row(_BY_TOKEN, token_hash=token_hash)
        return DoorAccess(**row) if row else None

    def door_seen(self, token_id: str, now_ms: int, applied_seq: int | None = None, report: str | None = None) -> None:
        """Write down that a door was heard, with what it has applied and its report (a JSON object); None leaves the last one."""
        with self._file.writing() as db:
            db.run(_SEEN, token_id=token_id, now_ms=now_ms, applied_seq=applied_seq, report=report)

    def add_admissions(self, admissions: Sequence[Admission]) -> int:
        """Write down what doors tell of; returns how many were not known before."""
        if not admissions:
            return 0
        with self._file.writing() as db:
            return sum(db.insert("admission", _admission_row(admission), or_nothing=True) for admission in admissions)

    def admissions(self, community_id: str, from_ms: int, to_ms: int) -> list[Admission]:
        """A community's admissions from `from_ms` on and before `to_ms`, in order."""
        with self._file.reading() as db:
            return [Admission(**row) for row in db.rows(_ADMISSIONS, community_id=community_id, from_ms=from_ms, to_ms=to_ms)]

    def add_order(self, community_id: str, door: str, do: str, visit_ids: Iterable[str], now_ms: int) -> Order:
        """Ask something of a door, whose waiting feed is woken; the same order that is still open is not given twice."""
        order = {"community_id": community_id, "door": door, "action": do, "visit_ids": as_list(sorted(set(visit_ids)))}
        with self._file.writing() as db:
            there = db.row(_ORDER, **order)
            if there is None:
                db.insert("door_order", {**order, "created_ms": now_ms, "seq": next_seq(db)})
                there = db.row(_ORDER, **order)
        if there is None:
            raise StoreError("the order was not written: try again")
        return _order(there)

    def orders(self, community_id: str, door: str) -> list[Order]:
        """What is asked of a door and not done, oldest first."""
        with self._file.reading() as db:
            return [_order(row) for row in db.rows(_ORDERS, community_id=community_id, door=door)]

    def orders_done(self, ids: Iterable[int], community_id: str, door: str) -> int:
        """A door has done these; another door's are left alone. Returns how many were open."""
        wanted = list(ids)
        if not wanted:
            return 0
        with self._file.writing() as db:
            return sum(db.run(_DONE, order_id=order_id, community_id=community_id, door=door) for order_id in wanted)


def _admission_row(admission: Admission) -> Row:
    return {
        "community_id": admission.community_id,
        "door": admission.door,
        "appointment_id": admission.appointment_id,
        "at_ms": admission.at_ms,
    }


def _order(row: Row) -> Order:
    return Order(row["order_id"], row["door"], row["action"], from_list(row["visit_ids"]))
