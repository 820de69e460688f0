"""What a reader's own lamp and buzzer show: the patterns of `drivers.indicator`, as far as OSDP can say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.base import Signal
from drivers.osdp_panel import Event, library

BLACK, RED, GREEN, AMBER = range(4)
"""By their numbers in OSDP."""
_SET_TEMPORARY, _SET_PERMANENT = 2, 1
_QUIET, _TONE = 1, 2


@dataclass(frozen=True, slots=True)
class Show:
    """A signal. Times in tenths of a second, as OSDP counts; `lasts_ds` of 0 is until the next.

    The lamp is `on` for `on_ds` and `off` for `off_ds`, by turns. The buzzer sounds for `beep_ds` (0: never) and rests for `pause_ds`,
    `beeps` times, or for ever (0).
    """

    on: int
    off: int = BLACK
    on_ds: int = 10
    off_ds: int = 0
    lasts_ds: int = 0
    beep_ds: int = 0
    pause_ds: int = 0
    beeps: int = 0


SHOWS: Mapping[Signal, Show] = {
    Signal.READY: Show(GREEN, on_ds=1, off_ds=29),
    Signal.GRANTED: Show(GREEN, lasts_ds=30, beep_ds=6, beeps=1),
    Signal.DENIED: Show(RED, on_ds=2, off_ds=2, lasts_ds=12, beep_ds=2, pause_ds=2, beeps=3),
    Signal.HELD: Show(RED, on_ds=3, off_ds=7, beep_ds=3, pause_ds=17),
    Signal.FORCED: Show(RED, on_ds=2, off_ds=2, beep_ds=2, pause_ds=2),
    Signal.OFFLINE: Show(AMBER, on_ds=1, off_ds=29),
    Signal.FAULT: Show(RED),
    Signal.FIRE: Show(GREEN, RED, on_ds=5, off_ds=5, beep_ds=10),
    Signal.DARK: Show(BLACK),
}


def commands(signal: Signal) -> list[Event]:
    """What to tell a reader: first its lamp, then its buzzer. A signal that is over by itself leaves the lasting lamp as it was."""
    show, sys = SHOWS[signal], library()
    return [
        {
            "command": sys.CMD_LED,
            "reader": 0,
            "led_number": 0,
            "temporary": show.lasts_ds > 0,
            "control_code": _SET_TEMPORARY if show.lasts_ds else _SET_PERMANENT,
            "on_color": show.on,
            "off_color": show.off,
            "on_count": show.on_ds,
            "off_count": show.off_ds,
            "timer_count": show.lasts_ds,
        },
        {
            "command": sys.CMD_BUZZER,
            "reader": 0,
            "control_code": _TONE if show.beep_ds else _QUIET,
            "on_count": show.beep_ds,
            "off_count": show.pause_ds,
            "rep_count": show.beeps,
        },
    ]
