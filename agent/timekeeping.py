"""The door's clock: asks the kernel, keeps what was certain, and answers with an interval.

`adjtimex(2)` without a mode only reads: it tells whether NTP holds the clock and by how much it may err (`maxerror`).
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.core.clock import Anchor, ClockRules, ClockState, Interval, Reading, reckon
from agent.errors import AgentError

_STA_UNSYNC = 0x40
_TIME_ERROR = 5
_LEAST_ERROR_MS = 100


class _Timex(ctypes.Structure):
    """The head of `struct timex`; the rest is room that the kernel fills."""

    _fields_ = (
        ("modes", ctypes.c_int),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


def boot_number() -> int:
    """A number that is another one after each power-on (`boot_id`); raises `AgentError` where the kernel does not tell."""
    try:
        return int(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").replace("-", "")[:15], 16)
    except (OSError, ValueError) as error:
        raise AgentError(f"the kernel does not tell its boot_id: {error}") from error


def kernel_reading() -> Callable[[], Reading]:
    """A function that reads the kernel's clocks; raises `AgentError` where `adjtimex` is forbidden, rather than guess."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()

    def read() -> Reading:
        timex.modes = 0
        state = libc.adjtimex(ctypes.byref(timex))
        if state < 0:
            raise AgentError(
                "the kernel does not tell whether the clock is synchronised (adjtimex is forbidden): check the unit's SystemCallFilter"
            )
        is_synchronised = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
        error_ms = max(timex.maxerror // 1000, _LEAST_ERROR_MS)
        return Reading(time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME), is_synchronised, error_ms)

    read()
    return read


@dataclass(frozen=True, slots=True)
class Now:
    """What the door knows of this moment: the interval, how it came about, and the best guess of the instant for the record."""

    interval: Interval
    state: ClockState
    guess_ms: int


class DoorClock:
    """Answers `now()` from any thread. `last_seen_ms` is what the store remembers from before this start.

    `anchor` is what it remembers from an earlier start in the same boot, so that a restart offline does not lose the time.
    """

    def __init__(self, read: Callable[[], Reading], rules: ClockRules, last_seen_ms: int, anchor: Anchor | None = None) -> None:
        self._read = read
        self._rules = rules
        self._lock = threading.Lock()
        self._anchor = anchor or Anchor.at_start(last_seen_ms, read().tick_ns)

    @property
    def anchor(self) -> Anchor:
        """The last interval that was certain, and its tick: worth keeping for the rest of this boot."""
        with self._lock:
            return self._anchor

    def now(self) -> Now:
        """The present interval; one from NTP becomes the anchor for the time after NTP."""
        reading = self._read()
        with self._lock:
            interval, state = reckon(reading, self._anchor, self._rules)
            if state is ClockState.SYNCHRONISED:
                self._anchor = Anchor(interval, reading.tick_ns)
        return Now(interval, state, interval.nearest_ms(reading.wall_ms))
