"""Played devices, for the demo, for training and for tests: they do nothing to a door, and tell what they were asked to do.

Rule 1: a played line behaves like a Raspberry Pi's: its level outlives the process, however that dies.
Rule 2: they are had by name only, as any driver: no real device is ever replaced by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drivers.base import DeviceMissingError, DriverError, Frame, ReaderState, Signal

LOCKED, RELEASED = b"0", b"1"
IDLE, ACTIVE = b"0", b"1"
FILE_MODE = 0o644
LOOK_EVERY_S = 0.02
# A file that is being written is empty for a moment.
EMPTY_PAUSES_S = (0.005, 0.02, 0.1)
JOIN_S = 1.0


def _begin(path: str, level: bytes) -> None:
    """Write the first level into a file that is new or empty; raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        if not os.pread(descriptor, 1, 0):
            os.pwrite(descriptor, level, 0)
    finally:
        os.close(descriptor)


class PlayedLine:
    """A line that records. `events` holds `released`, `locked` and `closed` in their order.

    With a `path` its level is the content of that file, `1` for released and `0` for locked, and each drive adds a line
    `<tick in ns> released|locked` to `<path>.log`. A new file begins at `0`, or `1` with `released`; an old one keeps its level until it
    is driven, as a pin does.

    Raises `DeviceMissingError` when the file cannot be had.
    """

    def __init__(self, path: str | None, *, name: str = "played relay", released: bool = False) -> None:
        self._path = path
        self._name = name
        self._is_closed = False
        self._level = RELEASED if released else LOCKED
        self.events: list[str] = []
        if path is None:
            return
        try:
            _begin(path, self._level)
        except OSError as error:
            raise DeviceMissingError(
                f"{name}: its file {path} cannot be had: {error.strerror}. Make its folder, or correct `path`."
            ) from error

    @property
    def name(self) -> str:
        """What an installer calls it."""
        return self._name

    @property
    def is_released(self) -> bool:
        """The level now, whoever set it."""
        if self._path is None:
            return self._level == RELEASED
        return Path(self._path).read_bytes() == RELEASED

    def drive(self, *, released: bool) -> None:
        """Set the level; raises `DriverError` when it cannot be written, or after `close`."""
        if self._is_closed:
            raise DriverError(f"{self._name}: the line was given back already")
        self._level = RELEASED if released else LOCKED
        event = "released" if released else "locked"
        if self._path is not None:
            try:
                # In place and never truncated: a reader sees one level or the other, and a full disk has room for it.
                self._write(self._path, os.O_WRONLY, self._level)
            except OSError as error:
                raise DriverError(f"{self._name}: its level cannot be written to {self._path}: {error.strerror}") from error
            # The record is for those who watch: where it cannot be kept, the relay has still moved.
            with contextlib.suppress(OSError):
                self._write(f"{self._path}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, f"{time.monotonic_ns()} {event}\n".encode())
        self.events.append(event)

    def close(self) -> None:
        """Give the line back; its level stays. Any number of times."""
        if not self._is_closed:
            self._is_closed = True
            self.events.append("closed")

    @staticmethod
    def _write(path: str, flags: int, data: bytes) -> None:
        descriptor = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


class PlayedInput:
    """An input whose level is the content of a file, `1` for active and `0` for not: an edge is what changed when it is looked at next.

    A new file begins at `0`. `name` is the file's own, when none is given.

    Raises `DeviceMissingError` when the file cannot be had.
    """

    def __init__(self, path: str, *, name: str | None = None) -> None:
        self._path = path
        self._name = name or f"played input {path}"
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            _begin(path, IDLE)
        except OSError as error:
            raise DeviceMissingError(
                f"{self._name}: its file {path} cannot be had: {error.strerror}. Make its folder, or correct `path`."
            ) from error

    @property
    def name(self) -> str:
        """What an installer calls it."""
        return self._name

    def read(self) -> bool:
        """Whether it is active now; raises `DriverError` when the file is gone or holds neither `0` nor `1`, or after `close`."""
        if self._closed.is_set():
            raise DriverError(f"{self._name}: the line was given back already")
        level = b""
        try:
            for pause_s in EMPTY_PAUSES_S:
                level = Path(self._path).read_bytes().strip()
                if level:
                    break
                time.sleep(pause_s)
        except OSError as error:
            raise DriverError(f"{self._name}: its file {self._path} cannot be read: {error.strerror}. Write 0 or 1 into it.") from error
        if level not in {IDLE, ACTIVE}:
            raise DriverError(f"{self._name}: its file {self._path} holds neither 0 nor 1. Write one of them into it.")
        return level == ACTIVE

    def watch(self, on_edge: Callable[[bool, int], None]) -> None:
        """Have every change told that is seen, looking every 20 ms, from a thread of its own; once."""
        if self._thread is not None:
            raise RuntimeError(f"{self._name} is watched already")
        self._thread = threading.Thread(target=self._look, args=(on_edge,), name=f"edges of {self._name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the line back; any number of times."""
        self._closed.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _look(self, on_edge: Callable[[bool, int], None]) -> None:
        # The first level is told, too: it may have changed since the caller read it.
        before: bool | None = None
        while True:
            # whoever reads it is told that it cannot be read
            with contextlib.suppress(DriverError):
                level = self.read()
                if level != before:
                    before = level
                    on_edge(level, time.monotonic_ns())
            if self._closed.wait(LOOK_EVERY_S):
                return


class ManualInput:
    """An input that a test moves by hand. While `fault` is set, reading raises it."""

    def __init__(self, *, is_active: bool = False, name: str = "manual input") -> None:
        self._name = name
        self._on_edge: Callable[[bool, int], None] | None = None
        self.is_active = is_active
        self.fault: DriverError | None = None
        self.is_closed = False

    @property
    def name(self) -> str:
        """What an installer calls it."""
        return self._name

    def read(self) -> bool:
        """Whether it is active now; raises `fault`."""
        if self.fault is not None:
            raise self.fault
        return self.is_active

    def watch(self, on_edge: Callable[[bool, int], None]) -> None:
        """Have every move told, in the thread that makes it."""
        self._on_edge = on_edge

    def move(self, *, is_active: bool, at_ns: int | None = None, is_told: bool = True) -> None:
        """Move it, at this tick or now; an edge that is not told is one that was lost."""
        self.is_active = is_active
        if is_told and self._on_edge is not None:
            self._on_edge(is_active, time.monotonic_ns() if at_ns is None else at_ns)

    def close(self) -> None:
        """Record that it was given back."""
        self.is_closed = True


class RecordedIndicator:
    """An indicator that shows nothing, and keeps every signal in `signals`."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []

    def show(self, signal: Signal) -> None:
        """Record it."""
        self.signals.append(signal)


class PlayedReader:
    """A reader that plays a script: bytes are one scan, `ReaderState.LOST` and `READY` are the cable pulled and put back.

    A scan while it is lost is read by nobody, and is passed over. `pause_s` seconds go by before each step. When the script is
    over it waits for more, which `play` gives it. `events` holds `open`, `ready`, `lost`, `frame`, `missed` and `closed` in their order.
    """

    def __init__(self, script: Sequence[bytes | ReaderState] = (), *, name: str = "played reader", pause_s: float = 0.0) -> None:
        self._name = name
        self._pause_s = pause_s
        self._steps: asyncio.Queue[bytes | ReaderState] = asyncio.Queue()
        self.events: list[str] = []
        for step in script:
            self.play(step)

    def play(self, step: bytes | ReaderState) -> None:
        """Add a step to the script; before `run`, or in its event loop's thread."""
        self._steps.put_nowait(step)

    def open(self) -> None:
        """Record that the device was claimed."""
        self.events.append("open")

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Play until cancelled, beginning with READY."""

        def tell(state: ReaderState) -> None:
            self.events.append(state.value)
            on_state(state, f"Reader {self._name}: {'reading' if state is ReaderState.READY else 'lost'}, as its script says.")

        is_ready = True
        tell(ReaderState.READY)
        while True:
            step = await self._steps.get()
            await asyncio.sleep(self._pause_s)
            if isinstance(step, ReaderState):
                is_ready = step is ReaderState.READY
                tell(step)
            elif is_ready:
                self.events.append("frame")
                on_frame(Frame(step, time.monotonic_ns()))
            else:
                self.events.append("missed")

    def close(self) -> None:
        """Record that the device was given back; any number of times, recorded once."""
        if "closed" not in self.events:
            self.events.append("closed")
