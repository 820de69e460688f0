"""The way to Knock: shut and open again, one probe at a time, and Retry-After obeyed."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest

from agent.core.replay import Delivered, InDoubt, Outcome, RetryPolicy, TryAgain, Unknown
from agent.core.tour import Visit
from agent.store import outbox
from tests.sender.stage import Recorder, now_ms, staged


class Link:
    """A way that can be shut."""

    def __init__(self, shut: TryAgain | Unknown) -> None:
        self.shut = shut
        self.is_up = False
        self.failed_s: list[float] = []

    def __call__(self, visit: Visit, _tried: int) -> Outcome:
        """Deliver, or fail as the way does."""
        if self.is_up:
            return Delivered(visit.appointment_id)
        self.failed_s.append(time.monotonic())
        return self.shut


def test_ok__while_the_way_is_shut_one_visit_probes(tmp_path: Path) -> None:
    """After the first failures no more than one visit is on its way at a time, and rarely: Knock is not stormed by a queue."""

    async def play() -> None:
        link = Link(TryAgain("503: later"))
        knock = Recorder(link)
        async with staged(tmp_path, knock, policy=RetryPolicy(0.04, 0.1), at_once=4) as stage:
            stage.queue(*range(30))
            stage.start()
            await stage.until(lambda: len(knock.told) >= 4)
            first = len(knock.told)
            knock.most_at_once = 0
            await stage.until(lambda: len(knock.told) >= first + 8)
            assert first == 4
            assert knock.most_at_once == 1
            assert all(later - before >= 0.04 for before, later in pairwise(link.failed_s[first:]))
            assert stage.sender.link["is_up"] is False
            await stage.until(lambda: stage.sender.link["failures"] == len(link.failed_s))

    asyncio.run(play())


def test_ok__when_the_way_opens_everything_is_due_at_once(tmp_path: Path) -> None:
    """Rows that wait for minutes go within a moment of the first success, several at once, and listeners hear of it."""

    async def play() -> float:
        link = Link(TryAgain("no connection to Knock (ConnectError)"))
        knock = Recorder(link)
        async with staged(tmp_path, knock, policy=RetryPolicy(600.0, 600.0), at_once=4, chance=lambda: 0.9) as stage:
            stage.queue(*range(4))
            stage.start()
            await stage.until(lambda: [row[1] for row in stage.rows().values()] == [1] * 4)
            assert all(row[3] > now_ms() + 400_000 for row in stage.rows().values())
            link.is_up = True
            stage.queue(99)
            began_s = time.monotonic()
            stage.sender.wake()
            await stage.until_empty()
            took_s = time.monotonic() - began_s
            await stage.until(lambda: stage.is_told("link_up"))
            await stage.until(lambda: stage.sender.link == {"is_up": True, "failures": 0, "sending": 0})
            assert knock.order[4:5] == ["a99"]
            kinds = [event["event"] for event in stage.heard() if str(event["event"]).startswith("link")]
            assert kinds == ["link_down", "link_up"]
            return took_s

    assert asyncio.run(play()) < 2


def test_ok__a_long_queue_is_made_due_bit_by_bit_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten rows that wait for minutes two are hurried in a transaction, and all the same the last one goes at once."""
    monkeypatch.setattr(outbox, "MAX_HURRIED", 2)
    monkeypatch.setattr(outbox, "_HURRY", outbox._HURRY.replace("LIMIT 200", "LIMIT 2"))

    async def play() -> None:
        link = Link(TryAgain("no connection to Knock (ConnectError)"))
        knock = Recorder(link)
        async with staged(tmp_path, knock, policy=RetryPolicy(600.0, 600.0), at_once=4, chance=lambda: 0.9) as stage:
            stage.queue(*range(10))
            stage.start()
            for tried in range(4, 11):
                await stage.until(lambda tried=tried: sum(row[1] for row in stage.rows().values()) >= tried)  # type: ignore[misc]
                stage.sender.wake()
            link.is_up = True
            stage.queue(99)
            stage.sender.wake()
            await stage.until_empty()
            assert len(stage.delivered()) == 11

    asyncio.run(play())


def test_ok__a_visit_that_waits_for_another_reason_is_not_hurried(tmp_path: Path) -> None:
    """An open way makes due what waited for the way; a visit whose time is future for Knock keeps its own pace."""

    async def play() -> None:
        link = Link(TryAgain("503: later"))

        def say(visit: Visit, tried: int) -> Outcome:
            return TryAgain("400: visitTime must be in the past", is_link=False) if visit.appointment_id == "a1" else link(visit, tried)

        knock = Recorder(say)
        async with staged(tmp_path, knock, policy=RetryPolicy(600.0, 600.0), at_once=1) as stage:
            stage.queue(1, at_ms=now_ms() - 10)
            stage.queue(2)
            stage.start()
            await stage.until(lambda: stage.rows().get("a2", (0, 0))[1] == 1)
            link.is_up = True
            stage.queue(3)
            stage.sender.wake()
            await stage.until(lambda: set(stage.rows()) == {"a1"})
            assert knock.tries == {"a1": 1, "a2": 2, "a3": 1}

    asyncio.run(play())


def test_ok__retry_after_is_obeyed(tmp_path: Path) -> None:
    """Nobody is sent before the time that Knock asked for: not another visit that is due, nor a new one that wakes the outbox."""

    async def play() -> None:
        link = Link(TryAgain("429: Too Many Requests", retry_after_s=0.6))
        knock = Recorder(link)
        async with staged(tmp_path, knock, policy=RetryPolicy(0.02, 0.02), at_once=1) as stage:
            stage.queue(1, 2, 3)
            stage.start()
            await stage.until(lambda: len(knock.told) == 1)
            asked_s = link.failed_s[0]
            link.is_up = True
            for number in range(4, 7):
                stage.queue(number)
                stage.sender.wake()
                await asyncio.sleep(0.05)
            await stage.until(lambda: len(knock.told) >= 2)
            assert 0.6 <= time.monotonic() - asked_s < 2
            await stage.until_empty()
            assert sorted(knock.order[1:]) == [f"a{number}" for number in range(1, 7)]

    asyncio.run(play())


def test_ok__a_person_who_asks_does_not_wait_for_the_schedule(tmp_path: Path) -> None:
    """A wake looks at once even while the way is shut; the failure after it is one more failure."""

    async def play() -> None:
        link = Link(Unknown("the answer was lost (ReadTimeout)"))
        knock = Recorder(link)
        async with staged(tmp_path, knock, policy=RetryPolicy(600.0, 600.0), at_once=1) as stage:
            stage.queue(1, 2)
            stage.start()
            await stage.until(lambda: stage.sender.link["failures"] == 1)
            await asyncio.sleep(0.1)
            assert len(knock.told) == 1
            stage.sender.wake()
            await stage.until(lambda: stage.sender.link["failures"] == 2)
            assert knock.order == ["a1", "a2"]

    asyncio.run(play())


def test_ok__a_row_of_a_wrong_clock_is_not_slept_over(tmp_path: Path) -> None:
    """A next try that lies years ahead is due as soon as the way may be tried, not when the years are over."""

    async def play() -> None:
        hold = RetryPolicy(0.1, 0.1, in_doubt=InDoubt.HOLD)
        knock = Recorder(lambda visit, _: Unknown("502: no explanation") if visit.appointment_id == "a1" else Delivered("2"))
        async with staged(tmp_path, knock, policy=hold, at_once=1) as stage:
            stage.queue(1)
            stage.queue(2, at_ms=now_ms() + 30 * 365 * 86_400_000)
            stage.start()
            await stage.until(lambda: stage.states() == {"a1": "in_doubt"})
            assert stage.delivered() == {"a2": "2"}

    asyncio.run(play())
