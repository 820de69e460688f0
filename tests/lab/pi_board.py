"""An emulated Raspberry Pi 3B, seen from outside: its card, its UARTs, a USB socket, its power, and what its pin controller is told.

Rule: what a pin does is taken from the SoC itself. qemu tells every write to the pin controller's registers with its time, so no instant
      between two looks is missed; what the record says is compared with the registers as they are read.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

RAM = "1G"
GPIO = 0x3F200000
FSEL, SET, CLEAR, LEVEL = 0x00, 0x1C, 0x28, 0x34
"""Registers of the pin controller: BCM2835 ARM Peripherals, section 6.1. A pin's function takes three bits, 1 being output."""
WRITE = re.compile(rb"^\d+@(\d+\.\d+):memory_region_ops_write .* addr 0x([0-9a-f]+) value 0x([0-9a-f]+) .*'bcm2835_gpio'")


class LabError(Exception):
    """A step did not show what it must; the sentence says what was seen."""


def until(holds: Callable[[], bool], limit_s: float, what: str, *, pause_s: float = 0.05) -> float:
    """Seconds until something holds; raises `LabError` naming it when it does not in time."""
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > limit_s:
            raise LabError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(pause_s)
    return time.monotonic() - began_s


class Pins(threading.Thread):
    """The pins that drive relays, by every write to the pin controller; `active` gives each pin's releasing level.

    Released means that the pin is an output at its releasing level: an input's level is its resistor's.
    """

    def __init__(self, record: Path, active: dict[int, int]) -> None:
        super().__init__(daemon=True)
        self._record = record
        self._active = active
        self._function = [0] * 54
        self._level = [0] * 54
        self._released = dict.fromkeys(active, False)
        self.writes = 0
        self.changes: list[tuple[float, int, bool]] = []

    def run(self) -> None:
        """Read the record until qemu is gone; grep is quicker than Python in throwing away what other devices are told."""
        with subprocess.Popen(["grep", "-a", "--line-buffered", "bcm2835_gpio", self._record], stdout=subprocess.PIPE) as grep:
            for line in grep.stdout or ():
                if found := WRITE.match(line):
                    self._take(float(found[1]), int(found[2], 16) & 0xFF, int(found[3], 16))

    def _take(self, at_s: float, register: int, value: int) -> None:
        self.writes += 1
        bits = [bit for bit in range(32) if value >> bit & 1]
        if register < SET - 4:
            for place in range(10):
                pin = register // 4 * 10 + place
                if pin < len(self._function):
                    self._function[pin] = value >> 3 * place & 7
        elif register in {SET, SET + 4, CLEAR, CLEAR + 4}:
            first = 32 if register in {SET + 4, CLEAR + 4} else 0
            for pin in (first + bit for bit in bits):
                self._level[pin] = int(register in {SET, SET + 4})
        for pin, active in self._active.items():
            is_released = self._function[pin] == 1 and self._level[pin] == active
            if is_released != self._released[pin]:
                self._released[pin] = is_released
                self.changes.append((at_s, pin, is_released))

    def state(self, pin: int) -> tuple[int, int]:
        """The level that was set last, and the function."""
        return self._level[pin], self._function[pin]

    def is_released(self, pin: int) -> bool:
        """Whether the pin releases its lock now."""
        return self._released[pin]


class Board:
    """The board, powered on by `start` and off by `stop`."""

    def __init__(self, cache: Path, image: Path, work: Path, active: dict[int, int]) -> None:
        self._cache, self._image, self._work = cache, image, work
        self._record = work / "record"
        self.pins = Pins(self._record, active)
        self._qemu: subprocess.Popen[bytes] | None = None
        self._heard = b""
        self.usb: socket.socket | None = None

    def start(self) -> None:
        """A copy of the card's image, then power; the board's clock is set, as a real time clock would set it."""
        card = self._work / "card.img"
        subprocess.run(["cp", "--sparse=always", self._image, card], check=True)
        os.mkfifo(self._record)
        self.pins.start()
        self._qemu = subprocess.Popen(self._command(card), stdin=subprocess.DEVNULL)
        until((self._work / "monitor").exists, 30, "qemu's monitor")
        self._uart0, self._uart1, self._monitor = (self._wire(name) for name in ("uart0", "uart1", "monitor"))

    def _command(self, card: Path) -> list[str]:
        options = f"""
            -M raspi3b -m {RAM} -smp 4 -display none -no-reboot -nic none
            -kernel {self._cache}/vmlinuz -initrd {self._cache}/initrd.gz -dtb {self._cache}/pi.dtb -drive file={card},if=sd,format=raw
            -chardev socket,id=uart0,path={self._work}/uart0,server=on,wait=off -serial chardev:uart0
            -chardev socket,id=uart1,path={self._work}/uart1,server=on,wait=off -serial chardev:uart1
            -chardev socket,id=usb,path={self._work}/usb,server=on,wait=off -device usb-serial,chardev=usb
            -monitor unix:{self._work}/monitor,server=on,wait=off
            -trace enable=memory_region_ops_write -D {self._record} -msg timestamp=on
        """
        kernel = "console=ttyS1,115200 panic=-1 rw quiet loglevel=1 systemd.show_status=0"
        kernel += f" systemd.clock_usec={time.time_ns() // 1000}"
        return ["qemu-system-aarch64", *options.split(), "-append", kernel]

    def _wire(self, name: str) -> socket.socket:
        wire = socket.socket(socket.AF_UNIX)
        wire.connect(str(self._work / name))
        wire.settimeout(5)
        return wire

    def wait_ready(self, limit_s: float) -> None:
        """Until systemd has come to the shell on the second UART."""
        self._hear(rb"LAB-READY\n", limit_s)

    def _hear(self, end: bytes, limit_s: float) -> bytes:
        """What the second UART says up to `end`, a pattern."""
        began_s = time.monotonic()
        while not (found := re.search(end, self._heard)):
            if self._qemu is None or self._qemu.poll() is not None:
                raise LabError(f"the board is off; it said: {self._heard[-2000:].decode(errors='replace')}")
            if time.monotonic() - began_s > limit_s:
                raise LabError(f"no answer in {limit_s:.0f} s; it said: {self._heard[-2000:].decode(errors='replace')}")
            try:
                self._heard += self._uart1.recv(4096)
            except TimeoutError:
                continue
            except OSError as error:
                raise LabError(f"the board is off: {error}") from error
        said, self._heard = self._heard[: found.start()], self._heard[found.end() :]
        return said

    def sh(self, command: str, *, is_needed: bool = True, limit_s: float = 120) -> str:
        """Run a command as root on the board, through the second UART."""
        self._uart1.sendall(command.encode() + b"\n")
        said = self._hear(rb"LAB-EXIT (?=\d+\n)", limit_s).decode(errors="replace").strip()
        code = int(self._hear(rb"\n", limit_s))
        if code and is_needed:
            raise LabError(f"{command}: {code}\n{said}")
        return said

    def scan(self, text: str) -> None:
        """One line from the scanner on the header's UART."""
        self._uart0.sendall(text.encode() + b"\r\n")

    def scan_usb(self, text: str) -> None:
        """One line from the USB scanner, of such a length that its last packet is a short one.

        qemu's adapter sends nothing after full packets, 62 bytes each, where a real one's latency timer sends an empty one.
        """
        if self.usb is None:
            raise LabError("the USB scanner is not plugged in")
        line = text.encode() + b"\r\n"
        self.usb.sendall(line if len(line) % 62 else line[:-1])

    def plug(self) -> None:
        """Plug the USB scanner in."""
        self.usb = self._wire("usb")

    def register(self, offset: int) -> int:
        """One 32-bit register of the pin controller, as it is now."""
        self._monitor.sendall(f"xp /1xw {GPIO + offset:#x}\n".encode())
        answer = b""
        while not (found := re.search(rb": 0x([0-9a-f]{8})", answer)):
            answer += self._monitor.recv(4096)
        return int(found[1], 16)

    def read(self, pin: int) -> tuple[int, int]:
        """A pin's level and function in the SoC's registers, as they are now; 0 is input, 1 output."""
        return self.register(LEVEL) >> pin & 1, self.register(FSEL + 4 * (pin // 10)) >> 3 * (pin % 10) & 7

    def last_words(self) -> str:
        """The agent's log, as far as the board still answers."""
        try:
            return self.sh("journalctl -u tourlatch -o cat --no-pager | tail -40", is_needed=False, limit_s=60)
        except (LabError, OSError) as error:
            return f"no log: {error}"

    def stop(self) -> None:
        """Power off."""
        if self._qemu is not None:
            with suppress(OSError):  # it may be off already
                self._monitor.sendall(b"quit\n")
            try:
                self._qemu.wait(30)
            except subprocess.TimeoutExpired:
                self._qemu.kill()
        shutil.rmtree(self._work, ignore_errors=True)
