"""A camera's process at a unix socket: it hands over what it read, and is held to that.

What is spoken: the agent says `ok`, or a sentence, and hangs up. From then on the process sends each code as a line, and an empty line
about once a second as a sign of life. Nothing else is ever sent back.

Rule 1: who sends is known from the kernel (SO_PEERCRED), never from what is said; one process at a time.
Rule 2: whatever is sent is a frame, which may be refused, or nothing. Its memory is bounded, and so is the time that it takes.
Rule 3: a process that goes, falls silent or floods is lost. The next one is taken in after a pause, which grows over losses in a row.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from drivers.backoff import Backoff
from drivers.base import DeviceMissingError, Frame, ReaderState
from drivers.framing import LineFramer

OK = b"ok\n"
CHUNK_BYTES = 2048
READ_PAUSE_S = 0.02
"""Between two reads, and between two that knock: however much is sent, this thread is busy with it fifty times a second at most."""
FRAMES_PER_S = 20
"""Four times what a camera process sends, which is five a second at most: when this process stood still, it finds some seconds' at once."""
MAX_WAITING = 8
SECOND_NS = 1_000_000_000
_UCRED = struct.Struct("=iII")


class SocketReader:
    """A reader whose device is another process, running as `user`; root and the agent's own user may stand in for it.

    `path` is the socket that this makes. A process that sends nothing at all for `silent_s` seconds is lost. After a loss nobody is
    taken in for `first_retry_s` seconds, then for twice as long each time, up to `max_retry_s`, until one stayed longer than that.
    """

    def __init__(
        self,
        name: str,
        path: str,
        user: str,
        *,
        max_bytes: int = 1024,
        silent_s: float = 10.0,
        first_retry_s: float = 0.25,
        max_retry_s: float = 30.0,
    ) -> None:
        self._name = name
        self._path = Path(path)
        self._user = user
        self._max_bytes = max_bytes
        self._silent_s = silent_s
        self._first_retry_s = first_retry_s
        self._max_retry_s = max_retry_s
        self._allowed: set[int] = set()
        self._listener: socket.socket | None = None
        self._made: tuple[int, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted: asyncio.Future[socket.socket] | None = None
        self._process: _Process | None = None

    def open(self) -> None:
        """Make the socket; raises `DeviceMissingError` naming it, or the user that does not exist. Once is enough."""
        if self._listener is not None:
            return
        try:
            self._allowed = {0, os.getuid(), pwd.getpwnam(self._user).pw_uid}
        except KeyError:
            raise DeviceMissingError(
                f"Reader {self._name}: there is no user {self._user!r} on this machine. Install with --camera, or correct `user`."
            ) from None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._remove_dead()
            listener.bind(str(self._path))
            self._made = _identity(self._path)
            self._path.chmod(0o666)  # everybody may knock: the kernel says who it is
            listener.listen(MAX_WAITING)
        except OSError as error:
            listener.close()
            raise DeviceMissingError(
                f"Reader {self._name}: the socket {self._path} cannot be made ({error.strerror or error}). Make its folder, or correct it."
            ) from error
        except DeviceMissingError:
            listener.close()
            raise
        self._listener = listener

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Take in one process after another until cancelled; lost until the first one comes.

        Both are called in the event loop's thread.
        """
        self._loop = loop = asyncio.get_running_loop()
        backoff = Backoff(self._first_retry_s, self._max_retry_s)
        try:
            self.open()
            on_state(ReaderState.LOST, f"Reader {self._name}: no camera process came to {self._path} yet. See that tourlatch-camera runs.")
            self._listen_to_knocks()
            while True:
                self._wanted = loop.create_future()
                peer = await self._wanted
                self._wanted = None
                ready_ns = time.monotonic_ns()
                self._process = process = _Process(peer, loop, LineFramer(max_bytes=self._max_bytes), on_frame, self._silent_s)
                on_state(ReaderState.READY, f"Reader {self._name}: a camera process is at {self._path}.")
                reason = await process.lost
                on_state(
                    ReaderState.LOST, f"Reader {self._name}: lost the camera process at {self._path} ({reason}). Its own log says more."
                )
                backoff.lasted(time.monotonic_ns() - ready_ns)
                await backoff.pause()
        finally:
            self.close()

    def close(self) -> None:
        """Hang up and take the socket away, unless another one lies there by now; in the loop's thread if `run` is under way."""
        listener, self._listener = self._listener, None
        process, self._process = self._process, None
        loop, self._loop = self._loop, None
        if process is not None:
            process.hang_up()
        if self._wanted is not None and self._wanted.done() and not self._wanted.cancelled():
            self._wanted.result().close()  # taken in at the very last
        self._wanted = None
        if listener is None:
            return
        if loop is not None:
            loop.remove_reader(listener.fileno())
        with suppress(OSError):
            if self._made is not None and _identity(self._path) == self._made:
                self._path.unlink()
        listener.close()

    def _listen_to_knocks(self) -> None:
        if self._listener is not None and self._loop is not None:
            self._loop.add_reader(self._listener.fileno(), self._on_knock)

    def _on_knock(self) -> None:
        """Take in, or turn away at once, one that knocks."""
        listener, loop = self._listener, self._loop
        if listener is None or loop is None:
            return
        # an accept that fails leaves the listener readable: a pause, whatever comes of it
        loop.remove_reader(listener.fileno())
        loop.call_later(READ_PAUSE_S, self._listen_to_knocks)
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        peer.setblocking(False)
        sentence = self._objection(peer)
        with suppress(OSError):
            peer.send(OK if sentence is None else f"{sentence}\n".encode())
        if sentence is None and self._wanted is not None:
            self._wanted.set_result(peer)
        else:
            peer.close()

    def _objection(self, peer: socket.socket) -> str | None:
        """Why this one is not taken in."""
        if _uid(peer) not in self._allowed:
            return f"this user may not hand over codes: the process runs as {self._user}, or `user` of the reader {self._name} is wrong"
        if self._wanted is None or self._wanted.done():
            return "another camera process is here, or was until just now: try again"
        return None

    def _remove_dead(self) -> None:
        """Take away the socket of an agent that died; raises `DeviceMissingError` for anything else that lies there."""
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise DeviceMissingError(f"Reader {self._name}: what lies at {self._path} is no socket. Move it away, or correct `socket`.")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink(missing_ok=True)
                return
            except FileNotFoundError:
                return
            except BlockingIOError:
                pass  # so many wait that there is no more room: it lives
        raise DeviceMissingError(f"Reader {self._name}: another agent answers at {self._path}. Stop it first, or correct `socket`.")


class _Process:
    """A camera process that was taken in; `lost` is why it is no more, and by then its connection is closed."""

    def __init__(
        self, peer: socket.socket, loop: asyncio.AbstractEventLoop, framer: LineFramer, on_frame: Callable[[Frame], None], silent_s: float
    ) -> None:
        self._peer = peer
        self._loop = loop
        self._framer = framer
        self._on_frame = on_frame
        self._silent_s = silent_s
        self._heard_ns = time.monotonic_ns()
        self._second_ns = self._heard_ns
        self._frames = 0
        self.lost: asyncio.Future[str] = loop.create_future()
        self._watch()
        self._look = loop.call_later(silent_s / 4, self._look_for_life)

    def hang_up(self) -> None:
        """Leave the loop and close; any number of times."""
        if self._peer.fileno() >= 0:
            self._loop.remove_reader(self._peer.fileno())
            self._look.cancel()
            self._peer.close()

    def _watch(self) -> None:
        if self._peer.fileno() >= 0:
            self._loop.add_reader(self._peer.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        self._loop.remove_reader(self._peer.fileno())
        self._loop.call_later(READ_PAUSE_S, self._watch)
        self._read()

    def _read(self) -> None:
        try:
            data = self._peer.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if not data:
            self._lose("it ended")
            return
        self._heard_ns = now_ns = time.monotonic_ns()
        for frame in self._framer.feed(data, now_ns):
            if now_ns - self._second_ns > SECOND_NS:
                self._second_ns, self._frames = now_ns, 0
            self._frames += 1
            if self._frames > FRAMES_PER_S:
                self._lose(f"it sent more than {FRAMES_PER_S} codes in a second")
                return
            self._on_frame(frame)

    def _look_for_life(self) -> None:
        self._look = self._loop.call_later(self._silent_s / 4, self._look_for_life)
        if time.monotonic_ns() - self._heard_ns > self._silent_s * 1e9:
            self._read()  # when this process stood still itself, what was sent is there
            if not self.lost.done() and time.monotonic_ns() - self._heard_ns > self._silent_s * 1e9:
                self._lose(f"it gave no sign of life for {self._silent_s:.0f} s")

    def _lose(self, reason: str) -> None:
        self.hang_up()
        if not self.lost.done():
            self.lost.set_result(reason)


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _uid(peer: socket.socket) -> int:
    _pid, uid, _gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)
