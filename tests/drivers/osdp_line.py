"""An RS-485 line with readers on it: libosdp's own peripheral side behind a pseudo-terminal."""

from __future__ import annotations

import binascii
import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import osdp_sys

from drivers.osdp_frames import CRC_START, HAS_BLOCK, HAS_CRC, HEADER_BYTES, IS_REPLY, MARK, PDCAP, START, command_of

KEY = bytes(range(0x60, 0x70))
OTHER_KEY = bytes(range(0x80, 0x90))
STEP_S = 0.004
SECURE = (osdp_sys.CAP_COMMUNICATION_SECURITY, 1, 1)
LAMP = (osdp_sys.CAP_READER_LED_CONTROL, 1, 1)
BUZZER = (osdp_sys.CAP_READER_AUDIBLE_OUTPUT, 1, 1)


class Reader:
    """A reader: `seen` is what it was told to do, `refuses` the commands that it does not know, `is_dead` that it has no power.

    With `is_plain` it says that it has no secure channel, as an old one does.
    """

    id = 0

    def __init__(
        self,
        address: int,
        key: bytes | None,
        *,
        flags: int = 0,
        caps: tuple[tuple[int, int, int], ...] = (SECURE, LAMP, BUZZER),
        is_plain: bool = False,
    ) -> None:
        self.address = address
        self.seen: list[dict[str, Any]] = []
        self.refuses: set[int] = set()
        self.is_dead = False
        self._is_plain = is_plain
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.events: list[dict[str, Any]] = []
        osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
        info: dict[str, Any] = {"name": "reader", "address": address, "flags": flags, "channel": self}
        info |= {"version": 1, "model": 1, "vendor_code": 1, "serial_number": 1, "firmware_version": 1}
        if key is not None:
            info["scbk"] = key
        has = [{"function_code": code, "compliance_level": level, "num_items": count} for code, level, count in caps]
        self._device = osdp_sys.PeripheralDevice(info, capabilities=has)
        self._device.set_command_callback(self._on_command)

    def _on_command(self, command: dict[str, Any]) -> tuple[int, None]:
        self.seen.append(dict(command))
        return (-1 if command["command"] in self.refuses else 0), None

    def step(self) -> None:
        """Live for a moment."""
        while self.events:
            self._device.submit_event(self.events.pop(0))
        self._device.refresh()

    # libosdp's channel

    def read(self, max_bytes: int) -> bytes:
        """What came over the wires."""
        chunk = bytes(self.incoming[:max_bytes])
        del self.incoming[:max_bytes]
        return chunk

    def write(self, data: bytes) -> int:
        """Answer."""
        self.outgoing += _without_security(data) if self._is_plain else data
        return len(data)

    def flush(self) -> None:
        """Nothing is kept."""

    # what a person does

    def card(self, bits: str) -> None:
        """Hold a card before it, whose bits are these."""
        data = int(bits.ljust((len(bits) + 7) // 8 * 8, "0"), 2).to_bytes((len(bits) + 7) // 8, "big")
        self._read(data, len(bits))

    def text(self, text: bytes) -> None:
        """Hold something before it that is read as text."""
        self._read(text, len(text) * 8)

    def keys(self, keys: bytes) -> None:
        """Press keys, each of which is told by itself."""
        for key in keys:
            self.events.append({"event": osdp_sys.EVENT_KEYPRESS, "reader_no": 0, "data": bytes([key])})

    def local(self, *, tamper: bool = False, power: bool = False) -> None:
        """Open it, or cut its power short."""
        report = bytes([tamper, power])
        self.events.append({"event": osdp_sys.EVENT_STATUS, "type": osdp_sys.STATUS_REPORT_LOCAL, "report": report})

    def _read(self, data: bytes, bits: int) -> None:
        self.events.append(
            {
                "event": osdp_sys.EVENT_CARDREAD,
                "reader_no": 0,
                "format": osdp_sys.CARD_FMT_RAW_WIEGAND,
                "direction": 0,
                "length": bits,
                "data": data,
            }
        )


class Line:
    """The line behind a path that stays the same, whatever terminal is behind it.

    `commands` are those that were asked: address and code. `answer` gets a command's bytes and may answer in its reader's place.
    """

    def __init__(self, path: Path, *readers: Reader) -> None:
        self.path = path
        self.readers = list(readers)
        self.commands: list[tuple[int, int]] = []
        self.answer: Callable[[bytes], bytes] | None = None
        self._gate = threading.Lock()
        self._ends: tuple[int, int] | None = None
        self._is_over = False
        self.plug()
        self._thread = threading.Thread(target=self._live, name="line")
        self._thread.start()

    def plug(self) -> None:
        """Plug the adapter in, which gives a new terminal."""
        with self._gate:
            self._ends = os.openpty()
            for end in self._ends:
                tty.setraw(end)
            os.set_blocking(self._ends[0], False)
            self.path.symlink_to(os.ttyname(self._ends[1]))

    def unplug(self) -> None:
        """Pull the adapter out."""
        with self._gate:
            self.path.unlink(missing_ok=True)
            ends, self._ends = self._ends, None
            for end in ends or ():
                os.close(end)

    def noise(self, data: bytes) -> None:
        """Whatever the wires pick up."""
        with self._gate:
            if self._ends is not None:
                os.write(self._ends[0], data)

    def close(self) -> None:
        """End it."""
        self._is_over = True
        self._thread.join()
        self.unplug()

    def _live(self) -> None:
        while not self._is_over:
            with self._gate:
                self._pass_on()
            time.sleep(STEP_S)

    def _pass_on(self) -> None:
        if self._ends is None:
            return
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._ends[0], 4096)
        if data:
            self.commands.append(command_of(data))
            answer = self.answer(data) if self.answer is not None else b""
            if answer:
                os.write(self._ends[0], answer)
                return
        for reader in self.readers:
            if reader.is_dead:
                reader.outgoing.clear()
                continue
            reader.incoming += data
            reader.step()
            if reader.outgoing:
                os.write(self._ends[0], reader.outgoing)
                reader.outgoing.clear()


@contextmanager
def line_of(path: Path, *readers: Reader) -> Iterator[Line]:
    """A line, closed afterwards."""
    line = Line(path, *readers)
    try:
        yield line
    finally:
        line.close()


def forged(command: bytes, body: bytes, block: bytes = b"") -> bytes:
    """An answer to a command by somebody without a key: head, security block if any, body, and a right CRC."""
    head = command[1:] if command[0] == MARK else command
    size = HEADER_BYTES + len(block) + len(body) + 2
    control = head[4] & 0x03 | HAS_CRC | (HAS_BLOCK if block else 0)
    return _sealed(bytes([START, IS_REPLY | head[1], size, 0, control]) + block + body)


def _without_security(frame: bytes) -> bytes:
    """A reader's list of what it can do, without the secure channel: libosdp's own always has one."""
    at = frame.find(bytes(SECURE[:2]), HEADER_BYTES)
    if command_of(frame)[1] != PDCAP or at < 0:
        return frame
    mark = frame[:1] if frame[0] == MARK else b""
    return mark + _sealed(frame[len(mark) : at + 1] + b"\0" + frame[at + 2 : -2])


def _sealed(frame: bytes) -> bytes:
    return frame + binascii.crc_hqx(frame, CRC_START).to_bytes(2, "little")
