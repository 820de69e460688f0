"""The commands of the GM65 family's scan modules: pure, no I/O, no clock.

    command  7E 00  type  count  address (2)  data  CRC (2)     type 07 reads, 08 writes, 09 saves
    reply    02 00  type  count               data  CRC (2)     type 00 is success; a write is answered by 02 00 00 01 00 33 31

The CRC is CCITT's with 0 to begin with, over all but the head. A setting is a byte or some bits of one, at an address that the manuals
call a zone. Source: Hangzhou Grow's manuals of the GM65 and its kin (also sold by Waveshare, DFRobot and others), whose scans are bare
lines on the same wire: replies are told from scans by their head and CRC.

Only zones are touched that mean the same throughout the family. The line end (0x0060) is not among them: set it by the manual's code.
"""

from __future__ import annotations

import binascii
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from drivers.base import DriverError

Trigger: TypeAlias = Literal["continuous", "motion"]

HEAD, REPLY_HEAD = b"\x7e\x00", b"\x02\x00"
READ, WRITE, SAVE = 0x07, 0x08, 0x09
SUCCESS = 0x00
CRC_BYTES = 2
MAX_REPLY_DATA = 8
"""We ask for one byte at a time; a longer claim is noise."""
NOISE_NS = 500_000_000
"""The rest of a reply comes at once; its beginning alone, this long ago, was noise."""


class ModuleRefusedError(DriverError):
    """The module answers, and does not do what it is told."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the module answered: a type, of which only SUCCESS is good, and data."""

    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Setting:
    """Bits of a zone."""

    zone: int
    mask: int
    value: int
    meaning: str

    def put_into(self, byte: int) -> int:
        """The zone's byte with these bits set and the others kept."""
        return byte & ~self.mask | self.value


_NO_REPEAT = Setting(0x0013, 0xFF, 0x80 | 30, "the same code again after 3 s")
SETTINGS: dict[Trigger, tuple[Setting, ...]] = {
    "continuous": (
        Setting(0x0000, 0b11, 0b10, "looking all the time"),
        Setting(0x0006, 0xFF, 0, "no pause in looking"),
        _NO_REPEAT,
    ),
    "motion": (
        Setting(0x0000, 0b11, 0b11, "looking when something moves"),
        Setting(0x0006, 0xFF, 50, "looking for 5 s"),
        _NO_REPEAT,
    ),
}


def read(zone: int) -> bytes:
    """The command that asks for one byte."""
    return _command(READ, zone, 1)


def write(zone: int, value: int) -> bytes:
    """The command that sets one byte, until the module loses its power."""
    return _command(WRITE, zone, value)


def save() -> bytes:
    """The command that keeps all settings over a loss of power."""
    return _command(SAVE, 0, 0)


def conversation(trigger: Trigger) -> Generator[bytes, Reply, None]:
    """Set the module up: yields commands, is sent the reply to each, and ends when the module has the settings for good.

    Nothing is written that is so already: the module's memory wears out.

    Raises `ModuleRefusedError` naming the setting.
    """
    has_changed = False
    for setting in SETTINGS[trigger]:
        byte = _byte((yield read(setting.zone)), setting)
        if byte != setting.put_into(byte):
            _byte((yield write(setting.zone, setting.put_into(byte))), setting)
            has_changed = True
    if not has_changed:
        return
    reply = yield save()
    if reply.kind != SUCCESS:
        raise ModuleRefusedError("does not save its settings")
    # Also finds a reply that was taken for the one to another command.
    for setting in SETTINGS[trigger]:
        byte = _byte((yield read(setting.zone)), setting)
        if byte != setting.put_into(byte):
            raise ModuleRefusedError(f"does not keep the setting 0x{setting.zone:04X} ({setting.meaning})")


class Splitter:
    """Parts what comes over the wire into scans and replies, however it is cut into reads."""

    def __init__(self) -> None:
        self._pending = b""
        self._last_ns = 0

    def feed(self, data: bytes, at_ns: int) -> tuple[bytes, list[Reply]]:
        """The bytes of scans and the replies that `data`, read at tick `at_ns`, brings; the beginning of a reply waits for its rest."""
        if at_ns - self._last_ns > NOISE_NS:
            self._pending = b""
        self._last_ns = at_ns
        stream, self._pending = self._pending + data, b""
        scans = bytearray()
        replies: list[Reply] = []
        start = 0
        while (head := stream.find(REPLY_HEAD[:1], start)) >= 0:
            scans += stream[start:head]
            end = _end_of_reply(stream[head:])
            if end is None:
                self._pending = stream[head:]
                return bytes(scans), replies
            if end:
                replies.append(Reply(stream[head + 2], stream[head + 4 : head + end - CRC_BYTES]))
            else:
                scans += stream[head : head + 1]
            start = head + (end or 1)
        scans += stream[start:]
        return bytes(scans), replies


def _end_of_reply(stream: bytes) -> int | None:
    """The length of the reply at the beginning of `stream`; 0 when there is none, None when that cannot be told yet."""
    if not stream.startswith(REPLY_HEAD[: len(stream)]):
        return 0
    if len(stream) < len(REPLY_HEAD) + 2:
        return None
    count = stream[3]
    end = 4 + count + CRC_BYTES
    if not 1 <= count <= MAX_REPLY_DATA:
        return 0
    if len(stream) < end:
        return None
    return end if _crc(stream[1 : end - CRC_BYTES]) == stream[end - CRC_BYTES : end] else 0


def _command(kind: int, zone: int, value: int) -> bytes:
    body = bytes((kind, 1)) + zone.to_bytes(2, "big") + bytes((value,))
    return HEAD + body + _crc(body)


def _crc(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0).to_bytes(CRC_BYTES, "big")


def _byte(reply: Reply, setting: Setting) -> int:
    if reply.kind != SUCCESS or len(reply.data) != 1:
        raise ModuleRefusedError(f"refuses the setting 0x{setting.zone:04X} ({setting.meaning})")
    return reply.data[0]
