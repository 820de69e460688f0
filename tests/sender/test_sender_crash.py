"""Nothing is lost and no answer forgotten (P3): a crash, a stop, a disk that fails, a reporter that raises what it should not."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.replay import Delivered, InDoubt, Outcome, Refused, RetryPolicy, TryAgain
from agent.core.tour import Visit
from agent.daemon import sender as sending
from agent.daemon.sender import Reporter
from agent.store import outbox
from tests.sender.stage import QUICK, Recorder, Stage, now_ms, staged
from tests.store.made import everything

HOLD = RetryPolicy(first_s=0.05, max_s=0.2, in_doubt=InDoubt.HOLD)
STOPPED = "the agent stopped before an answer came"


async def never(_visit: Visit) -> Outcome:
    """No answer at all."""
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def fail_syncs(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let so many of the next syncs fail; the sender tries again soon."""
    failures = [0]
    sync = os.fdatasync

    def fdatasync(fd: int) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OSError(5, "Input/output error")
        sync(fd)

    def fail(count: int) -> None:
        failures[0] = count

    monkeypatch.setattr("agent.store.upkeep.os.fdatasync", fdatasync)
    monkeypatch.setattr(sending, "STORE_RETRY_S", 0.05)
    return fail


@pytest.mark.parametrize(("policy", "state"), [(QUICK, "due"), (HOLD, "in_doubt")])
def test_ok__what_was_being_sent_at_a_crash_is_recovered(tmp_path: Path, policy: RetryPolicy, state: str) -> None:
    """After a start, rows that say that they were being sent are sent again or held, by the setting, and counted."""

    async def play() -> None:
        knock = Recorder()
        async with staged(tmp_path, knock, policy=policy) as stage:
            stage.queue(1, 2, 3)
            stage.upkeep.submit(lambda conn: outbox.claim(conn, now_ms(), (), 2)).result()
            stage.start()
            await stage.until(lambda: "sending" not in stage.states().values() and "a3" in stage.delivered())
            assert stage.heard()[0] == {"event": "visits_in_doubt", "count": 2}
            if state == "due":
                await stage.until_empty()
                assert sorted(knock.order) == ["a1", "a2", "a3"]
            else:
                await asyncio.sleep(0.1)
                held = {name: (*row[:3], row[5]) for name, row in stage.rows().items()}
                assert held == dict.fromkeys(("a1", "a2"), ("in_doubt", 1, 1, STOPPED))
                assert knock.order == ["a3"]

    asyncio.run(play())


def test_ok__a_stop_in_mid_send_leaves_the_rows(tmp_path: Path) -> None:
    """What has no answer yet says so on disk; the requests are let go, the connection is closed, and the next start sends them."""

    async def play() -> None:
        knock = Recorder(lambda visit, _: never(visit))
        async with staged(tmp_path, knock) as stage:
            stage.queue(1, 2, 3)
            stage.start()
            await stage.until(lambda: len(knock.told) == 3)
            await stage.stop()
            assert (stage.states(), knock.under_way.total(), knock.closed) == (dict.fromkeys(("a1", "a2", "a3"), "sending"), 0, 1)
            knock.say = lambda visit, _: Delivered(visit.appointment_id)
            stage.start()
            await stage.until_empty()
            assert knock.tries == {"a1": 2, "a2": 2, "a3": 2}

    asyncio.run(play())


@pytest.mark.parametrize("policy", [QUICK, HOLD])
def test_ok__stops_at_any_moment_lose_nothing_and_doubt_only_what_left(tmp_path: Path, policy: RetryPolicy) -> None:
    """Started and stopped again and again while visits come: each arrives, or waits for a person because it really was sent."""

    async def answer_soon(visit: Visit) -> Outcome:
        await asyncio.sleep(0.002)
        return Delivered(visit.appointment_id)

    async def play() -> None:
        knock = Recorder(lambda visit, _: answer_soon(visit))
        async with staged(tmp_path, knock, policy=policy) as stage:
            for number in range(80):
                stage.queue(number)
                stage.start()
                for _ in range(number % 12):
                    await asyncio.sleep(0.0005)
                await stage.stop()
            stage.start()
            await stage.until(lambda: set(stage.states().values()) <= {"in_doubt"})
            assert set(stage.delivered()) | set(stage.rows()) == {f"a{number}" for number in range(80)}
            assert set(stage.rows()) <= set(knock.order)
            assert len(stage.delivered()) >= 20
            if policy is HOLD:
                assert set(knock.tries.values()) == {1}

    asyncio.run(play())


@pytest.mark.parametrize("answer", [Delivered("k1"), Refused("400: no"), TryAgain("503: later", 0.01)])
def test_ok__an_answer_survives_a_store_that_fails(tmp_path: Path, fail_syncs: Callable[[int], None], answer: Outcome) -> None:
    """While the answer cannot be written it is kept, the visit is not sent again, and nothing else is claimed."""

    async def play() -> None:
        async def spoil(visit: Visit, tried: int) -> Outcome:
            if visit.appointment_id == "a1" and tried == 1:
                stage.queue(2)
                fail_syncs(3)
                return answer
            return Delivered("k")

        knock = Recorder(spoil)
        async with staged(tmp_path, knock, at_once=1) as stage:
            stage.queue(1)
            stage.start()
            await stage.until(lambda: "a2" in stage.delivered())
            if isinstance(answer, TryAgain):
                await stage.until_empty()
            assert knock.tries == {"a1": 2 if isinstance(answer, TryAgain) else 1, "a2": 1}
            assert stage.delivered().get("a1") == {Delivered: "k1", TryAgain: "k"}.get(type(answer))
            assert stage.states() == ({"a1": "dead"} if isinstance(answer, Refused) else {})
            failures = [event for event in stage.heard() if event["event"] == "store_failed"]
            assert failures == [{"event": "store_failed", "error": "the store cannot be written: [Errno 5] Input/output error"}] * 3

    asyncio.run(play())


def test_ok__a_full_disk_at_the_mark_keeps_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When SQLite itself refuses the mark, the visit that Knock has is not sent again."""
    monkeypatch.setattr(sending, "STORE_RETRY_S", 0.05)

    async def play() -> None:
        def full(conn: sqlite3.Connection, is_full: bool) -> None:
            conn.set_authorizer((lambda action, *_: 1 if action == sqlite3.SQLITE_UPDATE else 0) if is_full else None)

        async def spoil(_visit: Visit, _tried: int) -> Outcome:
            stage.upkeep.submit(lambda conn: full(conn, True)).result()
            return Delivered("k1")

        knock = Recorder(spoil)
        async with staged(tmp_path, knock) as stage:
            stage.queue(1)
            stage.start()
            await stage.until(lambda: any(event["event"] == "store_failed" for event in stage.heard()))
            stage.upkeep.submit(lambda conn: full(conn, False)).result()
            await stage.until_empty()
            assert (knock.order, stage.delivered()) == (["a1"], {"a1": "k1"})

    asyncio.run(play())


@pytest.mark.parametrize("policy", [QUICK, HOLD])
def test_ok__a_claim_whose_sync_failed_is_claimed_again(tmp_path: Path, fail_syncs: Callable[[int], None], policy: RetryPolicy) -> None:
    """A visit that was marked as being sent and never left is no doubt: it is sent as soon as the store works."""

    async def play() -> None:
        knock = Recorder()
        async with staged(tmp_path, knock, policy=policy) as stage:
            stage.queue(1, 2)
            stage.start()
            await asyncio.sleep(0.05)
            stage.queue(3)
            fail_syncs(2)
            stage.sender.wake()
            await stage.until_empty()
            assert sorted(knock.order) == ["a1", "a2", "a3"]

    asyncio.run(play())


@pytest.mark.parametrize("policy", [QUICK, HOLD])
def test_ok__a_connection_that_cannot_be_made_is_no_doubt(tmp_path: Path, policy: RetryPolicy) -> None:
    """When nothing can be sent because a certificate file is missing, the visits wait as they were, and their rows say so."""

    class Broken(Stage):
        async def _connect(self) -> Reporter:
            raise FileNotFoundError(2, "No such file or directory")

    async def play() -> None:
        async with staged(tmp_path, Recorder(), policy=policy) as stage:
            stage.queue(1)
            before = stage.rows()
            broken = Broken(stage.path, stage.journal, stage.upkeep, stage.reporter, policy=policy)
            with pytest.raises(FileNotFoundError):
                await broken.sender.run()
            stage.upkeep.submit(lambda _conn: None).result()
            assert stage.rows() == before
            stage.start()
            await stage.until_empty()

    asyncio.run(play())


@pytest.mark.parametrize("policy", [QUICK, HOLD])
def test_ok__a_reporter_that_raises_leaves_the_row_and_harms_nobody_else(tmp_path: Path, policy: RetryPolicy) -> None:
    """A fault of ours in one visit is a doubt of this visit: it stays, and the answers of the others count."""

    async def play() -> None:
        def say(visit: Visit, _tried: int) -> Outcome:
            if visit.appointment_id == "a2":
                raise OverflowError("date value out of range")
            return Delivered(visit.appointment_id)

        knock = Recorder(say)
        async with staged(tmp_path, knock, policy=policy) as stage:
            stage.queue(1, 2, 3, 4)
            stage.start()
            await stage.until(lambda: set(stage.rows()) == {"a2"} and stage.rows()["a2"][1] > 0)
            assert {name: knock.tries[name] for name in ("a1", "a3", "a4")} == {"a1": 1, "a3": 1, "a4": 1}
            stage.queue(5)
            stage.sender.wake()
            await stage.until(lambda: set(stage.rows()) == {"a2"})
            ((state, attempts, doubts, _, _, words),) = stage.rows().values()
            assert (attempts, words) == (doubts, "the report failed (OverflowError)")
            assert state in (("due", "sending") if policy is QUICK else ("in_doubt",))

    asyncio.run(play())


def test_ok__a_person_may_drop_what_waits_and_the_sender_goes_on(tmp_path: Path) -> None:
    """A row that vanishes under the sender's feet is not missed."""

    async def play() -> None:
        knock = Recorder(lambda visit, _: TryAgain("503: later") if visit.appointment_id == "a1" else Delivered("2"))
        async with staged(tmp_path, knock) as stage:
            stage.queue(1)
            stage.start()
            await stage.until(lambda: stage.states() == {"a1": "due"} and stage.rows()["a1"][1] > 0)
            (visit_id,) = [row[0] for row in everything(stage.path)["visit"]]
            moment = stage.sender._moment()
            await stage.until(lambda: stage.upkeep.submit(lambda conn: outbox.drop(conn, [visit_id], moment, "maria")).result())
            stage.queue(2)
            stage.sender.wake()
            await stage.until_empty()
            assert stage.delivered() == {"a2": "2"}

    asyncio.run(play())
