"""The two ends of the socket together: the link of the camera process and the reader of the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.camera.link import Link
from agent.core.replay import RetryPolicy
from drivers.base import Frame, ReaderState
from drivers.reader_socket import SocketReader
from tests.camera.conftest import ME

LIMIT_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another task does."""
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110 - the next read may be many things
            await asyncio.sleep(0.01)


class Ends:
    """A link, and agents that come and go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.link = Link(path, RetryPolicy(first_s=0.1, max_s=0.2))
        self.frames: list[bytes] = []
        self.states: list[ReaderState] = []
        self.linking = asyncio.get_running_loop().create_task(self.link.run())
        self._agent: asyncio.Task[None] | None = None

    def start_agent(self) -> None:
        """Make the socket and read."""

        def on_frame(frame: Frame) -> None:
            self.frames.append(frame.data)

        def on_state(state: ReaderState, _sentence: str) -> None:
            self.states.append(state)

        reader = SocketReader("lens", str(self.path), ME, first_retry_s=0.02, max_retry_s=0.05)
        self._agent = asyncio.get_running_loop().create_task(reader.run(on_frame, on_state))

    async def stop_agent(self) -> None:
        """Hang up and take the socket away."""
        if self._agent is not None:
            self._agent.cancel()
            await asyncio.gather(self._agent, return_exceptions=True)

    async def close(self) -> None:
        """End both."""
        self.linking.cancel()
        await asyncio.gather(self.linking, return_exceptions=True)
        await self.stop_agent()


def play(tmp_path: Path, story: Callable[[Ends], Awaitable[None]]) -> Ends:
    """Run a story with both ends."""

    async def all_of_it() -> Ends:
        ends = Ends(tmp_path / "lens.sock")
        try:
            await story(ends)
        finally:
            await ends.close()
        return ends

    return asyncio.run(all_of_it())


def test_ok__codes_arrive_in_order_and_signs_of_life_are_none(tmp_path: Path) -> None:
    """What is told is a frame each, letter by letter."""

    async def story(ends: Ends) -> None:
        ends.start_agent()
        await until(lambda: ends.states[-1:] == [ReaderState.READY])
        for text in ("TL1:A", "second thing?", "TL1:A"):
            ends.link.beat()
            await until(lambda text=text: ends.link.tell(text))  # type: ignore[misc]  # a bound default
        await until(lambda: len(ends.frames) == 3)

    assert play(tmp_path, story).frames == [b"TL1:A", b"second thing?", b"TL1:A"]


def test_fail__a_code_read_while_no_agent_is_there_is_never_told(tmp_path: Path) -> None:
    """It is dropped, and does not open the door when the agent comes."""

    async def story(ends: Ends) -> None:
        assert not ends.link.tell("too early")
        ends.start_agent()
        await until(lambda: ends.states[-1:] == [ReaderState.READY])
        await ends.stop_agent()
        await until(lambda: not ends.link.tell("too late"))
        ends.start_agent()
        await until(lambda: ends.states.count(ReaderState.READY) == 2)
        await until(lambda: ends.link.tell("now"))
        await until(lambda: b"now" in ends.frames)

    assert set(play(tmp_path, story).frames) <= {b"now"}


def test_ok__an_agent_that_comes_back_is_found_again(tmp_path: Path) -> None:
    """However often the agent is restarted, the link finds it by itself."""

    async def story(ends: Ends) -> None:
        for turn in (1, 2, 3):
            ends.start_agent()
            await until(lambda turn=turn: ends.states.count(ReaderState.READY) == turn)  # type: ignore[misc]  # a bound default
            await ends.stop_agent()

    assert play(tmp_path, story).states == [ReaderState.LOST, ReaderState.READY] * 3


def test_fail__an_agent_that_stands_still_is_told_nothing_late(tmp_path: Path) -> None:
    """When the agent does not read, codes are dropped here rather than queued for later."""

    async def story(ends: Ends) -> None:
        taken_in: list[asyncio.StreamWriter] = []

        def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"ok\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
            taken_in.append(writer)

        server = await asyncio.start_unix_server(deaf, ends.path)
        try:
            await until(lambda: ends.link.tell("x"))
            told = 0
            while ends.link.tell("y" * 1000):
                told += 1
                assert told < 10_000
        finally:
            server.close()
            for writer in taken_in:
                writer.transport.abort()

    play(tmp_path, story)
