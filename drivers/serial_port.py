"""A serial port, claimed for this program alone: the only importer of pyserial."""

from __future__ import annotations

import errno
import os
import termios
from typing import Any, TypeAlias

import serial

from drivers.base import ABSENT, DeviceAbsentError, DeviceMissingError

# pyserial lets termios.error through, which is no OSError, and a ValueError where select() does not take the descriptor.
PORT_ERRORS = (OSError, termios.error, ValueError)

ADVICE = {
    errno.ENOENT: "is not there. Plug it in, or correct `port`",
    errno.ENXIO: "is not there. Plug it in, or correct `port`",
    errno.ENODEV: "is not there. Plug it in, or correct `port`",
    errno.EACCES: "may not be opened by this user. Add the user to the group that owns it, usually dialout",
    errno.EAGAIN: "is held by another program. Stop that one first",
    errno.EBUSY: "is held by another program. Stop that one first",
}


SerialPort: TypeAlias = serial.Serial
"""The port, as pyserial has it: each call raises one of `PORT_ERRORS` once the device is gone."""


def open_port(name: str, port: str, baud: int, **options: Any) -> SerialPort:  # noqa: ANN401  whatever pyserial takes
    """Claim `port` for the reader `name`: 8 data bits, no parity, one stop bit; neither reads nor writes wait.

    Raises `DeviceMissingError` naming it, with the system's reason; `DeviceAbsentError` when it is not plugged in.
    """
    try:
        return serial.Serial(port, baudrate=baud, timeout=0, exclusive=True, **options)
    except PORT_ERRORS as error:
        missing = DeviceAbsentError if getattr(error, "errno", None) in ABSENT else DeviceMissingError
        raise missing(f"Reader {name}: {port} {reason(error)}.") from error


def words(error: Exception) -> str:
    """What the system says of it."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def reason(error: Exception) -> str:
    """What to do about it, and what the system says."""
    advice = ADVICE.get(getattr(error, "errno", None) or 0, "could not be opened. Check that it is a serial port")
    return f"{advice} ({words(error)})"
