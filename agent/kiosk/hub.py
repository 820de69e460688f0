"""What is known now, and who waits for it to change. Everything runs on the loop.

Rule 1: a change that shows wakes every waiting page at once; one that does not show wakes nobody.
Rule 2: nothing is kept of what is over: the facts are of one size, however much happens.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from datetime import time as clock_time

from agent.core.clock import in_zone
from agent.kiosk import view
from agent.kiosk.view import Event, Facts, Kind, Screen
from agent.settings.kiosk import KioskSettings, LookSettings

LOOK_EVERY_S = 5.0
"""How often daylight is looked at; everything else is looked at when it is due."""
_QUIET = frozenset({Kind.READY, Kind.STARTING, Kind.OUT_OF_ORDER, Kind.LOCKED_OUT})
"""Nobody is at the door, as far as anybody knows: then the screen may be dimmed."""


@dataclass(frozen=True, slots=True)
class Booking:
    """Whether the desk answers, and the free times of today that it offers."""

    is_reached: bool = False
    starts_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a page is told, but for its words; `number` is new whenever anything else of it is."""

    number: int
    screen: Screen
    is_offline: bool
    takes_pins: bool
    serves_staff: bool
    pin_locked_until: int | None
    booking: Booking
    is_dark: bool
    is_dim: bool


def tick() -> int:
    """Monotonic milliseconds."""
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Hub:
    """`tell` it what happens; `shown` is what is to be seen, `changed` waits for another number."""

    def __init__(self, settings: KioskSettings, zone: Callable[[int], datetime], *, first: int | None = None) -> None:
        look = settings.look
        self._look = look
        self._zone = zone
        self._facts = Facts(settings.door, look.welcome_s * 1000, look.refused_s * 1000)
        self._booking = Booking()
        self._waiting: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._offset_ms = 0
        # another one after each start, so that no page takes an old picture for the present one
        self.shown = self._made(int.from_bytes(os.urandom(4)) if first is None else first)

    def tell(self, event: Event) -> None:
        """Something happened; each event and each status says what the agent's clock shows."""
        at_ms = event.get("at_ms")
        if isinstance(at_ms, int) and not isinstance(at_ms, bool):
            self._offset_ms = at_ms - _wall_ms()
        elif event.get("event") == "agent_away":
            # whatever it knew may be wrong by now, when this board's clock was set meanwhile
            self._offset_ms = 0
        self._facts = view.heard(self._facts, event, tick())
        self.look()

    def tell_booking(self, booking: Booking) -> None:
        """What is known of the desk."""
        self._booking = booking
        self.look()

    def look(self) -> None:
        """See whether something shows differently by now, and wake who waits for that."""
        found = self._made(self.shown.number)
        if found != self.shown:
            self.shown = self._made(self.shown.number + 1)
            for one in self._waiting:
                if not one.done():
                    one.set_result(None)
        self._set_timer()

    async def changed(self, number: int) -> None:
        """Return once another number than this is shown, or the program ends."""
        while self.shown.number == number and not self._is_closed:
            one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(one)
            try:
                await one
            finally:
                self._waiting.discard(one)

    def now_ms(self) -> int:
        """The agent's clock, by which it decides: it may know better than this board's own does. The only "now" of this program."""
        return _wall_ms() + self._offset_ms

    @property
    def waiting(self) -> int:
        """How many wait for a change."""
        return len(self._waiting)

    async def run(self) -> None:
        """Look at the daylight for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """Let everybody go."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for one in self._waiting:
            if not one.done():
                one.set_result(None)

    def _made(self, number: int) -> Shown:
        at, facts = tick(), self._facts
        screen = view.screen(facts, at)
        clock = self._zone(self.now_ms()).time()
        return Shown(
            number,
            screen,
            facts.is_offline,
            facts.takes_pins,
            facts.serves_staff,
            view.pin_locked_until(facts, at),
            self._booking,
            is_dark(self._look, clock),
            is_dim(self._look, clock) and screen.kind in _QUIET,
        )

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = tick()
        due = view.due(self._facts, at)
        if due is not None and not self._is_closed:
            # a millisecond later than due: a timer of the loop may be early by its resolution
            self._timer = asyncio.get_running_loop().call_later((due - at + 1) / 1000, self.look)


def zone_of(settings: KioskSettings) -> Callable[[int], datetime]:
    """Instants as the property's clocks show them."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(settings.time_zone)
    return lambda instant_ms: in_zone(instant_ms, zone)


def is_dark(look: LookSettings, clock: clock_time) -> bool:
    """Whether the page is dark at a time of the day."""
    return _is_within(clock, look.dark_from, look.dark_to)


def is_dim(look: LookSettings, clock: clock_time) -> bool:
    """Whether the page is dimmed at a time of the day."""
    return _is_within(clock, look.dim_from, look.dim_to)


def _is_within(clock: clock_time, begins: clock_time | None, ends: clock_time | None) -> bool:
    if begins is None or ends is None:
        return False
    return begins <= clock < ends if begins < ends else clock >= begins or clock < ends
