"""The ports: what a line, a relay and a reader do, and how they fail.

Rule 1: everything above `drivers/` knows these names only, never a device's library.
Rule 2: a device that cannot be had raises with its name; nothing stands in for it.
Rule 3: a tick is `time.monotonic_ns()`; the wall clock is none of a driver's business.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

ABSENT = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV})
"""What the system says when a device is not plugged in."""


class DriverError(Exception):
    """A device does not do what was asked; the sentence names the device and says what to check."""


class DeviceMissingError(DriverError):
    """A device named in the configuration is not there, or may not be opened."""


class DeviceAbsentError(DeviceMissingError):
    """A device is not plugged in: it may be there a moment later, with nobody's hand but that of who plugs it in."""


class UnknownDriverError(DriverError):
    """The configuration asks for a driver that does not exist."""


class RelayBusyError(DriverError):
    """The relay is in a pulse already."""


class RelayClosedError(DriverError):
    """The relay was closed, it can only be locked."""


class Line(Protocol):
    """One output line with its polarity settled: released energises or de-energises, as the configuration said."""

    @property
    def name(self) -> str:
        """What an installer calls it, e.g. `GPIO17`."""
        ...

    def drive(self, *, released: bool) -> None:
        """Set the level at once; raises `DriverError` when the device refuses."""
        ...

    def close(self) -> None:
        """Give the line back; the caller has driven it to where it is to stay: locked, or in fire released. Any number of times."""
        ...


class LockedBy(enum.StrEnum):
    """Why a pulse ended."""

    TIME = "time"
    ORDER = "order"
    OPENED = "opened"
    """The door was opened, which is all that the release was for."""
    SHUT = "shut"
    """The door was opened and is shut again."""
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Pulse:
    """One release of the relay, as measured: two ticks in nanoseconds and why it ended."""

    released_ns: int
    locked_ns: int
    locked_by: LockedBy


class Relay(Protocol):
    """A lock's relay that cannot be left released (promise P1), but for fire, against which nothing locks."""

    @property
    def is_released(self) -> bool:
        """Whether a pulse is under way, or there is fire."""
        ...

    @property
    def renewed_ns(self) -> int | None:
        """The tick at which the pulse under way began or was last extended; None without one. Fire is no pulse."""
        ...

    def release(self, pulse_s: float, on_locked: Callable[[Pulse], None]) -> int:
        """Release for `pulse_s` seconds and return the tick of the release.

        Returns at once; the relay locks by itself. `on_locked` is called from another thread once it has. During fire the pulse is
        counted and ends as ever, and the line stays released. Raises `RelayBusyError` in a pulse, `RelayClosedError` after `close`,
        `ValueError` above the maximum.
        """
        ...

    def extend(self, pulse_s: float) -> None:
        """Have the pulse under way end `pulse_s` seconds from now, sooner or later than it would have; nothing without one.

        Raises `ValueError` above the maximum: however often it is extended, the guard locks within the maximum after the last time.
        """
        ...

    def shorten(self, pulse_s: float) -> None:
        """Have the pulse under way end `pulse_s` seconds from now if that is sooner than it would have; nothing without one.

        Raises `ValueError` for what is not a positive number, or above the maximum.
        """
        ...

    def lock(self, by: LockedBy = LockedBy.ORDER) -> None:
        """End the pulse under way and lock now; any thread, any number of times. During fire the line stays released."""
        ...

    def set_fire(self, *, is_on: bool) -> None:
        """Fire: released for as long as it lasts, whatever else is asked; its end locks, unless a pulse is under way.

        Never raises: a line that does not move is told as the relay's fault, and tried on.
        """
        ...

    def close(self) -> None:
        """Lock, unless there is fire, then give the device back; any number of times."""
        ...


class Input(Protocol):
    """One watched line with its polarity settled: active means open door, pressed button, fire, tampering."""

    @property
    def name(self) -> str:
        """What an installer calls it, e.g. `GPIO22`."""
        ...

    def read(self) -> bool:
        """Whether it is active now, not debounced; raises `DriverError` when the device does not answer."""
        ...

    def watch(self, on_edge: Callable[[bool, int], None]) -> None:
        """Have every edge told, with whether it is active now and the kernel's tick of the edge, from a thread of the driver's. Once."""
        ...

    def close(self) -> None:
        """Give the line back; any number of times."""
        ...


class Signal(enum.StrEnum):
    """What a door shows to the person before it: by lamps, a buzzer, or a reader's own."""

    READY = "ready"
    GRANTED = "granted"
    DENIED = "denied"
    HELD = "held"
    FORCED = "forced"
    OFFLINE = "offline"
    FAULT = "fault"
    FIRE = "fire"
    DARK = "dark"
    """Nothing at all: the agent leaves."""


@runtime_checkable
class Indicator(Protocol):
    """Whatever shows signals; a reader with lamps of its own is one, too."""

    def show(self, signal: Signal) -> None:
        """Show it from now on; GRANTED and DENIED are over by themselves. Returns at once, never raises; any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing a reader read: its bytes without prefix and suffix, and the tick at which the last of them came.

    `overlong` says that there was more than the reader's limit; `data` is then empty.
    """

    data: bytes
    at_ns: int
    overlong: bool = False


class ReaderState(enum.StrEnum):
    """What a reader says of its device."""

    READY = "ready"
    LOST = "lost"
    TAMPERED = "tampered"
    """It answers, and says that somebody opened or moved it, or what it says is forged."""


class Reader(Protocol):
    """A source of frames."""

    def open(self) -> None:
        """Claim the device; raises `DeviceMissingError` naming it."""
        ...

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Read until cancelled; a lost device is reported with a sentence, then reopened with back-off for ever."""
        ...

    def close(self) -> None:
        """Give the device back; any number of times."""
        ...
