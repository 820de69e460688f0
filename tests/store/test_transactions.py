"""The trap of sqlite-utils, and that no line of ours walks into it."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

import agent
from agent.store.journal import connect, transaction
from tests.store.made import everything, new_store

SOURCES = sorted(Path(agent.__file__).parent.rglob("*.py"))


class StopError(Exception):
    """What goes wrong in the middle of a transaction."""


def insert_and_fail(db: Database) -> None:
    """A row through sqlite-utils, and then the failure."""
    db["t"].insert({"name": "a row"})  # type: ignore[union-attr]  # a table, not a view
    raise StopError


def mark_and_fail(conn: sqlite3.Connection, failure: type[BaseException]) -> None:
    """A row in the store, and then the failure."""
    conn.execute("INSERT INTO mark VALUES ('a', 1)")
    raise failure


def names_in_use(path: Path) -> set[str]:
    """The names in table `t`."""
    with closing(sqlite3.connect(path)) as conn:
        return {name for (name,) in conn.execute("SELECT name FROM t")}


def test_fail__with_conn_commits_in_spite_of_an_exception(tmp_path: Path) -> None:
    """The reason for the ban: a row written through sqlite-utils inside `with db.conn:` stays although the block failed."""
    db = Database(str(tmp_path / "trap.db"), execute_plugins=False)
    db["t"].create({"name": str})  # type: ignore[union-attr]  # a table, not a view
    with pytest.raises(StopError), db.conn:
        insert_and_fail(db)
    db.close()
    assert names_in_use(tmp_path / "trap.db") == {"a row"}


def test_ok__atomic_rolls_back(tmp_path: Path) -> None:
    """`db.atomic()` keeps nothing of a block that failed, which is why migrations may rely on it."""
    db = Database(str(tmp_path / "trap.db"), execute_plugins=False)
    db["t"].create({"name": str})  # type: ignore[union-attr]  # a table, not a view
    with pytest.raises(StopError), db.atomic():
        insert_and_fail(db)
    db.close()
    assert names_in_use(tmp_path / "trap.db") == set()


@pytest.mark.parametrize("failure", [StopError, KeyboardInterrupt, SystemExit])
def test_ok__our_own_transaction_rolls_back_whatever_is_raised(tmp_path: Path, failure: type[BaseException]) -> None:
    """Nothing of a block that failed is kept, and the connection is free for the next one."""
    path = new_store(tmp_path)
    before = everything(path)
    with closing(connect(path, synchronous="FULL")) as conn:
        with pytest.raises(failure), transaction(conn):
            mark_and_fail(conn, failure)
        assert everything(path) == before
        with transaction(conn):
            conn.execute("INSERT INTO mark VALUES ('b', 2)")
    assert everything(path) == {**before, "mark": [("b", 2)]}


def connections_entered(source: str) -> Iterator[int]:
    """The lines of every `with` whose context is a connection or a database by its name."""
    for node in ast.walk(ast.parse(source)):
        for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else ():
            expression = item.context_expr
            name = expression.attr if isinstance(expression, ast.Attribute) else expression.id if isinstance(expression, ast.Name) else ""
            if name.lstrip("_") in {"conn", "connection", "db", "database"}:
                yield item.context_expr.lineno


def test_ok__no_file_of_ours_enters_a_connection() -> None:
    """`with conn:` is banned everywhere, and this test can see one."""
    assert list(connections_entered("with a, self._conn:\n    pass\nwith db:\n    pass\nwith db.atomic():\n    pass\n")) == [1, 3]
    assert {path.name: lines for path in SOURCES if (lines := list(connections_entered(path.read_text("utf-8"))))} == {}


def test_ok__no_file_of_ours_commits_by_the_way() -> None:
    """`executescript` commits whatever is open, and `commit()` ends what another began: neither is called anywhere."""
    called = {
        f"{path.name}: {node.func.attr}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"executescript", "commit", "rollback"}
    }
    assert called == {"sqlite.py: rollback"}, "a migration undoes what it began itself"


def test_ok__sqlite_utils_has_one_importer() -> None:
    """Only the file that migrates and reports knows sqlite-utils."""
    importers = {
        path.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] == "sqlite_utils"
    }
    assert importers == {"sqlite.py"}
