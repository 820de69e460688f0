"""A port that is listened on, and that can be closed and opened again. The only importer of Uvicorn.

Rule 1: Uvicorn speaks HTTP here (its h11 protocol); listening, signals and the end are ours, because a test must be able to close
        the port under a client, and a stop must not wait for one.
Rule 2: while the port is closed it stays reserved by a socket that is bound and does not listen: a connect is refused by the system,
        and no other program takes the port.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from agent.errors import ListenError
from agent.web import ABORT

STOP_S = 1.0
"""How long a stop waits for work that is under way before it is cancelled."""

ASGIApp = Callable[..., Awaitable[None]]
"""An application as Uvicorn calls it; Starlette and Uvicorn each have their own type of it, and they do not match."""

_KEEP_ALIVE_S = 30
_BACKLOG = 1024
_GOODBYES = 100
_IS_OPEN = "is_open"


class _Connection(H11Protocol):
    """One connection that lets the application reach its transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn's own, narrower than asyncio's
        super().connection_made(transport)
        self.app_state = {**self.app_state, ABORT: transport.abort}
        if not self.app_state[_IS_OPEN]():  # accepted by the system just before the port was closed
            transport.abort()


class Listener:
    """Serves `app` on `host` and `port`, over TLS if there is `tls`; port 0 takes a free one, and keeps it.

    More than `max_connections` at once are answered with 503.

    Raises:
        ListenError: from `start` and `open` when the port cannot be had.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, *, tls: ssl.SSLContext | None = None, max_connections: int | None = None
    ) -> None:
        self._config = Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # what a client does wrong is answered, and is no news
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            limit_concurrency=max_connections,
        )
        self._state = ServerState()
        self._tls = tls
        self._host, self._port = host, port
        self._reserved: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self.address: tuple[str, int] = (host, port)

    async def start(self) -> None:
        """Take the port and listen."""
        self._config.load()
        self._reserved = self._bound(self._port)
        self.address = cast("tuple[str, int]", self._reserved.getsockname()[:2])
        await self.open()

    async def open(self) -> None:
        """Listen, unless it does already."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        listening = self._bound(self.address[1])
        # known as open before the first connection comes, for one that comes to a closed port is aborted
        server = await loop.create_server(self._connection, sock=listening, backlog=_BACKLOG, start_serving=False, ssl=self._tls)
        self._server = server
        try:
            await server.start_serving()
        except OSError as error:
            self._server = None
            server.close()
            listening.close()
            raise self._cannot_listen(error) from error

    async def shut(self) -> None:
        """Close the port, and abort every connection; what is under way goes on and answers nobody."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._state.connections):
            connection.transport.abort()
        for _ in range(_GOODBYES):  # an aborted connection is closed in one of the loop's next rounds
            if self._state.connections:
                await asyncio.sleep(0)

    async def drain(self, patience_s: float) -> None:
        """Take no more connections, and let the requests under way come to their end, for at most `patience_s`; `stop` follows."""
        if self._server is not None:
            self._server.close()
        if tasks := list(self._state.tasks):
            await asyncio.wait(tasks, timeout=patience_s)

    async def stop(self) -> None:
        """Close for good: connections are aborted, work under way has `STOP_S` seconds to end."""
        await self.shut()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        tasks = list(self._state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _connection(self) -> _Connection:
        return _Connection(self._config, self._state, {_IS_OPEN: lambda: self._server is not None})

    def _bound(self, port: int) -> socket.socket:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)[0]
        except OSError as error:
            raise ListenError(f"{self._host!r} is no address of this device: {error.strerror}.") from error
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            bound.close()
            raise self._cannot_listen(error) from error
        bound.setblocking(False)
        return bound

    def _cannot_listen(self, error: OSError) -> ListenError:
        if error.errno == errno.EADDRINUSE:
            return ListenError(f"Port {self.address[1]} of {self._host} is in use by another program; stop it or choose another port.")
        return ListenError(f"Nothing can listen on port {self.address[1]} of {self._host}: {error.strerror}.")
