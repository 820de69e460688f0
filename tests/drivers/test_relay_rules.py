"""The relay's rules in any order of events: released only inside a pulse or in fire, and never driven locked against fire.

The clock is a played one, and the guard takes its turns in the test's thread, so days of events need no time and no luck.
"""

from __future__ import annotations

import threading
from collections import Counter
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drivers import relay as relay_module
from drivers.base import DriverError, LockedBy, Pulse, RelayBusyError, RelayClosedError
from drivers.relay import ATTEMPTS, RETRY_PAUSE_NS, PulsedRelay

MAX_S = 10.0
MS = 1_000_000
LENGTHS_S = st.sampled_from([0.1, 0.5, 1.0, 3.0, MAX_S])


class PlayedTime:
    """The clock of the relay's module, which moves when it is told to, and when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * RETRY_PAUSE_NS

    def monotonic_ns(self) -> int:
        """The tick."""
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now_ns += round(seconds * 1e9)


class AsleepError(Exception):
    """The guard has nothing to do until later than the test wants to know."""


class PlayedCondition(threading.Condition):
    """A condition on which the guard waits without waiting: the clock moves instead."""

    def __init__(self, clock: PlayedTime) -> None:
        super().__init__(threading.RLock())
        self.clock = clock
        self.until_ns = 0

    def wait(self, timeout: float | None = None) -> bool:
        """Move the clock to when the guard would wake, unless the test does not go so far."""
        wakes_ns = None if timeout is None else self.clock.now_ns + round(timeout * 1e9)
        if wakes_ns is None or wakes_ns > self.until_ns:
            self.clock.now_ns = max(self.clock.now_ns, self.until_ns)
            raise AsleepError
        self.clock.now_ns = wakes_ns
        return False


class WatchedLine:
    """A line with the levels that the rules allow, told by the test; whatever else it is driven to is kept as a breach."""

    name = "watched line"

    def __init__(self) -> None:
        self.level: bool | None = None
        self.is_fire = False
        self.may_be_released = False
        self.failures: Counter[bool] = Counter()
        self.moves_when_failing = True
        self.driven: list[bool] = []
        self.breaches: list[str] = []
        self.is_closed = False

    def drive(self, *, released: bool) -> None:
        """Move, and keep what was not allowed."""
        self.driven.append(released)
        if self.is_closed:
            self.breaches.append("driven after it was given back")
        if self.is_fire and not released:
            self.breaches.append("driven locked in fire")
        if released and not self.is_fire and not self.may_be_released:
            self.breaches.append("driven released outside of a pulse")
        is_failing = self.failures[released] > 0
        if not is_failing or self.moves_when_failing:
            self.level = released
        if is_failing:
            self.failures[released] -= 1
            raise OSError("the line refuses")

    def close(self) -> None:
        """It is given back."""
        self.is_closed = True


class RelayRules(RuleBasedStateMachine):
    """A relay and, beside it, what the rules say of it."""

    @initialize(is_fire=st.booleans())
    def begin(self, is_fire: bool) -> None:
        """A relay with a guard that runs when the test says so; the first thing that the line is driven is where it belongs."""
        self.patch = pytest.MonkeyPatch()
        self.clock = PlayedTime()
        self.condition = PlayedCondition(self.clock)
        stand_ins = SimpleNamespace(
            Condition=lambda _lock: self.condition,
            RLock=threading.RLock,
            Thread=lambda **_: SimpleNamespace(start=lambda: None, join=lambda _timeout: None),
            current_thread=threading.current_thread,
        )
        self.patch.setattr(relay_module, "threading", stand_ins)
        self.patch.setattr(relay_module, "time", self.clock)
        self.line = WatchedLine()
        self.line.is_fire = is_fire
        self.faults: list[Exception] = []
        self.told: list[Pulse] = []
        self.expected: list[LockedBy] = []
        self.ends_ns: int | None = None
        self.renewed_ns = 0
        self.is_closed = False
        self.relay = PulsedRelay(self.line, max_s=MAX_S, on_fault=self.faults.append, is_fire=is_fire)
        assert self.line.driven == [is_fire]

    def teardown(self) -> None:
        """Give the module its clock and its threads back."""
        if hasattr(self, "patch"):
            self.patch.undo()

    def _guard(self, until_ns: int) -> None:
        """The guard's turns until this tick."""
        self.condition.until_ns = until_ns
        for _ in range(1000):
            try:
                if self.relay._guard_once():
                    return
            except AsleepError:
                return
        raise AssertionError("the guard does not come to rest")

    def _forget_pulse(self, by: LockedBy) -> None:
        """What the rules say once the end of a pulse has begun."""
        if self.ends_ns is not None:
            self.ends_ns = None
            self.line.may_be_released = False
            self.expected.append(by)

    def _settle(self) -> None:
        """Let the guard do what is due now; a line that refuses takes time, in which a pulse may have ended."""
        if self.ends_ns is not None and self.ends_ns <= self.clock.now_ns:
            self._forget_pulse(LockedBy.TIME)
        self._guard(self.clock.now_ns)

    @rule(pulse_s=LENGTHS_S)
    def release(self, pulse_s: float) -> None:
        """A pulse begins when the relay is free; one that fails is no pulse."""
        is_busy = self.relay.renewed_ns is not None
        before_ns, count = self.clock.now_ns, len(self.line.driven)
        self.line.may_be_released = self.line.may_be_released or not (is_busy or self.is_closed)
        try:
            self.relay.release(pulse_s, self.told.append)
        except RelayClosedError:
            assert self.is_closed
        except RelayBusyError:
            assert is_busy
        except DriverError:
            self.line.may_be_released = False
            assert len(self.line.driven) == count or not self.line.driven[-1] or self.line.is_fire
        else:
            self.renewed_ns, self.ends_ns = before_ns, before_ns + round(pulse_s * 1e9)
        self._settle()

    @rule(pulse_s=LENGTHS_S)
    def extend(self, pulse_s: float) -> None:
        """Only a pulse that is under way is extended, and the line is not driven for it."""
        before = list(self.line.driven)
        self.relay.extend(pulse_s)
        if self.ends_ns is not None:
            self.renewed_ns, self.ends_ns = self.clock.now_ns, self.clock.now_ns + round(pulse_s * 1e9)
        assert self.line.driven == before

    @rule(pulse_s=LENGTHS_S)
    def shorten(self, pulse_s: float) -> None:
        """A pulse under way ends sooner, never later, and the line is not driven for it."""
        before = list(self.line.driven)
        self.relay.shorten(pulse_s)
        if self.ends_ns is not None:
            self.ends_ns = min(self.ends_ns, self.clock.now_ns + round(pulse_s * 1e9))
        assert self.line.driven == before

    @rule(by=st.sampled_from(LockedBy))
    def lock(self, by: LockedBy) -> None:
        """An order ends the pulse; that it did not lock is said."""
        self._forget_pulse(by)
        count, faults = len(self.line.driven), len(self.faults)
        try:
            self.relay.lock(by)
        except DriverError:
            assert len(self.faults) == faults + 1
        else:
            assert self.is_closed or self.line.driven[count:][-1] == self.line.is_fire
        self._settle()

    @rule(is_on=st.booleans())
    def set_fire(self, is_on: bool) -> None:
        """Fire releases before `set_fire` returns, or is a fault."""
        self.line.is_fire = is_on and not self.is_closed
        faults = len(self.faults)
        self.relay.set_fire(is_on=is_on)
        if is_on and not self.is_closed:
            assert self.line.driven[-1]
            assert self.line.level or len(self.faults) == faults + 1
        self._settle()

    @rule(passed_s=st.sampled_from([0.0, 0.05, 0.5, 1.0, 2.0, 5.0, 20.0]))
    def wait(self, passed_s: float) -> None:
        """Time passes, and the guard is there."""
        until_ns = self.clock.now_ns + round(passed_s * 1e9)
        if self.ends_ns is not None and self.ends_ns <= until_ns:
            ends_ns = self.ends_ns
            self._guard(ends_ns - 1)
            self._forget_pulse(LockedBy.TIME)
        self._guard(until_ns)

    @rule(
        levels=st.sampled_from([(False,), (False,), (True,), (False, True)]),
        count=st.sampled_from([1, ATTEMPTS, 10_000]),
        moves=st.booleans(),
    )
    def break_line(self, levels: tuple[bool, ...], count: int, moves: bool) -> None:
        """The line refuses these levels a number of times, or until it is mended, and moves all the same or does not."""
        self.line.failures.update(dict.fromkeys(levels, count))
        self.line.moves_when_failing = moves

    @precondition(lambda self: self.line.failures)
    @rule()
    def mend_line(self) -> None:
        """The line works again, and the guard soon finds out."""
        self.line.failures.clear()

    @precondition(lambda self: not self.is_closed)
    @rule(really=st.sampled_from([False, False, False, False, False, True]))
    def close(self, really: bool) -> None:
        """In fire the line is given back released; otherwise locked, if it locks at all."""
        if not really:
            return
        self._forget_pulse(LockedBy.CLOSE)
        faults = len(self.faults)
        try:
            self.relay.close()
        except DriverError:
            assert len(self.faults) == faults + 1
        else:
            assert self.line.level == self.line.is_fire
        self.is_closed = True
        self._settle()

    @invariant()
    def no_rule_is_broken(self) -> None:
        """What the line was driven to was allowed at that moment."""
        if hasattr(self, "line"):
            assert self.line.breaches == []

    @invariant()
    def it_is_where_it_belongs(self) -> None:
        """At rest the line is released in fire and in a pulse, else locked, unless it refused and is tried on."""
        if not hasattr(self, "line") or self.is_closed:
            return
        assert self.line.level == (self.line.is_fire or self.ends_ns is not None) or self.relay._retry_ns is not None
        if self.ends_ns is not None:
            assert self.clock.now_ns < self.ends_ns <= self.renewed_ns + MAX_S * 1e9
            assert self.relay.renewed_ns == self.renewed_ns
            assert self.relay.is_released

    @invariant()
    def every_pulse_is_told_once(self) -> None:
        """Each pulse that ended is told with why, in their order; one that does not lock is told once it does."""
        if hasattr(self, "line"):
            told = [pulse.locked_by for pulse in self.told]
            is_one_left = len(told) == len(self.expected) - 1 and (self.relay.renewed_ns is not None or self.is_closed)
            assert told == self.expected or (is_one_left and told == self.expected[:-1])


RelayRules.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
test_ok__in_any_order_of_events = RelayRules.TestCase
