"""A port that is listened on, and that can be closed and opened again. The only importer of Uvicorn.

Rule 1: Uvicorn speaks HTTP here (its h11 protocol); listening, signals and the end are ours, because a test must be able to close
        the port under a client, and a stop must not wait for one.
Rule 2: while the port is closed it stays reserved by a socket that is bound and does not listen: a connect is refused by the system,
        and no other program takes the port.
Rule 3: who has not sent a whole request has no claim to a place: what does not come in time is dropped, and when all places are taken,
        whoever has sent nothing for the longest time makes room. Who has sent a whole request is answered, however long that takes.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from agent.errors import ConfigError, ListenError
from agent.web import ABORT

STOP_S = 1.0
"""How long a stop waits for work that is under way before it is cancelled."""

ASGIApp = Callable[..., Awaitable[None]]
"""An application as Uvicorn calls it; Starlette and Uvicorn each have their own type of it, and they do not match."""

_KEEP_ALIVE_S = 30
_BACKLOG = 1024
_GOODBYES = 100
_HEAD, _BODY = "head", "body"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take, in seconds, before its connection is dropped."""

    handshake_s: float = 15.0
    """For the handshake of TLS."""
    head_s: float = 15.0
    """For the first line and the headers of a request, from the connect or from the first byte of a later request."""
    body_s: float = 60.0
    """For the whole body."""
    pause_s: float = 30.0
    """Between two pieces of the body."""


@dataclass(frozen=True, slots=True)
class Places:
    """How many connections there may be at once; None: any number.

    Over `most`, requests are answered with 503; over `each`, connections of one address are dropped. In both cases one that waits for
    its client makes room first. `counted_as` gives the name under which an address is counted; None: it is not counted.
    """

    most: int | None = None
    each: int | None = None
    counted_as: Callable[[str], str | None] = lambda address: address


class _Crowd:
    """All connections of one listener: how many of which address, and which of them wait for their client, the longest first."""

    def __init__(self, places: Places, patience: Patience, is_open: Callable[[], bool], connections: set[_Connection]) -> None:
        self.patience = patience
        self._places = places
        self._is_open = is_open
        self._connections = connections
        self._of: Counter[str] = Counter()
        self._waiting: dict[_Connection, None] = {}

    def lets_in(self, new: _Connection) -> bool:
        """Count a new connection in, making room for it; False when there is none, or when the port was closed just before."""
        places = self._places
        address = places.counted_as(new.client[0]) if new.client and places.each is not None else None
        if not self._is_open():
            return False
        if address is not None and places.each is not None and self._of[address] >= places.each and not self._drop_one(address):
            return False
        new.counted_as = address
        if address is not None:
            self._of[address] += 1
        while places.most is not None and len(self._connections) >= places.most and self._drop_one(None):
            pass
        self._waiting[new] = None
        return True

    def note(self, one: _Connection, *, is_waiting: bool) -> None:
        """Whether a connection waits for its client, or its client for us."""
        if not is_waiting:
            self._waiting.pop(one, None)
        elif one in self._connections:
            self._waiting.setdefault(one)

    def leave(self, one: _Connection) -> None:
        """It is gone, or as good as gone; a second time is the same."""
        self._waiting.pop(one, None)
        self._connections.discard(one)
        address, one.counted_as = one.counted_as, None
        if address is not None:
            self._of[address] -= 1
            if not self._of[address]:
                del self._of[address]

    def _drop_one(self, address: str | None) -> bool:
        """Drop whoever has waited longest for its client, of this address or of any."""
        longest = next((one for one in self._waiting if address in (None, one.counted_as)), None)
        if longest is None:
            return False
        longest.transport.abort()
        self.leave(longest)
        return True


class _Connection(H11Protocol):
    """One connection: it lets the application reach its transport, and it ends when its client takes too long over a request."""

    def __init__(self, config: Config, state: ServerState, crowd: _Crowd) -> None:
        super().__init__(config, state, {})
        self.counted_as: str | None = None
        self._crowd = crowd
        self._awaited: tuple[str, object] | None = None
        """What is awaited of the client, the head or the body, and after which request."""
        self._ends_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn's own, narrower than asyncio's
        super().connection_made(transport)
        self.app_state = {ABORT: transport.abort}
        if self._crowd.lets_in(self):
            self._watch()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_timer(None)
        self._crowd.leave(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Set the clock for what is awaited of the client: nothing while a request is being answered or the line is idle."""
        if self.transport.is_closing():
            return
        patience, now_s, awaited = self._crowd.patience, self.loop.time(), self._awaits()
        request = self._request()
        is_asking = request is not None and not request.response_complete and awaited is None
        self._crowd.note(self, is_waiting=not is_asking)
        if awaited is None:
            self._set_timer(None)
        elif awaited[0] == _BODY:
            if awaited != self._awaited:
                self._ends_s = now_s + patience.body_s
            self._set_timer(min(self._ends_s, now_s + patience.pause_s))
        elif awaited != self._awaited:
            self._set_timer(now_s + patience.head_s)
        self._awaited = awaited

    def _awaits(self) -> tuple[str, object] | None:
        state, request = self.conn.their_state.__name__, self._request()  # the state by h11's name
        if state == "SEND_BODY":
            return _BODY, request
        if state == "IDLE" and (request is None or self.conn.trailing_data[0]):
            return _HEAD, request
        return None

    def _request(self) -> RequestResponseCycle | None:
        """The last request; None before the first."""
        return cast("RequestResponseCycle | None", self.cycle)

    def _set_timer(self, at_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at_s is None else self.loop.call_at(at_s, self.transport.abort)


class Listener:
    """Serves `app` on `host` and `port`, over TLS if there is `tls`; port 0 takes a free one, and keeps it.

    Raises:
        ListenError: from `start` and `open` when the port cannot be had.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        places: Places = Places(),
        patience: Patience = Patience(),
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
            limit_concurrency=places.most,
        )
        self._state = ServerState()
        connections = cast("set[_Connection]", self._state.connections)
        self._crowd = _Crowd(places, patience, lambda: self._server is not None, connections)
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
        handshake_s = self._crowd.patience.handshake_s if self._tls is not None else None
        server = await loop.create_server(
            self._connection, sock=listening, backlog=_BACKLOG, start_serving=False, ssl=self._tls, ssl_handshake_timeout=handshake_s
        )
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
        return _Connection(self._config, self._state, self._crowd)

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


def tls(certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext | None:
    """What a listener with a certificate speaks, TLS 1.2 or later; None without one. Raises `ConfigError` for files that cannot be used."""
    if certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        files = f"{certificate_file} and {key_file}"
        raise ConfigError(f"the certificate cannot be used: {files} must be PEM files that belong together ({error})") from error
    return context
