"""The agent's unix socket: status, events, and what staff and the other programs ask for.

Rule 1: who asks is known from the kernel (SO_PEERCRED), not from what is said; a user who is not allowed is told so and no more.
Rule 2: no line, however long or odd, does anything but get an error; a slow peer holds nobody up.
Rule 3: nothing is kept for who is turned away, and those who follow events leave room for those who ask.
Rule 4: the user of a screen's page faces whoever stands before the door, or on a network: it may ask for what `KIOSK_MAY` lists, on few
        connections, in short lines, so often a second and no more. Whatever it does, staff find a place and a scan is decided at once.
        Of events and of the status it sees what `glimpse` leaves of them.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.daemon import glimpse
from agent.daemon.events import Event, Events
from agent.errors import AgentError, ConfigError, ScreenRefusedError
from agent.protocol import MAX_LINE_BYTES, decode, encode
from drivers.base import DriverError

MAX_PEERS = 16
MAX_FOLLOWERS = 12
"""Of the peers, those who follow events for as long as they like: `lock` and `status` always find a place."""
KIOSK_MAY = ("status", "events", "screen_pin", "screen_help", "screen_staff")
"""What a screen's page may ask for."""
MAX_KIOSK_PEERS = 8
MAX_KIOSK_FOLLOWERS = 6
MAX_KIOSK_LINE_BYTES = 4096
KIOSK_A_SECOND = 20.0
"""So many requests and connections of all screens' pages together are looked at; what is beyond waits its turn."""
SLOW_PEER_S = 10.0
_UCRED = struct.Struct("3i")

Handler = Callable[[dict[str, Any], str], Awaitable[dict[str, Any]]]
"""Takes the request and the name of the user who asks."""


@dataclass(frozen=True, slots=True)
class _Peer:
    """Who speaks on a connection."""

    user: str
    is_kiosk: bool

    @property
    def max_bytes(self) -> int:
        """How long a line of theirs may be."""
        return MAX_KIOSK_LINE_BYTES if self.is_kiosk else MAX_LINE_BYTES


class _Pace:
    """Lets so many a second pass, one after the other; a second's worth may come at once."""

    def __init__(self, a_second: float) -> None:
        self._gap_s = 1 / a_second
        self._next_s = 0.0

    async def turn(self) -> None:
        """Wait for one's turn. Who waits is counted in already, so no more wait than there are connections."""
        now_s = time.monotonic()
        turn_s = max(self._next_s, now_s - 1.0 + self._gap_s)
        self._next_s = turn_s + self._gap_s
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)


class Control:
    """Serves `handlers` by name, and `events` itself. `kiosk_doors` are those that `kiosk_users` see."""

    def __init__(
        self,
        path: Path,
        users: tuple[str, ...],
        handlers: dict[str, Handler],
        events: Events,
        kiosk_users: tuple[str, ...] = (),
        *,
        kiosk_doors: tuple[str, ...] = (),
    ) -> None:
        self._path = path
        self._kiosk_doors = kiosk_doors
        self._allowed = {0, os.getuid(), *(pwd.getpwnam(user).pw_uid for user in users)}
        self._kiosks = {pwd.getpwnam(user).pw_uid for user in kiosk_users}
        if self._kiosks & self._allowed:
            raise ConfigError("a user in [control] kiosk_users is root, the agent's own or in users, and may do everything: take another")
        self._kiosk_pace = _Pace(KIOSK_A_SECOND)
        self._kiosk_peers = 0
        self._kiosk_followers = 0
        self._handlers = handlers
        self._events = events
        self._conversations: set[asyncio.Task[None]] = set()
        self._followers = 0
        self._listener: socket.socket | None = None
        self._made: tuple[int, int] | None = None

    def open(self) -> None:
        """Listen; raises `AgentError` when another agent does or the folder is not there."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            _remove_dead(self._path)
            listener.bind(str(self._path))
            self._made = _identity(self._path)
            self._path.chmod(0o666)  # everybody may knock: the kernel says who it is
            listener.listen(MAX_PEERS)
        except OSError as error:
            listener.close()
            raise AgentError(f"the control socket {self._path} cannot be made: {error.strerror or error}") from error
        except AgentError:
            listener.close()
            raise
        self._listener = listener

    async def run(self) -> None:
        """Serve until cancelled."""
        if self._listener is None:
            self.open()
        # the backlog is also how many may connect before the loop looks at anything else
        server = await asyncio.start_unix_server(self._serve, sock=self._listener, limit=MAX_LINE_BYTES, backlog=MAX_PEERS)
        self._listener = None
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            # not `async with server`: from Python 3.12 on it waits for listeners who may stay for ever
            server.close()
            for conversation in self._conversations:
                conversation.cancel()

    def close(self) -> None:
        """Take the socket away, unless another one lies there by now."""
        with suppress(OSError):
            if self._made is not None and _identity(self._path) == self._made:
                self._path.unlink()
        if self._listener is not None:
            self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation: asyncio.Task[None] | None = asyncio.current_task()
        if conversation is None:  # pragma: no cover - asyncio runs this in a task of its own
            return
        uid = _peer_uid(writer)
        is_kiosk = uid in self._kiosks
        if uid not in self._allowed and not is_kiosk:
            _turn_away(writer, "this user may not speak to the agent: use sudo, or name the user in [control] users")
            return
        if len(self._conversations) >= MAX_PEERS or (is_kiosk and self._kiosk_peers >= MAX_KIOSK_PEERS):
            _turn_away(writer, "too many connections: try again")
            return
        self._conversations.add(conversation)
        self._kiosk_peers += is_kiosk
        try:
            if is_kiosk:
                writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport reads, too
                await self._kiosk_pace.turn()
                writer.transport.resume_reading()  # type: ignore[attr-defined]  # the same
            await self._converse(reader, writer, _Peer(_user_name(uid), is_kiosk=is_kiosk))
        except (OSError, TimeoutError):
            writer.transport.abort()  # the peer left or does not read: nothing is kept for it
        except asyncio.CancelledError:
            pass  # the agent stops
        finally:
            self._conversations.discard(conversation)
            self._kiosk_peers -= is_kiosk
            writer.close()
            asyncio.get_running_loop().call_later(SLOW_PEER_S, writer.transport.abort)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: _Peer) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), SLOW_PEER_S)
            except ValueError:
                line = b" " * (MAX_LINE_BYTES + 1)
            if not line:
                return
            if len(line) > peer.max_bytes:
                await _send(writer, _error(f"a request has at most {peer.max_bytes} bytes"))
                return
            if peer.is_kiosk:
                await self._kiosk_pace.turn()
            try:
                request = decode(line)
            except ValueError:
                await _send(writer, _error("a request is one JSON object on one line"))
                continue
            name = request.get("do")
            if peer.is_kiosk and name not in KIOSK_MAY:
                await _send(writer, _error(f"a screen's page may only ask for {', '.join(KIOSK_MAY)}"))
                continue
            if name == "events":
                await self._follow(reader, writer, peer)
                return
            answer = await self._answer(request, peer.user)
            is_filtered = peer.is_kiosk and name == "status" and answer["ok"]
            await _send(writer, glimpse.of_status(answer, self._kiosk_doors) if is_filtered else answer)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: _Peer) -> None:
        most = MAX_KIOSK_FOLLOWERS if peer.is_kiosk else MAX_FOLLOWERS
        if self._followers >= MAX_FOLLOWERS or (peer.is_kiosk and self._kiosk_followers >= most):
            await _send(writer, _error(f"{most} others follow the events already: try again"))
            return
        self._followers += 1
        self._kiosk_followers += peer.is_kiosk
        try:
            if peer.is_kiosk:
                await self._tell_events(writer, _until_heard(reader), lambda event: glimpse.of_event(event, self._kiosk_doors))
            else:
                await self._tell_events(writer, _until_gone(reader), lambda event: event)
        finally:
            self._followers -= 1
            self._kiosk_followers -= peer.is_kiosk

    async def _answer(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        name = request.get("do")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            return _error(f"there is no such request; there are: {', '.join(sorted([*self._handlers, 'events']))}")
        try:
            return {"ok": True, **await handler(request, user)}
        except ScreenRefusedError as error:
            return _error(str(error)) | {"reason": error.reason}
        except (AgentError, DriverError, ValueError, RuntimeError) as error:
            return _error(str(error))

    async def _tell_events(
        self, writer: asyncio.StreamWriter, leave: Coroutine[Any, Any, None], seen: Callable[[Event], Event | None]
    ) -> None:
        """Tell what is `seen` of each event until the peer leaves, which may be long before the next one."""
        listener = self._events.listen()

        async def tell() -> None:
            await _send(writer, {"ok": True, "event": "listening"})
            while (event := await listener.get()) is not None:
                if (told := seen(event)) is not None:
                    await _send(writer, told)

        telling, leaving = asyncio.create_task(tell()), asyncio.create_task(leave)
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            telling.cancel()
            leaving.cancel()
            self._events.forget(listener)


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _remove_dead(path: Path) -> None:
    """Take away the socket of an agent that died; raises `AgentError` for anything else that lies there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AgentError(f"the control socket {path} cannot be made: what lies there is no socket; move it away or change control.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # so many wait for its answer that there is no more room: it lives
    raise AgentError(f"another agent answers at {path}: stop it first or change control.socket")


def _turn_away(writer: asyncio.StreamWriter, sentence: str) -> None:
    """Say why and hang up at once: the line fits into a fresh connection whole, so there is nothing to wait for."""
    writer.write(encode(_error(sentence)))
    writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(encode(message))
    async with asyncio.timeout(SLOW_PEER_S):
        await writer.drain()


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Throw away what a listener says, until it hangs up."""
    with suppress(OSError):
        while await reader.read(MAX_LINE_BYTES):
            pass


async def _until_heard(reader: asyncio.StreamReader) -> None:
    """Until a listener hangs up or says anything at all: a flood of it would not be read for nothing."""
    with suppress(OSError):
        await reader.read(1)


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    _pid, uid, _gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _error(sentence: str) -> dict[str, Any]:
    return {"ok": False, "error": sentence}
