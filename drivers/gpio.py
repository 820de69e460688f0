"""Driven and watched lines on GPIO pins of a Raspberry Pi: the only importer of gpiozero, and through it of lgpio.

Rule 1: the pin factory is built by name. Left to itself, gpiozero falls back to another with a warning, and the log says "unlocked"
        while nothing moves, or a pin moves that nobody asked for.
Rule 2: importing this file is cheap; gpiozero and lgpio are loaded when a line is opened.
Rule 3: whatever the libraries raise leaves here as a sentence that names the pin and says what to do.
Rule 4: what is watched is watched through the kernel's own interface (`drivers.chardev`), for its ticks and its numbers of edges.
"""

from __future__ import annotations

import functools
import logging
import os
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import DeviceMissingError, DriverError
from drivers.chardev import Edge, Edges, Pull, WatchedLines

if TYPE_CHECKING:
    from gpiozero.pins import Factory, Pin

LGPIO_MISSING = (
    "The Python library lgpio is not usable ({why}). On Raspberry Pi OS: `apt install python3-lgpio`, "
    "and make the virtual environment with --system-site-packages."
)


log = logging.getLogger(__name__)


class GpioLine:
    """One output pin. Active means that the relay's input is energised, and energised means released.

    The pin comes up locked, or with `released` released, and in either case was never at the other level before. `pin` is the number that
    the Pi's documentation gives the GPIO, not its place on the header. `active_high` says which level energises: true for high. `chip` is
    the N of /dev/gpiochipN, the header's own when not given. `factory` is another pin factory of gpiozero's, for tests. `work_dir` is a
    directory in which lgpio may make its files.

    Raises `DeviceMissingError` when the pin cannot be had.
    """

    def __init__(
        self,
        pin: int,
        *,
        active_high: bool,
        released: bool = False,
        chip: int | None = None,
        factory: Factory | None = None,
        work_dir: str | None = None,
    ) -> None:
        from gpiozero import DigitalOutputDevice, GPIOPinInUse, PinInvalidPin

        self._name = f"GPIO{pin}"
        self._is_released = released
        if factory is None:
            factory = _lgpio_factory(chip, work_dir)
        try:
            self._device = DigitalOutputDevice(pin, active_high=active_high, initial_value=released, pin_factory=factory)
        except PinInvalidPin as error:
            raise DeviceMissingError(f"{self._name}: this board has no such pin ({error}). Give the GPIO's number.") from error
        except GPIOPinInUse as error:
            raise DeviceMissingError(f"{self._name}: two devices of this configuration use this pin. Give each its own.") from error
        except Exception as error:
            raise DeviceMissingError(
                f"{self._name}: the pin could not be claimed ({error}). "
                "If it is busy, another program or overlay holds it: `gpioinfo` says which."
            ) from error

    @property
    def name(self) -> str:
        """The pin's name in the Pi's documentation, e.g. `GPIO17`."""
        return self._name

    def drive(self, *, released: bool) -> None:
        """Set the level at once; raises `DriverError` when the pin refuses or is closed."""
        try:
            if released:
                self._device.on()
            else:
                self._device.off()
        except Exception as error:
            raise DriverError(f"{self._name}: the pin does not take its level ({error}). Check that nothing else uses it.") from error
        self._is_released = released

    def close(self) -> None:
        """Give the pin back: it becomes an input that floats, held by its resistor. Any number of times.

        A pin that is released stays as it is, and is the process's until its end: that is fire, and nothing may lock. What the pin
        does after the process is the kernel's affair: a Raspberry Pi's leaves it driven, unless `strict_gpiod` is set.

        The factory stays open. All of gpiozero's local factories share one table of pins, so closing one would let go the pins
        of every other door.
        """
        try:
            if self._is_released and not self._device.closed:
                _leave(self._device.pin)
            self._device.close()
        except Exception as error:
            raise DriverError(f"{self._name}: the pin could not be given back ({error}).") from error


class GpioInput:
    """One watched pin. `active_high` says which level is active; `pull` is the chip's own resistor.

    Raises `DeviceMissingError` when the pin cannot be had.
    """

    def __init__(self, pin: int, *, active_high: bool, pull: Pull, chip: int | None = None, work_dir: str | None = None) -> None:
        self._pin = pin
        self._active_level = int(active_high)
        self._lines = WatchedLines(_chip_number(chip, work_dir), [pin], pull=pull)

    @property
    def name(self) -> str:
        """The pin's name in the Pi's documentation, e.g. `GPIO22`."""
        return self._lines.name

    def read(self) -> bool:
        """Whether it is active now; raises `DriverError` when the chip does not answer, or after `close`."""
        return self._lines.read()[self._pin] == self._active_level

    def watch(self, on_edge: Callable[[bool, int], None]) -> None:
        """Have every edge told with its tick, from a thread of its own; once. Edges that were lost are logged: the level is what counts."""

        def tell(edge: Edge) -> None:
            if edge.lost:
                log.warning("%s: %d edges came too fast and were lost", self.name, edge.lost)
            on_edge(edge.level == self._active_level, edge.at_ns)

        self._lines.watch(tell)

    def close(self) -> None:
        """Give the pin back; any number of times."""
        self._lines.close()


class GpioEdges:
    """Edges on several pins of one chip in their order, for what speaks by them (Wiegand).

    `edges` are those that are told. With "both" the kernel reads the level after the edge, so a pulse shorter than its interrupt takes
    may be told as two edges to the same level; one kind of edge is told for what it is.

    Raises `DeviceMissingError` naming the pins when they cannot be had.
    """

    def __init__(
        self,
        pins: Sequence[int],
        *,
        chip: int | None = None,
        pull: Pull = "up",
        work_dir: str | None = None,
        edges: Edges = "falling",
    ) -> None:
        self._lines = WatchedLines(_chip_number(chip, work_dir), pins, pull=pull, edges=edges)

    @property
    def name(self) -> str:
        """The pins' names, e.g. `GPIO5, GPIO6`."""
        return self._lines.name

    def read(self) -> dict[int, int]:
        """The level of each pin now; raises `DriverError` when the chip does not answer, or after `close`."""
        return self._lines.read()

    def watch(self, on_edge: Callable[[int, int, int], None], on_lost: Callable[[int, int], None] | None = None) -> None:
        """Have every edge told by its pin, its level and its tick, from a thread of its own; once.

        `on_lost` is told the pin and how many of its edges were lost, before the edge that came after them; without it they are logged.
        """

        def tell(edge: Edge) -> None:
            if edge.lost and on_lost is not None:
                on_lost(edge.pin, edge.lost)
            elif edge.lost:
                log.warning("GPIO%d: %d edges came too fast and were lost", edge.pin, edge.lost)
            on_edge(edge.pin, edge.level, edge.at_ns)

        self._lines.watch(tell)

    def close(self) -> None:
        """Give the pins back; any number of times."""
        self._lines.close()


def _leave(pin: Pin) -> None:
    """Have the pin stay an output when its device is closed; the other factories' pins are for tests, and have no relay."""
    if hasattr(pin, "is_left"):
        pin.is_left = True


def _chip_number(chip: int | None, work_dir: str | None) -> int:
    """The N of /dev/gpiochipN: the one configured, or the header's own as gpiozero knows it."""
    return chip if chip is not None else int(_lgpio_factory(None, work_dir)._chip)  # noqa: SLF001  older releases have no public name


@functools.cache
def _lgpio_factory(chip: int | None, work_dir: str | None) -> Factory:
    """The process's one factory for a chip, which is never closed."""
    _load_lgpio(work_dir)
    from gpiozero import PinUnknownPi
    from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

    class SteadyPin(LGPIOPin):  # type: ignore[misc]  # gpiozero ships no types
        """A pin that becomes an output at its first level, and stays one when it is left so.

        Plain LGPIOPin claims the output low and sets the level afterwards: a relay that is energised by low would click at every start.
        When it is closed, or forgotten, it becomes an input: a relay that fire holds released would lock.
        """

        is_left = False

        def output_with_state(self, state: bool) -> None:
            import lgpio

            # what is an output already keeps its level when it is claimed again
            claim = lgpio.gpio_write if self.is_left else lgpio.gpio_claim_output
            claim(self.factory._handle, self._number, int(state))  # noqa: SLF001  the handle has no public name
            self.is_left = False

        def close(self) -> None:
            if not self.is_left:
                super().close()

    try:
        factory = LGPIOFactory(chip=chip)
        factory.board_info  # noqa: B018  asks for the board, which the factory else finds out at the first pin
    except PinUnknownPi as error:
        raise DeviceMissingError(
            f"The relay's driver is gpio, but this is no Raspberry Pi that gpiozero knows ({error}). Elsewhere use the driver `played`."
        ) from error
    except Exception as error:
        raise DeviceMissingError(_why_no_chip(chip, error)) from error
    factory.pin_class = SteadyPin
    return factory


def _load_lgpio(work_dir: str | None) -> types.ModuleType:
    """Import lgpio with its files in `work_dir`, and the process's working directory left as it was.

    At import lgpio makes a FIFO `.lgd-nfyN` in LG_WD, and to find it again it changes the working directory of the whole process.
    """
    if work_dir is not None:
        directory = Path(work_dir).absolute()
        if not (directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)):
            raise DeviceMissingError(f"lgpio needs a directory it may write into, and {directory} is none. Make it, or name another.")
        os.environ["LG_WD"] = str(directory)
    before = Path.cwd()
    try:
        import lgpio
    except ImportError as error:
        raise DeviceMissingError(LGPIO_MISSING.format(why=error)) from error
    except OSError as error:
        raise DeviceMissingError(
            f"lgpio cannot make its files in {work_dir or before} ({error}). Name a directory of its own, without old .lgd-nfy files."
        ) from error
    finally:
        os.chdir(before)
    # Where there is no wheel, pip may take an empty stand-in, 0.0.0.2, which imports and has nothing in it.
    if not (hasattr(lgpio, "SET_PULL_NONE") or hasattr(lgpio, "SET_BIAS_DISABLE")):
        raise DeviceMissingError(LGPIO_MISSING.format(why="the package installed is an empty stand-in"))
    return lgpio  # type: ignore[no-any-return]  # lgpio ships no types


def _why_no_chip(chip: int | None, error: Exception) -> str:
    """What an installer must know when lgpio says no more than "can not open gpiochip"."""
    there = sorted(Path("/dev").glob("gpiochip*"))
    wanted = [Path(f"/dev/gpiochip{chip}")] if chip is not None else there
    named = str(wanted[0]) if chip is not None else "The header's /dev/gpiochip"
    if not any(path.exists() for path in wanted):
        others = ", ".join(map(str, there)) or "none"
        return f"{named} is not there (there is: {others}). Correct `chip` in the configuration, or leave it out. ({error})"
    if not any(os.access(path, os.R_OK | os.W_OK) for path in wanted):
        return f"{named} may not be opened by this user. Add the user to the group gpio. ({error})"
    return f"{named} could not be opened: {error}"
