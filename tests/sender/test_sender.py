"""Visits on their way: order, how many at once, waking, and what each answer does to a row (P3)."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from agent.core.replay import Delivered, InDoubt, Outcome, Refused, RetryPolicy, TryAgain, Unknown
from agent.core.tour import Visit
from tests.sender.stage import QUICK, Recorder, now_ms, staged
from tests.store.made import T0_MS, admission, code, everything

HOLD = RetryPolicy(first_s=0.05, max_s=0.2, in_doubt=InDoubt.HOLD)


def test_ok__a_delivered_visit_leaves_and_is_told(tmp_path: Path) -> None:
    """The reporter gets the visit as it was admitted, Knock's id is kept, the row is gone, and listeners hear of it."""

    async def play() -> None:
        knock = Recorder()
        async with staged(tmp_path, knock) as stage:
            visit_id = stage.journal.admit(code(7), admission(code(7)), "Zumper").new_visit_id
            assert visit_id is not None
            stage.start()
            await stage.until_empty()
            assert knock.told == [Visit(visit_id, "a7", "p7", "1001", T0_MS, ("204 B",), "Zumper")]
            assert stage.delivered() == {"a7": "ka7"}
            await stage.until(lambda: not stage.listener.empty())
            assert stage.heard() == [{"event": "visit_delivered", "appointment_id": "a7", "attempts": 1}]
            assert stage.sender.link == {"is_up": True, "failures": 0, "sending": 0}

    asyncio.run(play())


def test_ok__nothing_is_connected_before_the_first_visit_and_everything_is_closed(tmp_path: Path) -> None:
    """An idle agent loads no HTTP; one connection serves for good, and a stop lets go of it."""

    async def play() -> None:
        knock = Recorder()
        async with staged(tmp_path, knock) as stage:
            stage.start()
            await asyncio.sleep(0.05)
            assert stage.connects == 0
            for number in (1, 2):
                stage.queue(number)
                stage.sender.wake()
                await stage.until_empty()
            await stage.stop()
            assert (stage.connects, knock.closed) == (1, 1)

    asyncio.run(play())


def test_ok__one_at_a_time_per_prospect_several_prospects_at_once(tmp_path: Path) -> None:
    """A prospect's visits go in their order, one after the other; others go beside them, up to the setting."""

    async def slow(visit: Visit) -> Outcome:
        await asyncio.sleep(0.01)
        return Delivered(visit.appointment_id)

    async def play() -> None:
        knock = Recorder(lambda visit, _: slow(visit))
        async with staged(tmp_path, knock, at_once=3) as stage:
            for number in range(20):
                stage.queue(number, prospects=5, at_ms=now_ms() - 1000 + number)
            stage.start()
            await stage.until_empty()
            assert (knock.most_per_prospect, knock.most_at_once) == (1, 3)
            for prospect in range(5):
                assert [name for name in knock.order if int(name[1:]) % 5 == prospect] == [
                    f"a{number}" for number in range(prospect, 20, 5)
                ]

    asyncio.run(play())


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_ok__never_more_at_once_than_the_setting_allows(tmp_path: Path, at_once: int) -> None:
    """Although visits keep coming while others are under way."""

    async def play() -> None:
        knock = Recorder()
        async with staged(tmp_path, knock, at_once=at_once) as stage:
            stage.start()
            for number in range(40):
                stage.queue(number)
                stage.sender.wake()
                await asyncio.sleep(0)
            await stage.until_empty()
            assert sorted(knock.order) == sorted(f"a{number}" for number in range(40))
            assert knock.most_at_once <= at_once

    asyncio.run(play())


def test_ok__a_new_visit_wakes_the_sender_at_once(tmp_path: Path) -> None:
    """It sleeps for minutes when nothing waits, and a new visit is on its way within a moment."""

    async def play() -> float:
        knock = Recorder()
        async with staged(tmp_path, knock) as stage:
            stage.start()
            await asyncio.sleep(0.1)
            stage.queue(1)
            began_s = time.monotonic()
            stage.sender.wake()
            await stage.until(lambda: knock.told)
            return time.monotonic() - began_s

    assert asyncio.run(play()) < 0.5


def test_ok__a_wake_while_others_are_under_way_is_not_lost(tmp_path: Path) -> None:
    """A visit that comes while an answer is awaited does not wait for that answer."""

    async def play() -> None:
        answered = asyncio.Event()

        async def hang(visit: Visit) -> Outcome:
            if visit.appointment_id == "a1":
                await answered.wait()
            return Delivered("1")

        knock = Recorder(lambda visit, _: hang(visit))
        async with staged(tmp_path, knock) as stage:
            stage.queue(1)
            stage.start()
            await stage.until(lambda: knock.order == ["a1"])
            stage.queue(2)
            stage.sender.wake()
            await stage.until(lambda: stage.delivered() == {"a2": "1"})
            assert stage.states() == {"a1": "sending"}
            answered.set()
            await stage.until_empty()

    asyncio.run(play())


def test_ok__answers_of_one_moment_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight answers and the eight next claims cost one sync of the card, not sixteen."""
    syncs: list[int] = []
    sync = os.fdatasync

    def counted(fd: int) -> None:
        syncs.append(fd)
        sync(fd)

    monkeypatch.setattr("agent.store.upkeep.os.fdatasync", counted)

    async def play() -> None:
        together = asyncio.Barrier(8)

        async def all_at_once(visit: Visit) -> Outcome:
            await together.wait()
            return Delivered(visit.appointment_id)

        knock = Recorder(lambda visit, _: all_at_once(visit))
        async with staged(tmp_path, knock, at_once=8) as stage:
            stage.queue(*range(32))
            syncs.clear()
            stage.start()
            await stage.until_empty()
            assert knock.most_at_once == 8
            assert len(syncs) <= 7, "one for the first claims, one for each round of answers"

    asyncio.run(play())


@pytest.mark.parametrize(("policy", "state"), [(QUICK, "due"), (HOLD, "in_doubt")])
def test_ok__a_doubt_is_tried_again_or_held(tmp_path: Path, policy: RetryPolicy, state: str) -> None:
    """The setting decides, the doubt is counted, and Knock's silence is in the row's words."""

    async def play() -> None:
        knock = Recorder(lambda _, tried: Unknown("the answer was lost (ReadTimeout)") if tried == 1 else Delivered("1"))
        async with staged(tmp_path, knock, policy=policy) as stage:
            stage.queue(1)
            stage.start()
            await stage.until(lambda: stage.rows().get("a1", ("", 0))[1:3] != (0, 0))
            if state == "due":
                await stage.until_empty()
                assert (knock.order, stage.delivered()) == (["a1", "a1"], {"a1": "1"})
            else:
                await asyncio.sleep(0.3)
                ((row_state, attempts, doubts, _, _, words),) = stage.rows().values()
                assert (row_state, attempts, doubts, words) == ("in_doubt", 1, 1, "the answer was lost (ReadTimeout)")
                assert knock.order == ["a1"]
            await stage.until(lambda: stage.is_told("link_up" if state == "due" else "link_down"))
            kinds = [event["event"] for event in stage.heard()]
            assert kinds == ["visit_in_doubt", "link_down"] + (["visit_delivered", "link_up"] if state == "due" else [])

    asyncio.run(play())


def test_ok__a_refusal_is_a_dead_letter_with_knocks_words(tmp_path: Path) -> None:
    """It is kept for a person, journaled with its appointment, told, never tried again, and holds nobody up."""

    async def play() -> None:
        knock = Recorder(lambda visit, _: Refused("404: There is no prospect.") if visit.appointment_id == "a1" else Delivered("2"))
        async with staged(tmp_path, knock) as stage:
            stage.queue(1, 2, prospects=1)
            stage.start()
            await stage.until(lambda: stage.delivered() == {"a2": "2"})
            await asyncio.sleep(0.1)
            ((state, attempts, doubts, _, is_link, words),) = stage.rows().values()
            assert (state, attempts, doubts, is_link, words) == ("dead", 1, 0, 0, "404: There is no prospect.")
            assert knock.order == ["a1", "a2"]
            assert [(row[4], row[8]) for row in everything(stage.path)["journal"]] == [("dead_letter", "a1")]
            assert {"event": "visit_refused", "appointment_id": "a1"} in stage.heard()

    asyncio.run(play())


def test_ok__a_future_visit_time_is_tried_again_with_the_same_time(tmp_path: Path) -> None:
    """Knock's clock being behind delays this visit only; what it is told in the end is when the prospect came."""

    async def play() -> None:
        def say(visit: Visit, tried: int) -> Outcome:
            is_early = visit.appointment_id == "a1" and tried < 4
            return TryAgain("400: visitTime must be in the past", is_link=False) if is_early else Delivered("1")

        knock = Recorder(say)
        async with staged(tmp_path, knock) as stage:
            stage.queue(1, at_ms=now_ms() - 10)
            stage.queue(2)
            stage.start()
            await stage.until_empty()
            times = {visit.visit_ms for visit in knock.told if visit.appointment_id == "a1"}
            assert (knock.tries, len(times)) == ({"a1": 4, "a2": 1}, 1)
            kinds = [event["event"] for event in stage.heard()]
            assert (kinds.count("visit_waits"), "link_down" in kinds) == (3, False)

    asyncio.run(play())


def test_ok__two_thousand_visits_arrive_exactly_once(tmp_path: Path) -> None:
    """A season offline: everything is delivered, each once, never two of a prospect at once."""

    async def play() -> None:
        knock = Recorder()
        async with staged(tmp_path, knock, at_once=16) as stage:
            stage.queue(*range(2000), prospects=500)
            stage.start()
            await stage.until(lambda: len(knock.told) >= 2000)
            await stage.until_empty()
            assert knock.tries == {f"a{number}": 1 for number in range(2000)}
            assert (knock.most_per_prospect, knock.most_at_once) == (1, 16)
            assert stage.delivered() == {f"a{number}": f"ka{number}" for number in range(2000)}

    asyncio.run(play())


@pytest.mark.parametrize("years", [-30, 30])
def test_ok__a_clock_that_jumps_by_years_leaves_nothing_behind(tmp_path: Path, years: int) -> None:
    """A retry that was planned by a wrong clock is due when the clock is right."""

    async def play() -> None:
        knock = Recorder(lambda _, tried: TryAgain("503: later") if tried == 1 else Delivered("1"))
        async with staged(tmp_path, knock) as stage:
            stage.clock = lambda: now_ms() + years * 365 * 86_400_000
            stage.queue(1, at_ms=stage.clock())
            stage.start()
            await stage.until(lambda: stage.rows()["a1"][1] == 1)
            stage.clock = now_ms
            await stage.until_empty()
            assert knock.order == ["a1", "a1"]

    asyncio.run(play())
