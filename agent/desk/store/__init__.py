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

Rule 1: nothing of the file's content is kept in the process: what another process wrote is seen by the next call.
Rule 2: the SQL is such as PostgreSQL would take over; what is not is in `agent/sqlite.py` and in the words of `schema`.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Self

from agent.desk.store.access import Access, Vendor
from agent.desk.store.bookings import Bookings
from agent.desk.store.doors import Doors
from agent.desk.store.jobs import Jobs
from agent.desk.store.pruning import Pruning
from agent.desk.store.roster import Roster
from agent.desk.store.schema import opened
from agent.desk.store.topic import PinTakenError, StateError
from agent.desk.store.turns import BusyError, Turn

__all__ = ["BusyError", "DeskStore", "PinTakenError", "StateError", "Turn", "Vendor"]


class DeskStore(Bookings, Roster, Jobs, Doors, Access, Pruning):
    """The desk's store. Blocks, so ask it in a thread; any number of threads may. Every method raises `StoreError`."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, made when absent and brought up to date; its folder must exist.

        Raises:
            StoreError: it cannot be used, is damaged, or was made by a newer tourlatch; then it was not changed.
        """
        return cls(opened(path))

    @property
    def epoch(self) -> str:
        """The file's own random name, made with it: a cursor of another epoch means nothing here."""
        with self._file.reading() as db:
            row = db.row("SELECT value FROM about WHERE name = 'epoch'")
        return str(row["value"]) if row else ""

    def renew_epoch(self, known: str) -> bool:
        """Give the file another name than `known`; False when somebody else did so already.

        For when a door has heard of more changes than there are here: an older copy of the file was put back. What is counted from
        now on would bear numbers that doors take for known, so every door must read from the start.
        """
        with self._file.writing() as db:
            sql = "UPDATE about SET value = :value WHERE name = 'epoch' AND value = :known"
            return db.run(sql, value=secrets.token_hex(8), known=known) == 1

    def close(self) -> None:
        """Close the file; every later call raises `StoreError`."""
        self._file.close()
