"""What every topic of the store shares: the file, its errors, the desk's count of changes, and lists as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable

from agent.errors import StoreError
from agent.sqlite import SharedFile, Transaction

SEQ = "seq"
"""The last change of the roster that was numbered."""
PRUNED_SEQ = "pruned_seq"
"""The highest change of an appointment that was deleted since."""
REVISION_FLOOR = "revision_floor"
"""Every new revision is above it: above that of an appointment which was deleted, and above what doors heard before an older copy of
the store was put back."""


class StateError(StoreError):
    """The row is not in a state that the caller expected, since somebody else was quicker; nothing was written."""


class PinTakenError(StoreError):
    """Another live code of one of the doors has this PIN: try the next attempt; nothing was written."""


class Topic:
    """A part of `DeskStore`: its tables are asked through the one shared file."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file


def counter(db: Transaction, name: str) -> int:
    """A counter of the desk."""
    return db.number("SELECT value FROM counter WHERE name = :name", name=name)


def raise_counter(db: Transaction, name: str, value: int) -> None:
    """Lift a counter to `value` unless it is higher already."""
    db.run("UPDATE counter SET value = :value WHERE name = :name AND value < :value", name=name, value=value)


def next_seq(db: Transaction) -> int:
    """The number of one more change. Who has it holds the file until the commit, so nobody sees a number before the one below it."""
    return count_up(db, SEQ)


def count_up(db: Transaction, name: str) -> int:
    """The next number of a counter; nobody else gets it."""
    db.run("UPDATE counter SET value = value + 1 WHERE name = :name", name=name)
    return counter(db, name)


def as_list(values: Iterable[str]) -> str:
    """Texts as one column holds them."""
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


def from_list(column: str) -> tuple[str, ...]:
    """The texts of such a column."""
    return tuple(json.loads(column))
