"""The running kiosk: listen, follow the agent, serve, and an orderly stop.

Rule 1: SIGTERM and SIGINT let every waiting page go at once; the program is gone within two seconds.
Rule 2: whatever dies is started again with back-off; nothing here is worth a restart of the whole but the loop itself.
Rule 3: the watchdog is fed from the loop, so a loop that hangs is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent import notify
from agent.errors import ConfigError
from agent.kiosk.hub import Hub, zone_of
from agent.kiosk.link import Link
from agent.kiosk.server import Server
from agent.kiosk.view import Event
from agent.listener import Listener, Places, tls
from agent.settings.kiosk import KioskSettings, RemoteSettings
from agent.supervise import log_death, supervise
from agent.web import Handler

if TYPE_CHECKING:
    from agent.kiosk.book import Book
    from agent.kiosk.call import Calls

DRAIN_S = 0.5
CLOSE_S = 0.5
MIN_REMOTE_TOKEN = 32
LOCAL_PLACES = 64
PLACES_PER_SCREEN = 8
"""So many connections a browser may open; more of one device would only be idle ones."""
MAX_NAME, MAX_DOORS = 64, 16
POLLED = "polled"
POLLED_EVERY_S = 5.0

_log = logging.getLogger("tourlatch")


class Kiosk:
    """One screen's program: `async with Kiosk(settings) as kiosk` serves until the block ends; `address` is where the page is."""

    def __init__(self, settings: KioskSettings) -> None:
        self._settings = settings
        zone = zone_of(settings)
        self.hub = Hub(settings, zone)
        self._last_doors: list[str] | None = None
        self.link = Link(settings.agent_socket, self._heard)
        self._calls: Calls | None = None
        if settings.tells_staff:
            from agent.kiosk.call import Calls

            self._calls = Calls(settings, zone, chance=random.random, now_ms=self.hub.now_ms)
        remote_token = None if settings.remote is None else _remote_token(settings.remote)
        self._polled = Polled(os.environ.get("RUNTIME_DIRECTORY"))
        self.server = Server(
            settings,
            self.hub,
            self.link,
            version=metadata.version("tourlatch"),
            calls=self._calls,
            polled=self._polled.touch,
            remote_token=remote_token,
        )
        self._book: Book | None = None
        if settings.book is not None:
            from agent.kiosk.book import Book

            self._book = Book(
                settings.book,
                self.hub.tell_booking,
                self.server.gone,
                self.server.unknown,
                now_ms=self.hub.now_ms,
                day_of=lambda instant_ms: zone(instant_ms).date(),
            )
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []

    def _heard(self, event: Event) -> None:
        """Pass on what the agent tells; a door that it does not know, or that has no screen, is a mistake in a file: it is named once."""
        doors = event.get("doors")
        if event.get("event") == "status" and isinstance(doors, dict):
            there_are = sorted(str(name)[:MAX_NAME] for name, found in doors.items() if isinstance(found, dict) and found.get("screen"))
            is_ours = self._settings.door in there_are
            if not is_ours and there_are != self._last_doors:
                because = "the agent has no screen at this door: see door in kiosk.toml, and [control] kiosk_doors in agent.toml"
                facts = {"door": self._settings.door, "there_are": there_are[:MAX_DOORS], "because": because}
                _log.error("door_unknown", extra={"facts": facts})
            self._last_doors = None if is_ours else there_are
        self.hub.tell(event)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of this board's own page."""
        return self._listeners[0].address

    @property
    def remote_address(self) -> tuple[str, int]:
        """Host and port for other devices."""
        return self._listeners[1].address

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _start(self) -> None:
        settings = self._settings
        more: Mapping[str, Mapping[str, Handler]] = self._book.routes() if self._book else {}
        places = Places(LOCAL_PLACES, None)
        listeners = [Listener(self.server.local(more), settings.listen.host, settings.listen.port, places=places)]
        if settings.remote is not None:
            remote = settings.remote
            most = remote.max_screens * PLACES_PER_SCREEN
            places = Places(most, PLACES_PER_SCREEN)
            listeners.append(
                Listener(
                    self.server.remote(),
                    remote.host,
                    remote.port,
                    tls=tls(remote.certificate_file, remote.certificate_key_file),
                    places=places,
                )
            )
        for listener in listeners:
            await listener.start()
            self._listeners.append(listener)
        components: dict[str, Callable[[], Awaitable[None]]] = {"link": self.link.run, "daylight": self.hub.run}
        if self._book is not None:
            components["desk"] = self._book.run
        if self._calls is not None:
            components["calls"] = self._calls.run
        self._tasks = [asyncio.create_task(supervise(name, run, log_death), name=name) for name, run in components.items()]
        self._tasks.append(asyncio.create_task(_feed_watchdog(), name="watchdog"))
        self._polled.touch()

    async def _end(self) -> None:
        """Waiting pages first, for they would hold up the rest."""
        self.hub.close()
        for listener in self._listeners:
            await listener.drain(DRAIN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                if self._book is not None:
                    await self._book.close()
                if self._calls is not None:
                    await self._calls.close()


class Polled:
    """The file by which the browser's launcher sees that a page on this board is alive; without a folder there is none."""

    def __init__(self, folder: str | None) -> None:
        self._path = Path(folder) / POLLED if folder else None
        self._touched_s: float | None = None

    def touch(self) -> None:
        """A page was answered."""
        now_s = time.monotonic()
        if self._path is None or (self._touched_s is not None and now_s - self._touched_s < POLLED_EVERY_S):
            return
        self._touched_s = now_s
        try:
            self._path.touch()
        except OSError as error:
            _log.warning("polled_not_told", extra={"facts": {"path": str(self._path), "because": error.strerror}})


async def serve(settings: KioskSettings) -> None:
    """Run until SIGTERM or SIGINT; raises what stopped the start."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    notifier = notify.Notifier.from_environment()
    async with Kiosk(settings) as kiosk:
        host, port = kiosk.address
        notifier.tell("READY=1", f"STATUS=The screen of {settings.door} at {host}:{port}")
        _log.info("listening", extra={"facts": {"host": host, "port": port, "door": settings.door}})
        await ended.wait()
        notifier.tell("STOPPING=1")
        _log.info("stopping")


def _remote_token(remote: RemoteSettings) -> str:
    from agent import credentials

    token = credentials.read_secret(remote.token_file)
    if len(token) < MIN_REMOTE_TOKEN:
        raise ConfigError(f"the token in {remote.token_file} is shorter than {MIN_REMOTE_TOKEN} characters: openssl rand -hex 32 makes one")
    return token


async def _feed_watchdog() -> None:
    limit_s = notify.watchdog_s()
    notifier = notify.Notifier.from_environment()
    while limit_s is not None:
        notifier.tell("WATCHDOG=1")
        await asyncio.sleep(limit_s / 3)
