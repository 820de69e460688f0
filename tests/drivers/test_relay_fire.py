"""Fire at the relay, and what may be done to a pulse: the one exception to promise P1, and its bounds."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Iterator

import pytest

from drivers.base import DriverError, LockedBy, Pulse, RelayClosedError
from drivers.fake import PlayedLine
from drivers.relay import ATTEMPTS, PulsedRelay

MAX_S = 5.0
WAIT_S = 10.0


class RefusingLine(PlayedLine):
    """A line that does not take one level, as often as it is told to."""

    def __init__(self) -> None:
        super().__init__(None, name="refusing line")
        self.refuses = {False: 0, True: 0}

    def drive(self, *, released: bool) -> None:
        """Refuse, or move."""
        if self.refuses[released]:
            self.refuses[released] -= 1
            raise OSError("the line refuses")
        super().drive(released=released)


class Bench:
    """A relay on a line that records, and the queues of what it tells."""

    def __init__(self, *, is_fire: bool) -> None:
        self.line = RefusingLine()
        self.pulses: queue.Queue[Pulse] = queue.Queue()
        self.faults: queue.Queue[Exception] = queue.Queue()
        self.relay = PulsedRelay(self.line, max_s=MAX_S, on_fault=self.faults.put, is_fire=is_fire)

    def told(self) -> LockedBy:
        """Why the next pulse ended, waited for."""
        return self.pulses.get(timeout=WAIT_S).locked_by

    def wait_for(self, count: int) -> list[str]:
        """What was driven, once there is this much of it."""
        deadline = time.monotonic() + WAIT_S
        while len(self.line.events) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.line.events


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A relay without fire, closed afterwards."""
    bench = Bench(is_fire=False)
    yield bench
    bench.relay.close()


@pytest.fixture
def burning() -> Iterator[Bench]:
    """A relay that was made while there was fire, closed afterwards."""
    bench = Bench(is_fire=True)
    yield bench
    bench.relay.close()


def test_ok__a_relay_made_in_fire_was_never_locked(burning: Bench) -> None:
    """The agent that starts in the middle of a fire releases first thing, and locks when it is over."""
    assert burning.line.events == ["released"]
    assert burning.relay.is_released
    assert burning.relay.renewed_ns is None
    burning.relay.set_fire(is_on=False)
    assert burning.line.events == ["released", "locked"]
    assert not burning.relay.is_released


def test_fail__nothing_locks_in_fire(burning: Bench) -> None:
    """Neither an order, nor a pulse that ends, nor closing; the pulses are told of as ever."""
    burning.relay.lock()
    burning.relay.release(0.01, burning.pulses.put)
    assert burning.told() is LockedBy.TIME
    burning.relay.release(MAX_S, burning.pulses.put)
    burning.relay.lock(LockedBy.OPENED)
    assert burning.told() is LockedBy.OPENED
    burning.relay.release(MAX_S, burning.pulses.put)
    burning.relay.close()
    assert burning.told() is LockedBy.CLOSE
    assert set(burning.line.events[:-1]) == {"released"}
    assert burning.line.events[-1] == "closed"


def test_ok__fire_releases_before_set_fire_returns_and_its_end_locks(bench: Bench) -> None:
    """Fire waits for nobody; told twice it is one fire, and told that it is over without one nothing moves."""
    bench.relay.set_fire(is_on=False)
    bench.relay.set_fire(is_on=True)
    assert bench.line.events == ["locked", "released"]
    bench.relay.set_fire(is_on=True)
    bench.relay.set_fire(is_on=False)
    bench.relay.set_fire(is_on=False)
    assert bench.line.events == ["locked", "released", "released", "locked"]


def test_ok__a_pulse_outlives_the_fire_in_it(bench: Bench) -> None:
    """A fire that is over in the middle of a pulse moves nothing; the pulse ends as ever."""
    bench.relay.release(MAX_S, bench.pulses.put)
    bench.relay.set_fire(is_on=True)
    bench.relay.set_fire(is_on=False)
    assert bench.line.events == ["locked", "released", "released"]
    bench.relay.extend(0.01)
    assert bench.told() is LockedBy.TIME
    assert bench.line.events == ["locked", "released", "released", "locked"]


def test_fail__a_line_that_does_not_release_in_fire_is_a_fault_and_is_tried_on(bench: Bench) -> None:
    """Nothing is raised in the thread that told of the fire, for it has other doors to release; the agent is told."""
    bench.line.refuses[True] = ATTEMPTS
    bench.relay.set_fire(is_on=True)
    assert "refuses" in str(bench.faults.get_nowait())
    assert bench.wait_for(2) == ["locked", "released"]


def test_ok__a_pulse_that_ends_in_fire_is_told_of_though_the_line_refuses(burning: Bench) -> None:
    """The pulse is over whatever the line does, since it is not to lock."""
    burning.relay.release(MAX_S, burning.pulses.put)
    burning.line.refuses[True] = ATTEMPTS
    with pytest.raises(DriverError, match="released, and there is fire"):
        burning.relay.lock()
    assert burning.relay.renewed_ns is None
    assert burning.told() is LockedBy.ORDER


def test_fail__a_relay_made_in_fire_that_does_not_release_is_none() -> None:
    """The one who starts the agent learns that the lock is not released."""
    line = RefusingLine()
    line.refuses[True] = ATTEMPTS
    with pytest.raises(DriverError, match="released, and there is fire"):
        PulsedRelay(line, max_s=MAX_S, on_fault=print, is_fire=True)
    assert line.events == []


def test_fail__after_close_fire_moves_nothing(bench: Bench) -> None:
    """A line that was given back is nobody's to drive."""
    bench.relay.close()
    bench.relay.set_fire(is_on=True)
    assert bench.line.events == ["locked", "locked", "closed"]
    with pytest.raises(RelayClosedError):
        bench.relay.release(0.01, bench.pulses.put)


@pytest.mark.parametrize("by", [LockedBy.ORDER, LockedBy.OPENED, LockedBy.SHUT])
def test_ok__who_locks_says_why(bench: Bench, by: LockedBy) -> None:
    """A pulse that ends because the door was opened, or is shut again, is told so."""
    bench.relay.release(MAX_S, bench.pulses.put)
    bench.relay.lock(by)
    assert bench.told() is by
    assert bench.relay.renewed_ns is None


def test_ok__an_extension_moves_the_end_to_either_side(bench: Bench) -> None:
    """A pulse of the maximum ends sooner when it is told to, and its renewal is the tick of the telling."""
    released_ns = bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.relay.renewed_ns == released_ns
    bench.relay.extend(MAX_S)
    renewed_ns = bench.relay.renewed_ns
    assert renewed_ns is not None
    assert renewed_ns > released_ns
    bench.relay.extend(0.05)
    pulse = bench.pulses.get(timeout=WAIT_S)
    assert pulse.released_ns == released_ns
    assert pulse.locked_ns >= renewed_ns + 50_000_000
    assert bench.line.events == ["locked", "released", "locked"]


def test_ok__a_pulse_is_shortened_and_never_lengthened(bench: Bench) -> None:
    """A later end than its own changes nothing, a sooner one counts, and neither is a renewal; without a pulse nothing happens."""
    bench.relay.shorten(MAX_S)
    released_ns = bench.relay.release(0.2, bench.pulses.put)
    bench.relay.shorten(MAX_S)
    assert bench.relay.renewed_ns == released_ns
    assert bench.relay._under_way is not None
    assert bench.relay._under_way.ends_ns == released_ns + 200_000_000
    bench.told()
    bench.relay.release(MAX_S, bench.pulses.put)
    before_ns = time.monotonic_ns()
    bench.relay.shorten(0.05)
    pulse = bench.pulses.get(timeout=WAIT_S)
    assert pulse.locked_by is LockedBy.TIME
    assert before_ns + 50_000_000 <= pulse.locked_ns < pulse.released_ns + MAX_S * 1e9
    with pytest.raises(ValueError, match="at most"):
        bench.relay.shorten(MAX_S + 1)


def test_fail__without_a_pulse_nothing_is_extended(bench: Bench) -> None:
    """Not before, not after, and not when the relay is closed."""
    bench.relay.extend(MAX_S)
    bench.relay.release(0.01, bench.pulses.put)
    bench.told()
    bench.relay.extend(MAX_S)
    bench.relay.close()
    bench.relay.extend(MAX_S)
    assert bench.line.events == ["locked", "released", "locked", "locked", "closed"]


@pytest.mark.parametrize("pulse_s", [MAX_S + 0.001, 0.0, -1.0, math.inf, math.nan])
def test_fail__no_extension_beyond_the_maximum(bench: Bench, pulse_s: float) -> None:
    """A pulse is never longer than the maximum after the last time that somebody asked."""
    bench.relay.release(0.05, bench.pulses.put)
    with pytest.raises(ValueError, match="at most"):
        bench.relay.extend(pulse_s)
    assert bench.told() is LockedBy.TIME


def test_fail__a_pulse_that_does_not_lock_is_not_extended(bench: Bench) -> None:
    """What was to end goes on being ended, with its reason, however often it is extended."""
    bench.relay.release(MAX_S, bench.pulses.put)
    bench.line.refuses[False] = ATTEMPTS
    with pytest.raises(DriverError, match="driven locked"):
        bench.relay.lock(LockedBy.SHUT)
    renewed_ns = bench.relay.renewed_ns
    bench.relay.extend(MAX_S)
    assert bench.relay.renewed_ns == renewed_ns
    assert bench.told() is LockedBy.SHUT
    assert bench.line.events == ["locked", "released", "locked"]


def test_fail__a_line_that_does_not_lock_begins_no_pulse(bench: Bench) -> None:
    """Whoever asks for a pulse learns that the relay is out of order, until it locks again."""
    bench.line.refuses[False] = ATTEMPTS
    with pytest.raises(DriverError, match="driven locked"):
        bench.relay.lock()
    with pytest.raises(DriverError, match="driven locked"):
        bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.wait_for(2) == ["locked", "locked"]
    bench.relay.release(MAX_S, bench.pulses.put)
    assert bench.line.events == ["locked", "locked", "released"]
