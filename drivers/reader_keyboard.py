"""A USB scanner or keypad that types like a keyboard, over Linux's evdev, by hand: its binding has no wheels and is 60 lines of this.

Rule 1: it is read grabbed or not at all. Ungrabbed, every code would be typed into the console or the kiosk's browser, too.
Rule 2: what was typed while nobody read, or only in part, is thrown away.
Rule 3: at its first error the device leaves the event loop and is closed. A dead one stays readable for ever.

The structure and the requests: linux/input.h of the kernel.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from drivers.backoff import Backoff, use_for_ever
from drivers.base import ABSENT, DeviceAbsentError, DeviceMissingError, Frame, ReaderState
from drivers.keyboard import ENDS, KEY_1, KEY_KP1, TypedLines, is_half_a_line

EVENT = struct.Struct("llHHi")
"""One event: the kernel's time in two parts, type, code, value; 24 bytes, or 16 on a 32-bit system."""
EVENTS_A_READ = 256
"""All that is waiting, in one system call: the kernel's queue is short, and whoever reads one by one loses keys."""

_READ, _WRITE = 2 << 30, 1 << 30
_E = ord("E") << 8
NAME_BYTES, KEYS_BYTES, LEDS_BYTES = 256, 96, 2
GET_NAME = _READ | NAME_BYTES << 16 | _E | 0x06
GET_HELD_KEYS = _READ | KEYS_BYTES << 16 | _E | 0x18
GET_LEDS = _READ | LEDS_BYTES << 16 | _E | 0x19
GET_ITS_KEYS = _READ | KEYS_BYTES << 16 | _E | 0x21
GRAB = _WRITE | 4 << 16 | _E | 0x90
LED_CAPS = 1

Ioctl: TypeAlias = Callable[[int, int, int | bytearray], None]
"""A request of a descriptor: its answer is written into the bytearray; raises `OSError`."""

ADVICE = {
    errno.ENOENT: "is not there. Plug the scanner in, or correct `device`",
    errno.ENODEV: "is not there. Plug the scanner in, or correct `device`",
    errno.ENXIO: "is not there. Plug the scanner in, or correct `device`",
    errno.EACCES: "may not be opened by this user. Give it to the group tourlatch by a udev rule, as 70-tourlatch.rules shows",
    errno.EPERM: "may not be opened by this service. Its unit needs DeviceAllow=char-input r",
    errno.ENOTTY: "is no input device. Take a name from /dev/input/by-id or by-path that ends in -event-kbd",
    errno.EINVAL: "is no input device. Take a name from /dev/input/by-id or by-path that ends in -event-kbd",
    errno.EBUSY: (
        "is grabbed by another program, and is not read beside one. Stop it: a second agent, a key remapper such as keyd or "
        "input-remapper, or `evtest --grab`"
    ),
}


@dataclass(frozen=True, slots=True)
class _Device:
    """An open device that is ours alone."""

    descriptor: int
    name: str


class KeyboardReader:
    """A scanner or keypad that types.

    `device` is best a name below /dev/input/by-id, or below by-path to tell two alike apart by their sockets. What a line is tells
    `TypedLines`. A lost device is tried again after about `first_retry_s` seconds, then more rarely, up to every `max_retry_s`.
    """

    def __init__(
        self,
        name: str,
        device: str,
        *,
        layout: str = "us",
        max_bytes: int = 1024,
        gap_s: float = 5.0,
        first_retry_s: float = 0.5,
        max_retry_s: float = 30.0,
        ioctl: Ioctl | None = None,
    ) -> None:
        self._name = name
        self._path = device
        self._lines = TypedLines(layout, max_bytes=max_bytes, gap_s=gap_s)
        self._backoff = Backoff(first_retry_s, max_retry_s)
        self._ioctl = ioctl or _ioctl
        self._device: _Device | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Claim the device for this program alone; raises `DeviceMissingError` naming it, with the reason. Once is enough."""
        if self._device is not None:
            return
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._missing(error) from error
        try:
            self._device = _Device(descriptor, self._claim(descriptor))
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):
                raise self._missing(error) from error
            raise

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Read until cancelled; a lost device is reported with a sentence, then reopened for ever.

        Both are called in the event loop's thread. The first state is reported at the start.
        """
        await use_for_ever(self.open, lambda: self._use(on_frame, on_state), self.close, on_state, self._backoff)

    async def _use(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> str:
        device = self._claimed()
        lost = self._listen(device, on_frame)
        on_state(ReaderState.READY, f"Reader {self._name}: reading from {self._path} ({device.name}).")
        return f"Reader {self._name}: lost {self._path} ({_words(await lost)}). Check its cable; it is tried again."

    def _claimed(self) -> _Device:
        if self._device is None:
            raise DeviceMissingError(f"Reader {self._name}: {self._path} was closed.")
        return self._device

    def close(self) -> None:
        """Give the device back, which ends the grab; any number of times, in the event loop's thread if `run` is under way."""
        device, self._device = self._device, None
        loop, self._loop = self._loop, None
        if device is None:
            return
        # Before the close, for the number of the descriptor may be another file's right after it.
        if loop is not None:
            loop.remove_reader(device.descriptor)
        os.close(device.descriptor)

    def _claim(self, descriptor: int) -> str:
        """Grab it, if it is a keyboard, and return the name its maker gave it."""
        name = bytes(self._asked(descriptor, GET_NAME, NAME_BYTES)).split(b"\0")[0].decode(errors="replace")
        keys = set(_bits(self._asked(descriptor, GET_ITS_KEYS, KEYS_BYTES)))
        if not keys & {KEY_1, KEY_KP1} or not keys & ENDS:
            raise DeviceMissingError(
                f"Reader {self._name}: {self._path} ({name}) is no keyboard, it lacks digits or Enter. "
                "Take the name in /dev/input/by-id or by-path that ends in -event-kbd."
            )
        self._ioctl(descriptor, GRAB, 1)
        return name

    def _asked(self, descriptor: int, request: int, size: int) -> bytearray:
        answer = bytearray(size)
        self._ioctl(descriptor, request, answer)
        return answer

    def _missing(self, error: OSError) -> DeviceMissingError:
        advice = ADVICE.get(error.errno or 0, "could not be opened. Check that it is a keyboard's event device")
        missing = DeviceAbsentError if error.errno in ABSENT else DeviceMissingError
        return missing(f"Reader {self._name}: {self._path} {advice} ({_words(error)}).")

    def _listen(self, device: _Device, on_frame: Callable[[Frame], None]) -> asyncio.Future[OSError]:
        """Let the loop read the device; the future is why it failed, and by then it is out of the loop and closed."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[OSError] = loop.create_future()

        def on_readable() -> None:
            try:
                events = _events(os.read(device.descriptor, EVENT.size * EVENTS_A_READ))
                at_ns = time.monotonic_ns()
                frames = self._lines.feed(events, at_ns)
                if frames is None:
                    self._begin(device, skip_at_ns=at_ns)
            except BlockingIOError:
                return
            except OSError as error:
                lose(error)
                return
            for frame in frames or ():
                on_frame(frame)

        def lose(error: OSError) -> None:
            self.close()
            if not lost.done():
                lost.set_result(error)

        try:
            is_half = is_half_a_line(self._drained(device))
            self._begin(device, skip_at_ns=time.monotonic_ns() if is_half else None)
            loop.add_reader(device.descriptor, on_readable)
            self._loop = loop
        except OSError as error:
            lose(error)
        return lost

    def _begin(self, device: _Device, *, skip_at_ns: int | None) -> None:
        """Bring shift and caps lock into step with the board. The kernel takes the keys still in the queue out of it at that."""
        held = _bits(self._asked(device.descriptor, GET_HELD_KEYS, KEYS_BYTES))
        lit = _bits(self._asked(device.descriptor, GET_LEDS, LEDS_BYTES))
        self._lines.start(held, is_caps=LED_CAPS in lit, skip_at_ns=skip_at_ns)

    def _drained(self, device: _Device) -> list[tuple[int, int, int]]:
        """What was typed since the device was opened, now out of the queue."""
        drained: list[tuple[int, int, int]] = []
        while True:
            try:
                drained += _events(os.read(device.descriptor, EVENT.size * EVENTS_A_READ))
            except BlockingIOError:
                return drained


def _ioctl(descriptor: int, request: int, argument: int | bytearray) -> None:
    if isinstance(argument, int):
        fcntl.ioctl(descriptor, request, argument)
    else:
        fcntl.ioctl(descriptor, request, argument, True)


def _events(data: bytes) -> list[tuple[int, int, int]]:
    if not data or len(data) % EVENT.size:
        raise OSError(errno.EIO, "readable, but no whole event to read")
    return [(kind, code, value) for _s, _us, kind, code, value in EVENT.iter_unpack(data)]


def _bits(mask: bytearray) -> Iterator[int]:
    """The numbers of the bits that are set."""
    return (number for number in range(8 * len(mask)) if mask[number // 8] >> number % 8 & 1)


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
