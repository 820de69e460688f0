"""A scanner on a serial line, USB or real.

Rule 1: a read takes all that is waiting, in one system call; nothing is read byte by byte.
Rule 2: at its first error the port leaves the event loop and is closed. A dead port stays readable for ever, and a callback that
        stayed would take the whole processor.
Rule 3: what waited in the port while nobody read is thrown away: a code scanned then must not open the door now.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from drivers.backoff import Backoff, use_for_ever
from drivers.base import DeviceMissingError, Frame, ReaderState
from drivers.framing import LineFramer
from drivers.gm65 import SETTINGS, ModuleRefusedError, Reply, Splitter, Trigger, conversation
from drivers.serial_port import PORT_ERRORS, SerialPort, open_port, words

CHUNK_BYTES = 4096
FAILURES_UNTOLD = 3
"""So often a module may fail to answer before it is told: one that has just got its power is not listening yet."""


class SerialReader:
    """A scanner that sends each scan as a line.

    `port` is a path, best one below /dev/serial/by-id, which stays the same. How lines are cut is told by `LineFramer`. A lost port
    is tried again after about `first_retry_s` seconds, then more rarely, up to every `max_retry_s`.

    With a `trigger` it is a module of the GM65 family, which is set up each time the port was opened and has `answer_s` seconds for
    each reply. A module that does not answer is told lost, and asked again for ever; its scans come through all the while.
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
        trigger: Trigger | None = None,
        first_retry_s: float = 0.5,
        max_retry_s: float = 30.0,
        answer_s: float = 1.0,
    ) -> None:
        self._name = name
        self._port = port
        self._baud = baud
        self._new_framer = functools.partial(LineFramer, prefix, suffix, max_bytes, gap_s)
        self._new_framer()  # refuses impossible lengths now rather than at the first scan
        self._trigger = trigger
        self._first_retry_s = first_retry_s
        self._max_retry_s = max_retry_s
        self._backoff = Backoff(first_retry_s, max_retry_s)
        self._answer_s = answer_s
        self._answer: asyncio.Future[Reply] | None = None
        self._device: SerialPort | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Claim the port for this program alone; raises `DeviceMissingError` naming it, with the system's reason. Once is enough."""
        if self._device is not None:
            return
        self._device = open_port(self._name, self._port, self._baud)

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Read until cancelled; a lost port is reported with a sentence, then reopened for ever.

        Both are called in the event loop's thread. The first state is reported at the start; with a module, once it has answered, or
        has not.
        """
        await use_for_ever(self.open, lambda: self._use(on_frame, on_state), self.close, on_state, self._backoff)

    async def _use(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> str:
        if self._device is None:
            raise DeviceMissingError(f"Reader {self._name}: {self._port} was closed.")
        reason = words(await self._until_lost(self._device, on_frame, on_state))
        return f"Reader {self._name}: lost {self._port} ({reason}). Check its cable; it is tried again."

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

    async def _until_lost(
        self, device: SerialPort, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]
    ) -> Exception:
        """Read until the port is lost, and return why; a module is set up meanwhile."""
        lost = self._listen(device, on_frame)
        if self._trigger is None:
            on_state(ReaderState.READY, f"Reader {self._name}: reading from {self._port}.")
            return await lost
        setting_up = asyncio.create_task(self._set_up(device, self._trigger, on_state))
        try:
            either: set[asyncio.Future[Any]] = {lost, setting_up}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if setting_up.done():
                setting_up.result()
            return await lost
        finally:
            setting_up.cancel()

    async def _set_up(self, device: SerialPort, trigger: Trigger, on_state: Callable[[ReaderState, str], None]) -> None:
        """Talk to the module until it is as it should be; after some failures it is told lost, though its scans are still read."""
        backoff = Backoff(self._first_retry_s, self._max_retry_s)
        told = ""
        for failures in itertools.count(1):
            try:
                await self._converse(device, trigger)
            except ModuleRefusedError as error:
                sentence = f'the module on {self._port} {error}. Take another module, or `module = "none"` and its manual\'s codes.'
            except PORT_ERRORS:
                sentence = (
                    f"the module on {self._port} answers no command. Wire the board's TX to the module's RX, set `baud` to the "
                    'module\'s own, or `module = "none"` for another make.'
                )
            else:
                on_state(
                    ReaderState.READY, f"Reader {self._name}: reading from {self._port}, the module is {SETTINGS[trigger][0].meaning}."
                )
                return
            if sentence != told and failures >= FAILURES_UNTOLD:
                on_state(ReaderState.LOST, f"Reader {self._name}: {sentence} What it scans is read; it is asked again.")
                told = sentence
            await backoff.pause()

    async def _converse(self, device: SerialPort, trigger: Trigger) -> None:
        """One attempt; raises `ModuleRefusedError`, or `OSError` when a reply does not come in time."""
        talk = conversation(trigger)
        command = next(talk)
        with contextlib.suppress(StopIteration):
            while True:
                command = talk.send(await self._ask(device, command))

    async def _ask(self, device: SerialPort, command: bytes) -> Reply:
        self._answer = asyncio.get_running_loop().create_future()
        try:
            # Past pyserial, which turns round and round in a write that does not wait, when the port takes nothing.
            os.write(device.fileno(), command)
            return await asyncio.wait_for(self._answer, self._answer_s)
        finally:
            self._answer = None

    def _answered(self, replies: Iterable[Reply]) -> None:
        """Hand a reply to whoever waits; one that comes too late is nobody's."""
        for reply in replies:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(reply)

    def _listen(self, device: SerialPort, on_frame: Callable[[Frame], None]) -> asyncio.Future[Exception]:
        """Let the loop read the port; the future is why it failed, and by then it is out of the loop and closed."""
        loop = asyncio.get_running_loop()
        framer = self._new_framer()
        splitter = None if self._trigger is None else Splitter()
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
            at_ns = time.monotonic_ns()
            if splitter is not None:
                data, replies = splitter.feed(data, at_ns)
                self._answered(replies)
            for frame in framer.feed(data, at_ns):
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
