"""That a scan is looked at is told before what became of it, once, and never at the scan's expense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent.daemon import taken
from agent.daemon.doorman import Scan
from agent.daemon.events import Events
from agent.daemon.taken import Taken
from agent.demo.stage import Stage
from drivers.base import Frame
from tests.daemon.world import World, issued

RunOnStage = Callable[..., None]
PATIENCE_S = 10.0


def scan(reader: str = "scanner") -> Scan:
    """The same bytes at the same tick each time, and another scan each time."""
    return Scan("front", reader, Frame(b"40170236", 1))


def play(story: Callable[[Taken, asyncio.Queue[Any]], Coroutine[Any, Any, None]]) -> None:
    """A story on a loop, with what listeners heard."""

    async def all_of_it() -> None:
        events = Events(lambda: 7)
        heard = events.listen()
        await story(Taken(events), heard)
        assert heard.empty()

    asyncio.run(all_of_it())


SCAN = {"event": "scan", "at_ms": 7, "door": "front", "reader": "scanner"}


def test_told__once_when_the_decision_takes_long() -> None:
    """A listener hears that it is looked at; the outcome brings no second word of it."""

    async def story(news: Taken, heard: asyncio.Queue[Any]) -> None:
        presented = scan()
        news.took(presented)
        assert heard.empty()
        assert await asyncio.wait_for(heard.get(), PATIENCE_S) == SCAN
        news.tell(presented)

    play(story)


def test_told__before_the_outcome_when_that_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told while the doorman decides; with the outcome it comes first."""
    monkeypatch.setattr(taken, "TOLD_AFTER_S", 3600.0)

    async def story(news: Taken, heard: asyncio.Queue[Any]) -> None:
        first, second = scan(), scan("other")
        news.took(first)
        news.took(second)
        await asyncio.sleep(0.01)
        assert heard.empty()
        news.tell(second)
        news.tell(first)
        assert [heard.get_nowait(), heard.get_nowait()] == [{**SCAN, "reader": "other"}, SCAN]
        assert news._untold == {}

    play(story)


def test_told__not_of_what_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that is held up on and on has its answer already."""
    monkeypatch.setattr(taken, "TOLD_AFTER_S", 0.01)

    async def story(news: Taken, heard: asyncio.Queue[Any]) -> None:
        for _ in range(20):
            presented = scan()
            news.took(presented)
            assert news.pass_over(presented)
            assert not news.pass_over(presented)
        await asyncio.sleep(0.05)
        assert (heard.empty(), news._untold) == (True, {})

    play(story)


def test_doorman__says_what_he_passes_over(world: World) -> None:
    """Each scan has an outcome or is passed over, never both: a repeat, and the code or PIN that the door is open for."""
    world.scan(issued())
    world.scan(issued(), after_s=0.5)
    world.scan(issued())
    world.wait_locked()
    world.scan(issued())
    assert world.reasons() == ["granted", "granted"]
    assert len(world.passed_over) == 2


def test_agent__tells_of_a_scan_first_and_logs_only_what_became_of_it(run_on_stage: RunOnStage, good_code: Callable[..., str]) -> None:
    """In the running agent: the scan, then the outcome with units, doors and the time that helps; the log has no line of the scan."""

    async def story(stage: Stage) -> None:
        await stage.start_agent()
        heard = []
        for text in (good_code(stage, 1), good_code(stage, 2, doors=("back", "gym")), "nonsense"):
            stage.scan(text)
            heard += [await stage.event("scan", "admitted", "refused") for _ in range(2)]
            await stage.relay_record("locked", 0)
        where = {"door": "front", "reader": "front-scanner"}
        assert [event["event"] for event in heard] == ["scan", "admitted", "scan", "refused", "scan", "refused"]
        assert all({"door": event["door"], "reader": event["reader"]} == where for event in heard)
        assert [event.keys() for event in heard[::2]] == [{"event", "at_ms", "door", "reader"}] * 3
        assert (heard[1]["units"], heard[1]["doors"]) == (["101", "204 B"], ["front"])
        assert [(event["reason"], event["time_ms"], event["doors"]) for event in heard[3::2]] == [
            ("wrong_door", None, ["back", "gym"]),
            ("unreadable", None, []),
        ]
        log = stage.agent_log()
        assert not any(line.startswith("scan ") for line in log.splitlines())
        assert "admitted door=front" in log

    run_on_stage(story)


def test_agent__tells_when_a_code_is_good(run_on_stage: RunOnStage) -> None:
    """A code that comes too early brings the instant from which it opens, for a countdown."""

    async def story(stage: Stage) -> None:
        await stage.start_agent()
        stage.scan(stage.sign({"appointmentId": 1, "prospectId": 2}, "2090-01-01T12:00:00Z", "2090-01-01T13:00:00Z"))
        event = await stage.event("refused")
        opens_ms = 3_786_955_200_000 - 120 * 60_000
        assert (event["reason"], event["time_ms"], event["doors"]) == ("too_early", opens_ms, ["front"])

    run_on_stage(story)
