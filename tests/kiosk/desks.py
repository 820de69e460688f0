"""Desks that are played: they answer what a test wants, or nothing at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

_OPEN: dict[asyncio.Server, set[asyncio.StreamWriter]] = {}
"""The connections of each server that listens."""
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


async def serve(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], port: int = 0) -> asyncio.Server:
    """A server on a port of loopback, a free one unless it is named."""
    writers: set[asyncio.StreamWriter] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await handler(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()
            writers.discard(writer)

    server = await asyncio.start_server(one, "127.0.0.1", port)
    _OPEN[server] = writers
    return server


async def closed(server: asyncio.Server) -> None:
    """It listens no more, and hangs up."""
    server.close()
    for writer in _OPEN.pop(server, set()):
        writer.close()


class PlayedDesk:
    """A property's desk: `times` is its page of times, `taken` what it answers to a form.

    With nothing to answer it takes the form and hangs up; with `hangs_up` it does so for pages, too.
    """

    def __init__(self) -> None:
        self.times = b""
        self.taken = b""
        self.forms: list[tuple[str, bytes]] = []
        self.times_asked = 0
        self.hangs_up = False
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def table(self) -> dict[str, Any]:
        """The table [book] for it."""
        return {"url": f"http://127.0.0.1:{self.port}", "community": "juniper-flats"}

    async def start(self) -> None:
        """Listen, where it did before."""
        self._server = await serve(self._answer, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            await closed(self._server)
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode("latin-1").split(" ", 2)
        if method == "POST":
            length = _LENGTH.search(head)
            self.forms.append((target, await reader.readexactly(int(length[1]) if length else 0)))
            writer.write(self.taken)
        elif not self.hangs_up:
            self.times_asked += target.endswith("/times")
            writer.write(answer(self.times if target.endswith("/times") else b"<p>hello</p>"))
        await writer.drain()
        writer.close()


def answer(body: bytes, status: str = "200 OK", *more: str, kind: str = "text/html") -> bytes:
    """An answer of HTTP, after which the connection ends."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body
