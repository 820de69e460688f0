"""What a door heard from the desk, and what it has to tell: each a function run inside a transaction of `upkeep`, but for `outgoing`.

Rule 1: the cursor is written in one transaction with the last of the news that it stands for: after any crash a page is heard again
        or not at all, and hearing it again changes nothing.
Rule 2: a PIN is known for as long as the roster says that its code is alive; the roster's own rules (`upkeep.apply_roster`) decide that.
Rule 3: what is told is read on a connection of its own: however long it takes, no writer waits.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.news import RETRY_ORDER, Order, Page, RosterNews
from agent.core.tour import RosterEntry, Standing, TourCode
from agent.store import outbox
from agent.store.journal import Moment, Note, reading, write_note
from agent.store.upkeep import apply_roster

BATCH = 100
"""So many entries are heard in one transaction, since a scan waits for as long as it lasts."""
MAX_ADMISSIONS = 200
MAX_LETTERS = 100
MAX_DONE = 100
MAX_WORDS = 300
LETTERS_BYTES = 24_000
"""Dead letters beyond this are told when those before them are gone; the desk reads at most 64 KB."""
KEPT_ORDERS = 1000
WORTH_MARKING = 1000
"""The journal's entries that are looked through again and again until the mark is moved past them, although nothing was told."""

_PUT_PIN = """INSERT OR REPLACE INTO pin
    (door, pin_hash, appointment_id, code_id, key_id, prospect_id, community_id, doors, unit_names, start_ms, end_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PUT_FEED = """INSERT INTO feed (door, cursor, applied, skipped, heard_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (door) DO UPDATE SET
    cursor = excluded.cursor, applied = applied + excluded.applied, skipped = skipped + excluded.skipped, heard_ms = excluded.heard_ms"""
_FORGET_TOLD = """DELETE FROM desk_order WHERE door = ? AND is_told AND order_id <=
    (SELECT max(order_id) FROM desk_order WHERE door = ?) - ?"""
_ADMISSIONS = """SELECT seq, appointment_id, at_ms FROM journal
    WHERE seq > ? AND seq <= ? AND kind = 'admission' AND door = ? ORDER BY seq LIMIT ?"""
_LETTERS = """SELECT o.visit_id, v.appointment_id, o.words FROM outbox o JOIN visit v USING (visit_id) WHERE o.state = 'dead'
    ORDER BY o.next_try_ms LIMIT ?"""
_KEEP_MARK = "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"


_NAME_SOURCE = """UPDATE visit SET source_title = ? WHERE appointment_id = ?
    AND visit_id IN (SELECT visit_id FROM outbox WHERE state = 'due' AND doubts = 0)"""
"""Tries without an uplink do not matter; but once Knock may have it, the same idempotency key must not come with another body."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a door has heard: the desk's cursor, entries applied and skipped in all, and when the desk was last heard."""

    cursor: str
    applied: int
    skipped: int
    heard_ms: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a report holds. `up_to_seq` is the journal's entry up to which `admissions` are told; `has_more` says that others follow."""

    admissions: list[dict[str, object]]
    up_to_seq: int
    has_more: bool
    is_mark_old: bool
    """Whether the mark is so far behind that it is worth writing although there was no admission."""
    letters: list[dict[str, str]]
    orders_done: list[int]
    counts: dict[str, int]


def progress(conn: sqlite3.Connection, door: str) -> Progress | None:
    """How far the door has heard, None if it never did."""
    row = conn.execute("SELECT cursor, applied, skipped, heard_ms FROM feed WHERE door = ?", (door,)).fetchone()
    return None if row is None else Progress(*row)


def hear(conn: sqlite3.Connection, entries: list[RosterEntry], moment: Moment) -> list[RosterEntry]:
    """Apply news of appointments, and journal those that end a code; returns what was new or changed.

    A visit to an appointment that the door had not heard of, and that is still to be sent, gets the source title of its booking.
    """
    changed = apply_roster(conn, entries, moment.at_ms)
    for entry in changed:
        if entry.source_title is not None:
            conn.execute(_NAME_SOURCE, (entry.source_title, entry.appointment_id))
        if entry.standing is not Standing.CONFIRMED:
            write_note(conn, Note(moment, "roster", reason=entry.standing.value, appointment_id=entry.appointment_id))
    return changed


def hear_news(conn: sqlite3.Connection, door: str, news: Sequence[RosterNews], moment: Moment) -> int:
    """Apply news and the door's PINs, at most `BATCH` of them; returns how many were new or changed."""
    changed = hear(conn, [one.entry for one in news], moment)
    for one in news:
        _hear_pin(conn, door, one)
    return len(changed)


def finish_page(conn: sqlite3.Connection, door: str, page: Page, moment: Moment) -> None:
    """The page was heard: go on after it. Call it in the transaction of its last news. What was wrong in it is journaled."""
    conn.execute(_PUT_FEED, (door, page.cursor, len(page.news), len(page.skipped), moment.at_ms))
    if page.is_resync:
        # another desk counts its orders anew
        conn.execute("DELETE FROM desk_order WHERE door = ? AND is_told", (door,))
    if page.skipped:
        write_note(conn, Note(moment, "roster_skipped", door, detail={"count": len(page.skipped), "words": page.skipped[0]}))


def _hear_pin(conn: sqlite3.Connection, door: str, news: RosterNews) -> None:
    """Know the door's PIN of an appointment, if the roster believed this very news, or forget it if there is none any more."""
    entry, code = news.entry, news.code
    believed = conn.execute("SELECT standing, code_id, revision FROM roster WHERE appointment_id = ?", (entry.appointment_id,)).fetchone()
    if code is None or believed != (entry.standing, entry.code_id, entry.revision):
        return
    if news.pin_hash is None:
        conn.execute("DELETE FROM pin WHERE appointment_id = ? AND door = ?", (entry.appointment_id, door))
        return
    conn.execute(_PUT_PIN, (door, news.pin_hash, entry.appointment_id, *_claims(code)))


def _claims(code: TourCode) -> tuple[str | int, ...]:
    names = (json.dumps(code.doors), json.dumps(code.unit_names))
    return (code.code_id, code.key_id, code.prospect_id, code.community_id, *names, code.window.start_ms, code.window.end_ms)


def obey(conn: sqlite3.Connection, door: str, order: Order, moment: Moment) -> int | None:
    """Do what staff ordered from afar, once; returns how many visits are tried again, or None when nothing was to be done.

    What this version does not know is journaled once and never said to be done.
    """
    is_known = order.do == RETRY_ORDER
    row = (door, order.order_id, int(is_known))
    if conn.execute("INSERT OR IGNORE INTO desk_order (door, order_id, is_done) VALUES (?, ?, ?)", row).rowcount == 0:
        return None
    again = outbox.retry(conn, order.visit_ids, moment.at_ms) if is_known else None
    write_note(conn, Note(moment, "order", door, detail={"order_id": order.order_id, "do": order.do, "is_known": is_known, "count": again}))
    return again


def outgoing(path: Path, door: str) -> Outgoing:
    """What there is to tell the desk of a door, read beside the writers; raises `StoreError`."""
    with reading(path) as conn:
        return _outgoing(conn, door)


def _outgoing(conn: sqlite3.Connection, door: str) -> Outgoing:
    marked = conn.execute("SELECT value FROM mark WHERE name = ?", (_mark_name(door),)).fetchone()
    mark = int(marked[0]) if marked else 0
    last = int(conn.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0])
    found = conn.execute(_ADMISSIONS, (mark, last, door, MAX_ADMISSIONS)).fetchall()
    has_more = len(found) == MAX_ADMISSIONS
    done = conn.execute("SELECT order_id FROM desk_order WHERE door = ? AND is_done AND NOT is_told LIMIT ?", (door, MAX_DONE))
    return Outgoing(
        admissions=[{"appointment_id": appointment_id, "at_ms": at_ms} for _, appointment_id, at_ms in found],
        up_to_seq=found[-1][0] if has_more else last,
        has_more=has_more,
        is_mark_old=last - mark > WORTH_MARKING,
        letters=_letters(conn),
        orders_done=[order_id for (order_id,) in done],
        counts=outbox.counts(conn),
    )


def _letters(conn: sqlite3.Connection) -> list[dict[str, str]]:
    found, size = [], 0
    for visit_id, appointment_id, words in conn.execute(_LETTERS, (MAX_LETTERS,)):
        letter = {"visit_id": visit_id, "appointment_id": appointment_id, "words": words[:MAX_WORDS]}
        size += len(json.dumps(letter))
        if size > LETTERS_BYTES:
            break
        found.append(letter)
    return found


def acknowledged(conn: sqlite3.Connection, door: str, told: Outgoing) -> None:
    """The desk has a report: what was in it is not told again."""
    conn.execute(_KEEP_MARK, (_mark_name(door), told.up_to_seq))
    ids = [(door, order_id) for order_id in told.orders_done]
    conn.executemany("UPDATE desk_order SET is_told = 1 WHERE door = ? AND order_id = ?", ids)
    conn.execute(_FORGET_TOLD, (door, door, KEPT_ORDERS))


def _mark_name(door: str) -> str:
    return f"reported_{door}"
