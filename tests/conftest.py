"""What several folders of tests share: one running agent for a whole module."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from agent.demo.stage import Stage

LIMIT_S = 20


@pytest.fixture(scope="module")
def play() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a coroutine on a loop in a thread of its own, where the played world lives, and return its result."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(LIMIT_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, play: Callable[..., Any]) -> Iterator[Stage]:
    """A running agent for a whole module, with short pulses, Knock's stand-in and a scanner."""
    made = Stage(tmp_path_factory.mktemp("stage"), replace={"pulse_s = 0.5": "pulse_s = 0.1"})
    play(made.open())
    try:
        play(made.start_agent())
        yield made
    finally:
        play(made.close())
