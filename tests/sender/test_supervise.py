"""A component that dies is started again, for ever, and each death is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.supervise import RESTART, supervise

Deaths = list[tuple[str, str, float]]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the supervisor waited each time; the waits themselves pass at once, and chance is one half."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def at_once(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr("agent.supervise.asyncio.sleep", at_once)
    monkeypatch.setattr("agent.supervise.random.random", lambda: 0.5)
    return waited


def watch(run: Callable[[], Awaitable[None]], *, deaths: int) -> Deaths:
    """Supervise until so many deaths were told; returns them as name, error and wait."""
    told: Deaths = []

    async def play() -> None:
        enough = asyncio.Event()

        def on_death(name: str, error: BaseException, wait_s: float) -> None:
            told.append((name, repr(error), wait_s))
            if len(told) == deaths:
                enough.set()

        task = asyncio.create_task(supervise("outbox", run, on_death))
        ended = asyncio.create_task(enough.wait())
        await asyncio.wait({task, ended}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), "the supervisor ended by itself"
        assert enough.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    return told[:deaths]


def test_ok__each_death_is_told_and_followed_by_a_longer_wait(waits: list[float]) -> None:
    """The back-off doubles from a second to a minute and stays there; a component that never comes up does not heat the board."""

    async def fail() -> None:
        raise OSError(2, "No such file")

    told = watch(fail, deaths=10)
    expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    assert told == [("outbox", "FileNotFoundError(2, 'No such file')", wait_s) for wait_s in expected]
    assert waits[:9] == expected[:9]
    assert RESTART.max_s == 60.0


def test_ok__a_component_that_just_ends_is_a_death_too(waits: list[float]) -> None:
    """A loop that returns is as dead as one that raises."""

    async def end() -> None:
        return

    assert watch(end, deaths=2) == [("outbox", "RuntimeError('outbox ended by itself')", wait_s) for wait_s in (0.5, 1.0)]
    assert waits[:1] == [0.5]


def test_ok__a_stray_cancellation_is_a_death_too(waits: list[float]) -> None:
    """Cancelling the supervisor is the only way to end it: one that comes from inside the component is not that."""

    async def stray() -> None:
        raise asyncio.CancelledError

    assert watch(stray, deaths=3) == [("outbox", "CancelledError()", wait_s) for wait_s in (0.5, 1.0, 2.0)]
    assert waits[:2] == [0.5, 1.0]


def test_ok__no_wait_is_so_short_that_it_spins(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """With the worst luck of the jitter there is still a fifth of a second."""
    monkeypatch.setattr("agent.supervise.random.random", lambda: 0.0)

    async def fail() -> None:
        raise ValueError

    assert [wait_s for _, _, wait_s in watch(fail, deaths=5)] == [0.2] * 5
    assert set(waits) == {0.2}


def test_ok__a_component_that_ran_for_long_starts_its_back_off_anew(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """A death after five good minutes is the first of a row, whatever came before."""
    tick_s = [0.0]
    lives_s = iter([1.0, 1.0, 1.0, 301.0, 1.0, 300.0])
    monkeypatch.setattr("agent.supervise.time.monotonic", lambda: tick_s[0])

    async def live() -> None:
        tick_s[0] += next(lives_s)
        raise ValueError

    assert [wait_s for _, _, wait_s in watch_ticks(live, 6)] == [0.5, 1.0, 2.0, 0.5, 1.0, 2.0]
    assert waits[:5] == [0.5, 1.0, 2.0, 0.5, 1.0]


def watch_ticks(run: Callable[[], Awaitable[None]], deaths: int) -> Deaths:
    """The same without a loop of its own clock: the supervisor is cancelled from inside its last death."""
    told: Deaths = []

    async def play() -> None:
        def on_death(name: str, error: BaseException, wait_s: float) -> None:
            told.append((name, repr(error), wait_s))
            if len(told) == deaths:
                task.cancel()

        task = asyncio.create_task(supervise("outbox", run, on_death))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    return told


def test_ok__cancelling_ends_it_at_once() -> None:
    """A stop reaches the component itself and is not told as a death."""

    async def play() -> tuple[list[str], Deaths]:
        lived: list[str] = []
        told: Deaths = []
        is_running = asyncio.Event()

        async def run() -> None:
            is_running.set()
            try:
                await asyncio.Event().wait()
            finally:
                lived.append("stopped")

        task = asyncio.create_task(supervise("outbox", run, lambda name, error, wait_s: told.append((name, repr(error), wait_s))))
        await is_running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return lived, told

    assert asyncio.run(play()) == (["stopped"], [])
