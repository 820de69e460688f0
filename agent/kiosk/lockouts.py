"""Lockouts as the agent tells them, in ticks. Pure, and wary of what is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

MAX_LOCK_S = 86_400
SAME_TICKS = 2_000
"""The end of a lockout as the status tells it is the one that is known, if it is no further from it."""
MAX_TEXT = 400
"""No text of an event is kept longer than this..."""
MAX_ITEMS = 64
"""...and no list of one, nor more readers."""


def is_lock(lock_s: object) -> TypeGuard[float]:
    """Whether a lockout may last so long, in seconds."""
    return isinstance(lock_s, int | float) and not isinstance(lock_s, bool) and 0 < lock_s <= MAX_LOCK_S


def by_reader(known: Mapping[str, int], told: object, tick: int) -> Mapping[str, int]:
    """Those that a status tells; what it does not tell of stays as it was heard."""
    if not isinstance(told, dict):
        return known
    found = {}
    for name, lock_s in list(told.items())[:MAX_ITEMS]:
        if is_lock(lock_s):
            found[str(name)[:MAX_TEXT]] = _end(known.get(name, 0), lock_s, tick)
    return found


def _end(known: int, lock_s: float, tick: int) -> int:
    """The same end measured twice is no change that anybody has to see."""
    until = tick + round(lock_s * 1000)
    return known if known > tick and abs(known - until) <= SAME_TICKS else until
