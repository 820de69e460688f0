"""An older copy of the store that was put back is known as one: doors read anew, and believe what is changed from then on."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.desk.store import DeskStore
from tests.desk.store.made import appointment


def _changed(path: Path, numbers: range) -> None:
    with closing(DeskStore.open(path)) as store:
        for number in numbers:
            store.put_appointment(appointment(number), {}, 1_000_000)


def _copied(path: Path, aside: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(aside)) as target:
        source.backup(target)


def _put_back(aside: Path, path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(aside, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with three changes, of which a copy was taken, and two more after it."""
    path = tmp_path / "desk.db"
    _changed(path, range(3))
    _copied(path, tmp_path / "copy.db")
    _changed(path, range(3, 5))
    return path


def test_ok__a_copy_that_was_put_back_gets_another_name(path: Path) -> None:
    """Its counts would bear numbers that doors take for known."""
    with closing(DeskStore.open(path)) as store:
        before = store.epoch
    _put_back(path.with_name("copy.db"), path)
    with closing(DeskStore.open(path)) as store:
        assert store.last_seq() == 3
        after = store.epoch
        assert after != before
    with closing(DeskStore.open(path)) as store:
        assert store.epoch == after


def test_ok__what_changes_after_that_is_newer_than_anything_a_door_heard(path: Path) -> None:
    """A door believes another code only with a higher revision, and it may have heard of changes that the copy does not know."""
    with closing(DeskStore.open(path)) as store:
        for issue in range(2, 6):
            store.put_appointment(appointment(0, code_id=f"{issue:012x}"), {}, 1_000_000)
        known = store.appointment(appointment(0).appointment_id)
    _put_back(path.with_name("copy.db"), path)
    with closing(DeskStore.open(path)) as store:
        changed = store.put_appointment(appointment(0, code_id="0000000000ff"), {}, 1_000_000)
    assert known is not None
    assert changed.revision > known.revision


def test_ok__a_store_as_it_was_left_keeps_its_name(path: Path) -> None:
    """Neither a restart nor a crash before the word was written means that it is another one."""
    with closing(DeskStore.open(path)) as store:
        name = store.epoch
    path.with_name("desk.db.mark").unlink()
    with closing(DeskStore.open(path)) as store:
        assert store.epoch == name
        store.put_appointment(appointment(9), {}, 1_000_000)
    with closing(DeskStore.open(path)) as store:
        assert store.epoch == name


@pytest.mark.parametrize("word", ["", "nonsense", "0123 -1", "\x00\x01", "☃ 5"])
def test_fail__a_word_that_cannot_be_read_is_none(path: Path, word: str) -> None:
    """A damaged word stops nothing."""
    with closing(DeskStore.open(path)) as store:
        name = store.epoch
    path.with_name("desk.db.mark").write_text(word, "utf-8")
    with closing(DeskStore.open(path)) as store:
        assert store.epoch == name
