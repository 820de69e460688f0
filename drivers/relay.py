"""The policy of promise P1 over any line: released only inside a pulse, and every pulse ends by itself. Fire is the one exception.

Rule 1: the line is driven first thing, and again before it is given back: locked, or in fire released.
Rule 2: a pulse is armed before the line moves, so that whatever happens next, the guard ends it.
Rule 3: the guard is a thread of its own: a hung or busy event loop cannot lengthen a pulse.
Rule 4: a pulse may be extended, and is never over later than the maximum after the last time.
Rule 5: while there is fire the line is released, and nothing here drives it locked: no pulse that ends, no order, no close.
Rule 6: nothing of the caller's (`on_locked`, `on_fault`) runs while the lock below is held, or can end the guard.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import DriverError, Line, LockedBy, Pulse, RelayBusyError, RelayClosedError

ATTEMPTS = 5
ATTEMPT_PAUSE_S = 0.01
# A line that did not go where it belongs is driven again at this pace until it does, or until the agent is gone.
RETRY_PAUSE_NS = 1_000_000_000
GUARD_JOIN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _UnderWay:
    """A pulse that has been armed: when it must end, whom to tell, and, once its end has begun, why."""

    ends_ns: int
    renewed_ns: int
    released_ns: int = 0
    on_locked: Callable[[Pulse], None] | None = None
    ended_by: LockedBy | None = None


class PulsedRelay:
    """A relay on `line` that is released for at most `max_s` seconds at a time, and for as long as there is fire.

    With `is_fire` the first thing that the line is driven is released, and it was never locked.

    `on_fault` is called when the line could not be driven to where it belongs after several attempts, or when the guard ended. The
    lock may then be released, or in fire be locked: the caller is expected to end the process at once, so that the service manager
    sees to the lock from outside. It may be called from any thread, and again every second while the line still does not move.

    Raises `DriverError` when the line cannot be driven, `ValueError` when `max_s` is not a positive number.
    """

    def __init__(self, line: Line, *, max_s: float, on_fault: Callable[[Exception], None], is_fire: bool = False) -> None:
        self._line = line
        self._on_fault = on_fault
        # Reentrant, so that a line or a callback of the caller's may come back in.
        self._changed = threading.Condition(threading.RLock())
        self._under_way: _UnderWay | None = None
        self._ended: list[tuple[Callable[[Pulse], None], Pulse]] = []
        self._retry_ns: int | None = None
        self._is_fire = is_fire
        self._is_closed = False
        self._is_guarded = True
        fault = self._drive()
        if fault is not None:
            raise self._not_driven() from fault
        if not _is_positive(max_s):
            raise ValueError(f"{line.name}: the longest pulse must be a positive number of seconds, not {max_s}")
        self._max_s = max_s
        self._guard = threading.Thread(target=self._guard_pulses, name=f"guard of {line.name}", daemon=True)
        self._guard.start()

    @property
    def is_released(self) -> bool:
        """Whether there is fire, a pulse is under way, or one did not end because the line does not lock."""
        return self._is_fire or self._under_way is not None

    @property
    def renewed_ns(self) -> int | None:
        """The tick at which the pulse under way began or was last extended; None without one. Fire is no pulse."""
        under_way = self._under_way
        return None if under_way is None else under_way.renewed_ns

    def release(self, pulse_s: float, on_locked: Callable[[Pulse], None]) -> int:
        """Release for `pulse_s` seconds, moving the line in the calling thread.

        Returns at once; the guard locks. `on_locked` is called in the guard's thread once it has, however the pulse ended. In fire the
        pulse is counted and told of as ever, and the line stays released when it ends.

        Returns:
            The tick of the release, in nanoseconds.

        Raises:
            ValueError: `pulse_s` is not a positive number, or above the maximum.
            RelayBusyError: a pulse is under way.
            RelayClosedError: after `close`.
            DriverError: the line did not move, and `on_locked` will not be called; or it does not lock since some time.
        """
        self._check_length(pulse_s)
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

    def extend(self, pulse_s: float) -> None:
        """Have the pulse under way end `pulse_s` seconds from now, sooner or later than it would have; any thread.

        Nothing happens without a pulse, or when its time is over: what is late is not made later.

        Raises:
            ValueError: `pulse_s` is not a positive number, or above the maximum.
        """
        self._check_length(pulse_s)
        with self._changed:
            under_way, now_ns = self._under_way, time.monotonic_ns()
            if under_way is None or under_way.ended_by is not None or under_way.ends_ns <= now_ns:
                return
            under_way.renewed_ns = now_ns
            under_way.ends_ns = now_ns + round(pulse_s * 1e9)
            self._changed.notify_all()

    def shorten(self, pulse_s: float) -> None:
        """Have the pulse under way end `pulse_s` seconds from now if that is sooner than it would have, never later; any thread.

        Nothing happens without a pulse. Raises `ValueError` for what is not a positive number, or above the maximum.
        """
        self._check_length(pulse_s)
        with self._changed:
            under_way = self._under_way
            if under_way is not None and under_way.ended_by is None:
                under_way.ends_ns = min(under_way.ends_ns, time.monotonic_ns() + round(pulse_s * 1e9))
                self._changed.notify_all()

    def lock(self, by: LockedBy = LockedBy.ORDER) -> None:
        """Lock now, whatever is under way; any thread, any number of times. After `close` it is locked already.

        In fire a pulse under way ends, and the line stays released.

        Raises:
            DriverError: the line could not be driven locked; `on_fault` has been called.
        """
        with self._changed:
            fault = None if self._is_closed else self._end(by)
        self._report(fault)
        if fault is not None:
            raise self._not_driven() from fault

    def set_fire(self, *, is_on: bool) -> None:
        """Say that there is fire, or that it is over; any thread, any number of times.

        Fire releases at once. Its end locks, unless a pulse is under way, which then ends as ever. A line that does not move is told
        to `on_fault` and tried on: nothing is raised. After `close` nothing happens.
        """
        with self._changed:
            if self._is_closed or (not is_on and not self._is_fire):
                return
            self._is_fire = is_on
            is_in_pulse = self._under_way is not None and self._under_way.ended_by is None
            fault = None if is_in_pulse and not is_on else self._settle()
        self._report(fault)

    def close(self) -> None:
        """Lock, unless there is fire, then give the line back; any thread, any number of times.

        The line is given back even if it did not lock: what holds it then is its resistor.

        Raises:
            DriverError: the line could not be driven (`on_fault` has been called), or not be given back.
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
            raise self._not_driven() from fault

    def _check_length(self, pulse_s: float) -> None:
        if not _is_positive(pulse_s) or pulse_s > self._max_s:
            raise ValueError(f"{self._line.name}: a pulse lasts more than 0 and at most {self._max_s} seconds, not {pulse_s}")

    def _refuse_unless_free(self) -> None:
        if self._is_closed:
            raise RelayClosedError(f"{self._line.name}: the relay was closed, it can only be locked")
        if self._under_way is not None:
            raise RelayBusyError(f"{self._line.name}: the relay is in a pulse already")
        if self._retry_ns is not None and not self._is_fire:
            raise self._not_driven()
        if not self._is_guarded:
            raise DriverError(f"{self._line.name}: the guard that ends pulses is not running. Restart the agent.")

    def _begin(self, pulse_ns: int, on_locked: Callable[[Pulse], None]) -> int:
        now_ns = time.monotonic_ns()
        self._under_way = under_way = _UnderWay(now_ns + pulse_ns, now_ns)
        self._line.drive(released=True)
        under_way.released_ns = under_way.renewed_ns = time.monotonic_ns()
        under_way.ends_ns = under_way.released_ns + pulse_ns
        under_way.on_locked = on_locked
        self._changed.notify_all()
        return under_way.released_ns

    def _abandon(self) -> Exception | None:
        """Lock after a release that failed, and tell nobody: the caller learns it by an exception."""
        if self._under_way is not None:
            self._under_way.on_locked = None
        return self._end(LockedBy.ORDER)

    def _end(self, by: LockedBy) -> Exception | None:
        """Begin the end of the pulse under way, if there is one, and drive the line to where it then belongs."""
        if self._under_way is not None and self._under_way.ended_by is None:
            self._under_way.ended_by = by
        return self._settle()

    def _settle(self) -> Exception | None:
        """Drive the line to where it belongs. The guard tries one that refuses again, and what does not lock stays in its pulse."""
        fault = self._drive()
        now_ns = time.monotonic_ns()
        self._retry_ns = None if fault is None else now_ns + RETRY_PAUSE_NS
        under_way = self._under_way
        if under_way is not None and under_way.ended_by is not None and (fault is None or self._is_fire):
            self._under_way = None
            if under_way.on_locked is not None:
                self._ended.append((under_way.on_locked, Pulse(under_way.released_ns, now_ns, under_way.ended_by)))
        self._changed.notify_all()
        return fault

    def _drive(self) -> Exception | None:
        """The only place where a line is driven locked; released it is driven here in fire, and where a pulse begins."""
        is_in_pulse = self._under_way is not None and self._under_way.ended_by is None
        fault: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(ATTEMPT_PAUSE_S)
            try:
                self._line.drive(released=self._is_fire or is_in_pulse)
            except Exception as error:  # noqa: BLE001  whatever keeps a door from where it belongs is a fault, and is returned as one
                fault = error
            else:
                return None
        return fault

    def _guard_pulses(self) -> None:
        """End every pulse on time, until the relay is closed."""
        is_over = False
        try:
            while not is_over:
                is_over = self._guard_once()
        finally:
            # An error that nobody thought of has ended the guard: its last deed is to lock, but in fire, and to say so.
            if not is_over:
                with self._changed:
                    self._is_guarded = False
                    if not self._is_closed:
                        self._end(LockedBy.ORDER)
                self._report(DriverError(f"{self._line.name}: the guard that ends pulses has failed"))

    def _guard_once(self) -> bool:
        """Wait for what is next to be done, do it and tell of it; returns whether it was the last."""
        with self._changed:
            fault = self._settle_in_time()
            ended, self._ended = self._ended, []
            is_over = self._is_closed
        self._report(fault)
        for on_locked, pulse in ended:
            self._tell(on_locked, pulse)
        return is_over

    def _settle_in_time(self) -> Exception | None:
        """Wait until a pulse has ended, by time or by order, or the relay is closed; return why the line did not move."""
        while not self._ended and not self._is_closed:
            due_ns = self._due_ns()
            if due_ns is None:
                self._changed.wait()
            elif (left_ns := due_ns - time.monotonic_ns()) > 0:
                self._changed.wait(left_ns / 1e9)
            else:
                fault = self._end(LockedBy.TIME) if self._is_pulse_due() else self._settle()
                if fault is not None:
                    return fault
        return None

    def _due_ns(self) -> int | None:
        """When the guard has to act next: at the end of a pulse, or to try a line again."""
        under_way = self._under_way
        ends_ns = under_way.ends_ns if under_way is not None and under_way.ended_by is None else None
        return min((due_ns for due_ns in (ends_ns, self._retry_ns) if due_ns is not None), default=None)

    def _is_pulse_due(self) -> bool:
        return self._under_way is not None and self._under_way.ends_ns <= time.monotonic_ns()

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
            log.exception("%s: did not move, and the one who was to be told failed", self._line.name)

    def _not_driven(self) -> DriverError:
        level = "released, and there is fire" if self._is_fire else "locked"
        return DriverError(f"{self._line.name}: the relay could not be driven {level}. See to the door, then check its pin and wiring.")


def _is_positive(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0
