"""Time is an interval (P6): what the door knows of now, from the kernel's word and from nothing else."""

from __future__ import annotations

import ctypes
import threading
import time
from dataclasses import dataclass

import pytest

from agent import timekeeping
from agent.core.clock import FAR_FUTURE_MS, ClockRules, ClockState, Interval, Reading, Trust
from agent.errors import AgentError
from agent.timekeeping import DoorClock, Now, kernel_reading

NTP = ClockRules(Trust.NTP, drift_ppm=200)
SYSTEM = ClockRules(Trust.SYSTEM, system_error_ms=2_000)
NOW_MS = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000
HOUR_NS = 3600 * 1_000_000_000
HOUR_MS = 3_600_000


@dataclass
class Kernel:
    """What the kernel would say; time passes and the wall clock is set by hand."""

    wall_ms: int = NOW_MS
    tick_ns: int = 7 * HOUR_NS
    is_synchronised: bool = False
    error_ms: int = 100

    def read(self) -> Reading:
        """The reading of this moment."""
        return Reading(self.wall_ms, self.tick_ns, self.is_synchronised, self.error_ms)

    def pass_hours(self, hours: int) -> None:
        """Both clocks go on."""
        self.tick_ns += hours * HOUR_NS
        self.wall_ms += hours * HOUR_MS


def test_ok__after_power_on_only_the_earliest_is_known() -> None:
    """Never synchronised: not earlier than what was seen before, plus the time since, less drift; no latest at all."""
    kernel = Kernel(wall_ms=NOW_MS + 10)
    clock = DoorClock(kernel.read, NTP, NOW_MS)
    assert clock.now() == Now(Interval(NOW_MS, FAR_FUTURE_MS), ClockState.LOST, NOW_MS + 10)
    kernel.pass_hours(10)
    found = clock.now()
    assert (found.state, found.interval.latest_ms, found.guess_ms) == (ClockState.LOST, FAR_FUTURE_MS, NOW_MS + 10 + 10 * HOUR_MS)
    assert 10 * HOUR_MS - 7_210 <= found.interval.earliest_ms - NOW_MS <= 10 * HOUR_MS - 7_200, "200 ppm of ten hours are 7.2 s"


def test_ok__a_new_store_knows_nothing() -> None:
    """Without any memory every instant since 1970 is possible."""
    assert DoorClock(Kernel().read, NTP, 0).now() == Now(Interval(0, FAR_FUTURE_MS), ClockState.LOST, NOW_MS)


def test_ok__while_synchronised_the_interval_is_the_kernels_error() -> None:
    """NTP's word counts, with the error that the kernel admits, even when it contradicts what was remembered."""
    kernel = Kernel(is_synchronised=True, error_ms=250)
    clock = DoorClock(kernel.read, NTP, NOW_MS + YEAR_MS)
    assert clock.now() == Now(Interval(NOW_MS - 250, NOW_MS + 250), ClockState.SYNCHRONISED, NOW_MS)


def test_ok__after_ntp_is_gone_the_interval_grows_with_drift() -> None:
    """What was certain is held: two days offline cost half a minute of certainty either way."""
    kernel = Kernel(is_synchronised=True)
    clock = DoorClock(kernel.read, NTP, 0)
    clock.now()
    kernel.is_synchronised = False
    kernel.pass_hours(48)
    held = clock.now()
    true_ms = NOW_MS + 48 * HOUR_MS
    assert (held.state, held.guess_ms) == (ClockState.HOLDING, true_ms)
    assert 34_600 < true_ms - held.interval.earliest_ms < 34_700
    assert 34_600 < held.interval.latest_ms - true_ms < 34_700


def test_ok__asking_often_does_not_widen_the_interval() -> None:
    """A busy door is as sure of the time as a quiet one."""
    kernel = Kernel(is_synchronised=True)
    busy, quiet = DoorClock(kernel.read, NTP, 0), DoorClock(kernel.read, NTP, 0)
    assert busy.now() == quiet.now()
    kernel.is_synchronised = False
    for _ in range(2000):
        kernel.tick_ns += 1_234_567
        busy.now()
    assert busy.now() == quiet.now()


def test_ok__a_later_synchronisation_is_the_new_anchor() -> None:
    """Growth starts anew from each certain moment."""
    kernel = Kernel(is_synchronised=True)
    clock = DoorClock(kernel.read, NTP, 0)
    clock.now()
    kernel.pass_hours(48)
    clock.now()
    kernel.is_synchronised = False
    kernel.pass_hours(1)
    held = clock.now()
    true_ms = NOW_MS + 49 * HOUR_MS
    assert max(true_ms - held.interval.earliest_ms, held.interval.latest_ms - true_ms) < 100 + 730


@pytest.mark.parametrize("was_synchronised", [False, True])
@pytest.mark.parametrize("jump_ms", [-30 * YEAR_MS, -HOUR_MS, HOUR_MS, 30 * YEAR_MS])
def test_ok__a_jump_of_the_wall_clock_does_not_move_the_interval(was_synchronised: bool, jump_ms: int) -> None:
    """While NTP does not hold it, the wall clock may say what it likes: a code is not let in earlier or later for it."""
    kernel = Kernel(is_synchronised=was_synchronised)
    clock = DoorClock(kernel.read, NTP, NOW_MS - 50)
    clock.now()
    kernel.is_synchronised = False
    kernel.pass_hours(1)
    before = clock.now()
    kernel.wall_ms += jump_ms
    after = clock.now()
    assert (after.interval, after.state) == (before.interval, before.state)
    assert after.interval.earliest_ms <= after.guess_ms <= after.interval.latest_ms


@pytest.mark.parametrize("jump_ms", [-30 * YEAR_MS, 30 * YEAR_MS])
def test_ok__with_ntp_the_wall_clock_is_believed_again(jump_ms: int) -> None:
    """Once the kernel says that it is synchronised, a wrong hour before it is forgotten."""
    kernel = Kernel()
    clock = DoorClock(kernel.read, NTP, NOW_MS)
    kernel.wall_ms += jump_ms
    clock.now()
    kernel.wall_ms, kernel.is_synchronised = NOW_MS + 5, True
    assert clock.now() == Now(Interval(NOW_MS - 95, NOW_MS + 105), ClockState.SYNCHRONISED, NOW_MS + 5)


def test_ok__a_trusted_system_clock_always_counts() -> None:
    """With a battery-backed clock the wall clock is the word, with the error of the settings."""
    kernel = Kernel()
    clock = DoorClock(kernel.read, SYSTEM, NOW_MS - YEAR_MS)
    assert clock.now() == Now(Interval(NOW_MS - 2_000, NOW_MS + 2_000), ClockState.TRUSTED, NOW_MS)
    kernel.wall_ms += HOUR_MS
    assert clock.now().guess_ms == NOW_MS + HOUR_MS


def test_ok__the_kernel_is_read() -> None:
    """On this machine: the wall clock of now, ticks that go on while asleep, and an error that is never below a tenth of a second."""
    read = kernel_reading()
    before_ms, before_ns = time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    found = read()
    assert before_ms <= found.wall_ms <= time.time_ns() // 1_000_000
    assert before_ns <= found.tick_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert found.error_ms >= 100


class Libc:
    """A C library whose `adjtimex` says what a kernel would."""

    def __init__(self, state: int, status: int, error_us: int) -> None:
        self.answer = (state, status, error_us)
        self.modes: list[int] = []

    def adjtimex(self, reference: object) -> int:
        """Fill the structure as the kernel does."""
        timex = reference._obj  # type: ignore[attr-defined]  # what byref() points to
        self.modes.append(timex.modes)
        state, timex.status, timex.maxerror = self.answer
        return state


@pytest.mark.parametrize(
    ("answer", "is_synchronised", "error_ms"),
    [
        ((0, 0x2001, 250_000), True, 250),
        ((0, 0x2001, 900), True, 100),
        ((1, 0x2011, 16_000_000), True, 16_000),
        ((5, 0x2001, 250_000), False, 250),
        ((0, 0x2041, 250_000), False, 250),
        ((5, 0x0040, 16_000_000), False, 16_000),
    ],
)
def test_ok__both_of_the_kernels_words_must_say_synchronised(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, int, int], is_synchronised: bool, error_ms: int
) -> None:
    """TIME_ERROR or STA_UNSYNC, either is enough for a no; a leap second announced is no reason to doubt; nothing is ever set."""
    libc = Libc(*answer)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: libc)
    found = timekeeping.kernel_reading()()
    assert (found.is_synchronised, found.error_ms) == (is_synchronised, error_ms)
    assert set(libc.modes) == {0}


def test_fail__a_kernel_that_does_not_tell_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that forbids the call is named, instead of a clock that is believed or doubted without ground."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc(-1, 0, 0))
    with pytest.raises(AgentError, match="adjtimex is forbidden"):
        timekeeping.kernel_reading()


def test_ok__threads_agree_on_one_clock() -> None:
    """Asked by the loop and the doorman at once, while NTP comes and goes, no answer leaves out the truth."""
    start_ns = time.monotonic_ns()
    flips = iter(range(10**9))

    def read() -> Reading:
        passed_ns = time.monotonic_ns() - start_ns
        return Reading(NOW_MS + passed_ns // 1_000_000, passed_ns, next(flips) % 3 == 0, 100)

    clock = DoorClock(read, NTP, NOW_MS)
    wrong: list[Now] = []

    def ask() -> None:
        for _ in range(3000):
            before_ms = NOW_MS + (time.monotonic_ns() - start_ns) // 1_000_000
            found = clock.now()
            after_ms = NOW_MS + (time.monotonic_ns() - start_ns) // 1_000_000
            if found.interval.earliest_ms > after_ms or found.interval.latest_ms < before_ms or found.state is ClockState.TRUSTED:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_ok__threads_read_the_kernel_at_once() -> None:
    """The one structure that the kernel fills is shared by all threads; no reading comes out torn."""
    read = kernel_reading()
    found: list[Reading] = []

    def ask() -> None:
        found.extend(read() for _ in range(500))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2000
    assert {reading.is_synchronised for reading in found} == {found[0].is_synchronised}
    assert max(reading.wall_ms for reading in found) - min(reading.wall_ms for reading in found) < 60_000
