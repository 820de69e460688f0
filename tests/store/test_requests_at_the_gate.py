"""What is asked on the control socket holds up no scan: `status` is read beside the gate, and a roster is written bit by bit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.core.clock import Interval
from agent.daemon.requests import Requests
from agent.store import feed
from agent.store.feed import BATCH
from agent.store.journal import Journal, Note
from agent.store.upkeep import Upkeep, apply_roster
from tests.store.made import T0_MS, admission, code, everything, moment, new_store, opened

WAIT_S = 10.0


class Clock:
    """Stands still."""

    def now(self) -> Any:  # noqa: ANN401 - what a request needs of it
        """Always the same."""
        return SimpleNamespace(guess_ms=T0_MS, interval=Interval(T0_MS, T0_MS), state=SimpleNamespace(value="synchronised"))


def requests(path: Path, upkeep: Any) -> Requests:  # noqa: ANN401 - or a stand-in
    """The handlers over a store, with no door."""
    settings: Any = SimpleNamespace(store=SimpleNamespace(path=path), community_id="1001")
    parts: Any = SimpleNamespace(upkeep=upkeep, clock=Clock(), doors={}, readers=[], keys={})
    other: Any = SimpleNamespace(link={}, publish=lambda *_, **__: None)
    shared: dict[str, Any] = {"doorman": other, "sender": other, "events": other, "reader_states": {}, "feeds": {}, "reports": {}}
    shared["screen"] = SimpleNamespace(handlers=dict, facts=lambda _door: None)
    return Requests(settings=settings, parts=parts, version="1", **shared)


def asked(of: Requests, name: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The answer to one request."""

    async def ask() -> dict[str, Any]:
        return await asyncio.wait_for(of.handlers()[name](request, "maria"), WAIT_S)

    return asyncio.run(ask())


def test_ok__status_is_answered_while_a_writer_holds_the_gate(tmp_path: Path) -> None:
    """Neither does a status wait for the scan under way, nor could a scan ever wait for its counting."""
    path = new_store(tmp_path)
    gate = threading.RLock()
    journal, keeper = Journal(path, gate), Upkeep(path, gate)
    journal.admit(code(1), admission(code(1)), None)
    with gate:
        found = asked(requests(path, keeper), "status")
    keeper.close(WAIT_S)
    journal.close()
    assert found["outbox"] == {"due": 1, "sending": 0, "in_doubt": 0, "dead": 0, "doubts": 0}
    assert found["unwritten"] == 0


def test_ok__status_shows_how_many_notes_were_lost(tmp_path: Path) -> None:
    """A full disk is seen by whoever asks how the agent is."""
    path = new_store(tmp_path)
    with opened(path) as (_, keeper):
        keeper.submit(lambda conn: conn.execute("DROP TABLE journal")).result(WAIT_S)
        keeper.note(Note(moment(), "refusal"))
        keeper.submit(lambda _: None).result(WAIT_S)
        assert asked(requests(path, keeper), "status")["unwritten"] == 1


def test_ok__a_large_roster_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction writes more than a batch, the answer counts them all, and all are there."""
    path = new_store(tmp_path)
    sizes: list[int] = []

    def applied(conn: sqlite3.Connection, entries: Any, now_ms: int) -> Any:  # noqa: ANN401 - passed on
        sizes.append(len(entries))
        return apply_roster(conn, entries, now_ms)

    monkeypatch.setattr(feed, "apply_roster", applied)
    entries = [{"appointment_id": f"a{number}", "standing": "cancelled"} for number in range(2 * BATCH + 50)]
    with opened(path) as (_, keeper):
        waiting: list[int] = []
        unfinished: list[Future[Any]] = []

        def submit(work: Any) -> Future[Any]:  # noqa: ANN401 - passed on
            future = keeper.submit(work)
            waiting.append(sum(not one.done() for one in unfinished))
            unfinished.append(future)
            return future

        answer = asked(requests(path, SimpleNamespace(submit=submit)), "roster", entries=entries)
    assert answer == {"changed": 2 * BATCH + 50}
    assert (sizes, waiting) == ([100, 100, 50], [0, 0, 0])
    found = everything(path)
    assert (len(found["roster"]), len(found["journal"])) == (2 * BATCH + 50, 2 * BATCH + 50)
