"""A scanner on a serial line, USB or real.

Rule 1: a read takes all that is waiting, in one system call; nothing is read byte by byte.
Rule 2: at its first error the port leaves the event loop and is closed. A dead port stays readable for ever, and a callback that
        stayed would take the whole processor.
Rule 3: what waited in the port while nobody read is thrown away: a code scanned then must not open the door now.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import random
import time
from collections.abc import Callable

from drivers.base import DeviceMissingError, Frame, ReaderState
from drivers.framing import LineFramer
from drivers.serial_port import PORT_ERRORS, SerialPort, open_port, words

CHUNK_BYTES = 4096


class SerialReader:
    """A scanner that sends each scan as a line.

    `port` is a path, best one below /dev/serial/by-id, which stays the same. How lines are cut is told by `LineFramer`. A lost port
    is tried again after about `first_retry_s` seconds, then after twice as long each time, up to `max_retry_s`; the pause grows on
    over losses that come soon after one another.
    """

    def __init__(
        self,
        name: str,
        port: str,
        *,
        baud: int = 9600,
        prefix: bytes = b"",
        suffix: bytes = b"",
        max_bytes: int = 1024,
        gap_s: float = 2.0,
        first_retry_s: float = 0.5,
        max_retry_s: float = 30.0,
    ) -> None:
        self._name = name
        self._port = port
        self._baud = baud
        self._new_framer = functools.partial(LineFramer, prefix, suffix, max_bytes, gap_s)
        self._new_framer()  # refuses impossible lengths now rather than at the first scan
        self._first_retry_s = first_retry_s
        self._max_retry_s = max_retry_s
        self._device: SerialPort | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Claim the port for this program alone; raises `DeviceMissingError` naming it, with the system's reason. Once is enough."""
        if self._device is not None:
            return
        self._device = open_port(self._name, self._port, self._baud)

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Read until cancelled; a lost port is reported with a sentence, then reopened for ever.

        Both are called in the event loop's thread. The first state is reported at the start.
        """
        retry_s = self._first_retry_s
        try:
            try:
                self.open()
            except DeviceMissingError as error:
                on_state(ReaderState.LOST, f"{error} It is tried again.")
            while True:
                if self._device is None:
                    retry_s = await self._reopen(retry_s)
                    continue
                ready_ns = time.monotonic_ns()
                lost = self._listen(self._device, on_frame)
                on_state(ReaderState.READY, f"Reader {self._name}: reading from {self._port}.")
                reason = words(await lost)
                on_state(ReaderState.LOST, f"Reader {self._name}: lost {self._port} ({reason}). Check its cable; it is tried again.")
                # A port that opens and fails at once again does not start over with short pauses.
                if time.monotonic_ns() - ready_ns > self._max_retry_s * 1e9:
                    retry_s = self._first_retry_s
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back; any number of times, in the event loop's thread if `run` is under way."""
        device, self._device = self._device, None
        loop, self._loop = self._loop, None
        if device is None:
            return
        # Before the close, for the number of the descriptor may be another file's right after it.
        if loop is not None:
            loop.remove_reader(device.fileno())
        device.close()

    async def _reopen(self, retry_s: float) -> float:
        """Try until the port is open, and return the pause to begin with the next time."""
        while True:
            # With jitter, lest several readers behind one hub that came back all reach for it in the same instant.
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311  spread, not a secret
            retry_s = min(2 * retry_s, self._max_retry_s)
            try:
                self.open()
            except DeviceMissingError:
                continue
            return retry_s

    def _listen(self, device: SerialPort, on_frame: Callable[[Frame], None]) -> asyncio.Future[Exception]:
        """Let the loop read the port; the future is why it failed, and by then it is out of the loop and closed."""
        loop = asyncio.get_running_loop()
        framer = self._new_framer()
        lost: asyncio.Future[Exception] = loop.create_future()

        def on_readable() -> None:
            try:
                data = device.read(CHUNK_BYTES)
            except PORT_ERRORS as error:
                lose(error)
                return
            if not data:
                lose(OSError(errno.EIO, "readable, but nothing to read"))
                return
            for frame in framer.feed(data, time.monotonic_ns()):
                on_frame(frame)

        def lose(error: Exception) -> None:
            self.close()
            if not lost.done():
                lost.set_result(error)

        try:
            # Again, for some time may have passed since the port was opened.
            device.reset_input_buffer()
            loop.add_reader(device.fileno(), on_readable)
            self._loop = loop
        except PORT_ERRORS as error:
            lose(error)
        return lost
