"""Where a door stands in the roster: a text that is the desk's own business, given out with a page and handed in for the next.

`<epoch>.<seq>`: the store's random id, and the count of changes that the door has.

Rule 1: whatever is no cursor of this store starts the roster from nothing: a door whose memory was damaged heals by itself.
Rule 2: so does a cursor that is too old, since something behind it was deleted (the store keeps what is left ahead of every such point).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CURSOR = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9]{1,16})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Extent:
    """What the store has: its epoch, the count of its last change, and the oldest count that can be read on from."""

    epoch: str
    last_seq: int
    oldest_seq: int

    def cursor(self, seq: int) -> str:
        """The cursor of a door that has all changes up to `seq`."""
        return f"{self.epoch}.{seq}"

    def applied_seq(self, cursor: str | None) -> int | None:
        """The count of changes that a door with this cursor has; None when it is none of this store's."""
        found = None if cursor is None else _CURSOR.fullmatch(cursor)
        if found is None or found.group(1) != self.epoch:
            return None
        seq = int(found.group(2))
        return seq if seq <= self.last_seq else None

    def is_behind(self, cursor: str | None) -> bool:
        """Whether a door has this store's name and more changes than there are: an older copy of the store was put back."""
        found = None if cursor is None else _CURSOR.fullmatch(cursor)
        return found is not None and found.group(1) == self.epoch and int(found.group(2)) > self.last_seq

    def start(self, cursor: str | None) -> int | None:
        """Behind which change the page for this cursor begins; None: the roster starts from nothing."""
        seq = self.applied_seq(cursor)
        return None if seq is None or seq < self.oldest_seq else seq
