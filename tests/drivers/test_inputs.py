"""The thread that watches: what it tells, in what order, and that nothing ends it unseen."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from drivers.base import DriverError
from drivers.fake import ManualInput
from drivers.inputs import READ_EVERY_NS, Inputs, WatchedInput

WAIT_S = 20.0
Told = tuple[str, object]


class Bench:
    """Inputs with lines moved by hand, and the queue of what they tell."""

    def __init__(self) -> None:
        self.told: queue.Queue[Told] = queue.Queue()
        self.threads: set[str] = set()
        self.ends: queue.Queue[Exception] = queue.Queue()
        self.inputs = Inputs(on_end=self.ends.put)

    def add(self, line: ManualInput, debounce_ms: int = 0) -> WatchedInput:
        """Watch a line; what it tells is kept with its name."""

        def tell(what: object) -> None:
            self.threads.add(threading.current_thread().name)
            self.told.put((line.name, what))

        return self.inputs.add(
            line,
            debounce_ms=debounce_ms,
            on_change=lambda is_active, at_ns: tell((is_active, at_ns)),
            on_fault=lambda error: tell(str(error)),
            on_back=lambda: tell("back"),
        )

    def next(self) -> Told:
        """What is told next, waited for."""
        return self.told.get(timeout=WAIT_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench that is closed afterwards, and whose thread did not end by itself."""
    bench = Bench()
    yield bench
    bench.inputs.close()
    assert bench.ends.empty()


@pytest.mark.parametrize("is_active", [False, True])
def test_ok__the_first_level_is_had_at_once(bench: Bench, is_active: bool) -> None:
    """Before anything else is done it is known whether there is fire; it is no change, and is not told."""
    contact = bench.add(ManualInput(is_active=is_active))
    assert contact.is_active is is_active
    bench.inputs.start()
    assert bench.told.empty()


def test_ok__the_first_level_is_one_that_was_read_twice() -> None:
    """A level that is only seen once is not believed."""

    class Restless(ManualInput):
        levels = iter([True, False, True, True])

        def read(self) -> bool:
            """The next of the levels."""
            return next(self.levels)

    assert Bench().add(Restless()).is_active


def test_fail__a_line_that_cannot_be_read_at_start_is_refused(bench: Bench) -> None:
    """Nobody is told that a door is shut by a line that does not answer."""
    line = ManualInput()
    line.fault = DriverError("no such chip")
    with pytest.raises(DriverError, match="no such chip"):
        bench.add(line)


def test_ok__edges_are_told_in_their_order_with_their_ticks_from_one_thread(bench: Bench) -> None:
    """Two lines, moved from two threads: each one's changes in its order, and never two at once."""
    door, button = ManualInput(name="door"), ManualInput(name="button")
    bench.add(door)
    bench.add(button)
    base_ns = time.monotonic_ns()

    def move(line: ManualInput) -> None:
        for step in range(100):
            line.move(is_active=step % 2 == 0, at_ns=base_ns + step)

    threads = [threading.Thread(target=move, args=(line,)) for line in (door, button)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    bench.inputs.start()
    told = [bench.next() for _ in range(200)]
    right = [(step % 2 == 0, base_ns + step) for step in range(100)]
    assert [what for name, what in told if name == "door"] == right
    assert [what for name, what in told if name == "button"] == right
    assert bench.threads == {"inputs"}


def test_ok__what_was_moved_before_the_start_is_told_after_it(bench: Bench) -> None:
    """Between the first reading and the start nothing is lost."""
    door = ManualInput(name="door")
    watched = bench.add(door)
    at_ns = time.monotonic_ns()
    door.move(is_active=True, at_ns=at_ns)
    assert not watched.is_active
    bench.inputs.start()
    assert bench.next() == ("door", (True, at_ns))
    assert watched.is_active


def test_ok__bouncing_is_one_change_with_the_tick_of_its_first_edge(bench: Bench) -> None:
    """A contact that bounces is told once, when it has stood; one that only twitched is not told."""
    door, twitching = ManualInput(name="door"), ManualInput(name="twitching")
    bench.add(door, debounce_ms=50)
    bench.add(twitching, debounce_ms=50)
    at_ns = time.monotonic_ns()
    for step in range(5):
        door.move(is_active=step % 2 == 0, at_ns=at_ns + step)
    for step in range(4):
        twitching.move(is_active=step % 2 == 0, at_ns=at_ns + step)
    bench.inputs.start()
    assert bench.next() == ("door", (True, at_ns))
    door.move(is_active=False)
    name, what = bench.next()
    assert isinstance(what, tuple)
    assert (name, what[0]) == ("door", False)


def test_ok__an_edge_that_nobody_saw_is_made_good(bench: Bench) -> None:
    """The level is read again within a second, whatever happened to the edge."""
    door = ManualInput(name="door")
    bench.add(door, debounce_ms=1)
    bench.inputs.start()
    before_ns = time.monotonic_ns()
    door.move(is_active=True, is_told=False)
    name, what = bench.next()
    assert isinstance(what, tuple)
    assert (name, what[0]) == ("door", True)
    assert before_ns < what[1] <= time.monotonic_ns()


def test_ok__a_line_that_does_not_answer_is_told_once_and_again_when_it_is_back(bench: Bench) -> None:
    """The others go on meanwhile, and what changed while it was lost is told after it is back."""
    fire, door = ManualInput(name="fire"), ManualInput(name="door")
    watched = bench.add(fire)
    bench.add(door)
    bench.inputs.start()
    fire.fault = DriverError("fire does not answer")
    assert bench.next() == ("fire", "fire does not answer")
    assert watched.is_lost
    # the door's lost edge is found by the round of readings after, in which the fault is not told again
    door.move(is_active=True, is_told=False)
    assert bench.next()[0] == "door"
    fire.is_active = True
    fire.fault = None
    assert bench.next() == ("fire", "back")
    name, what = bench.next()
    assert isinstance(what, tuple)
    assert (name, what[0]) == ("fire", True)
    assert not watched.is_lost


def test_fail__a_callback_that_raises_ends_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake above is logged with the line's name, and the next change is told."""
    door = ManualInput(name="door")

    def fail(is_active: bool, _at_ns: int) -> None:
        bench.told.put(("door", is_active))
        raise RuntimeError("a mistake above")

    bench.inputs.add(door, debounce_ms=0, on_change=fail, on_fault=print, on_back=print)
    bench.inputs.start()
    door.move(is_active=True)
    door.move(is_active=False)
    assert [bench.next(), bench.next()] == [("door", True), ("door", False)]
    bench.inputs.close()
    assert caplog.text.count("RuntimeError: a mistake above") == 2
    assert "door changed, and" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_fail__a_thread_that_ends_says_so() -> None:
    """Should the thread ever end, nobody watches for fire: the agent is told."""
    bench = Bench()
    door = ManualInput()

    def die(_is_active: bool, _at_ns: int) -> None:
        raise SystemExit("what no thread expects")

    bench.inputs.add(door, debounce_ms=0, on_change=die, on_fault=print, on_back=print)
    bench.inputs.start()
    door.move(is_active=True)
    assert "has ended: SystemExit" in str(bench.ends.get(timeout=WAIT_S))
    bench.inputs._thread.join(WAIT_S)


def test_ok__the_timer_is_called_when_it_asked_to_be_and_after_all_that_came() -> None:
    """Timers run in the inputs' own thread: at start, when due, when poked, and after each change; a mistake in one ends nothing."""
    calls: queue.Queue[int] = queue.Queue()
    ends: queue.Queue[Exception] = queue.Queue()
    threads = []

    def timer(now_ns: int) -> int | None:
        threads.append(threading.current_thread().name)
        calls.put(now_ns)
        if len(threads) == 2:
            raise RuntimeError("a mistake above")
        return now_ns + READ_EVERY_NS // 100 if len(threads) < 50 else None

    inputs = Inputs(on_end=ends.put, timer=timer)
    inputs.start()
    # the readings alone would call it once a second
    ticks = [calls.get(timeout=WAIT_S) for _ in range(50)]
    assert ticks == sorted(ticks)
    assert ticks[-1] - ticks[0] < 49 * READ_EVERY_NS
    inputs.poke()
    assert calls.get(timeout=WAIT_S) >= ticks[-1]
    inputs.close()
    assert set(threads) == {"inputs"}
    assert ends.empty()


def test_ok__close_gives_every_line_back(bench: Bench) -> None:
    """Also when one of them refuses, and when it is closed from the thread itself."""

    class Refusing(ManualInput):
        def close(self) -> None:
            """Refuse."""
            raise DriverError("it cannot be given back")

    door = ManualInput(name="door")
    bench.add(Refusing())
    bench.inputs.add(door, debounce_ms=0, on_change=lambda *_: bench.inputs.close(), on_fault=print, on_back=print)
    bench.inputs.start()
    door.move(is_active=True)
    bench.inputs._thread.join(WAIT_S)
    assert door.is_closed
    bench.inputs.close()
