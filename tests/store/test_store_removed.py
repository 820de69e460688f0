"""A store that is removed or replaced under a running agent: nothing is called written that went to a file nobody will find."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.store.journal import Note
from tests.store.made import admission, code, everything, moment, new_store, opened

WAIT_S = 10.0


def rm(path: Path) -> None:
    """The store with all that lies beside it, as by `rm journal.db*`."""
    for file in path.parent.glob("journal.db*"):
        file.unlink()


def replace(path: Path) -> None:
    """A copy of the store takes its place, as when a backup is restored by a rename."""
    shutil.copy(path, path.with_name("backup"))
    path.with_name("backup").rename(path)


def lose_the_log(path: Path) -> None:
    """Only the write-ahead log is removed, and with it every commit from now on."""
    Path(f"{path}-wal").unlink()


def replace_the_log(path: Path) -> None:
    """Another file lies where the write-ahead log was."""
    wal = Path(f"{path}-wal")
    shutil.copy(wal, path.with_name("copy"))
    path.with_name("copy").rename(wal)


def move_the_folder(path: Path) -> None:
    """The folder is away, as when another disk was mounted in its place."""
    path.parent.rename(path.parent.with_name("away"))


@pytest.mark.parametrize("is_used", [False, True])
@pytest.mark.parametrize("harm", [rm, replace, lose_the_log, replace_the_log, move_the_folder])
def test_fail__a_store_that_is_gone_takes_no_commit(tmp_path: Path, harm: Callable[[Path], None], is_used: bool) -> None:
    """Neither an admission, so that the door stays shut, nor anything of upkeep's is called written, now and later."""
    (tmp_path / "store").mkdir()
    path = new_store(tmp_path / "store")
    with opened(path) as (journal, upkeep):
        if is_used:
            journal.admit(code(1), admission(code(1)), None)
            upkeep.submit(lambda conn: conn.execute("INSERT INTO mark VALUES ('a', 1)").rowcount).result(WAIT_S)
        harm(path)
        sentence = "was removed or replaced under the agent: restart it"
        for number in (2, 3):
            with pytest.raises(StoreError, match=sentence):
                journal.admit(code(number), admission(code(number)), None)
            with pytest.raises(StoreError, match=sentence):
                journal.write(Note(moment(), "unlock"))
            with pytest.raises(StoreError, match=sentence):
                upkeep.submit(lambda conn: conn.execute("INSERT INTO mark VALUES ('b', 1)").rowcount).result(WAIT_S)


def test_ok__a_store_that_comes_back_is_written_again(tmp_path: Path) -> None:
    """A file that was moved away and back is the same one: what was refused meanwhile is not in it, what comes later is."""
    path = new_store(tmp_path)
    with opened(path) as (journal, _):
        path.rename(tmp_path / "away")
        with pytest.raises(StoreError, match="removed or replaced"):
            journal.admit(code(1), admission(code(1)), None)
        (tmp_path / "away").rename(path)
        journal.admit(code(2), admission(code(2)), None)
    assert [row[1] for row in everything(path)["visit"]] == ["a2"]
