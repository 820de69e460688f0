"""What is watched at the doors: each line debounced, and all of them told from one thread.

Rule 1: a level counts once it has stood for the line's debounce time, and its tick is that of the first edge that led to it.
Rule 2: everything is told from the one thread `inputs`, one thing after another; what a callback raises is logged and ends nothing.
Rule 3: a level is read again every second, so an edge that nobody saw is made good within that and the debounce time.
Rule 4: a line that does not answer is told once, and again when it is back; the others go on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import DriverError, Input

READ_EVERY_NS = 1_000_000_000
FIRST_READS = 5
FIRST_READ_PAUSE_S = 0.002
JOIN_S = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A level that counts, and the tick of the first edge that led to it."""

    is_active: bool
    at_ns: int


class Debouncer:
    """One line's level, once it has stood for `debounce_ns`. Pure: it is told the time, and is used from one thread.

    Ticks never go back: one that is older than the last is taken as the last.
    """

    def __init__(self, debounce_ns: int, *, is_active: bool, at_ns: int) -> None:
        self._debounce_ns = debounce_ns
        self.is_active = is_active
        """The level that counts."""
        self._level = is_active
        self._since_ns = at_ns
        self._first_ns: int | None = None
        self.settled_ns = at_ns
        """When the level that counts had stood for long enough."""

    @property
    def due_ns(self) -> int | None:
        """When `settle` has something to decide; None while the line is quiet."""
        return None if self._first_ns is None else self._since_ns + self._debounce_ns

    def edge(self, is_active: bool, at_ns: int) -> list[Change]:
        """An edge to this level; returns what counts by then.

        An edge to the level that the line had already says that it was away in between: the time begins anew.
        """
        if self._first_ns is not None and is_active == self._level and at_ns < self._since_ns:
            # The level was read before its edge was told.
            self._first_ns = min(self._first_ns, at_ns)
            return []
        at_ns = max(at_ns, self._since_ns)
        changes = self.settle(at_ns)
        if self._first_ns is None and is_active == self._level:
            return changes
        if self._first_ns is None:
            self._first_ns = at_ns
        self._level, self._since_ns = is_active, at_ns
        return changes + self.settle(at_ns)

    def seen(self, is_active: bool, at_ns: int) -> list[Change]:
        """The level as it was read; returns what counts by then. One that nobody told of is as good as an edge."""
        if is_active != self._level:
            return self.edge(is_active, at_ns)
        return self.settle(at_ns)

    def settle(self, now_ns: int) -> list[Change]:
        """What counts by now: no more than one change."""
        due_ns = self.due_ns
        if due_ns is None or self._first_ns is None or now_ns < due_ns:
            return []
        first_ns, self._first_ns = self._first_ns, None
        if self._level == self.is_active:
            return []
        self.is_active, self.settled_ns = self._level, due_ns
        return [Change(self.is_active, first_ns)]


class WatchedInput:
    """One line under watch, as `Inputs.add` returns it."""

    def __init__(
        self,
        line: Input,
        debounce_ms: int,
        on_change: Callable[[bool, int], None],
        on_fault: Callable[[DriverError], None],
        on_back: Callable[[], None],
    ) -> None:
        self.line = line
        self.on_change, self.on_fault, self.on_back = on_change, on_fault, on_back
        self.debouncer = Debouncer(debounce_ms * 1_000_000, is_active=_first_level(line), at_ns=time.monotonic_ns())
        self.is_lost = False
        """Whether it does not answer just now."""

    @property
    def name(self) -> str:
        """What an installer calls it."""
        return self.line.name

    @property
    def is_active(self) -> bool:
        """The level that counts; any thread."""
        return self.debouncer.is_active

    @property
    def settled_ns(self) -> int:
        """When the level that counts had stood for long enough."""
        return self.debouncer.settled_ns

    @property
    def is_quiet(self) -> bool:
        """Whether the line has the level that counts, and nothing is being debounced."""
        return self.debouncer.due_ns is None


@dataclass(frozen=True, slots=True)
class _EdgeOf:
    watched: WatchedInput
    is_active: bool
    at_ns: int


class Inputs:
    """All lines that a board watches, and the thread `inputs` in which they are told. Add them, then `start`.

    `on_end` is told when the thread ended by an error: nothing is watched any more, and the caller is expected to end the process.

    `timer` is called in the same thread with the tick: at start, after everything that came or was read, and when it asked to be, which is
    the tick it returns. It may do what the callbacks do without a lock of its own between them.
    """

    def __init__(self, *, on_end: Callable[[Exception], None], timer: Callable[[int], int | None] | None = None) -> None:
        self._on_end = on_end
        self._timer = timer
        self._watched: list[WatchedInput] = []
        self._came: queue.SimpleQueue[_EdgeOf | None] = queue.SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="inputs", daemon=True)

    def add(
        self,
        line: Input,
        *,
        debounce_ms: int,
        on_change: Callable[[bool, int], None],
        on_fault: Callable[[DriverError], None],
        on_back: Callable[[], None],
    ) -> WatchedInput:
        """Watch a line from now on; its level is had at once, as `is_active` of what is returned. Before `start`.

        `on_change` is told each new level that counts and the tick of its first edge; `on_fault` that the line does not answer, once;
        `on_back` that it does again. Closing the line is `close`'s.

        Raises `DriverError` when it cannot be read.
        """
        watched = WatchedInput(line, debounce_ms, on_change, on_fault, on_back)
        line.watch(lambda is_active, at_ns: self._came.put(_EdgeOf(watched, is_active, at_ns)))
        self._watched.append(watched)
        return watched

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def poke(self) -> None:
        """Have the timer called now, in the thread `inputs`; from any thread."""
        self._came.put(None)

    def close(self) -> None:
        """End the thread, and give all lines back; any number of times, from any thread."""
        self._is_closed = True
        self._came.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)
        for watched in self._watched:
            try:
                watched.line.close()
            except DriverError:
                log.exception("%s could not be given back", watched.name)

    def _run(self) -> None:
        try:
            self._tell_until_closed()
        except BaseException as error:
            self._on_end(DriverError(f"The thread that watches the inputs has ended: {error!r}"))
            raise

    def _tell_until_closed(self) -> None:
        read_ns = time.monotonic_ns()
        timer_ns = self._ask_timer()
        while not self._is_closed:
            self._take_what_came(min(due_ns for due_ns in (read_ns, timer_ns, *self._dues()) if due_ns is not None))
            if self._is_closed:
                return
            if time.monotonic_ns() >= read_ns:
                read_ns = time.monotonic_ns() + READ_EVERY_NS
                for watched in self._watched:
                    self._read(watched)
            for watched in self._watched:
                self._tell(watched, watched.debouncer.settle(time.monotonic_ns()))
            timer_ns = self._ask_timer()

    def _dues(self) -> list[int | None]:
        return [watched.debouncer.due_ns for watched in self._watched]

    def _take_what_came(self, until_ns: int) -> None:
        """Wait for an edge or until something is due, and take in all edges that came."""
        try:
            came = self._came.get(timeout=max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
            while True:
                if came is not None:
                    self._tell(came.watched, came.watched.debouncer.edge(came.is_active, came.at_ns))
                came = self._came.get_nowait()
        except queue.Empty:
            return

    def _read(self, watched: WatchedInput) -> None:
        try:
            is_active = watched.line.read()
        except Exception as error:  # noqa: BLE001  whatever it is, the others are read on
            if not watched.is_lost:
                watched.is_lost = True
                fault = error if isinstance(error, DriverError) else DriverError(f"{watched.name}: {error!r}")
                self._call(watched, watched.on_fault, fault)
            return
        if watched.is_lost:
            watched.is_lost = False
            self._call(watched, watched.on_back)
        self._tell(watched, watched.debouncer.seen(is_active, time.monotonic_ns()))

    def _tell(self, watched: WatchedInput, changes: list[Change]) -> None:
        for change in changes:
            self._call(watched, watched.on_change, change.is_active, change.at_ns)

    def _call(self, watched: WatchedInput, callback: Callable[..., None], *args: object) -> None:
        try:
            callback(*args)
        except Exception:
            log.exception("%s changed, and the one who was to be told failed", watched.name)

    def _ask_timer(self) -> int | None:
        if self._timer is None:
            return None
        try:
            return self._timer(time.monotonic_ns())
        except Exception:
            log.exception("The timer of the inputs' thread failed; it is asked again")
            return time.monotonic_ns() + READ_EVERY_NS


def _first_level(line: Input) -> bool:
    """The level at start: read until two readings agree, or as it is after the last."""
    level = line.read()
    for _ in range(FIRST_READS - 1):
        time.sleep(FIRST_READ_PAUSE_S)
        before, level = level, line.read()
        if level == before:
            break
    return level
