"""The ports: what a line, a relay and a reader do, and how they fail.

Rule 1: everything above `drivers/` knows these names only, never a device's library.
Rule 2: a device that cannot be had raises with its name; nothing stands in for it.
Rule 3: a tick is `time.monotonic_ns()`; the wall clock is none of a driver's business.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class DriverError(Exception):
    """A device does not do what was asked; the sentence names the device and says what to check."""


class DeviceMissingError(DriverError):
    """A device named in the configuration is not there, or may not be opened."""


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
        """Give the line back; the caller has driven it locked before."""
        ...


class LockedBy(enum.StrEnum):
    """Why a pulse ended."""

    TIME = "time"
    ORDER = "order"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Pulse:
    """One release of the relay, as measured: two ticks in nanoseconds and why it ended."""

    released_ns: int
    locked_ns: int
    locked_by: LockedBy


class Relay(Protocol):
    """A lock's relay that cannot be left released (promise P1)."""

    @property
    def is_released(self) -> bool:
        """Whether a pulse is under way."""
        ...

    def release(self, pulse_s: float, on_locked: Callable[[Pulse], None]) -> int:
        """Release for `pulse_s` seconds and return the tick of the release.

        Returns at once; the relay locks by itself. `on_locked` is called from another thread once it has.
        Raises `RelayBusyError` in a pulse, `RelayClosedError` after `close`, `ValueError` above the maximum.
        """
        ...

    def lock(self) -> None:
        """Lock now, whatever is under way; any thread, any number of times."""
        ...

    def close(self) -> None:
        """Lock, then give the device back; any number of times."""
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
