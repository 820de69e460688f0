"""Everything that the desk knows, in one SQLite file that threads and several desk processes share.

- `schema`    the tables; making and opening the file
- `topic`     what the topics share: errors, counters, lists
- `bookings`  begun once, settled at once with all that follows; `booking_rows` reads and writes their table
- `roster`    appointments in the order of their changes, PINs
- `jobs`      the queue: claims with a lease
- `doors`     door tokens, reports, admissions, orders
- `access`    vendors, sessions, limits
- `pruning`   deleting what is over

Rule 1: nothing of the file's content is kept in the process: what another process wrote is seen by the next call.
Rule 2: the SQL is such as PostgreSQL would take over; what is not is in `agent/sqlite.py` and in the words of `schema`.
"""

from __future__ import annotations

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

__all__ = ["DeskStore", "PinTakenError", "StateError", "Vendor"]


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

    def close(self) -> None:
        """Close the file; every later call raises `StoreError`."""
        self._file.close()
