"""The agent's unix socket: status, events, and what staff and the other programs ask for.

Rule 1: who asks is known from the kernel (SO_PEERCRED), not from what is said; a user who is not allowed is told so and no more.
Rule 2: no line, however long or odd, does anything but get an error; a slow peer holds nobody up.
Rule 3: nothing is kept for who is turned away, and those who follow events leave room for those who ask.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.daemon.events import Events
from agent.errors import AgentError
from agent.protocol import MAX_LINE_BYTES, decode, encode
from drivers.base import DriverError

MAX_PEERS = 16
MAX_FOLLOWERS = 12
"""Of the peers, those who follow events for as long as they like: `lock` and `status` always find a place."""
SLOW_PEER_S = 10.0
_UCRED = struct.Struct("3i")

Handler = Callable[[dict[str, Any], str], Awaitable[dict[str, Any]]]
"""Takes the request and the name of the user who asks."""


class Control:
    """Serves `handlers` by name, and `events` itself."""

    def __init__(self, path: Path, users: tuple[str, ...], handlers: dict[str, Handler], events: Events) -> None:
        self._path = path
        self._allowed = {0, os.getuid(), *(pwd.getpwnam(user).pw_uid for user in users)}
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
        server = await asyncio.start_unix_server(self._serve, sock=self._listener, limit=MAX_LINE_BYTES)
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
        if uid not in self._allowed:
            _turn_away(writer, "this user may not speak to the agent: use sudo, or name the user in [control] users")
            return
        if len(self._conversations) >= MAX_PEERS:
            _turn_away(writer, "too many connections: try again")
            return
        self._conversations.add(conversation)
        try:
            await self._converse(reader, writer, _user_name(uid))
        except (OSError, TimeoutError):
            writer.transport.abort()  # the peer left or does not read: nothing is kept for it
        except asyncio.CancelledError:
            pass  # the agent stops
        finally:
            self._conversations.discard(conversation)
            writer.close()
            asyncio.get_running_loop().call_later(SLOW_PEER_S, writer.transport.abort)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), SLOW_PEER_S)
            except ValueError:
                await _send(writer, _error(f"a request has at most {MAX_LINE_BYTES} bytes"))
                return
            if not line:
                return
            try:
                request = decode(line)
            except ValueError:
                await _send(writer, _error("a request is one JSON object on one line"))
                continue
            if request.get("do") == "events":
                if self._followers >= MAX_FOLLOWERS:
                    await _send(writer, _error(f"{MAX_FOLLOWERS} others follow the events already: try again"))
                    return
                self._followers += 1
                try:
                    await self._tell_events(reader, writer)
                finally:
                    self._followers -= 1
                return
            await _send(writer, await self._answer(request, user))

    async def _answer(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        name = request.get("do")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            return _error(f"there is no such request; there are: {', '.join(sorted([*self._handlers, 'events']))}")
        try:
            return {"ok": True, **await handler(request, user)}
        except (AgentError, DriverError, ValueError, RuntimeError) as error:
            return _error(str(error))

    async def _tell_events(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the peer leaves, which may be long before the next event."""
        listener = self._events.listen()

        async def tell() -> None:
            await _send(writer, {"ok": True, "event": "listening"})
            while (event := await listener.get()) is not None:
                await _send(writer, event)

        telling, leaving = asyncio.create_task(tell()), asyncio.create_task(_until_gone(reader))
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
