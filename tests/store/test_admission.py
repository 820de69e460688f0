"""Written before opened (P2), one visit per appointment (P3): what a scan waits for, and nothing of it when it fails."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.decide import Presence
from agent.core.tour import RosterEntry, Standing
from agent.errors import StoreError
from agent.store import upkeep as upkeeping
from agent.store.journal import Admitted, Journal, Known, Note
from tests.store.made import T0_MS, TABLES, admission, code, everything, moment, new_store, opened

FILL = """
import resource, sys, threading
from pathlib import Path
from agent.errors import StoreError
from agent.store.journal import Journal
from tests.store.made import admission, code
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
journal = Journal(Path(sys.argv[1]), threading.RLock())
for number in range(1000):
    try:
        journal.admit(code(number), admission(code(number)), None)
    except StoreError as error:
        print(number, error)
        break
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh store."""
    return new_store(tmp_path)


@pytest.fixture
def journal(path: Path) -> Any:  # noqa: ANN401 - a fixture that closes
    """The scan's connection on it."""
    made = Journal(path, threading.RLock())
    yield made
    made.close()


def test_ok__the_first_admission_is_written_whole(path: Path, journal: Journal) -> None:
    """Note, use count, presence, visit, outbox row and the time that was seen are there, to the last column, when `admit` returns."""
    of = code(7, units=("204 B", "Dachgeschoß"))
    admitted = journal.admit(of, admission(of, "gym"), "Zumper: ads")
    visit_id = admitted.new_visit_id
    assert visit_id is not None
    note = (1, T0_MS, T0_MS - 50, T0_MS + 50, "admission", "gym", "gym-reader", None, "a7", of.code_id, "{}")
    assert everything(path) == {
        **{table: [] for table in TABLES},
        "journal": [note],
        "used": [("a7", "gym", 1, T0_MS)],
        "presence": [("a7", "gym", T0_MS)],
        "visit": [(visit_id, "a7", "p7", "1001", T0_MS, '["204 B", "Dachgescho\\u00df"]', "Zumper: ads", None, None, None, None)],
        "outbox": [(visit_id, "p7", "due", 0, 0, T0_MS, 0, "")],
        "mark": [("last_seen_ms", T0_MS - 50)],
    }


def test_ok__a_second_admission_is_no_second_visit(path: Path, journal: Journal) -> None:
    """Coming in again, or by another door, is journaled and counted; Knock is told of the first time only, which stays the visit's."""
    of = code(7)
    first = journal.admit(of, admission(of, "front"), "Zumper")
    told = everything(path)
    again = journal.admit(of, admission(of, "front", T0_MS + 60_000), "Other")
    elsewhere = journal.admit(code(7, issue=1), admission(code(7, issue=1), "gym", T0_MS + 90_000), None)
    assert (first.seq, again, elsewhere) == (1, type(first)(2, None), type(first)(3, None))
    now = everything(path)
    assert (now["visit"], now["outbox"]) == (told["visit"], told["outbox"])
    assert [row[4] for row in now["visit"]] == [T0_MS]
    assert now["used"] == [("a7", "front", 2, T0_MS + 60_000), ("a7", "gym", 1, T0_MS + 90_000)]
    assert now["presence"] == [("a7", "gym", T0_MS + 90_000)]
    assert len(now["journal"]) == 3


@settings(deadline=None, max_examples=40)
@given(scans=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["front", "gym", "roof"])), max_size=25))
def test_ok__one_visit_and_one_row_per_appointment_whatever_is_scanned(
    tmp_path_factory: pytest.TempPathFactory, scans: list[tuple[int, str]]
) -> None:
    """Over any admissions at any doors: visits equal appointments admitted, each with its row, and every use is counted."""
    path = new_store(tmp_path_factory.mktemp("scans"))
    journal = Journal(path, threading.RLock())
    minted = [journal.admit(code(number), admission(code(number), door), None).new_visit_id for number, door in scans]
    counted = {(f"a{number}", door): journal.facts(f"a{number}", door).admissions for number, door in scans}
    journal.close()
    now = everything(path)
    firsts = list(dict.fromkeys(f"a{number}" for number, _ in scans))
    assert [row[1] for row in sorted(now["visit"], key=lambda row: minted.index(row[0]))] == firsts
    assert {row[0] for row in now["outbox"]} == {row[0] for row in now["visit"]} == {visit_id for visit_id in minted if visit_id}
    assert counted == {(f"a{number}", door): scans.count((number, door)) for number, door in scans}
    assert len(now["journal"]) == len(scans)


def test_ok__facts_are_what_was_heard_and_used(path: Path) -> None:
    """The roster's word, uses and last time of this door, and where the appointment is in, come back as written; of a stranger nothing."""
    entry = RosterEntry("a1", Standing.CONFIRMED, code(1).code_id, "Zumper")
    with opened(path) as (journal, keeper):
        keeper.submit(lambda conn: upkeeping.apply_roster(conn, [entry], T0_MS)).result()
        journal.admit(code(1), admission(code(1), "front"), None)
        journal.admit(code(1), admission(code(1), "front", T0_MS + 5), None)
        is_in = Presence("front", T0_MS + 5)
        assert journal.facts("a1", "front") == Known(entry, 2, T0_MS + 5, is_in)
        assert journal.facts("a1", "gym") == Known(entry, 0, None, is_in)
        assert journal.facts("a2", "front") == Known()


def test_ok__an_admission_that_opened_nothing_is_given_back(path: Path, journal: Journal) -> None:
    """Use, last time and presence are as before, whether there was something before or not; journal, visit and queue keep what was."""
    for came_before in (None, Known(None, 1, T0_MS, Presence("gym", T0_MS + 9))):
        before = journal.facts("a1", "front")
        assert before == (came_before or Known())
        journal.admit(code(1), admission(code(1), "front", T0_MS + 77), None)
        written = everything(path)
        journal.give_back("a1", "front", before.last_ms, before.presence)
        assert journal.facts("a1", "front") == before
        now = everything(path)
        assert {table: now[table] for table in TABLES if table not in ("used", "presence")} == {
            table: written[table] for table in TABLES if table not in ("used", "presence")
        }
        journal.admit(code(1), admission(code(1), "front", T0_MS), None)
        journal.admit(code(1), admission(code(1), "gym", T0_MS + 9), None)


def test_ok__going_out_uses_nothing_up(path: Path, journal: Journal) -> None:
    """An exit is journaled, whoever was in is out, and no use, visit or outbox row comes of it, though nobody had come in."""
    note = Note(moment(T0_MS + 9), "exit", "front", "inner", None, "a1", code(1).code_id)
    assert journal.leave("a1", note) == Admitted(1, None)
    assert {table: len(rows) for table, rows in everything(path).items() if rows} == {"journal": 1, "mark": 1}
    journal.admit(code(1), admission(code(1)), None)
    journal.admit(code(2), admission(code(2)), None)
    before = everything(path)
    assert journal.leave("a1", note) == Admitted(4, None)
    now = everything(path)
    assert [row[1:] for row in now["journal"] if row[0] == 4] == [
        (T0_MS + 9, T0_MS - 41, T0_MS + 59, "exit", "front", "inner", None, "a1", code(1).code_id, "{}")
    ]
    assert now["presence"] == [("a2", "front", T0_MS)]
    assert {table: now[table] for table in ("used", "visit", "outbox")} == {table: before[table] for table in ("used", "visit", "outbox")}
    journal.stay("a1", Presence("front", T0_MS))
    assert everything(path)["presence"] == before["presence"]


@pytest.mark.parametrize("denied", [sqlite3.SQLITE_INSERT, sqlite3.SQLITE_DELETE])
def test_fail__half_an_exit_is_none(path: Path, journal: Journal, denied: int) -> None:
    """If the note or the going out cannot be written, neither is there."""
    journal.admit(code(1), admission(code(1)), None)
    before = everything(path)

    def deny(action: int, first: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == denied and first in ("journal", "presence") else sqlite3.SQLITE_OK

    journal._conn.set_authorizer(deny)
    with pytest.raises(StoreError, match="the store cannot be written: not authorized"):
        journal.leave("a1", Note(moment(), "exit", "front"))
    journal._conn.set_authorizer(None)
    assert everything(path) == before


@pytest.mark.parametrize("table", ["journal", "mark", "used", "presence", "visit", "outbox"])
def test_fail__an_admission_that_fails_anywhere_writes_nowhere(path: Path, journal: Journal, table: str) -> None:
    """Whichever of its six writes is refused, none of them is kept, and the next admission works."""
    journal.admit(code(1), admission(code(1)), None)
    before = everything(path)

    def deny(action: int, first: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_INSERT and first == table else sqlite3.SQLITE_OK

    journal._conn.set_authorizer(deny)
    with pytest.raises(StoreError, match="the store cannot be written: not authorized"):
        journal.admit(code(2), admission(code(2)), None)
    assert everything(path) == before
    journal._conn.set_authorizer(None)
    assert journal.admit(code(2), admission(code(2)), None).seq == 2


def test_fail__an_admission_without_a_door_is_refused(path: Path, journal: Journal) -> None:
    """A note that names no door cannot be counted, so it admits nobody."""
    before = everything(path)
    with pytest.raises(StoreError, match="NOT NULL"):
        journal.admit(code(1), Note(moment(), "admission"), None)
    assert everything(path) == before


@pytest.mark.parametrize("pages_left", range(6))
def test_fail__a_full_disk_admits_nobody(path: Path, journal: Journal, pages_left: int) -> None:
    """When no page is left, `admit` raises with all tables unchanged, again and again, until there is room."""
    journal._conn.execute(f"PRAGMA max_page_count = {journal._conn.execute('PRAGMA page_count').fetchone()[0] + pages_left}")
    long_name = "x" * 40
    for number in range(1, 500):
        before = everything(path)
        of = code(number, units=tuple(f"{unit:02d}{long_name}"[:40] for unit in range(12)))
        try:
            journal.admit(of, admission(of), long_name * 5)
        except StoreError:
            break
    else:
        pytest.fail("the disk was never full")
    assert everything(path) == before
    with pytest.raises(StoreError, match="the store cannot be written: database or disk is full"):
        journal.admit(of, admission(of), long_name * 5)
    assert everything(path) == before
    journal._conn.execute("PRAGMA max_page_count = 10000")
    assert journal.admit(of, admission(of), None).new_visit_id is not None


def test_fail__a_file_that_cannot_grow_admits_nobody(path: Path) -> None:
    """When the system refuses the write of a commit, exactly the admissions that were acknowledged before are in the store."""
    root = Path(__file__).parents[2]
    seen = subprocess.run([sys.executable, "-c", FILL, str(path)], cwd=root, capture_output=True, text=True, check=True)
    acknowledged, _, words = seen.stdout.partition(" ")
    assert words.startswith("the store cannot be written: ")
    assert int(acknowledged) > 5
    appointments = sorted(f"a{number}" for number in range(int(acknowledged)))
    now = everything(path)
    assert sorted(row[1] for row in now["visit"]) == appointments
    assert sorted(row[0] for row in now["used"]) == appointments
    assert len(now["outbox"]) == len(now["journal"]) == len(appointments)


def test_ok__an_earlier_moment_does_not_move_what_was_seen(path: Path, journal: Journal) -> None:
    """A clock that jumped back writes its notes, and the door still remembers the later time."""
    journal.write(Note(moment(T0_MS), "unlock", "front"))
    journal.write(Note(moment(T0_MS - 86_400_000), "unlock", "front"))
    assert everything(path)["mark"] == [("last_seen_ms", T0_MS - 50)]


def test_ok__the_scans_path_reads_by_index_and_counts_nothing(journal: Journal) -> None:
    """However long the journal grows, no statement of facts or admission walks over a table."""
    statements: list[str] = []
    journal._conn.set_trace_callback(statements.append)
    journal.facts("a1", "front")
    journal.admit(code(1), admission(code(1)), None)
    journal.admit(code(1), admission(code(1)), None)
    journal._conn.set_trace_callback(None)
    verbs = [statement.split()[0] for statement in statements]
    assert verbs == [*["SELECT"] * 3, "BEGIN", *["INSERT"] * 6, "COMMIT", "BEGIN", *["INSERT"] * 5, "COMMIT"]
    assert [statement for statement in statements if "count(" in statement.lower()] == []
    plans = {
        step[3]
        for statement in statements
        if statement.startswith(("SELECT", "INSERT"))
        for step in journal._conn.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))
    }
    assert plans == {
        "SEARCH roster USING PRIMARY KEY (appointment_id=?)",
        "SEARCH used USING PRIMARY KEY (appointment_id=? AND door=?)",
        "SEARCH presence USING PRIMARY KEY (appointment_id=?)",
    }


def test_ok__a_stalled_sync_of_upkeep_does_not_hold_up_a_scan(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the card takes a second over a refusal's sync, facts and admission are done at once."""
    stalled, go_on = threading.Event(), threading.Event()

    def slow(_fd: int) -> None:
        stalled.set()
        go_on.wait(1.0)

    monkeypatch.setattr("agent.store.upkeep.os.fdatasync", slow)
    with opened(path) as (journal, keeper):
        refusal = keeper.submit(lambda conn: upkeeping.retire_keys(conn, ["0badcafe"], T0_MS))
        assert stalled.wait(10)
        began_s = time.monotonic()
        with journal.gate:
            journal.facts("a1", "front")
            admitted = journal.admit(code(1), admission(code(1)), None)
        assert time.monotonic() - began_s < 0.5
        assert (admitted.seq, refusal.done()) == (1, False)
        go_on.set()
        assert refusal.result(10) == {"0badcafe"}
