"""A driver by the name that the configuration gives it. Nothing is imported before it is asked for, and nothing stands in for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from drivers.base import Input, Line, Reader, UnknownDriverError

Factory = TypeVar("Factory")


def line(driver: str, options: Mapping[str, Any], *, released: bool = False) -> Line:
    """A driven line by its driver's name; `options` are the driver's own settings, `released` the level at which it is claimed.

    Raises:
        UnknownDriverError: there is no such driver.
        DeviceMissingError: the line cannot be had.
    """
    return _known(RELAYS, "relay", driver)(**options, released=released)


def watched(driver: str, options: Mapping[str, Any]) -> Input:
    """A watched line by its driver's name; `options` are the driver's own settings, without how it is debounced and what is normal.

    Raises:
        UnknownDriverError: there is no such driver.
        DeviceMissingError: the line cannot be had.
    """
    return _known(INPUTS, "input", driver)(**options)


def reader(driver: str, name: str, options: Mapping[str, Any]) -> Reader:
    """A reader by its driver's name, not yet open. `name` is what the configuration calls it.

    Raises:
        UnknownDriverError: there is no such driver.
    """
    return _known(READERS, "reader", driver)(name=name, **options)


def _known(factories: Mapping[str, Factory], kind: str, driver: str) -> Factory:
    if driver not in factories:
        raise UnknownDriverError(f"There is no {kind} driver called {driver!r}; there is: {', '.join(sorted(factories))}.")
    return factories[driver]


def _gpio(
    *,
    pin: int,
    active: Literal["high", "low"],
    chip: int | None = None,
    work_dir: str | None = None,
    released: bool = False,
) -> Line:
    if active not in {"high", "low"}:
        raise ValueError(f"active says which level energises the relay, high or low, not {active!r}")
    from drivers.gpio import GpioLine

    return GpioLine(pin, active_high=active == "high", released=released, chip=chip, work_dir=work_dir)


def _played_line(*, path: str | None = None, released: bool = False) -> Line:
    from drivers.fake import PlayedLine

    return PlayedLine(path, released=released)


def _gpio_input(
    *,
    pin: int,
    active: Literal["high", "low"],
    pull: Literal["up", "down", "none"],
    chip: int | None = None,
    work_dir: str | None = None,
) -> Input:
    if active not in {"high", "low"}:
        raise ValueError(f"active says at which level the input is active, high or low, not {active!r}")
    if pull not in {"up", "down", "none"}:
        raise ValueError(f"pull is up, down or none, not {pull!r}")
    from drivers.gpio import GpioInput

    return GpioInput(pin, active_high=active == "high", pull=pull, chip=chip, work_dir=work_dir)


def _played_input(*, path: str) -> Input:
    from drivers.fake import PlayedInput

    return PlayedInput(path)


def _serial(
    *,
    name: str,
    port: str,
    baud: int = 9600,
    prefix: str = "",
    suffix: str = "",
    max_bytes: int = 1024,
    gap_s: float = 2.0,
    module: Literal["none", "gm65"] = "none",
    trigger: Literal["continuous", "motion"] = "continuous",
) -> Reader:
    if module not in {"none", "gm65"}:
        raise ValueError(f"module is none or gm65, not {module!r}")
    if trigger not in {"continuous", "motion"}:
        raise ValueError(f"trigger is continuous or motion, not {trigger!r}")
    from drivers.reader_serial import SerialReader

    # latin-1: each character of a setting is one byte, so any byte a scanner can be told to send may be written.
    return SerialReader(
        name,
        port,
        baud=baud,
        prefix=prefix.encode("latin-1"),
        suffix=suffix.encode("latin-1"),
        max_bytes=max_bytes,
        gap_s=gap_s,
        trigger=trigger if module == "gm65" else None,
    )


def _keyboard(*, name: str, device: str, layout: str = "us", max_bytes: int = 1024, gap_s: float = 5.0) -> Reader:
    from drivers.reader_keyboard import KeyboardReader

    return KeyboardReader(name, device, layout=layout, max_bytes=max_bytes, gap_s=gap_s)


def _wiegand(
    *,
    name: str,
    d0: int,
    d1: int,
    chip: int | None = None,
    pull: Literal["up", "none"] = "up",
    key_gap_s: float = 5.0,
    work_dir: str | None = None,
) -> Reader:
    from drivers.gpio import GpioEdges
    from drivers.reader_wiegand import WiegandReader

    # Falls alone: the kernel reads the level after an edge, and a pulse of 50 us may be over by then.
    def claim() -> GpioEdges:
        return GpioEdges((d0, d1), chip=chip, pull=pull, work_dir=work_dir, edges="falling")

    return WiegandReader(name, d0, d1, claim, key_gap_s=key_gap_s)


def _osdp(
    *,
    name: str,
    port: str,
    key: bytes,
    baud: int = 9600,
    address: int = 0,
    key_gap_s: float = 5.0,
    silent_s: float = 8.0,
) -> Reader:
    from drivers.reader_osdp import OsdpReader

    return OsdpReader(name, port, key=key, baud=baud, address=address, key_gap_s=key_gap_s, silent_s=silent_s)


def set_osdp_key(port: str, *, baud: int, address: int, key: bytes, is_broken_off: Callable[[], bool]) -> bool:
    """Give an OSDP reader in its set-up mode a key; `drivers.osdp_setup.set_key`."""
    from drivers.osdp_setup import set_key

    return set_key(port, baud=baud, address=address, key=key, is_broken_off=is_broken_off)


def _camera(*, name: str, socket: str, user: str, **_of_the_process: object) -> Reader:
    from drivers.reader_socket import SocketReader

    return SocketReader(name, socket, user)


def _played_reader(*, name: str, frames: Sequence[str] = ()) -> Reader:
    from drivers.fake import PlayedReader

    return PlayedReader([frame.encode("latin-1") for frame in frames], name=name)


RELAYS: Mapping[str, Callable[..., Line]] = {"gpio": _gpio, "played": _played_line}
INPUTS: Mapping[str, Callable[..., Input]] = {"gpio": _gpio_input, "played": _played_input}
READERS: Mapping[str, Callable[..., Reader]] = {
    "serial": _serial,
    "keyboard": _keyboard,
    "wiegand": _wiegand,
    "osdp": _osdp,
    "played": _played_reader,
    "camera": _camera,
}
