"""The same promises on every line: played in memory, played in a file, gpiozero's mock pins, and real pins.

Real pins: join two GPIOs by a jumper wire, name them by TOURLATCH_PIN_OUT and TOURLATCH_PIN_IN, and run `pytest -m hardware`.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.base import DriverError, Line, LockedBy, Pulse
from drivers.fake import PlayedLine
from drivers.gpio import GpioLine
from drivers.relay import PulsedRelay

WAIT_S = 10.0


@dataclass(frozen=True)
class Wired:
    """A line, and how the world beyond it sees its relay."""

    line: Line
    is_released: Callable[[], bool]


def played_in_memory(_tmp_path: Path) -> Iterator[Wired]:
    """A played line without a file."""
    line = PlayedLine(None)
    yield Wired(line, lambda: line.is_released)


def played_in_a_file(tmp_path: Path) -> Iterator[Wired]:
    """A played line whose level others can read."""
    level = tmp_path / "level"
    yield Wired(PlayedLine(str(level)), lambda: level.read_bytes() == b"1")


def mock_pin(*, active_high: bool) -> Callable[[Path], Iterator[Wired]]:
    """One of gpiozero's mock pins, of either polarity."""

    def wired(_tmp_path: Path) -> Iterator[Wired]:
        from gpiozero.pins.mock import MockFactory

        factory = MockFactory()
        pin = factory.pin(17)
        yield Wired(GpioLine(17, active_high=active_high, factory=factory), lambda: pin.state == active_high)

    return wired


def real_pin(*, active_high: bool) -> Callable[[Path], Iterator[Wired]]:
    """A pin of this board, seen through a jumper wire by another."""

    def wired(tmp_path: Path) -> Iterator[Wired]:
        if not {"TOURLATCH_PIN_OUT", "TOURLATCH_PIN_IN"} <= set(os.environ):
            pytest.skip("no jumper wire: TOURLATCH_PIN_OUT and TOURLATCH_PIN_IN are not set")
        from gpiozero import DigitalInputDevice

        from drivers.gpio import _lgpio_factory

        out, back = int(os.environ["TOURLATCH_PIN_OUT"]), int(os.environ["TOURLATCH_PIN_IN"])
        line = GpioLine(out, active_high=active_high, work_dir=str(tmp_path))
        wire = DigitalInputDevice(back, pull_up=None, active_state=active_high, pin_factory=_lgpio_factory(None, str(tmp_path)))
        yield Wired(line, lambda: bool(wire.is_active))
        wire.close()

    return wired


LINES = [
    pytest.param(played_in_memory, id="played in memory"),
    pytest.param(played_in_a_file, id="played in a file"),
    pytest.param(mock_pin(active_high=True), id="mock pin, active high"),
    pytest.param(mock_pin(active_high=False), id="mock pin, active low"),
    pytest.param(real_pin(active_high=True), id="real pin, active high", marks=pytest.mark.hardware),
    pytest.param(real_pin(active_high=False), id="real pin, active low", marks=pytest.mark.hardware),
]


@pytest.fixture(params=LINES)
def wired(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wired]:
    """Each line in turn, given back afterwards."""
    steps = request.param(tmp_path)
    wired = next(steps)
    yield wired
    wired.line.close()
    next(steps, None)


def test_ok__a_line_has_a_name(wired: Wired) -> None:
    """An installer can tell which line is meant."""
    assert wired.line.name


def test_ok__it_begins_locked(wired: Wired) -> None:
    """Opening a line never releases."""
    assert not wired.is_released()


def test_ok__it_goes_where_it_is_driven(wired: Wired) -> None:
    """Released is released and locked is locked, at once, and repeating changes nothing."""
    seen = []
    for released in (False, True, True, False, False, True, False):
        wired.line.drive(released=released)
        seen.append(wired.is_released())
    assert seen == [False, True, True, False, False, True, False]


def test_fail__a_closed_line_is_not_driven(wired: Wired) -> None:
    """A line that was given back refuses with a sentence naming it, and closing again is harmless."""
    wired.line.close()
    wired.line.close()
    with pytest.raises(DriverError, match=wired.line.name):
        wired.line.drive(released=True)


def test_ok__a_pulse_on_it_ends_locked(wired: Wired) -> None:
    """The relay's promise holds on the line: released in the pulse, locked after it."""
    pulses: queue.Queue[Pulse] = queue.Queue()
    relay = PulsedRelay(wired.line, max_s=5.0, on_fault=print)
    relay.release(0.1, pulses.put)
    assert wired.is_released()
    pulse = pulses.get(timeout=WAIT_S)
    assert not wired.is_released()
    assert pulse.locked_by is LockedBy.TIME
    assert 0.1 <= (pulse.locked_ns - pulse.released_ns) / 1e9 < 5.0
    relay.close()


def test_ok__closing_in_a_pulse_ends_locked(wired: Wired) -> None:
    """The line is driven locked before it is given back, and stays so."""
    pulses: queue.Queue[Pulse] = queue.Queue()
    relay = PulsedRelay(wired.line, max_s=5.0, on_fault=print)
    relay.release(5.0, pulses.put)
    relay.close()
    assert not wired.is_released()
    assert pulses.get_nowait().locked_by is LockedBy.CLOSE
