"""Promise P1 at the relay: released only inside a pulse, and every pulse ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import queue
import threading
import time
from collections.abc import Iterator

import pytest

from drivers.base import DriverError, LockedBy, Pulse, RelayBusyError, RelayClosedError
from drivers.fake import PlayedLine
from drivers.relay import ATTEMPTS, PulsedRelay

MAX_S = 5.0
WAIT_S = 10.0


class FailingLine(PlayedLine):
    """A line that refuses as often as it is told to."""

    def __init__(self) -> None:
        super().__init__(None, name="failing line")
        self.lock_failures = 0
        self.release_error: BaseException | None = None

    def drive(self, *, released: bool) -> None:
        """Move, and then say that it did not: the worst case."""
        super().drive(released=released)
        if released and self.release_error is not None:
            raise self.release_error
        if not released and self.lock_failures:
            self.lock_failures -= 1
            raise OSError("the line does not lock")


class Bench:
    """A relay on a line that records, and the queues of what it tells."""

    def __init__(self) -> None:
        self.line = FailingLine()
        self.pulses: queue.Queue[Pulse] = queue.Queue()
        self.faults: queue.Queue[Exception] = queue.Queue()
        self.relay = PulsedRelay(self.line, max_s=MAX_S, on_fault=self.faults.put)

    def next_pulse(self) -> Pulse:
        """The next pulse that was told, waited for."""
        return self.pulses.get(timeout=WAIT_S)

    def wait_until_locked(self) -> None:
        """For the pulses that nobody is told of."""
        deadline = time.monotonic() + WAIT_S
        while self.relay.is_released and time.monotonic() < deadline:
            time.sleep(0.005)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench that is closed afterwards."""
    bench = Bench()
    yield bench
    bench.relay.close()


def lasted_s(pulse: Pulse) -> float:
    """How long the relay was released, in seconds."""
    return (pulse.locked_ns - pulse.released_ns) / 1e9


def test_ok__the_line_is_locked_first_thing(bench: Bench) -> None:
    """Before anything is asked of a relay, it is locked."""
    assert bench.line.events == ["locked"]


def test_ok__a_pulse_ends_by_itself(bench: Bench) -> None:
    """A pulse lasts as long as asked, tells what it measured, and leaves the relay locked."""
    before_ns = time.monotonic_ns()
    released_ns = bench.relay.release(0.05, bench.pulses.put)
    assert bench.relay.is_released
    pulse = bench.next_pulse()
    assert before_ns <= released_ns == pulse.released_ns
    assert 0.05 <= lasted_s(pulse) < MAX_S
    assert pulse.locked_by is LockedBy.TIME
    assert not bench.relay.is_released
    assert bench.line.events == ["locked", "released", "locked"]


def test_ok__one_pulse_after_another(bench: Bench) -> None:
    """A relay is free again as soon as its pulse has been told."""
    for _ in range(3):
        bench.relay.release(0.01, bench.pulses.put)
        assert bench.next_pulse().locked_by is LockedBy.TIME
    assert bench.line.events == ["locked", *["released", "locked"] * 3]


def test_fail__a_second_pulse_is_refused(bench: Bench) -> None:
    """A pulse cannot be lengthened by another one."""
    bench.relay.release(MAX_S, bench.pulses.put)
    with pytest.raises(RelayBusyError, match="failing line"):
        bench.relay.release(MAX_S, bench.pulses.put)
    bench.relay.lock()
    assert bench.line.events == ["locked", "released", "locked"]


@pytest.mark.parametrize("pulse_s", [MAX_S + 0.001, 0.0, -1.0, math.inf, -math.inf, math.nan])
def test_fail__no_pulse_beyond_the_maximum(bench: Bench, pulse_s: float) -> None:
    """A length above the maximum, or none at all, is refused and nothing moves."""
    with pytest.raises(ValueError, match="at most"):
        bench.relay.release(pulse_s, bench.pulses.put)
    assert bench.line.events == ["locked"]


def test_ok__lock_ends_a_pulse_at_once(bench: Bench) -> None:
    """An order to lock is carried out before it returns, and told as an order."""
    bench.relay.release(MAX_S, bench.pulses.put)
    bench.relay.lock()
    assert bench.line.events == ["locked", "released", "locked"]
    pulse = bench.next_pulse()
    assert pulse.locked_by is LockedBy.ORDER
    assert lasted_s(pulse) < MAX_S


def test_ok__lock_may_be_given_any_number_of_times(bench: Bench) -> None:
    """An order to lock drives the line each time, pulse or not: it may have been moved from outside."""
    bench.relay.lock()
    bench.relay.lock()
    assert bench.line.events == ["locked"] * 3


def test_ok__close_locks_before_it_gives_the_line_back(bench: Bench) -> None:
    """A line that was given back floats; it is driven locked before, also in the middle of a pulse."""
    bench.relay.release(MAX_S, bench.pulses.put)
    bench.relay.close()
    assert bench.pulses.get_nowait().locked_by is LockedBy.CLOSE
    bench.relay.close()
    bench.relay.lock()
    assert bench.line.events == ["locked", "released", "locked", "closed"]
    assert not bench.relay._guard.is_alive()


def test_fail__a_closed_relay_can_only_be_locked(bench: Bench) -> None:
    """After close nothing releases."""
    bench.relay.close()
    with pytest.raises(RelayClosedError):
        bench.relay.release(0.01, bench.pulses.put)
    assert bench.line.events == ["locked", "locked", "closed"]


def test_ok__close_from_the_callback_does_not_hang(bench: Bench) -> None:
    """The guard's own callback may close the relay."""
    done = threading.Event()

    def close(_pulse: Pulse) -> None:
        bench.relay.close()
        done.set()

    bench.relay.release(0.01, close)
    assert done.wait(WAIT_S)
    assert bench.line.events == ["locked", "released", "locked", "locked", "closed"]


def test_ok__a_busy_loop_does_not_lengthen_a_pulse(bench: Bench) -> None:
    """While the event loop is blocked for a second, the pulse ends on its own time."""

    async def block() -> tuple[list[str], float]:
        bench.relay.release(0.1, bench.pulses.put)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.0:
            pass
        return list(bench.line.events), begin

    events, begin = asyncio.run(block())
    assert events == ["locked", "released", "locked"]
    assert bench.pulses.get_nowait().locked_ns / 1e9 < begin + 1.0


def test_ok__a_task_cancelled_in_a_pulse_leaves_it_to_the_guard(bench: Bench) -> None:
    """Cancellation, which no `except Exception` sees, does not keep a door open."""

    async def visit() -> None:
        bench.relay.release(0.05, bench.pulses.put)
        await asyncio.sleep(3600)

    async def cancel() -> None:
        task = asyncio.create_task(visit())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert bench.next_pulse().locked_by is LockedBy.TIME
    assert bench.line.events == ["locked", "released", "locked"]


def test_ok__a_finally_without_await_locks_a_cancelled_task(bench: Bench) -> None:
    """A caller who wants it locked at once says so in `finally`, and it is."""

    async def visit() -> None:
        try:
            bench.relay.release(MAX_S, bench.pulses.put)
            await asyncio.sleep(3600)
        finally:
            bench.relay.lock()

    async def cancel() -> list[str]:
        task = asyncio.create_task(visit())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return list(bench.line.events)

    assert asyncio.run(cancel()) == ["locked", "released", "locked"]


def test_fail__a_release_that_raises_is_locked(bench: Bench) -> None:
    """A line that moved and then said it did not is driven locked at once, and nobody is told of a pulse."""
    bench.line.release_error = OSError("the line does not release")
    with pytest.raises(DriverError, match="did not release"):
        bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.line.events == ["locked", "released", "locked"]
    assert not bench.relay.is_released
    bench.relay.close()
    assert bench.pulses.empty()


def test_fail__an_interrupted_release_is_locked_and_goes_on_as_it_was(bench: Bench) -> None:
    """Ctrl-C in the middle of a release locks first, and is still a Ctrl-C."""
    bench.line.release_error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.line.events == ["locked", "released", "locked"]
    assert not bench.relay.is_released


def test_fail__a_release_that_the_guard_does_not_hear_of_is_locked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong after the line has moved locks it just the same."""
    notify_all, failures = bench.relay._changed.notify_all, [RuntimeError("cannot notify")]

    def notify() -> None:
        if failures:
            raise failures.pop()
        notify_all()

    monkeypatch.setattr(bench.relay._changed, "notify_all", notify)
    with pytest.raises(DriverError, match="cannot notify"):
        bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.line.events == ["locked", "released", "locked"]
    assert not bench.relay.is_released
    bench.relay.close()
    assert bench.pulses.empty()


def test_fail__a_release_that_neither_releases_nor_locks_is_tried_on(bench: Bench) -> None:
    """A line that is stuck released after a failed release is a fault, and the guard goes on locking it."""
    bench.line.release_error = OSError("the line does not release")
    bench.line.lock_failures = ATTEMPTS
    with pytest.raises(DriverError, match="did not release"):
        bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.faults.qsize() == 1
    assert bench.relay.is_released
    bench.wait_until_locked()
    assert bench.line.events == ["locked", "released", *["locked"] * (ATTEMPTS + 1)]


def test_ok__a_lock_that_fails_once_is_tried_again(bench: Bench) -> None:
    """A passing failure to lock is mended on the spot and is no fault."""
    bench.relay.release(0.01, bench.pulses.put)
    bench.line.lock_failures = ATTEMPTS - 1
    assert bench.next_pulse().locked_by is LockedBy.TIME
    assert bench.faults.empty()


def test_fail__a_lock_that_keeps_failing_is_a_fault_and_is_tried_on(bench: Bench) -> None:
    """A line that does not lock is told to the agent, refuses further pulses, and is tried on until it locks."""
    bench.line.lock_failures = ATTEMPTS
    bench.relay.release(0.01, bench.pulses.put)
    assert "does not lock" in str(bench.faults.get(timeout=WAIT_S))
    with pytest.raises(RelayBusyError):
        bench.relay.release(0.01, bench.pulses.put)
    assert bench.next_pulse().locked_by is LockedBy.TIME
    assert bench.line.events == ["locked", "released", *["locked"] * (ATTEMPTS + 1)]


def test_fail__an_order_to_lock_that_fails_says_so(bench: Bench) -> None:
    """Whoever orders a lock learns that it did not happen; so does the agent."""
    bench.line.lock_failures = ATTEMPTS
    with pytest.raises(DriverError, match="could not be driven locked"):
        bench.relay.lock()
    assert bench.faults.qsize() == 1


def test_fail__a_line_that_does_not_lock_is_given_back_all_the_same(bench: Bench) -> None:
    """On close the resistor is the last hope of a line that cannot be driven."""
    bench.line.lock_failures = ATTEMPTS
    with pytest.raises(DriverError):
        bench.relay.close()
    assert bench.faults.qsize() == 1
    assert bench.line.events[-1] == "closed"


def test_fail__a_line_that_cannot_be_locked_makes_no_relay() -> None:
    """A relay that may be released is not taken into service."""
    line = FailingLine()
    line.lock_failures = ATTEMPTS
    with pytest.raises(DriverError, match="failing line"):
        PulsedRelay(line, max_s=MAX_S, on_fault=print)


def test_ok__a_callback_that_raises_does_not_end_the_guard(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The guard outlives its callers' mistakes, and they are logged."""

    def fail(_pulse: Pulse) -> None:
        raise RuntimeError("the loop is closed")

    bench.relay.release(0.01, fail)
    bench.wait_until_locked()
    bench.relay.release(0.01, bench.pulses.put)
    assert bench.next_pulse().locked_by is LockedBy.TIME
    assert "the loop is closed" in caplog.text


def test_ok__a_fault_callback_that_raises_does_not_end_the_guard(caplog: pytest.LogCaptureFixture) -> None:
    """The one who is to be told of a fault may fail too; the guard goes on trying to lock."""
    line, locked = FailingLine(), threading.Event()

    def fail(_error: Exception) -> None:
        raise RuntimeError("cannot even die")

    relay = PulsedRelay(line, max_s=MAX_S, on_fault=fail)
    line.lock_failures = ATTEMPTS
    relay.release(0.01, lambda _: locked.set())
    assert locked.wait(WAIT_S)
    relay.close()
    assert "cannot even die" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_fail__a_guard_that_ends_locks_and_says_so(bench: Bench) -> None:
    """Should the guard ever fail, its last deed is to lock, and no further pulse begins."""

    def die(_pulse: Pulse) -> None:
        raise SystemExit("what no guard expects")

    bench.relay.release(0.01, die)
    assert "guard" in str(bench.faults.get(timeout=WAIT_S))
    bench.relay._guard.join(WAIT_S)
    assert bench.line.events == ["locked", "released", "locked", "locked"]
    with pytest.raises(DriverError, match="guard"):
        bench.relay.release(0.01, bench.pulses.put)


def test_ok__many_threads_never_leave_it_released() -> None:
    """Releases, orders and a close from several threads at once end locked, and pulses never overlap."""
    bench = Bench()

    def quarrel() -> None:
        for _ in range(50):
            with contextlib.suppress(RelayBusyError, RelayClosedError):
                bench.relay.release(0.0005, bench.pulses.put)
            bench.relay.lock()

    threads = [threading.Thread(target=quarrel) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    bench.relay.close()
    events = bench.line.events
    assert events[-2:] == ["locked", "closed"]
    assert ("released", "released") not in itertools.pairwise(events)
    assert bench.pulses.qsize() == events.count("released")
