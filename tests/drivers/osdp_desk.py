"""OSDP readers of ours under way, and what they tell, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from drivers.base import Frame, ReaderState
from drivers.osdp_station import Station
from drivers.reader_osdp import OsdpReader
from tests.drivers.osdp_line import KEY, Line, Reader

WAIT_S = 40.0
SILENT_S = 2.0


class Desk:
    """One reader under way, and what it tells."""

    def __init__(self, reader: OsdpReader) -> None:
        self.reader = reader
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()

    async def run(self) -> None:
        """Its life."""
        await self.reader.run(self.frames.put_nowait, lambda *state: self.states.put_nowait(state))

    async def next_data(self) -> bytes:
        """The next frame's data, waited for."""
        return (await asyncio.wait_for(self.frames.get(), WAIT_S)).data

    async def shown(self, peripheral: Reader, text: bytes) -> bytes:
        """The next frame's data, for a text that is shown again and again: one shown while the reader is called anew is thrown away."""
        for _ in range(20):
            peripheral.text(text)
            with contextlib.suppress(TimeoutError):
                return (await asyncio.wait_for(self.frames.get(), WAIT_S / 10)).data
        raise TimeoutError

    async def next_state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self.states.get(), WAIT_S)

    async def until(self, state: ReaderState) -> str:
        """The sentence of that state, waited for; the machine may be slow, and others come before it."""
        while True:
            found, words = await self.next_state()
            if found is state:
                return words


def reading(story: Callable[..., Awaitable[None]], *readers: OsdpReader) -> None:
    """Run the readers, and the story beside them; then cancel them."""

    async def play() -> None:
        desks = [Desk(reader) for reader in readers]
        for desk in desks:
            desk.reader.open()
        tasks = [asyncio.create_task(desk.run()) for desk in desks]
        try:
            await story(*desks)
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    asyncio.run(play())


def reader_of(line: Line, name: str = "front", **options: Any) -> OsdpReader:  # noqa: ANN401  whatever the reader takes
    """A quick reader of this line."""
    quick = {"key": KEY, "silent_s": SILENT_S, "first_retry_s": 0.05, "max_retry_s": 0.5}
    return OsdpReader(name, str(line.path), **{**quick, **options})


async def happens(what: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end_s = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)


def seen(reader: Reader, command: int) -> list[dict[str, Any]]:
    """What of one kind a reader was told to do."""
    return [found for found in reader.seen if found["command"] == command]


def station_of(desk: Desk) -> Station:
    """What the bus knows of the reader."""
    assert desk.reader._member is not None
    return desk.reader._member.station
