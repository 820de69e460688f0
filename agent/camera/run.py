"""The camera process: look, read, hand over, until SIGTERM.

Rule 1: a camera that fails or hangs ends the process with a sentence. systemd starts it anew, and the agent meanwhile calls the
        reader lost; the door's other readers know nothing of it.
Rule 2: signs of life, to the agent and to systemd, are given after a picture only: none without pictures.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from agent import notify
from agent.camera import decode
from agent.camera.attention import Attention
from agent.camera.capture import Source
from agent.camera.link import Link
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from agent.settings.readers import CameraReader
from drivers.base import DriverError

PICTURE_LIMIT_S = 10.0
OPEN_LIMIT_S = 30.0
CLOSE_S = 1.0
Answer = TypeVar("Answer")

_log = logging.getLogger("tourlatch")


def reader_of(settings: AgentSettings, name: str | None) -> CameraReader:
    """The camera that is meant: by its name, or the only one; raises `ConfigError`."""
    cameras = {reader.name: reader for door in settings.door for reader in door.reader if isinstance(reader, CameraReader)}
    if not cameras:
        raise ConfigError('the configuration has no reader with driver = "camera"')
    if name is None and len(cameras) > 1:
        raise ConfigError(f"there are several cameras, name one: {', '.join(cameras)}")
    if name is not None and name not in cameras:
        raise ConfigError(f"there is no camera {name}; there is: {', '.join(cameras)}")
    return next(iter(cameras.values())) if name is None else cameras[name]


async def watch(settings: CameraReader, source: Source) -> None:
    """Run until SIGTERM or SIGINT; raises what stopped the start, and `DriverError` for a camera that fails."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    link = Link(settings.socket)
    # one thread: a picture that does not come holds up nothing but the next picture
    with_source = ThreadPoolExecutor(1, "pictures")
    tasks = [
        asyncio.create_task(_look(settings, source, link, with_source), name="pictures"),
        asyncio.create_task(link.run(), name="link"),
        asyncio.create_task(ended.wait(), name="stop"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        notify.Notifier.from_environment().tell("STOPPING=1")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError, DriverError, RuntimeError, OSError):
            async with asyncio.timeout(CLOSE_S):
                await loop.run_in_executor(with_source, source.close)
        with_source.shutdown(wait=False)


async def _look(settings: CameraReader, source: Source, link: Link, with_source: ThreadPoolExecutor) -> None:
    notifier, feed_s = notify.Notifier.from_environment(), (notify.watchdog_s() or 0.0) / 3
    loop, attention, fed_s = asyncio.get_running_loop(), Attention(), 0.0
    decode.need_library()
    await _in_time(loop.run_in_executor(with_source, source.open), OPEN_LIMIT_S, source)
    is_first = True
    while True:
        began_s = time.monotonic()
        texts = await _in_time(loop.run_in_executor(with_source, _read, source), PICTURE_LIMIT_S, source)
        at_ns = time.monotonic_ns()
        for text in attention.look(texts, at_ns):
            if link.tell(text):
                attention.told(text, at_ns)
        link.beat()
        if is_first:
            is_first = False
            notifier.tell("READY=1", f"STATUS=Watching {source.name}")
            _log.info("watching", extra={"facts": {"reader": settings.name, "source": source.name}})
        if feed_s and time.monotonic() - fed_s > feed_s:
            fed_s = time.monotonic()
            notifier.tell("WATCHDOG=1")
        await asyncio.sleep(max(0.0, began_s + 1 / settings.frames_per_s - time.monotonic()))


def _read(source: Source) -> list[str]:
    picture = source.next()
    return [] if picture is None else decode.codes_in(picture)


async def _in_time(work: asyncio.Future[Answer], limit_s: float, source: Source) -> Answer:
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError:
        raise DriverError(
            f"{source.name} gave nothing for {limit_s:.0f} s: the camera hangs. Check its cable, and the board's power."
        ) from None
