"""What the tests of the control socket share: a socket served in this process, and a running agent."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.control import Control, Handler
from agent.daemon.events import Events
from agent.demo.stage import Stage

LIMIT_S = 20


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Events]]:
    """Serve a socket in this process, at `s` in the test's folder, for the length of an `async with` that gives the events."""

    @asynccontextmanager
    async def serve(handlers: dict[str, Handler] | None = None, allowed: set[int] | None = None) -> AsyncIterator[Events]:
        events = Events(lambda: 7)
        control = Control(tmp_path / "s", (), handlers or {}, events)
        if allowed is not None:
            control._allowed = allowed
        control.open()
        served = asyncio.create_task(control.run())
        try:
            yield events
        finally:
            served.cancel()
            await asyncio.wait([served])
            control.close()

    return serve


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


@pytest.fixture
def talk(stage: Stage) -> Iterator[Callable[[bytes], bytes]]:
    """Send bytes to the running agent on one connection and return the next line of its answer, empty when it hung up."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    peer.connect(str(stage.folder / "agent.sock"))
    lines = peer.makefile("rb")

    def say(data: bytes) -> bytes:
        peer.sendall(data)
        return lines.readline()

    yield say
    lines.close()
    peer.close()
