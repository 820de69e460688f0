"""Everything that the desk knows, in one SQLite file that threads and several desk processes share.

- `schema`    the tables; making and opening the file
- `topic`     what the topics share: errors, counters, lists
- `bookings`  begun once, settled at once with all that follows; `booking_rows` reads and writes their table
- `turns`     one request to Knock for one person at a time
- `roster`    appointments in the order of their changes, PINs
- `jobs`      the queue: claims with a lease
- `doors`     door tokens, reports, admissions, orders
- `access`    vendors, sessions, limits
- `pruning`   deleting what is over
- `mark`      a word beside the file, by which an older copy of it is known

Rule 1: nothing of the file's content is kept in the process: what another process wrote is seen by the next call.
Rule 2: the SQL is such as PostgreSQL would take over; what is not is in `agent/sqlite.py` and in the words of `schema`.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from agent.desk.store import mark
from agent.desk.store.access import Access, Vendor
from agent.desk.store.bookings import Bookings
from agent.desk.store.doors import Doors
from agent.desk.store.jobs import Jobs
from agent.desk.store.pruning import Pruning
from agent.desk.store.roster import Roster
from agent.desk.store.schema import opened
from agent.desk.store.topic import REVISION_FLOOR, PinTakenError, StateError, raise_counter
from agent.desk.store.turns import BusyError, Turn
from agent.errors import StoreError

__all__ = ["BusyError", "DeskStore", "PinTakenError", "StateError", "Turn", "Vendor"]


class DeskStore(Bookings, Roster, Jobs, Doors, Access, Pruning):
    """The desk's store. Blocks, so ask it in a thread; any number of threads may. Every method raises `StoreError`."""

    _mark: mark.Mark

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, made when absent and brought up to date; its folder must exist.

        When its mark (`keep_mark`) knows of more changes than it has, an older copy was put back: it gets a new name.

        Raises:
            StoreError: it cannot be used, is damaged, or was made by a newer tourlatch; then it was not changed.
        """
        store = cls(opened(path))
        store._mark = mark.Mark(path)
        known = store._mark.read()
        if known is not None and known[0] == store.epoch and known[1] > store.last_seq():
            store.renew_epoch(known[0], time.time_ns() // 1_000_000)
        return store

    def keep_mark(self) -> None:
        """Write down beside the file how many changes it has, if they are more than before; call it now and then."""
        self._mark.write(self.epoch, self.last_seq())

    @property
    def epoch(self) -> str:
        """The file's own random name, made with it: a cursor of another epoch means nothing here."""
        with self._file.reading() as db:
            row = db.row("SELECT value FROM about WHERE name = 'epoch'")
        return str(row["value"]) if row else ""

    def renew_epoch(self, known: str, now_ms: int) -> bool:
        """Give the file another name than `known`; False when somebody else did so already.

        For when an older copy of the file was put back: what is counted from now on would bear numbers that doors take for known, so
        every door must read from the start, and new revisions are higher than any that a door can have heard: seconds, not counts.
        """
        with self._file.writing() as db:
            sql = "UPDATE about SET value = :value WHERE name = 'epoch' AND value = :known"
            is_ours = db.run(sql, value=secrets.token_hex(8), known=known) == 1
            if is_ours:
                raise_counter(db, REVISION_FLOOR, now_ms // 1000)
        return is_ours

    def close(self) -> None:
        """Close the file; every later call raises `StoreError`."""
        with suppress(StoreError):  # an older word stays true
            self.keep_mark()
        self._file.close()
