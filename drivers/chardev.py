"""Watched lines of a GPIO chip, by the kernel's own interface: each edge with the tick at which it came.

Rule 1: the kernel numbers each line's edges and keeps the newest 1024; a gap in the numbers is told, never passed over.
Rule 2: a tick is the kernel's, taken in its interrupt handler on CLOCK_MONOTONIC, the clock of `time.monotonic_ns()`.
Rule 3: the lines are claimed by one request, so what is read at once of several lines is told in the order in which it happened.

lgpio would do the same with three losses: it drops the numbers, polls two thousand times a second, and its thread ends with the first
callback that raises. Source of the structures and numbers: `linux/gpio.h`, second version of the interface, since Linux 5.10.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import operator
import os
import select
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.base import DeviceMissingError, DriverError

Pull = Literal["up", "down", "none"]
Edges = Literal["both", "rising", "falling"]

GET_LINE = 0xC250B407  # GPIO_V2_GET_LINE_IOCTL
GET_VALUES = 0xC010B40E  # GPIO_V2_LINE_GET_VALUES_IOCTL
INPUT = 1 << 2
RISING, FALLING = 1 << 4, 1 << 5
BIAS: Mapping[Pull, int] = {"up": 1 << 8, "down": 1 << 9, "none": 1 << 10}
EDGES: Mapping[Edges, int] = {"both": RISING | FALLING, "rising": RISING, "falling": FALLING}
# struct gpio_v2_line_request: 64 offsets, the consumer, flags, attributes with room for ten, how many lines, the buffer, the file
REQUEST = struct.Struct("=64I32sQI5I240sII5Ii")
VALUES = struct.Struct("=QQ")
# struct gpio_v2_line_event: the tick, which edge, the line, its number among all and among the line's own
EVENT = struct.Struct("=QIIII24x")
RISEN = 1
NUMBERS = 1 << 32  # the kernel's numbers begin at 1 and wrap
CONSUMER = b"tourlatch"
DEVICES = "/dev"
KEPT_EDGES = 1024
# A line that cannot be read is asked again at this pace.
RETRY_S = 1.0
JOIN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge: on which pin, to which level (0 or 1), and when. `lost` edges of the pin before it were seen by nobody."""

    pin: int
    level: int
    at_ns: int
    lost: int = 0


class WatchedLines:
    """Lines of /dev/gpiochip`chip`, claimed as inputs with the chip's own `pull` resistors; `edges` says which are told.

    A chip that has no such resistors takes the request all the same, and the kernel says nothing of it: then the circuit needs its own.

    Raises `DeviceMissingError` naming the pins when they cannot be had.
    """

    def __init__(self, chip: int, pins: Sequence[int], *, pull: Pull, edges: Edges = "both") -> None:
        self._pins = tuple(pins)
        self.name = ", ".join(f"GPIO{pin}" for pin in self._pins)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._lines = self._claim(f"{DEVICES}/gpiochip{chip}", INPUT | BIAS[pull] | EDGES[edges])
        self._wake_out, self._wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._seen = dict.fromkeys(self._pins, 0)
        self._closed = threading.Event()

    def read(self) -> dict[int, int]:
        """The level of each pin now, 0 or 1; raises `DriverError` when the chip does not answer, or after `close`."""
        values = bytearray(VALUES.pack(0, (1 << len(self._pins)) - 1))
        with self._lock:
            if self._closed.is_set():
                raise DriverError(f"{self.name}: the line was given back already")
            try:
                fcntl.ioctl(self._lines, GET_VALUES, values)
            except OSError as error:
                raise DriverError(
                    f"{self.name}: the level cannot be read: {error.strerror}. Check that the chip is still there."
                ) from error
        bits, _mask = VALUES.unpack(values)
        return {pin: bits >> index & 1 for index, pin in enumerate(self._pins)}

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        """Have every edge told, from a thread of its own; once. What `on_edge` raises is logged, and the next edge is told."""
        if self._thread is not None:
            raise RuntimeError(f"{self.name} is watched already")
        if self._closed.is_set():
            raise DriverError(f"{self.name}: the line was given back already")
        self._thread = threading.Thread(target=self._run, args=(on_edge,), name=f"edges of {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the lines back; any number of times, from any thread."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            os.close(self._wake_in)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN_S)
        if thread is None:
            self._give_back()

    def _claim(self, path: str, flags: int) -> int:
        try:
            chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceMissingError(_why_no_chip(self.name, path, error)) from error
        offsets = [*self._pins, *[0] * (64 - len(self._pins))]
        request = bytearray(REQUEST.pack(*offsets, CONSUMER, flags, *[0] * 6, b"", len(self._pins), KEPT_EDGES, *[0] * 6))
        try:
            fcntl.ioctl(chip, GET_LINE, request)
        except OSError as error:
            raise DeviceMissingError(_why_no_line(self.name, path, error)) from error
        finally:
            os.close(chip)
        lines: int = REQUEST.unpack(request)[-1]
        os.set_inheritable(lines, False)
        os.set_blocking(lines, False)
        return lines

    def _give_back(self) -> None:
        os.close(self._lines)
        os.close(self._wake_out)

    def _run(self, on_edge: Callable[[Edge], None]) -> None:
        """Tell every edge until the lines are closed; a chip that fails is asked again for as long."""
        waiter = select.poll()
        waiter.register(self._lines, select.POLLIN)
        waiter.register(self._wake_out, 0)  # its other end is closed: POLLHUP
        is_failing = False
        while not self._closed.is_set():
            waiter.poll()
            try:
                data = self._read_edges()
            except BlockingIOError:
                continue
            except OSError as error:
                if not is_failing:
                    log.warning("%s: edges cannot be read (%s); they are asked for again every second", self.name, error.strerror)
                is_failing = True
                self._closed.wait(RETRY_S)
                continue
            is_failing = False
            for edge in self._edges(data):
                self._tell(on_edge, edge)
        self._give_back()

    def _read_edges(self) -> bytes:
        data = os.read(self._lines, EVENT.size * 64)
        if not data:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return data

    def _edges(self, data: bytes) -> list[Edge]:
        edges = []
        # the kernel tells of each line in a thread of its own, so two lines may come the wrong way round
        for at_ns, which, pin, _number, line_number in sorted(EVENT.iter_unpack(data), key=operator.itemgetter(3)):
            lost = (line_number - self._seen[pin] - 1) % NUMBERS
            self._seen[pin] = line_number
            edges.append(Edge(pin, int(which == RISEN), at_ns, lost))
        return edges

    def _tell(self, on_edge: Callable[[Edge], None], edge: Edge) -> None:
        try:
            on_edge(edge)
        except Exception:
            log.exception("%s: an edge came, and the one who was to be told failed", self.name)


def _why_no_chip(name: str, path: str, error: OSError) -> str:
    if error.errno in {errno.ENOENT, errno.ENXIO, errno.ENODEV}:
        return f"{name}: {path} is not there. Correct `chip` in the configuration, or leave it out."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{name}: {path} may not be opened by this user. Add the user to the group gpio."
    return f"{name}: {path} could not be opened: {error.strerror}."


def _why_no_line(name: str, path: str, error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return (
            f"{name}: the pin is busy: another program, an overlay or another line of this configuration holds it. `gpioinfo` says which."
        )
    if error.errno == errno.EINVAL:
        return f"{name}: {path} has no such pin. Give the GPIO's number."
    if error.errno in {errno.ENODEV, errno.ENXIO}:
        return f"{name}: {path} cannot tell edges on this pin. Take another pin."
    if error.errno in {errno.ENOTTY, errno.ENOSYS}:
        return f"{name}: {path} is no GPIO chip, or the kernel is older than 5.10."
    return f"{name}: the pin could not be claimed from {path}: {error.strerror}."
