"""One field of Knock's answers: an id, a status, a list of times. Pure, and believes nothing.

Rule 1: what cannot be read is absent; it is never guessed, and never half of it is taken.
Rule 2: a time without an offset from UTC names no instant (and Knock sends offsets, T).
"""

from __future__ import annotations

from typing import Any

from agent.core.booking import CONFIRMED, Booked
from agent.core.clock import from_iso
from agent.core.tour import LATEST_TOUR_MS, MAX_TOUR_MS

MAX_ID = 100
MAX_STATUS = 40
MAX_STARTS = 10_000
"""More than half a year of half hours around the clock; of a longer list the earliest are kept."""
UNSTATED = "UNSTATED"
"""Stands for a status that Knock did not state: no confirmation."""

Content = dict[str, Any]


def id_of(value: object) -> str | None:
    """An id, a text or a whole number in Knock's JSON (T: both are met), as text; None for anything else."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    is_id = text.isascii() and text.isprintable() and text.strip() == text and 1 <= len(text) <= MAX_ID
    return text if is_id else None


def first_id(*values: object) -> str | None:
    """The first of these that is an id."""
    return next((found for found in map(id_of, values) if found is not None), None)


def inner(content: Content, name: str) -> Content:
    """The object in a field, empty when there is none."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def booked_of(content: Content) -> Booked | None:
    """The appointment in an answer to a booking, None when there is no id in it.

    The id is `appointmentId` (K: the seed), else `appointment.id` (T), else `id` (I). The prospect's is `prospectId` at the top or in
    the appointment, or a prospect's own `id` (I).
    """
    appointment = inner(content, "appointment")
    appointment_id = first_id(content.get("appointmentId"), appointment.get("id"), appointment.get("appointmentId"), content.get("id"))
    if appointment_id is None:
        return None
    prospect_id = first_id(
        content.get("prospectId"),
        appointment.get("prospectId"),
        inner(content, "prospect").get("id"),
        inner(appointment, "prospect").get("id"),
    )
    return Booked(appointment_id, status_of(content), prospect_id)


def status_of(content: Content) -> str:
    """The appointment's status in Knock's word: `appointment.status` (T), else `status` (I).

    An answer that states none is not confirmed, with one exception: `appointmentId` at the top without any status is the form of the
    seed, which knows no status and makes the code at once (K for the form, I for the meaning).
    """
    appointment = inner(content, "appointment")
    for holder in (appointment, content):
        if "status" in holder:
            return _word(holder["status"])
    return CONFIRMED if id_of(content.get("appointmentId")) is not None else UNSTATED


def starts_of(entries: list[Any]) -> tuple[int, ...]:
    """The instants in `acceptableTimes`, sorted, each once, in milliseconds UTC; what is no instant for a tour is passed over.

    Times are texts in ISO 8601 with an offset or Z (T). A start within a second is passed over too: no code could say it.
    """
    found = {start_ms for start_ms in map(_start, entries) if start_ms is not None}
    return tuple(sorted(found)[:MAX_STARTS])


def _start(entry: object) -> int | None:
    try:
        start_ms = from_iso(entry) if isinstance(entry, str) else -1
    except (ValueError, OverflowError):
        return None
    return start_ms if 0 <= start_ms <= LATEST_TOUR_MS - MAX_TOUR_MS and start_ms % 1000 == 0 else None


def _word(value: object) -> str:
    text = "".join(letter for letter in value if letter.isprintable()).strip() if isinstance(value, str) else ""
    return text[:MAX_STATUS] or UNSTATED
