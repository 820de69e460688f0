"""A stand-in for the kernel's side of a GPIO chip: it is asked by the real requests, and gives a real pipe for the edges.

What only a real chip can show (the resistors, the ticks, the interrupts) is shown on one, in the lab.
"""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers import chardev

RISE, FALL = 1, 2


class Chip:
    """/dev/gpiochip0 with levels, the requests it was sent, and edges that are told when the test says so."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.levels: dict[int, int] = {}
        self.requests: list[tuple[tuple[int, ...], str, int, int]] = []
        self.errors: dict[int, int] = {}
        self._pins: dict[int, tuple[int, ...]] = {}
        self._writers: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._count = 0
        (folder / "gpiochip0").touch()
        patch.setattr(chardev, "DEVICES", str(folder))
        patch.setattr("drivers.chardev.fcntl", SimpleNamespace(ioctl=self._ioctl))

    def edge(self, pin: int, which: int, at_ns: int, *, lost: int = 0) -> bytes:
        """One edge as the kernel writes it; `lost` of the pin's were dropped before it."""
        self._count += 1 + lost
        self._numbers[pin] = self._numbers.get(pin, 0) + 1 + lost
        return chardev.EVENT.pack(at_ns, which, pin, self._count, self._numbers[pin])

    def tell(self, pin: int, *edges: bytes) -> None:
        """Write edges to whoever claimed the pin."""
        os.write(self._writers[pin], b"".join(edges))

    def is_claimed(self, pin: int) -> bool:
        """Whether somebody still has the pin."""
        poller = select.poll()
        poller.register(self._writers[pin], 0)
        return not poller.poll(0)

    def close(self) -> None:
        """Close the pipes."""
        for writer in set(self._writers.values()):
            os.close(writer)

    def _ioctl(self, descriptor: int, request: int, data: bytearray) -> int:
        if request in self.errors:
            raise OSError(self.errors[request], os.strerror(self.errors[request]))
        if request == chardev.GET_LINE:
            self._get_line(data)
        elif request == chardev.GET_VALUES:
            _bits, mask = chardev.VALUES.unpack(data)
            pins = self._pins[descriptor]
            assert mask == (1 << len(pins)) - 1
            data[:] = chardev.VALUES.pack(sum(self.levels.get(pin, 0) << index for index, pin in enumerate(pins)), mask)
        else:
            raise OSError(errno.ENOTTY, "not a request of a GPIO chip")
        return 0

    def _get_line(self, data: bytearray) -> None:
        fields = list(chardev.REQUEST.unpack(data))
        flags, count, kept = fields[65], fields[73], fields[74]
        pins = tuple(fields[:count])
        self.requests.append((pins, fields[64].rstrip(b"\0").decode(), flags, kept))
        reader, writer = os.pipe()
        self._pins[reader] = pins
        self._writers |= dict.fromkeys(pins, writer)
        data[-4:] = reader.to_bytes(4, "little")
