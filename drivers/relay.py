"""The policy of promise P1 over any line: released only inside a pulse, and every pulse ends by itself.

Rule 1: the line is driven locked first thing, and again before it is given back.
Rule 2: a pulse is armed before the line moves, so that whatever happens next, the guard ends it.
Rule 3: the guard is a thread of its own: a hung or busy event loop cannot lengthen a pulse.
Rule 4: nothing of the caller's (`on_locked`, `on_fault`) runs while the lock below is held, or can end the guard.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import DriverError, Line, LockedBy, Pulse, RelayBusyError, RelayClosedError

LOCK_ATTEMPTS = 5
ATTEMPT_PAUSE_S = 0.01
# A line that did not lock is tried again at this pace until it does, or until the agent is gone.
RELOCK_PAUSE_NS = 1_000_000_000
GUARD_JOIN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _UnderWay:
    """A pulse that has been armed: when it must end, and whom to tell once it has."""

    ends_ns: int
    released_ns: int = 0
    on_locked: Callable[[Pulse], None] | None = None


class PulsedRelay:
    """A relay on `line` that is released for at most `max_s` seconds at a time.

    `on_fault` is called when the line could not be driven locked after several attempts, or when the guard ended. The lock may then
    be released: the caller is expected to end the process at once, so that the service manager locks from outside. It may be called
    from any thread, and again every second while the line still does not lock.

    Raises `DriverError` when the line cannot be driven locked, `ValueError` when `max_s` is not a positive number.
    """

    def __init__(self, line: Line, *, max_s: float, on_fault: Callable[[Exception], None]) -> None:
        self._line = line
        self._on_fault = on_fault
        # Reentrant, so that a line or a callback of the caller's may come back in.
        self._changed = threading.Condition(threading.RLock())
        self._under_way: _UnderWay | None = None
        self._ended: list[tuple[Callable[[Pulse], None], Pulse]] = []
        self._is_closed = False
        fault = self._drive_locked()
        if fault is not None:
            raise self._not_locked() from fault
        if not _is_positive(max_s):
            raise ValueError(f"{line.name}: the longest pulse must be a positive number of seconds, not {max_s}")
        self._max_s = max_s
        self._guard = threading.Thread(target=self._guard_pulses, name=f"guard of {line.name}", daemon=True)
        self._guard.start()

    @property
    def is_released(self) -> bool:
        """Whether a pulse is under way, or one did not end because the line does not lock."""
        return self._under_way is not None

    def release(self, pulse_s: float, on_locked: Callable[[Pulse], None]) -> int:
        """Release for `pulse_s` seconds, moving the line in the calling thread.

        Returns at once; the guard locks. `on_locked` is called in the guard's thread once it has, however the pulse ended.

        Returns:
            The tick of the release, in nanoseconds.

        Raises:
            ValueError: `pulse_s` is not a positive number, or above the maximum.
            RelayBusyError: a pulse is under way.
            RelayClosedError: after `close`.
            DriverError: the line did not move; it has been driven locked, and `on_locked` will not be called.
        """
        if not _is_positive(pulse_s) or pulse_s > self._max_s:
            raise ValueError(f"{self._line.name}: a pulse lasts more than 0 and at most {self._max_s} seconds, not {pulse_s}")
        with self._changed:
            self._refuse_unless_free()
            try:
                return self._begin(round(pulse_s * 1e9), on_locked)
            except BaseException as caught:  # noqa: BLE001  it is raised again below, once the line is locked
                error = caught
                fault = self._abandon()
        self._report(fault)
        if isinstance(error, Exception):
            raise DriverError(f"{self._line.name}: the relay did not release: {error}. Check its wiring and its pin.") from error
        raise error

    def lock(self) -> None:
        """Lock now, whatever is under way; any thread, any number of times. After `close` it is locked already.

        Raises:
            DriverError: the line could not be driven locked; `on_fault` has been called.
        """
        with self._changed:
            fault = None if self._is_closed else self._end(LockedBy.ORDER)
        self._report(fault)
        if fault is not None:
            raise self._not_locked() from fault

    def close(self) -> None:
        """Lock, then give the line back; any thread, any number of times.

        The line is given back even if it did not lock: what holds it then is its resistor.

        Raises:
            DriverError: the line could not be driven locked (`on_fault` has been called), or not be given back.
        """
        with self._changed:
            if self._is_closed:
                return
            fault = self._end(LockedBy.CLOSE)
            self._is_closed = True
            self._changed.notify_all()
        self._report(fault)
        try:
            self._line.close()
        finally:
            # Bounded: a callback of the caller's may be waiting for the thread that closes.
            if threading.current_thread() is not self._guard:
                self._guard.join(GUARD_JOIN_S)
        if fault is not None:
            raise self._not_locked() from fault

    def _refuse_unless_free(self) -> None:
        if self._is_closed:
            raise RelayClosedError(f"{self._line.name}: the relay was closed, it can only be locked")
        if self._under_way is not None:
            raise RelayBusyError(f"{self._line.name}: the relay is in a pulse already")
        if not self._guard.is_alive():
            raise DriverError(f"{self._line.name}: the guard that ends pulses is not running. Restart the agent.")

    def _begin(self, pulse_ns: int, on_locked: Callable[[Pulse], None]) -> int:
        self._under_way = under_way = _UnderWay(time.monotonic_ns() + pulse_ns)
        self._line.drive(released=True)
        under_way.released_ns = time.monotonic_ns()
        under_way.ends_ns = under_way.released_ns + pulse_ns
        under_way.on_locked = on_locked
        self._changed.notify_all()
        return under_way.released_ns

    def _abandon(self) -> Exception | None:
        """Lock after a release that failed, and tell nobody: the caller learns it by an exception."""
        if self._under_way is not None:
            self._under_way.on_locked = None
        return self._end(LockedBy.ORDER)

    def _end(self, locked_by: LockedBy) -> Exception | None:
        """Drive locked. A line that refuses stays armed: the guard tries again after a pause."""
        fault = self._drive_locked()
        under_way = self._under_way
        if under_way is None:
            return fault
        now_ns = time.monotonic_ns()
        if fault is not None:
            under_way.ends_ns = now_ns + RELOCK_PAUSE_NS
        else:
            self._under_way = None
            if under_way.on_locked is not None:
                self._ended.append((under_way.on_locked, Pulse(under_way.released_ns, now_ns, locked_by)))
        self._changed.notify_all()
        return fault

    def _drive_locked(self) -> Exception | None:
        fault: Exception | None = None
        for attempt in range(LOCK_ATTEMPTS):
            if attempt:
                time.sleep(ATTEMPT_PAUSE_S)
            try:
                self._line.drive(released=False)
            except Exception as error:  # noqa: BLE001  whatever keeps a door unlocked is a fault, and is returned as one
                fault = error
            else:
                return None
        return fault

    def _guard_pulses(self) -> None:
        """End every pulse on time, until the relay is closed."""
        is_over = False
        try:
            while not is_over:
                with self._changed:
                    fault = self._lock_in_time()
                    ended, self._ended = self._ended, []
                    is_over = self._is_closed
                self._report(fault)
                for on_locked, pulse in ended:
                    self._tell(on_locked, pulse)
        finally:
            # An error that nobody thought of has ended the guard: its last deed is to lock and to say so.
            if not is_over:
                with self._changed:
                    self._drive_locked()
                self._report(DriverError(f"{self._line.name}: the guard that ends pulses has failed"))

    def _lock_in_time(self) -> Exception | None:
        """Wait until a pulse has ended, by time or by order, or the relay is closed; return why the line did not lock."""
        while not self._ended and not self._is_closed:
            if self._under_way is None:
                self._changed.wait()
                continue
            left_ns = self._under_way.ends_ns - time.monotonic_ns()
            if left_ns > 0:
                self._changed.wait(left_ns / 1e9)
                continue
            fault = self._end(LockedBy.TIME)
            if fault is not None:
                return fault
        return None

    def _tell(self, on_locked: Callable[[Pulse], None], pulse: Pulse) -> None:
        try:
            on_locked(pulse)
        except Exception:
            log.exception("%s: locked, but the one who was to be told failed", self._line.name)

    def _report(self, fault: Exception | None) -> None:
        if fault is None:
            return
        try:
            self._on_fault(fault)
        except Exception:
            log.exception("%s: did not lock, and the one who was to be told failed", self._line.name)

    def _not_locked(self) -> DriverError:
        return DriverError(f"{self._line.name}: the relay could not be driven locked. See to the door, then check its pin and wiring.")


def _is_positive(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0
