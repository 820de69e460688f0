"""The desk's file: made, shared, refused; and never touched when it cannot be understood."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from agent.desk.store import DeskStore, StateError
from agent.desk.store.schema import SCHEMA
from agent.errors import StoreError
from agent.store import files
from tests.desk.store.made import ASKING, ROOT, booking, confirm, everything, new_store, opened

OPEN = """
import sys
from pathlib import Path
from agent.desk.store import DeskStore
store = DeskStore.open(Path(sys.argv[1]))
print(store.epoch)
store.close()
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the folder, to the byte."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_ok__a_fresh_file_is_strict_in_wal_and_nobody_elses_business(tmp_path: Path) -> None:
    """Every table refuses a value of the wrong type, the file with its log is the owner's alone, and foreign keys hold."""
    path = tmp_path / "desk.db"
    with opened(path) as store:
        assert store.begin(booking())[1]
        assert {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()} == dict.fromkeys(
            ("desk.db", "desk.db-shm", "desk.db-wal"), "0o600"
        )
    with closing(sqlite3.connect(path)) as conn:
        listed = conn.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE '%sqlite%'").fetchall()
        assert len(listed) == 13
        assert all(is_strict for _, is_strict in listed)
        facts = [conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id", "journal_mode")]
        assert facts == [SCHEMA.version, SCHEMA.application_id, "wal"]


def test_ok__a_connection_syncs_each_commit_and_overwrites_what_it_deletes(tmp_path: Path) -> None:
    """What a caller was told is written is on disk, and a deleted person is in no free page."""
    with opened(tmp_path / "desk.db") as store, store._file.writing() as db:
        wanted = {"synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 10_000}
        assert {name: next(iter(db.rows(f"PRAGMA {name}")[0].values())) for name in wanted} == wanted


def test_ok__opening_again_changes_nothing(tmp_path: Path) -> None:
    """The second start finds what the first one wrote, under the same epoch."""
    path = new_store(tmp_path)
    before = path.read_bytes()
    with opened(path) as store, opened(path) as other:
        assert store.epoch == other.epoch
        assert re.fullmatch("[0-9a-f]{16}", store.epoch)
    assert path.read_bytes() == before


def test_ok__processes_that_make_one_store_at_once_make_one(tmp_path: Path) -> None:
    """Two desks that start on an empty folder share one file and one epoch."""
    path = tmp_path / "desk.db"
    command = [sys.executable, "-W", "error", "-c", OPEN, str(path)]
    begun = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = {one.communicate(timeout=60)[0].strip() for one in begun}
    assert [one.returncode for one in begun] == [0] * 4
    with opened(path) as store:
        assert told == {store.epoch}


def test_ok__two_files_have_two_epochs(tmp_path: Path) -> None:
    """A cursor of a file that was lost means nothing to the new one."""
    with opened(tmp_path / "one.db") as one, opened(tmp_path / "two.db") as two:
        assert one.epoch != two.epoch


def test_fail__a_newer_store_is_left_alone(tmp_path: Path) -> None:
    """An older tourlatch says that it is older, and does not touch what it does not know."""
    path = new_store(tmp_path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"PRAGMA user_version = {SCHEMA.version + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"was made by a newer tourlatch \(schema 2, this one knows 1\): upgrade, or restore"):
        DeskStore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"\0" * 4096, b"not a database at all, but a text\n" * 200, b"SQLite format 3\0" + b"\xff" * 4080])
def test_fail__a_damaged_store_is_left_alone(tmp_path: Path, damage: bytes) -> None:
    """A file that is no store is named and kept for whoever can save something from it."""
    path = tmp_path / "desk.db"
    path.write_bytes(damage)
    with pytest.raises(StoreError, match=r"desk\.db cannot be read .*: move it aside or restore a backup; it was not changed"):
        DeskStore.open(path)
    assert contents(tmp_path) == {"desk.db": damage}


def test_fail__another_programs_file_is_left_alone(tmp_path: Path) -> None:
    """The door's journal, named by mistake, is not filled with the desk's tables."""
    path = tmp_path / "journal.db"
    files.migrate(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is the file of another program, not a store of the desk: name another path"):
        DeskStore.open(path)
    assert path.read_bytes() == before


def test_fail__a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    """A store on a disk that is not mounted must not be begun anew on the one beneath."""
    with pytest.raises(StoreError, match=r"the store's folder .*missing does not exist: make it"):
        DeskStore.open(tmp_path / "missing" / "desk.db")
    assert contents(tmp_path) == {}


def test_fail__damage_while_it_is_open_is_a_sentence(tmp_path: Path) -> None:
    """A page that rots under the desk is told as such, not as a missing booking."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for number in range(1, 200):
            store.begin(booking(number))
    half = path.stat().st_size // 2
    path.write_bytes(path.read_bytes()[:half] + b"\xa5" * half)
    with (
        opened(path) as store,
        pytest.raises(StoreError, match=r"is damaged .*: stop the program, then move it aside or restore a backup"),
    ):
        store.bookings("1001")


def replace_file(path: Path) -> None:
    """A copy takes its place, as when a backup is restored by a rename."""
    shutil.copy(path, path.with_name("backup"))
    path.with_name("backup").rename(path)


def remove_log(path: Path) -> None:
    """Only the write-ahead log is removed, and with it every commit from now on."""
    Path(f"{path}-wal").unlink()


@pytest.mark.parametrize("harm", [replace_file, remove_log, Path.unlink])
def test_refused__writing_to_a_file_that_nobody_will_find(tmp_path: Path, harm: object) -> None:
    """A booking that would go into a removed file is not called written."""
    assert callable(harm)
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1))
        harm(path)
        with pytest.raises(StoreError, match="was removed or replaced while it was open: restart the program"):
            store.begin(booking(2))


def test_refused__a_closed_store_says_so(tmp_path: Path) -> None:
    """A call that comes after the end has a sentence, and closing twice is fine."""
    with opened(tmp_path / "desk.db") as store:
        store.close()
        with pytest.raises(StoreError, match="is closed: the program is ending"):
            store.booking("1")


def test_ok__threads_share_one_store(tmp_path: Path) -> None:
    """Calls from many threads at once all count, and none of them sees another's half."""
    path = new_store(tmp_path)
    failed: list[BaseException] = []
    with opened(path) as store:

        def work(base: int) -> None:
            try:
                for number in range(base, base + 10):
                    confirm(store, number)
                    found = store.booking(f"{number:016x}")
                    assert found is not None
                    assert store.appointment(found.appointment_id or "") is not None
            except BaseException as error:  # noqa: BLE001 - told to the test
                failed.append(error)

        threads = [threading.Thread(target=work, args=(100 * index + 1,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert store.last_seq() == 80
    assert len(everything(path)["booking"]) == 80


def test_fail__an_error_inside_a_transaction_leaves_the_store_usable(tmp_path: Path) -> None:
    """The next call is not part of what failed."""
    with opened(tmp_path / "desk.db") as store:
        with pytest.raises(ZeroDivisionError):
            store.settle(store.begin(booking())[0].booking_id, expected=ASKING, change=lambda _: 1 // 0, now_ms=0)  # type: ignore[arg-type,return-value]
        with pytest.raises(StateError):
            store.settle("0", expected=ASKING, change=lambda found: found, now_ms=0)
        assert store.begin(booking(2))[1]
        assert [found.booking_id for found in store.bookings("1001")] == [f"{1:016x}", f"{2:016x}"]
