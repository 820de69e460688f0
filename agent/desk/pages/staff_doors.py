"""Doors as staff see them: how fresh they are, and which visits they could not report. Pure.

Rule 1: a report is a door's word, kept as JSON: what is missing or of another shape is not shown, and never an error.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from agent.desk.records import DoorAccess, Order

RETRY = "outbox_retry"
LATE_MS = 5 * 60_000
"""A door that was not heard for so long is said to be silent: it asks about once a minute."""


@dataclass(frozen=True, slots=True)
class DeadVisit:
    """A visit that Knock refused for good. `is_asked`: staff asked for another try, and the door has not said that it heard."""

    visit_id: str
    appointment_id: str
    words: str
    is_asked: bool


@dataclass(frozen=True, slots=True)
class DoorState:
    """One door. `seen_ms` is None for one that was never heard, `has_token` says whether it could be."""

    name: str
    label: str
    has_token: bool
    seen_ms: int | None
    is_silent: bool
    behind: int
    """How many changes of the roster it has not heard of; at most `MOST_BEHIND`."""
    clock: str
    version: str
    outbox: tuple[tuple[str, int], ...]
    dead: tuple[DeadVisit, ...]

    @property
    def unasked(self) -> int:
        """How many dead visits nobody has asked to try again."""
        return sum(not visit.is_asked for visit in self.dead)


MOST_BEHIND = 200


def state(name: str, label: str, access: DoorAccess | None, *, behind: int, orders: Collection[Order], now_ms: int) -> DoorState:
    """The door as its token that was heard last tells it."""
    report = _report(access.report if access else "")
    asked = {visit_id for order in orders if order.do == RETRY for visit_id in order.visit_ids}
    seen_ms = access.seen_ms if access else None
    return DoorState(
        name,
        label,
        access is not None,
        seen_ms,
        seen_ms is not None and now_ms - seen_ms > LATE_MS,
        behind,
        _text(_table(report.get("clock")).get("state")),
        _text(report.get("version")),
        tuple(
            (name, value) for name, value in _table(report.get("outbox")).items() if isinstance(value, int) and not isinstance(value, bool)
        ),
        tuple(_dead(letter, asked) for letter in _tables(report.get("dead_letters"))),
    )


def freshest(accesses: Collection[DoorAccess]) -> DoorAccess | None:
    """Of a door's tokens that are not revoked, the one that was heard last."""
    live = [access for access in accesses if access.revoked_ms is None]
    return max(live, key=lambda access: (access.seen_ms or 0, access.created_ms), default=None)


def _dead(letter: dict[str, Any], asked: Collection[str]) -> DeadVisit:
    visit_id = _text(letter.get("visit_id"))
    return DeadVisit(visit_id, _text(letter.get("appointment_id")), _text(letter.get("words")), visit_id in asked)


def _report(text: str) -> dict[str, Any]:
    try:
        return _table(json.loads(text))
    except ValueError:
        return {}


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
