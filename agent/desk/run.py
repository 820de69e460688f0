"""The running desk: listen, serve, and an orderly stop.

Rule 1: SIGTERM and SIGINT end held requests at once and let what is being asked of Knock come to its end; the rest waits in the store.
Rule 2: nothing that a second desk process on the same store would need is kept in this one.
Rule 3: the watchdog is fed from the loop and only after the store has answered.
Rule 4: the loop's threads are for what is short (the store, pictures); what waits for another machine has its own.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import metadata
from typing import Self

from agent import notify
from agent.desk.addresses import Addresses
from agent.desk.build import Parts, build
from agent.errors import StoreError
from agent.listener import Listener, Places, tls
from agent.settings.desk import DeskSettings
from agent.supervise import log_death, supervise

FINISH_S = 20.0
"""How long a stop waits for what is being asked of Knock: an answer that is thrown away leaves a booking unknown."""

THREADS = 32
"""So many calls of the store at once: most only wait for the disk, and asyncio's own number is a few to each processor."""

_log = logging.getLogger("tourlatch")


class Desk:
    """One desk process: `async with Desk(settings) as desk` serves until the block ends; `address` is where it listens."""

    def __init__(self, settings: DeskSettings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._parts: Parts | None = None
        self._listener: Listener | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._listener.address if self._listener else (self._settings.listen.host, self._settings.listen.port)

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
        listen = self._settings.listen
        # whoever ends the loop ends its threads, too
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "desk"))
        self._parts = parts = build(self._settings, self._stack, metadata.version("tourlatch"))
        counted_as = Addresses(listen.trusted_proxies).of_connection
        places = Places(listen.max_connections, listen.max_connections_per_address, counted_as)
        self._listener = Listener(
            parts.app, listen.host, listen.port, tls=tls(listen.certificate_file, listen.certificate_key_file), places=places
        )
        await self._listener.start()
        components = {"queue": parts.queue.run, "roster watch": parts.api.run}
        self._tasks = [asyncio.create_task(supervise(name, run, log_death), name=name) for name, run in components.items()]
        self._tasks.append(asyncio.create_task(self._feed_watchdog(parts), name="watchdog"))

    async def _end(self) -> None:
        """First no new requests and no held ones; then what Knock is being asked; then the rest."""
        if self._parts is not None:
            self._parts.api.close()
        if self._listener is not None:
            await self._listener.drain(FINISH_S)
        if self._parts is not None:
            try:
                async with asyncio.timeout(FINISH_S):
                    await self._parts.office.finish()
            except TimeoutError:
                _log.warning("bookings_left_unknown")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            await self._listener.stop()
        if self._parts is not None:
            await self._parts.knock.close()
        self._stack.close()

    async def _feed_watchdog(self, parts: Parts) -> None:
        limit_s = notify.watchdog_s()
        notifier = notify.Notifier.from_environment()
        while limit_s is not None:
            try:
                await asyncio.to_thread(parts.store.last_seq)
                notifier.tell("WATCHDOG=1")
            except StoreError as error:
                _log.error("store_failed", extra={"facts": {"error": str(error)}})
            await asyncio.sleep(limit_s / 3)


async def serve(settings: DeskSettings) -> None:
    """Run until SIGTERM or SIGINT; raises what stopped the start."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    notifier = notify.Notifier.from_environment()
    async with Desk(settings) as desk:
        host, port = desk.address
        notifier.tell("READY=1", f"STATUS=Serving {settings.public_url}")
        _log.info("listening", extra={"facts": {"host": host, "port": port, "public_url": settings.public_url}})
        await ended.wait()
        notifier.tell("STOPPING=1")
        _log.info("stopping")
