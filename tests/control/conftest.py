"""What the tests of the control socket share: a socket served in this process, and a running agent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from agent.daemon.control import Control, Handler
from agent.daemon.events import Events
from agent.demo.stage import Stage


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Events]]:
    """Serve a socket in this process, at `s` in the test's folder, for the length of an `async with` that gives the events."""

    @asynccontextmanager
    async def serve(
        handlers: dict[str, Handler] | None = None,
        allowed: set[int] | None = None,
        kiosks: set[int] | None = None,
        doors: tuple[str, ...] = (),
    ) -> AsyncIterator[Events]:
        events = Events(lambda: 7)
        control = Control(tmp_path / "s", (), handlers or {}, events, kiosk_doors=doors)
        if allowed is not None:
            control._allowed = allowed
        control._kiosks = kiosks or set()
        control.open()
        served = asyncio.create_task(control.run())
        try:
            yield events
        finally:
            served.cancel()
            await asyncio.wait([served])
            control.close()

    return serve


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
