"""A sandbox in a thread of its own, for callers without an event loop: tests, scripts, an integrator's own suite."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from agent.sandbox.ledger import system_now
from agent.sandbox.server import Sandbox
from agent.sandbox.settings import SandboxSettings


class ThreadedSandbox:
    """`with ThreadedSandbox(settings) as sandbox` listens until the block ends; `url` and `admin_url` are valid inside it.

    Raises:
        SandboxError: when the state file or a port cannot be used.
    """

    def __init__(self, settings: SandboxSettings, *, clock: Callable[[], datetime] = system_now) -> None:
        self._settings = settings
        self._clock = clock
        self._is_decided = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="sandbox")
        self.url = ""
        self.admin_url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_decided.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Close both ports and wait for the thread, two seconds at the most; a second stop does nothing."""
        if self._loop is not None and self._ended is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended by itself in this very moment
                self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with Sandbox(self._settings, clock=self._clock) as sandbox:
                self.url, self.admin_url = sandbox.url, sandbox.admin_url
                self._is_decided.set()
                await self._ended.wait()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the thread that waits
            self._failure = error
        finally:
            self._is_decided.set()
