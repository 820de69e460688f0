"""Builds a sandbox of its parts and runs it: inside a test or a demo, or as a program of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from agent.errors import ListenError, RefusedError
from agent.listener import Listener
from agent.sandbox import admin, public
from agent.sandbox.faults import FaultBoard
from agent.sandbox.ledger import Ledger, system_now
from agent.sandbox.settings import SandboxSettings
from agent.web import build, in_json

ADMIN_HOST = "127.0.0.1"

_UNAVAILABLE = 503


class Sandbox:
    """One sandbox: `async with Sandbox(settings) as sandbox` listens until the block ends.

    `url` and `admin_url` are valid inside the block. `clock` gives the present as an aware `datetime`; a test may bring its own.

    Raises:
        SandboxError: when the state file cannot be used.
        ListenError: when a port cannot be had.
    """

    def __init__(self, settings: SandboxSettings, *, clock: Callable[[], datetime] = system_now) -> None:
        self.ledger = Ledger(settings, clock=clock)
        self.faults = FaultBoard()
        self._stopping = asyncio.Event()
        knock = public.Public(settings, self.ledger, self.faults, self._pause)
        inside = admin.Admin(settings, self.ledger, self.faults, self._apply_port)
        self._public = Listener(build(knock.routes(), in_json(public.DIALECT)), settings.host, settings.port)
        self._admin = Listener(build(inside.routes(), in_json(admin.DIALECT)), ADMIN_HOST, settings.admin_port)

    @property
    def url(self) -> str:
        """Where Knock's API is, without a slash at the end."""
        return _url(self._public)

    @property
    def admin_url(self) -> str:
        """Where the admin API is, without a slash at the end."""
        return _url(self._admin)

    async def start(self) -> None:
        """Listen on both ports; `stop` ends it."""
        try:
            await self._public.start()
            await self._admin.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close both ports, within about two seconds whatever clients do."""
        self._stopping.set()
        await asyncio.gather(self._public.stop(), self._admin.stop())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _apply_port(self) -> None:
        if self.faults.is_port_closed():
            await self._public.shut()
            return
        try:
            await self._public.open()
        except ListenError as error:
            raise RefusedError(_UNAVAILABLE, str(error)) from error


async def serve(settings: SandboxSettings, announce: Callable[[Sandbox], None]) -> None:
    """Run until SIGTERM or SIGINT; `announce` is called once, when both ports answer.

    Raises:
        SandboxError: when the state file cannot be used.
        ListenError: when a port cannot be had.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with Sandbox(settings) as sandbox:
        announce(sandbox)
        await ended.wait()


def _url(listener: Listener) -> str:
    host, port = listener.address
    address = ip_address(host)
    if address.is_unspecified:  # no address to connect to: this device's own stands for all
        address = ip_address("::1" if address.version == 6 else ADMIN_HOST)  # noqa: PLR2004 - the version of IP
    return f"http://[{address}]:{port}" if ":" in str(address) else f"http://{address}:{port}"
