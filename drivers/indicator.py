"""What a door shows: lamps and a buzzer over any lines, by a table of patterns.

Rule 1: GRANTED and DENIED are played once; then the latest lasting signal is shown again. All others last until the next.
Rule 2: each pattern is told apart from the others by eye, and by ear where there is a buzzer; nothing depends on a lamp's colour alone.
Rule 3: a lamp that fails is logged and told, once until it works again, is tried again every second, and keeps nobody from the door;
        DARK and `close` turn all off.
Rule 4: fire is shown over everything.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from drivers.base import DriverError, Line, Signal

Lamp = Literal["green", "red", "buzzer"]
JOIN_S = 2.0
RETRY_NS = 1_000_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What is on, and for how long; None: from now on."""

    on: frozenset[Lamp]
    ms: int | None


@dataclass(frozen=True, slots=True)
class Pattern:
    """Steps, played once (`repeats` 1), a number of times, or for ever (0)."""

    steps: tuple[Step, ...]
    repeats: int

    @property
    def is_lasting(self) -> bool:
        """Whether it is shown until the next signal."""
        return self.repeats == 0


def _step(ms: int | None, *on: Lamp) -> Step:
    return Step(frozenset(on), ms)


def _steady(*on: Lamp) -> Pattern:
    return Pattern((_step(None, *on),), 0)


PATTERNS: Mapping[Signal, Pattern] = {
    # a sign of life every three seconds
    Signal.READY: Pattern((_step(60, "green"), _step(2940)), 0),
    # come in: green for three seconds, and one long tone at its beginning
    Signal.GRANTED: Pattern((_step(600, "green", "buzzer"), _step(2400, "green")), 1),
    # stay out: red three times, with a short tone each
    Signal.DENIED: Pattern((_step(200, "red", "buzzer"), _step(200)), 3),
    # please shut the door: red slowly, with a tone every two seconds
    Signal.HELD: Pattern((_step(300, "red", "buzzer"), _step(700), _step(300, "red"), _step(700)), 0),
    # somebody broke in: red and the buzzer fast
    Signal.FORCED: Pattern((_step(150, "red", "buzzer"), _step(150)), 0),
    # it works, and whoever waits for news of it hears nothing: red and green by turns, briefly
    Signal.OFFLINE: Pattern((_step(60, "green"), _step(240), _step(60, "red"), _step(2640)), 0),
    # do not wait here: red
    Signal.FAULT: _steady("red"),
    # the way is free: green and red by turns, with an unbroken tone
    Signal.FIRE: Pattern((_step(500, "green", "buzzer"), _step(500, "red", "buzzer")), 0),
    Signal.DARK: _steady(),
}


# Shown at once, even while a signal is played that is over by itself.
URGENT = frozenset({Signal.FORCED, Signal.FIRE, Signal.DARK})


class Player:
    """Which lamps are on when. Pure: it is told the time, and is used from one thread at a time."""

    def __init__(self) -> None:
        self._lasting = self._shown = Signal.DARK
        self._steps_left = iter(PATTERNS[Signal.DARK].steps)
        self._rounds_left = 0
        self.on: frozenset[Lamp] = frozenset()
        """What is on now."""
        self.due_ns: int | None = None
        """When that changes; None: not before the next signal."""

    def show(self, signal: Signal, now_ns: int) -> None:
        """Show a signal from now on.

        One that lasts waits for the end of one that does not, but for the urgent ones; the one that is shown already goes on undisturbed.
        In fire nothing is shown that is over by itself: nobody is denied a way out.
        """
        if not PATTERNS[signal].is_lasting:
            if self._shown is not Signal.FIRE:
                self._begin(signal, now_ns)
            return
        self._lasting = signal
        is_waiting = not PATTERNS[self._shown].is_lasting and signal not in URGENT
        if signal is not self._shown and not is_waiting:
            self._begin(signal, now_ns)

    def advance(self, now_ns: int) -> None:
        """Go on to the step that is on at this time; each begins when the one before it ended, however late this is called."""
        while self.due_ns is not None and self.due_ns <= now_ns:
            self._next(self.due_ns)

    def _begin(self, signal: Signal, at_ns: int) -> None:
        self._shown = signal
        self._rounds_left = PATTERNS[signal].repeats
        self._steps_left = iter(PATTERNS[signal].steps)
        self._next(at_ns)

    def _next(self, at_ns: int) -> None:
        step = next(self._steps_left, None)
        if step is not None:
            self.on = step.on
            self.due_ns = None if step.ms is None else at_ns + step.ms * 1_000_000
            return
        self._rounds_left -= 1
        if self._rounds_left == 0:
            self._begin(self._lasting, at_ns)
        else:
            self._steps_left = iter(PATTERNS[self._shown].steps)
            self._next(at_ns)


class LampsAndBuzzer:
    """An indicator over lines, of which any may be missing. A thread of its own plays; `close` turns all off and gives the lines back.

    `on_news` hears which lamp does not take its level, with a sentence, and with None that it does again: from the thread that makes
    this, and from its own.
    """

    def __init__(self, lines: Mapping[Lamp, Line], *, on_news: Callable[[Lamp, str | None], None] = lambda _lamp, _words: None) -> None:
        self._lines = dict(lines)
        self._is_on: dict[Lamp, bool | None] = dict.fromkeys(self._lines)
        self._on_news = on_news
        self._failing: set[Lamp] = set()
        self._tried_ns = 0
        self._changed = threading.Condition()
        self._player = Player()
        self._is_closed = False
        self._drive(frozenset())
        self._thread = threading.Thread(target=self._play, name="lamps and buzzer", daemon=True)
        self._thread.start()

    @property
    def states(self) -> dict[str, str]:
        """Each lamp: `ready` or `failed`; any thread."""
        return {lamp: "failed" if lamp in self._failing else "ready" for lamp in self._lines}

    def show(self, signal: Signal) -> None:
        """Show it from now on; GRANTED and DENIED are over by themselves. Returns at once, never raises; any thread."""
        with self._changed:
            self._player.show(signal, time.monotonic_ns())
            self._changed.notify_all()

    def close(self) -> None:
        """Turn everything off and give the lines back; any number of times, from any thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _play(self) -> None:
        try:
            while (on := self._wait()) is not None:
                self._drive(on)
        finally:
            self._drive(frozenset())
            for line in self._lines.values():
                try:
                    line.close()
                except DriverError:
                    log.exception("%s: a lamp or buzzer could not be given back", line.name)

    def _wait(self) -> frozenset[Lamp] | None:
        """What is on next, once it is something else than now or a lamp is to be tried again; None when the indicator is closed."""
        with self._changed:
            while not self._is_closed:
                now_ns = time.monotonic_ns()
                self._player.advance(now_ns)
                retry_ns = self._tried_ns + RETRY_NS if self._failing else None
                is_new = {lamp for lamp, is_on in self._is_on.items() if is_on} != self._player.on & self._lines.keys()
                if is_new or (retry_ns is not None and now_ns >= retry_ns):
                    return self._player.on
                due_ns = min((at_ns for at_ns in (self._player.due_ns, retry_ns) if at_ns is not None), default=None)
                self._changed.wait(None if due_ns is None else max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        return None

    def _drive(self, on: frozenset[Lamp]) -> None:
        self._tried_ns = time.monotonic_ns()
        for lamp, line in self._lines.items():
            is_on = lamp in on
            if self._is_on[lamp] is is_on and lamp not in self._failing:
                continue
            self._is_on[lamp] = is_on
            try:
                line.drive(released=is_on)
            except Exception as error:
                if lamp not in self._failing:
                    log.exception("%s: the %s does not take its level", line.name, lamp)
                    self._failing.add(lamp)
                    self._tell(lamp, str(error))
            else:
                if lamp in self._failing:
                    self._failing.discard(lamp)
                    self._tell(lamp, None)

    def _tell(self, lamp: Lamp, words: str | None) -> None:
        try:
            self._on_news(lamp, words)
        except Exception:
            log.exception("the %s failed or works again, and the one who was to be told failed", lamp)
