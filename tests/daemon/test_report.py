"""The door's voice: who came is told until the desk has it, orders are carried out once, and no failure of a report matters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import Mark, RowState
from agent.store import outbox
from agent.web import Answer, json_answer
from tests.daemon.ear import Ear
from tests.daemon.played_desk import PlayedDesk, confirmed
from tests.store.made import T0_MS, admission, code, queue_visit

Play = Callable[[PlayedDesk, Ear], Awaitable[None]]
Talk = Callable[[Play], None]


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    """Play something with a desk and a door that listens and reports."""

    def run(play: Play) -> None:
        async def all_of_it() -> None:
            desk = PlayedDesk()
            await desk.start()
            ear = Ear(tmp_path, desk)
            try:
                await play(desk, ear)
            finally:
                await ear.close()
                await desk.stop()

        asyncio.run(all_of_it())

    return run


def come(ear: Ear, number: int) -> None:
    """A prospect comes in."""
    ear.journal.admit(code(number), admission(code(number), at_ms=T0_MS + number), None)
    ear.reports.wake()


def bury(ear: Ear, number: int) -> str:
    """A visit that Knock refused for good."""

    def work(conn: Any) -> str:  # noqa: ANN401 - sqlite3
        visit = queue_visit(conn, number)
        outbox.mark(conn, visit, Mark(RowState.DEAD, 1, 0, T0_MS, "400: no such prospect"))
        return visit

    return ear.upkeep.submit(work).result(5)


def came(desk: PlayedDesk) -> list[str]:
    """The appointments of all admissions that were told."""
    return [one["appointment_id"] for report in desk.reports for one in report["admissions"]]


def test_ok__a_report_says_how_the_door_is(talk: Talk) -> None:
    """Version, cursor, clock, queue and dead letters, in the desk's terms."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        visit = bury(ear, 1)
        desk.tell(confirmed(1))
        ear.start(has_reports=True)
        await ear.until(lambda: desk.reports)
        assert desk.reports[0] == {
            "version": "1",
            "applied_cursor": "epoch.1",
            "clock": {"state": "synchronised", "earliest_ms": 1_790_000_000_000, "latest_ms": 1_790_000_000_100},
            "outbox": {"due": 0, "sending": 0, "in_doubt": 0, "dead": 1, "doubts": 0},
            "dead_letters": [{"visit_id": visit, "appointment_id": "a1", "words": "400: no such prospect"}],
            "admissions": [],
            "orders_done": [],
        }
        await ear.until(lambda: ear.reports.status["told_s"] == 0)
        assert ear.reports.status["trouble"] is None

    talk(play)


def test_ok__who_came_is_told_at_once_and_once(talk: Talk) -> None:
    """Admissions from before the desk was there and after: each is told, none twice."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        come(ear, 1)
        ear.start(has_reports=True)
        await ear.until(lambda: came(desk) == ["a1"])
        come(ear, 2)
        come(ear, 3)
        await ear.until(lambda: len(came(desk)) == 3)
        assert came(desk) == ["a1", "a2", "a3"]
        assert len(desk.reports) == 2

    talk(play)


FAULTS: dict[str, Answer] = {
    "500": json_answer({"error": "broken"}, 500),
    "401": json_answer({"error": "no"}, 401),
    "422": json_answer({"error": "what is this"}, 422),
    "not confirmed": json_answer({"ok": "perhaps"}),
    "garbage": Answer(content=b"<html>"),
    "dropped": Answer(is_dropped=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fail__a_report_that_is_not_taken_disturbs_nothing(talk: Talk, fault: str) -> None:
    """The feed stays fresh and goes on hearing; the admission is told again until the desk has it."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.report_fault = lambda _: FAULTS[fault]
        come(ear, 1)
        ear.start(has_reports=True)
        await ear.until(lambda: ear.reports.status["trouble"])
        desk.tell(confirmed(1))
        await ear.heard(1)
        assert ear.feed.status["trouble"] is None
        assert ear.rows("SELECT * FROM mark WHERE name LIKE 'reported%'") == []
        desk.report_fault = None
        await ear.until(lambda: came(desk) == ["a1"])
        await ear.until(lambda: ear.rows("SELECT name, value FROM mark WHERE name = 'reported_front'"))
        assert ear.told("feed_lost") == []

    talk(play)


def test_fail__while_the_desk_is_not_heard_nothing_is_reported(talk: Talk) -> None:
    """A desk that refuses the token gets no report, either."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.fault = lambda _: json_answer({"error": "revoked"}, 401)
        come(ear, 1)
        ear.start(has_reports=True)
        await ear.until(lambda: ear.feed.state == "refused")
        await asyncio.sleep(0.3)
        assert desk.reports == []

    talk(play)


def test_ok__an_order_is_carried_out_and_told_to_be_done(talk: Talk) -> None:
    """The dead letter that staff named is due again, the outbox hears of it, and the desk forgets the order."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        visit, other = bury(ear, 1), bury(ear, 2)
        ear.start(has_reports=True)
        await ear.until(lambda: desk.reports)
        desk.order(order_id=7, do="outbox_retry", visit_ids=[visit])
        await ear.until(lambda: desk.orders == [])
        assert {row["visit_id"]: row["state"] for row in ear.rows("SELECT visit_id, state FROM outbox")} == {visit: "due", other: "dead"}
        assert desk.reports[-1]["orders_done"] == [7]
        assert ear.orders == 1
        assert ear.told("outbox_retry") == ["outbox_retry"]

    talk(play)


def test_ok__an_order_whose_acknowledgement_is_lost_is_not_done_again(talk: Talk) -> None:
    """Delivered with every page until the desk hears: the visit that Knock refused again meanwhile stays refused."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        visit = bury(ear, 1)
        desk.report_fault = lambda _: Answer(is_dropped=True)
        ear.start(has_reports=True)
        desk.order(order_id=7, do="outbox_retry", visit_ids=[visit])
        await ear.until(lambda: ear.orders == 1)
        again = Mark(RowState.DEAD, 2, 0, T0_MS, "400: no such prospect")
        ear.upkeep.submit(lambda conn: outbox.mark(conn, visit, again)).result(5)
        asked = len(desk.asked)
        await ear.until(lambda: len(desk.asked) > asked + 1)
        desk.report_fault = None
        await ear.until(lambda: desk.orders == [])
        assert ear.rows("SELECT state FROM outbox") == [{"state": "dead"}]
        assert ear.orders == 1

    talk(play)


def test_refused__an_order_that_the_door_does_not_know(talk: Talk) -> None:
    """`unlock`, and whatever a newer desk may say, changes nothing but the journal, once, and is never said to be done."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.order(order_id=1, do="unlock", door="front")
        ear.start(has_reports=True)
        await ear.until(lambda: len(desk.asked) > 2)
        desk.tell(confirmed(1))
        await ear.heard(1)
        assert len(ear.rows("SELECT * FROM journal WHERE kind = 'order'")) == 1
        assert all(report["orders_done"] == [] for report in desk.reports)
        assert (ear.orders, ear.told("outbox_retry")) == (0, [])

    talk(play)
