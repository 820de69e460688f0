"""The camera process's loop, with a source that the test holds: what hangs ends in time, and what is dropped stays dropped."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.camera import run
from agent.camera.capture import Picture
from agent.camera.link import Link
from agent.settings.readers import CameraReader
from drivers.base import DeviceMissingError, DriverError
from tests.camera.conftest import ME

LIMIT_S = 20.0
DARK = Picture(32, 32, bytes(1024))


class HeldSource:
    """Gives dark pictures, until it is held: then the next one does not come before the test lets go."""

    name = "played camera"

    def __init__(self) -> None:
        self.events: list[str] = []
        self.is_held = False
        self.let_go = threading.Event()
        self.asked = threading.Event()

    def open(self) -> None:
        """Record it."""
        self.events.append("open")

    def next(self) -> Picture | None:
        """A picture, or a long wait."""
        self.asked.set()
        if self.is_held:
            self.let_go.wait(LIMIT_S)
        return DARK

    def close(self) -> None:
        """Record it."""
        self.events.append("close")


@pytest.fixture
def source() -> Iterator[HeldSource]:
    """A source that is let go in the end."""
    made = HeldSource()
    yield made
    made.let_go.set()


@pytest.fixture
def settings(tmp_path: Path) -> CameraReader:
    """A camera whose agent does not run."""
    return CameraReader(driver="camera", name="lens", socket=tmp_path / "lens.sock", user=ME, frames_per_s=30)


def _watch(settings: CameraReader, source: HeldSource) -> float:
    """Run until it ends; the seconds that the end took after the signal, which is sent when a picture was asked for."""
    told_s = 0.0

    async def all_of_it() -> None:
        nonlocal told_s
        watching = asyncio.create_task(run.watch(settings, source))
        await asyncio.to_thread(source.asked.wait, LIMIT_S)
        told_s = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        await watching

    asyncio.run(all_of_it())
    return time.monotonic() - told_s


def test_ok__sigterm_gives_the_camera_back(settings: CameraReader, source: HeldSource) -> None:
    """An orderly end closes the source, after it was opened once."""
    _watch(settings, source)
    assert source.events == ["open", "close"]


def test_ok__sigterm_ends_a_camera_that_hangs(settings: CameraReader, source: HeldSource) -> None:
    """A picture that never comes holds the end up no longer than closing may take: it does not wait for it."""
    source.is_held = True
    assert _watch(settings, source) < LIMIT_S / 2
    assert source.events == ["open"]


def test_fail__a_camera_that_hangs_ends_the_process(settings: CameraReader, source: HeldSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a picture for too long the process gives up with a sentence, for systemd to start it anew."""
    monkeypatch.setattr(run, "PICTURE_LIMIT_S", 0.2)
    source.is_held = True
    with pytest.raises(DriverError, match="played camera gave nothing for 0 s: the camera hangs"):
        asyncio.run(run.watch(settings, source))


def test_fail__a_camera_that_is_not_there(settings: CameraReader, source: HeldSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops the start is raised as it is."""

    def absent() -> None:
        raise DeviceMissingError("camera 0 cannot be had")

    monkeypatch.setattr(source, "open", absent)
    with pytest.raises(DeviceMissingError, match="camera 0 cannot be had"):
        asyncio.run(run.watch(settings, source))


def test_fail__what_nobody_took_is_told_while_it_is_held_up(
    settings: CameraReader, source: HeldSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code that the agent could not take at once is offered with each picture, and once it was taken no more."""
    offered = []

    def take(_link: Link, text: str) -> bool:
        offered.append(text)
        return len(offered) == 3

    def look(_source: HeldSource) -> list[str]:
        looked.append(None)
        if len(looked) == 6:
            source.asked.set()
        return ["junk"]

    looked: list[None] = []
    monkeypatch.setattr(Link, "tell", take)
    monkeypatch.setattr(run, "_read", look)
    _watch(settings, source)
    assert offered == ["junk"] * 3


def test_ok__no_more_pictures_than_the_settings_allow(settings: CameraReader, source: HeldSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the source is, it is asked no more often than `frames_per_s`."""
    asked_s: list[float] = []

    def next_one() -> Picture | None:
        asked_s.append(time.monotonic())
        if len(asked_s) == 8:
            source.asked.set()
        return DARK

    monkeypatch.setattr(source, "next", next_one)
    _watch(settings.model_copy(update={"frames_per_s": 10}), source)
    assert len(asked_s) >= 8
    assert asked_s[7] - asked_s[0] >= 7 * 0.1 * 0.9
