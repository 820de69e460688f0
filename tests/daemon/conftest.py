"""A stage with the real agent, driven from plain tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import screen
from agent.demo.stage import Stage
from tests.daemon.board import Board
from tests.daemon.stand import Stand
from tests.daemon.test_pin import KEY, tell
from tests.daemon.world import World

Play = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def run_on_stage(tmp_path: Path) -> Callable[..., None]:
    """Run a coroutine function on an open stage, and close it whatever happens."""

    def run(play: Play, **stage_options: Any) -> None:  # noqa: ANN401 - handed through
        async def all_of_it() -> None:
            stage = Stage(tmp_path, **stage_options)
            await stage.open()
            try:
                await play(stage)
            finally:
                await stage.close()

        asyncio.run(all_of_it())

    return run


@pytest.fixture
def good_code() -> Callable[..., str]:
    """A code that is good now, for an appointment and prospect that Knock's stand-in need not know."""

    def make(stage: Stage, number: int, **other: Any) -> str:  # noqa: ANN401 - a code's fields
        now = int(time.time())
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + offset)) for offset in (-60, 600))
        return stage.sign({"appointmentId": 1000 + number, "prospectId": 5000 + number}, start, end, **other)

    return make


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world with two admissions per door."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Callable[..., Board]]:
    """Open a board of doors: `board(front={"contact": {}}, rules=…)`; it is closed at the end."""
    made: list[Board] = []

    def open_board(**parts: Any) -> Board:  # noqa: ANN401 - a board's doors
        made.append(Board(tmp_path, **parts))
        return made[-1].open()

    yield open_board
    for one in made:
        one.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A screen at the front door, which knows PINs and one appointment, and at one that is stopped; staff have a PIN."""
    world = World(tmp_path, {"front": KEY})
    tell(world)
    yield Stand(world)
    world.close()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fingers may type as fast as the test does, and the same again counts anew."""
    monkeypatch.setattr(screen, "PIN_EVERY_S", 0.0)
    monkeypatch.setattr("agent.daemon.doorman.REPEAT_S", 0.0)
