"""What the store keeps of the desk: the cursor with its news, PINs for as long as their code lives, orders once, what was told."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.core.news import Order, Page, RosterNews
from agent.core.replay import Mark, RowState
from agent.core.tour import RosterEntry, Standing, TourCode
from agent.store import feed, outbox, upkeep
from agent.store.journal import Note, write_note
from tests.store.made import T0_MS, admission, code, everything, moment, new_store, one_row, opened, queue_visit

T = TypeVar("T")
HASH, OTHER = "a" * 32, "b" * 32
CONFIRMED, CANCELLED, SUPERSEDED = Standing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh store."""
    return new_store(tmp_path)


def write(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do it in a transaction, as after a restart."""
    with opened(path) as (_, keeper):
        return keeper.submit(work).result(10)


def news(of: TourCode, revision: int = 1, pin_hash: str | None = HASH) -> RosterNews:
    """A confirmed appointment."""
    return RosterNews(RosterEntry(of.appointment_id, CONFIRMED, of.code_id, "Zumper", revision), of, pin_hash)


def dead(of: TourCode, standing: Standing = CANCELLED) -> RosterNews:
    """The end of an appointment."""
    return RosterNews(RosterEntry(of.appointment_id, standing, revision=9))


def hear(path: Path, *told: RosterNews, door: str = "front") -> int:
    """Hear news at a door."""
    return write(path, lambda conn: feed.hear_news(conn, door, told, moment()))


def known(path: Path, pin_hash: str = HASH, door: str = "front") -> TourCode | None:
    """What a PIN stands for at a door, after a restart."""
    with opened(path) as (journal, _):
        return journal.pin(door, pin_hash)


def test_ok__a_pin_stands_for_the_whole_code(path: Path) -> None:
    """Every claim of the code is there, and hearing of it again changes nothing."""
    assert hear(path, news(code(1))) == 1
    before = everything(path)
    assert known(path) == code(1)
    assert hear(path, news(code(1))) == 0
    assert everything(path) == before


def test_refused__a_pin_of_another_door(path: Path) -> None:
    """Each door has hashes of its own; both doors of a board hear of one appointment."""
    hear(path, news(code(1)), door="front")
    assert hear(path, news(code(1), pin_hash=OTHER), door="gym") == 0, "the appointment itself is no news any more"
    assert (known(path, HASH, "front"), known(path, OTHER, "gym")) == (code(1), code(1))
    assert (known(path, OTHER, "front"), known(path, HASH, "gym")) == (None, None)


@pytest.mark.parametrize("standing", [CANCELLED, SUPERSEDED])
def test_refused__a_pin_whose_appointment_ended(path: Path, standing: Standing) -> None:
    """It is dead at once at every door, whichever door heard it, and nothing that the desk says later revives it (P5)."""
    hear(path, news(code(1)), door="front")
    hear(path, news(code(1), pin_hash=OTHER), door="gym")
    hear(path, dead(code(1), standing), door="gym")
    assert (known(path), known(path, OTHER, "gym")) == (None, None)
    hear(path, news(code(1), revision=50), news(code(1, issue=2), revision=51))
    assert known(path) is None
    assert everything(path)["pin"] == []


def test_refused__the_pin_of_a_code_that_was_made_anew(path: Path) -> None:
    """A newer code brings its own PIN, and the old PIN dies with the old code, in whatever order they are told again."""
    old, new = news(code(1), 1), news(code(1, issue=1), 2, OTHER)
    hear(path, old)
    hear(path, new)
    assert (known(path), known(path, OTHER)) == (None, code(1, issue=1))
    hear(path, old, new, old)
    assert (known(path), known(path, OTHER)) == (None, code(1, issue=1))


def test_refused__a_lower_revision_is_not_believed(path: Path) -> None:
    """Late news of the same code changes neither the PIN nor the window."""
    later = replace(code(1), unit_names=("999",))
    hear(path, RosterNews(news(code(1)).entry, later, HASH))
    write(path, lambda conn: feed.hear_news(conn, "front", [news(code(1), 5)], moment()))
    hear(path, RosterNews(news(code(1), 4).entry, later, OTHER))
    assert (known(path), known(path, OTHER)) == (code(1), None)


def test_refused__a_pin_that_was_taken_away(path: Path) -> None:
    """An appointment that is confirmed without a PIN for this door has none."""
    hear(path, news(code(1), 1))
    hear(path, news(code(1), 2, None))
    assert known(path) is None
    assert everything(path)["roster"][0][:2] == ("a1", "confirmed")


def test_ok__a_pin_that_was_freed_is_somebody_elses(path: Path) -> None:
    """The desk gives a PIN out again after its appointment ended: it stands for the new one alone."""
    hear(path, news(code(1)))
    hear(path, dead(code(1)), news(code(2)))
    assert known(path) == code(2)
    hear(path, news(code(3)))
    assert known(path) == code(3)
    assert len(everything(path)["pin"]) == 1


def test_refused__news_by_the_socket_kills_a_pin_too(path: Path) -> None:
    """Whoever tells of a cancel or of a newer code, the PIN is dead."""
    hear(path, news(code(1)), news(code(2), pin_hash=OTHER))
    told = [RosterEntry("a1", CANCELLED), RosterEntry("a2", CONFIRMED, code(2, issue=1).code_id, revision=7)]
    write(path, lambda conn: upkeep.apply_roster(conn, told, T0_MS))
    assert (known(path), known(path, OTHER)) == (None, None)


def test_refused__a_code_named_late_beside_a_live_one_never_rises(path: Path) -> None:
    """An old code that is heard of after its successor is dead for good, with whatever revision it comes again."""
    hear(path, news(code(1, issue=1), 5))
    hear(path, news(code(1), 3, OTHER))
    hear(path, news(code(1), 9, OTHER))
    assert (known(path), known(path, OTHER)) == (code(1, issue=1), None)


def a_page(*told: RosterNews, cursor: str = "e.1", **other: Any) -> Page:  # noqa: ANN401 - a page's fields
    """A page of the desk's."""
    return Page(told, other.pop("skipped", ()), cursor, **other)


def finish(path: Path, page: Page, door: str = "front") -> None:
    """Hear a page whole, in one transaction."""

    def work(conn: sqlite3.Connection) -> None:
        feed.hear_news(conn, door, page.news, moment())
        feed.finish_page(conn, door, page, moment())

    write(path, work)


def test_ok__the_cursor_counts_per_door(path: Path) -> None:
    """Each door resumes where it stopped, with its own counts."""
    finish(path, a_page(news(code(1)), news(code(2), pin_hash=OTHER)))
    finish(path, a_page(dead(code(1)), cursor="e.2", skipped=("entry 2: bad",)))
    finish(path, a_page(cursor="e.9"), door="gym")
    assert write(path, lambda conn: feed.progress(conn, "front")) == feed.Progress("e.2", 3, 1, T0_MS)
    assert write(path, lambda conn: feed.progress(conn, "gym")) == feed.Progress("e.9", 0, 0, T0_MS)
    assert write(path, lambda conn: feed.progress(conn, "other")) is None
    assert one_row(path, "SELECT door, detail FROM journal WHERE kind = 'roster_skipped'") == (
        "front",
        json.dumps({"count": 1, "words": "entry 2: bad"}),
    )


CRASH = """
import os, signal, sqlite3, sys
from pathlib import Path
from agent.store import feed
from tests.store.made import code, moment, opened
from tests.store.test_feed_store import a_page, news

page = a_page(*(news(code(n), pin_hash=f"{n:032x}") for n in range(1, 151)), cursor="e.150")

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def last(conn):
    feed.hear_news(conn, "front", page.news[100:], moment())
    if sys.argv[2] == "between":
        die()
    feed.finish_page(conn, "front", page, moment())
    if sys.argv[2] == "inside":
        die()

with opened(Path(sys.argv[1])) as (journal, keeper):
    keeper.submit(lambda conn: feed.hear_news(conn, "front", page.news[:100], moment())).result()
    if sys.argv[2] == "before":
        die()
    keeper.submit(last).result()
    die()
"""


@pytest.mark.parametrize(("when", "heard"), [("before", 100), ("between", 100), ("inside", 100), ("after", 150)])
def test_ok__killed_anywhere_a_page_is_heard_again_or_not_at_all(path: Path, when: str, heard: int, tmp_path: Path) -> None:
    """SIGKILL between the batches, between the news and the cursor, and after: no cursor without its news, and again is the same."""
    done = subprocess.run([sys.executable, "-c", CRASH, str(path), when], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = write(path, lambda conn: feed.progress(conn, "front"))
    assert (found and found.cursor) == ("e.150" if when == "after" else None)
    assert len(everything(path)["roster"]) == len(everything(path)["pin"]) == heard
    page = a_page(*(news(code(number), pin_hash=f"{number:032x}") for number in range(1, 151)), cursor="e.150")
    if found is None:
        finish(path, page)
    (tmp_path / "whole").mkdir()
    whole = new_store(tmp_path / "whole")
    finish(whole, page)
    assert everything(path) == everything(whole)


def test_ok__an_order_is_carried_out_once(path: Path) -> None:
    """However often it is delivered: the dead letter is due once, and told to be done until the desk knows."""
    visit = write(path, lambda conn: queue_visit(conn, 1))
    bury = Mark(RowState.DEAD, 3, 0, T0_MS, "refused")
    order = Order(7, "outbox_retry", (visit, "unknown"))
    write(path, lambda conn: outbox.mark(conn, visit, bury))
    assert [write(path, lambda conn: feed.obey(conn, "front", order, moment())) for _ in range(3)] == [1, None, None]
    assert one_row(path, "SELECT state FROM outbox") == ("due",)
    told = feed.outgoing(path, "front")
    assert told.orders_done == [7]
    assert feed.outgoing(path, "gym").orders_done == []
    write(path, lambda conn: feed.acknowledged(conn, "front", told))
    assert feed.outgoing(path, "front").orders_done == []
    assert write(path, lambda conn: feed.obey(conn, "front", order, moment())) is None, "a page may still hold what was told to be done"


def test_refused__an_unknown_order_is_journaled_once_and_never_done(path: Path) -> None:
    """A newer desk's order changes nothing here, and the desk does not hear that it was obeyed."""
    assert [write(path, lambda conn: feed.obey(conn, "front", Order(8, "dance"), moment())) for _ in range(2)] == [None, None]
    assert one_row(path, "SELECT json_extract(detail, '$.do'), json_extract(detail, '$.is_known') FROM journal") == ("dance", 0)
    assert feed.outgoing(path, "front").orders_done == []


def test_ok__another_desk_counts_its_orders_anew(path: Path) -> None:
    """After a resync an order's number may come again for another order; what the desk does not know to be done is kept."""
    for number in (1, 2):
        write(path, lambda conn, n=number: feed.obey(conn, "front", Order(n, "outbox_retry"), moment()))  # type: ignore[misc]
    told = replace(feed.outgoing(path, "front"), orders_done=[1])
    write(path, lambda conn: feed.acknowledged(conn, "front", told))
    finish(path, a_page(is_resync=True))
    again = [write(path, lambda conn, n=number: feed.obey(conn, "front", Order(n, "outbox_retry"), moment())) for number in (1, 2)]  # type: ignore[misc]
    assert again == [0, None]


def test_ok__admissions_are_told_until_the_desk_has_them(path: Path) -> None:
    """In batches, of this door alone, each until it is acknowledged and not after."""
    with opened(path) as (journal, keeper):
        for number in range(1, 6):
            journal.admit(code(number), admission(code(number), at_ms=T0_MS + number), None)
        journal.admit(code(6), admission(code(6), door="gym"), None)
        keeper.submit(lambda conn: write_note(conn, Note(moment(), "refusal", "front", appointment_id="a9"))).result(10)
    told = feed.outgoing(path, "front")
    assert told.admissions == [{"appointment_id": f"a{number}", "at_ms": T0_MS + number} for number in range(1, 6)]
    assert feed.outgoing(path, "front") == told
    write(path, lambda conn: feed.acknowledged(conn, "front", told))
    assert feed.outgoing(path, "front").admissions == []
    assert [one["appointment_id"] for one in feed.outgoing(path, "gym").admissions] == ["a6"]


def test_ok__many_admissions_are_told_in_batches(path: Path) -> None:
    """250 are told as 200 and 50, none twice and none left out."""

    def work(conn: sqlite3.Connection) -> None:
        for number in range(250):
            write_note(conn, Note(moment(), "admission", "front", appointment_id=f"a{number}"))

    write(path, work)
    found, has_more = [], True
    while has_more:
        told = feed.outgoing(path, "front")
        found.append([one["appointment_id"] for one in told.admissions])
        write(path, lambda conn, told=told: feed.acknowledged(conn, "front", told))  # type: ignore[misc]
        has_more = told.has_more
    assert [len(batch) for batch in found] == [200, 50]
    assert [one for batch in found for one in batch] == [f"a{number}" for number in range(250)]


def test_ok__dead_letters_are_bounded(path: Path) -> None:
    """At most a hundred, in at most some kilobytes, however long Knock's words were."""

    def work(conn: sqlite3.Connection) -> None:
        for number in range(120):
            visit = queue_visit(conn, number)
            outbox.mark(conn, visit, Mark(RowState.DEAD, 1, 0, T0_MS + number, "\N{SNOWMAN}" * (1000 if number > 50 else 5)))

    write(path, work)
    letters = feed.outgoing(path, "front").letters
    assert 50 < len(letters) <= 100
    assert len(json.dumps(letters)) < 30_000
    assert letters[0] == {"visit_id": f"{0:032x}", "appointment_id": "a0", "words": "\N{SNOWMAN}" * 5}
    assert max(len(letter["words"]) for letter in letters) <= 300


def test_ok__what_is_told_is_read_while_a_writer_works(path: Path) -> None:
    """Neither does a report wait for a write, nor a write for a report."""
    with opened(path) as (journal, _):
        journal.admit(code(1), admission(code(1)), None)
        with journal.gate:
            journal._conn.execute("BEGIN IMMEDIATE")
            assert len(feed.outgoing(path, "front").admissions) == 1
            journal._conn.execute("ROLLBACK")
