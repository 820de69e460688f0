"""Who may do what for how long: vendors' tokens, staff's sessions, and counts of what one address does.

Rule 1: of a token only the hash is here; of an address only a keyed hash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.desk.store.topic import Topic, as_list, from_list
from agent.errors import StoreError
from agent.sqlite import Row, Transaction

_ID_CHARACTERS = 12
_SLOTS = 12
"""A window is counted in so many parts, so that it slides."""
_HIT = """INSERT INTO hit (kind, slot_ms, who, hits) VALUES (:kind, :slot_ms, :who, 1)
    ON CONFLICT (kind, slot_ms, who) DO UPDATE SET hits = hit.hits + 1"""
_HITS = "SELECT sum(hits) FROM hit WHERE kind = :kind AND who = :who AND slot_ms > :since_ms"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One who may tell the desk of appointments (ingest), of these communities; the token's hash is kept, the token is not.

    `token_id` names the token without telling it, 12 hexadecimal digits.
    """

    token_id: str
    name: str
    community_ids: tuple[str, ...]
    revoked_ms: int | None = None


class Access(Topic):
    """The vendors, sessions and limits of `DeskStore`."""

    def new_vendor(self, name: str, token_hash: str, community_ids: Iterable[str]) -> None:
        """Give a vendor a token for communities; a revoked one of the name is replaced.

        Raises:
            StoreError: a vendor of that name has a token.
        """
        row = {"name": name, "token_hash": token_hash, "community_ids": as_list(community_ids), "revoked_ms": None}
        with self._file.writing() as db:
            db.run("DELETE FROM vendor WHERE name = :name AND revoked_ms IS NOT NULL", name=name)
            if not db.insert("vendor", row, or_nothing=True):
                raise StoreError(f"the vendor {name} has a token already: revoke it first")

    def revoke_vendor(self, name: str, now_ms: int) -> bool:
        """End a vendor's token at once; False when there is none, or it has ended."""
        with self._file.writing() as db:
            sql = "UPDATE vendor SET revoked_ms = :now_ms WHERE name = :name AND revoked_ms IS NULL"
            return db.run(sql, name=name, now_ms=now_ms) == 1

    def vendors(self) -> list[Vendor]:
        """Every vendor by name, the revoked ones too."""
        with self._file.reading() as db:
            return [_vendor(row) for row in db.rows("SELECT * FROM vendor ORDER BY name")]

    def vendor_by_token(self, token_hash: str) -> Vendor | None:
        """Whose token it is; None for an unknown or a revoked one."""
        with self._file.reading() as db:
            row = db.row("SELECT * FROM vendor WHERE token_hash = :token_hash AND revoked_ms IS NULL", token_hash=token_hash)
        return _vendor(row) if row else None

    def add_session(self, token_hash: str, name: str, expires_ms: int) -> None:
        """Begin a session of a member of staff."""
        with self._file.writing() as db:
            db.insert("session", {"token_hash": token_hash, "name": name, "expires_ms": expires_ms})

    def session(self, token_hash: str, now_ms: int) -> str | None:
        """Whose session it is; None for an unknown, ended or expired one."""
        with self._file.reading() as db:
            sql = "SELECT name FROM session WHERE token_hash = :token_hash AND expires_ms > :now_ms"
            row = db.row(sql, token_hash=token_hash, now_ms=now_ms)
        return row["name"] if row else None

    def end_session(self, token_hash: str) -> bool:
        """End a session; False when there is none."""
        with self._file.writing() as db:
            return db.run("DELETE FROM session WHERE token_hash = :token_hash", token_hash=token_hash) == 1

    def end_sessions_of(self, name: str) -> int:
        """End every session of a member of staff; returns how many there were."""
        with self._file.writing() as db:
            return db.run("DELETE FROM session WHERE name = :name", name=name)

    def hit(self, kind: str, who: str, now_ms: int, window_ms: int) -> int:
        """Count one more of `kind` by `who`, and return how many there were in the last `window_ms`, this one included.

        The window slides in twelfths and never forgets too early. `who` is a keyed hash, made by the caller.
        """
        with self._file.writing() as db:
            return hit(db, kind, who, now_ms, window_ms)

    def forgive(self, kind: str, who: str) -> None:
        """Forget what was counted of `kind` by `who`."""
        with self._file.writing() as db:
            db.run("DELETE FROM hit WHERE kind = :kind AND who = :who", kind=kind, who=who)


def hit(db: Transaction, kind: str, who: str, now_ms: int, window_ms: int) -> int:
    """Count one more inside the caller's transaction; see `Access.hit`."""
    slot = max(window_ms // _SLOTS, 1)
    since_ms = now_ms - window_ms - slot
    db.run("DELETE FROM hit WHERE kind = :kind AND slot_ms <= :since_ms", kind=kind, since_ms=since_ms)
    db.run(_HIT, kind=kind, slot_ms=now_ms // slot * slot, who=who)
    return db.number(_HITS, kind=kind, who=who, since_ms=since_ms)


def _vendor(row: Row) -> Vendor:
    return Vendor(row["token_hash"][:_ID_CHARACTERS], row["name"], from_list(row["community_ids"]), row["revoked_ms"])
