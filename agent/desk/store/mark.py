"""A word beside the store's file: its name and how many changes it had. A copy that was put back has fewer, and is known by that.

Rule 1: the word is allowed to be old, never to be ahead: it is written after the changes that it counts.
Rule 2: what cannot be read is no word; a store without one is as good as any.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.errors import StoreError

_WORD = re.compile(r"([0-9a-f]{1,64}) ([0-9]{1,16})\n?", re.ASCII)


class Mark:
    """`<store>.mark`."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".mark")
        self._written: tuple[str, int] | None = None

    def read(self) -> tuple[str, int] | None:
        """The store's name and its count of changes when it was last written down; None when that cannot be read."""
        try:
            found = _WORD.fullmatch(self._path.read_text("ascii"))
        except (OSError, UnicodeDecodeError):
            return None
        return None if found is None else (found.group(1), int(found.group(2)))

    def write(self, epoch: str, seq: int) -> None:
        """Write it down, whole or not at all; raises `StoreError`."""
        if self._written == (epoch, seq):
            return
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            aside.write_text(f"{epoch} {seq}\n", "ascii")
            aside.replace(self._path)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror}") from error
        self._written = (epoch, seq)
