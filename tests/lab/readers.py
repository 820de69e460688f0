"""The readers that an electrician brings, each as real as the board can have it, played from outside, pulled out and put back.

Wiegand's lines are two lines of the simulated chip, moved by writes to sysfs; the USB scanners are USB devices: gadgets of the kernel's,
on its dummy host controller, with udev's names; OSDP is libosdp's own peripheral side behind a pseudo-terminal.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import time
import tty
from collections.abc import Callable
from pathlib import Path

from tests.lab.board import LabError, Pin, main_pid, sh, until
from tests.lab.doors import check
from tests.lab.site import D0, D1, DOORS, PULSE_S, SECOND, Site

GADGETS = Path("/sys/kernel/config/usb_gadget")
KEYBOARD_BY_ID = "/dev/input/by-id/usb-Lab_Keyboard_Scanner_0001-event-kbd"
KEYBOARD = "/dev/input/tourlatch-scanner-front"
RULES = Path("/usr/local/lib/udev/rules.d/70-tourlatch.rules")
OWN_RULES = Path("/etc/udev/rules.d/71-tourlatch-scanners.rules")
SERIAL = "/dev/serial/by-id/usb-Lab_Serial_Scanner_0002-if00"
OSDP_PORT = "/run/osdp"
OSDP_KEY = "606162636465666768696a6b6c6d6e6f"
OSDP_KEY_FILE = Path("/etc/tourlatch/doors/front.osdp-key")
TABLES = f"""
[[door.reader]]
driver = "wiegand"
name = "wiegand"
d0 = {D0}
d1 = {D1}
pull = "none"
[[door.reader]]
driver = "keyboard"
name = "keyboard"
device = "{KEYBOARD}"
[[door.reader]]
driver = "serial"
name = "usb"
port = "{SERIAL}"
[[door.reader]]
driver = "osdp"
name = "osdp"
port = "{OSDP_PORT}"
key_file = "door_front.osdp-key"
"""
# HID 1.11, appendix B.1: the boot keyboard's report descriptor, without its lamps
REPORT = bytes.fromhex("05010906a101050719e029e71500250175019508810295017508810195067508150025650507190029658100c0")
USAGES = {chr(ord("a") + place): 4 + place for place in range(26)} | {digit: 0x1E + place for place, digit in enumerate("1234567890")}
USAGES |= {"\n": 0x28, " ": 0x2C, "-": 0x2D, "=": 0x2E, ";": 0x33, ",": 0x36, ".": 0x37, "/": 0x38}
SHIFTED = {"$": "4", "%": "5", "*": "8", "+": "=", ":": ";", "#": "3"}
"""Usages of HID's keyboard page by what a US keyboard types."""
PULSE_NS, EVERY_NS = 40_000, 260_000
"""The fastest that the standard allows, near enough: 20 to 100 us with 200 us to 20 ms between. For silence of 25 ms ends a message, and
where other work makes the emulation halt for longer, a message breaks in two. Such a one must not be read, and is played again."""
TRIES = 60


def card(number: int, bits: int) -> str:
    """A card's number between its two parity bits, the first even, the second odd."""
    inner = f"{number:0{bits - 2}b}"
    first, last = inner[: bits // 2 - 1], inner[bits // 2 - 1 :]
    return f"{first.count('1') % 2}{inner}{1 - last.count('1') % 2}"


def keys(pin: str, bits: int) -> list[str]:
    """A PIN with its `#`, a burst for each key: its 4 bits, or these after their complement."""
    values = ["0123456789*#".index(key) for key in pin + "#"]
    return [f"{value:04b}" if bits == 4 else f"{value ^ 0xF:04b}{value:04b}" for value in values]


class Gadget:
    """A USB device on the kernel's dummy host controller."""

    def __init__(self, number: int, product: str, function: str) -> None:
        self._udc = f"dummy_udc.{number}"
        self._folder = GADGETS / f"lab{number}"
        for folder in ("strings/0x409", f"functions/{function}", "configs/c.1"):
            (self._folder / folder).mkdir(parents=True)
        for name, text in (("idVendor", "0x1d6b"), ("idProduct", f"0x010{number}"), ("strings/0x409/manufacturer", "Lab")):
            (self._folder / name).write_text(text)
        (self._folder / "strings/0x409/product").write_text(product)
        (self._folder / "strings/0x409/serialnumber").write_text(f"{number + 1:04}")
        self.function = self._folder / "functions" / function

    def configure(self) -> None:
        """When the function is set up."""
        (self._folder / "configs/c.1" / self.function.name).symlink_to(self.function)

    def plug(self) -> None:
        """Put it into its socket."""
        (self._folder / "UDC").write_text(self._udc)

    def unplug(self) -> None:
        """Pull it out."""
        (self._folder / "UDC").write_text("\n")


class Readers:
    """The steps with the readers."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.lab = site.lab
        self.d0, self.d1 = Pin(D0), Pin(D1)
        self._osdp: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Before the agent starts: the devices are there, with udev's names."""
        for line in (self.d0, self.d1):
            line.drive(1)
        sh("modprobe -a libcomposite usb_f_acm usb_f_hid usbhid hid_generic evdev cdc_acm; modprobe dummy_hcd num=2")
        self._keyboard = Gadget(0, "Keyboard Scanner", "hid.usb0")
        for name, text in (("protocol", b"1"), ("subclass", b"1"), ("report_length", b"8"), ("report_desc", REPORT)):
            (self._keyboard.function / name).write_bytes(text)
        self._keyboard.configure()
        self._serial = Gadget(1, "Serial Scanner", "acm.usb0")
        self._serial.configure()
        for gadget, name in ((self._keyboard, KEYBOARD_BY_ID), (self._serial, SERIAL)):
            gadget.plug()
            until(Path(name).exists, 60, f"udev's name {name}", pause_s=0.2)
        self._give_keyboard()
        self._serial_end = os.open("/dev/ttyGS0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._serial_end)
        OSDP_KEY_FILE.touch(0o600)
        OSDP_KEY_FILE.write_text(OSDP_KEY)
        self._start_osdp()

    def _give_keyboard(self) -> None:
        """By the rule that stands as an example in the project's own, copied as it says there."""
        text = RULES.read_text()
        rule = text[text.index("#ACTION") :].replace("\n#", "\n").lstrip("#")
        path = sh(f"udevadm info -q property --property=ID_PATH --value {KEYBOARD_BY_ID}")
        OWN_RULES.write_text(re.sub(r'ENV\{ID_PATH\}=="[^"]*"', f'ENV{{ID_PATH}}=="{path}"', rule))
        sh("udevadm control --reload; udevadm trigger --settle --subsystem-match=input")
        until(Path(KEYBOARD).exists, 60, f"udev's name {KEYBOARD}", pause_s=0.2)

    def _start_osdp(self) -> None:
        program = Path(__file__).with_name("osdp_reader.py")
        command = ["/opt/tourlatch/venv/bin/python", "-I", "-B", str(program), OSDP_PORT, OSDP_KEY]
        self._osdp = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        until(lambda: Path(OSDP_PORT).exists(), 60, "the OSDP reader's line", pause_s=0.2)

    def _until(self, name: str, state: str, limit_s: float = 90) -> float:
        def found() -> str:
            return str(self.lab.ask(do="status")["doors"]["front"]["readers"][name])

        return until(lambda: found() == state, limit_s, lambda: f"the reader {name} {state}; it is {found()}", pause_s=0.2)

    def ready(self) -> None:
        """All of them, by the agent's own word."""
        names = ("front-scanner", "wiegand", "keyboard", "usb", "osdp")
        took_s = max(self._until(name, "ready") for name in names)
        self.lab.say(f"readers at front ready: {', '.join(names)}", f"{len(names)} of {len(names)}, {took_s:.0f} s after the start")

    def _expect_pulse(self, what: str, show: Callable[[str], None]) -> None:
        """A code that nobody has shown yet makes one pulse of the right length; it may begin before `show` is done."""
        mark = len(self.site.record.pulses(DOORS["front"].pin))
        show(self.site.code("front"))
        self.site.released.update((DOORS["front"].pin, SECOND))
        until(lambda: len(self.site.record.pulses(DOORS["front"].pin)) > mark, 30, f"a release by {what}")
        self.site.until_locked("front")
        begin_s, end_s = self.site.record.pulses(DOORS["front"].pin)[-1]
        self.lab.say(what, f"{check(what, end_s - begin_s, PULSE_S)} for {PULSE_S} s")
        until(lambda: self.site.record.is_locked(SECOND), 10, "the second relay at rest")

    def _denied(self, since: int, count: int, what: str, limit_s: float = 20) -> None:
        until(lambda: self.lab.kinds(since, "front").count("refusal") >= count, limit_s, what, pause_s=0.1)

    def play(self, bits: str) -> None:
        """A message on Wiegand's two lines."""
        next_ns = time.monotonic_ns() + 5_000_000
        for bit in bits:
            line = self.d1 if bit == "1" else self.d0
            while time.monotonic_ns() < next_ns:
                pass
            line.drive(0)
            up_ns = time.monotonic_ns() + PULSE_NS
            while time.monotonic_ns() < up_ns:
                pass
            line.drive(1)
            next_ns = up_ns + EVERY_NS - PULSE_NS
        time.sleep(0.15)

    def type_pin(self, pin: str) -> None:
        """A PIN on Wiegand's keypad, which is cleared before."""
        for message in keys(f"*{pin}", 4):
            self.play(message)

    def wiegand(self) -> None:
        """Cards of 26 and 34 bits and PINs of both kinds of bursts are read whole and refused; a damaged one is not read."""
        for what, messages in (
            ("a card of 26 bits", [card(0x123456, 26)]),
            ("a card of 34 bits", [card(0x12345678, 34)]),
            ("a PIN in bursts of 4 bits", keys("*12345678", 4)),
            ("a PIN in bursts of 8 bits", keys("*87654321", 8)),
        ):
            since, tries = self.lab.last(), 0
            while not self.lab.kinds(since, "front"):
                tries += 1
                if tries > TRIES:
                    raise LabError(f"Wiegand: {what} was played {tries - 1} times and not read")
                for message in messages:
                    self.play(message)
                with contextlib.suppress(LabError):
                    self._denied(since, 1, what, 1)
            self.lab.say(f"Wiegand: {what}, {PULSE_NS // 1000} us every {EVERY_NS // 1000} us: read, refused", f"played {tries} times")
        since = self.lab.last()
        whole = card(0x123456, 26)
        for damaged in (whole[:-1], whole[:-1] + str(1 - int(whole[-1])), whole + "0"):
            self.play(damaged)
        time.sleep(2)
        if self.lab.kinds(since, "front"):
            raise LabError(f"a damaged card was read: {self.lab.journal(since, 'front')}")
        self.lab.say("Wiegand: a bit missing, wrong parity, a bit more", "3 of 3 not read")
        self.d0.drive(0)
        self._until("wiegand", "lost")
        self.d0.drive(1)
        took_s = self._until("wiegand", "ready")
        self.lab.say("Wiegand: D0 cut, the agent says so; mended: ready", f"after {took_s:.1f} s")

    def _type(self, text: str) -> None:
        with Path("/dev/hidg0").open("wb", buffering=0) as wire:
            for character in text + "\n":
                key = SHIFTED.get(character, character.lower())
                shift = 2 if character in SHIFTED or character.isupper() else 0
                wire.write(bytes((shift, 0, USAGES[key], 0, 0, 0, 0, 0)))
                wire.write(bytes(8))

    def keyboard(self) -> None:
        """A USB keyboard scanner: its code opens, nobody else hears it, and it may be pulled out and put back."""
        pid = main_pid()
        listener = os.open(KEYBOARD, os.O_RDONLY | os.O_NONBLOCK)
        self._expect_pulse("a code by a USB keyboard scanner", self._type)
        if select.select([listener], [], [], 0)[0]:
            raise LabError("what the keyboard scanner typed was heard by another program")
        os.close(listener)
        self.lab.say("the same keys heard by another program, or a console", "none: it is grabbed")
        self._keyboard.unplug()
        self._until("keyboard", "lost")
        self._keyboard.plug()
        took_s = self._until("keyboard", "ready")
        self._expect_pulse(f"pulled out, put back (ready after {took_s:.0f} s), a code", self._type)
        self._same(pid)

    def serial(self) -> None:
        """A USB serial scanner, pulled out and put back."""
        pid = main_pid()
        self._expect_pulse("a code by a USB serial scanner", self._scan)
        self._serial.unplug()
        self._until("usb", "lost")
        os.close(self._serial_end)
        self._serial.plug()
        took_s = self._until("usb", "ready")
        self._serial_end = os.open("/dev/ttyGS0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._serial_end)
        self._expect_pulse(f"pulled out, put back (ready after {took_s:.0f} s), a code", self._scan)
        self._same(pid)

    def _scan(self, text: str) -> None:
        os.write(self._serial_end, text.encode() + b"\r\n")

    def _tell_osdp(self, order: str) -> None:
        if self._osdp is None or self._osdp.stdin is None:
            raise LabError("the OSDP reader does not run")
        self._osdp.stdin.write(order + "\n")
        self._osdp.stdin.flush()

    def osdp(self) -> None:
        """An OSDP reader under the secure channel: a card and a PIN are read, its housing's switch is told, silence is told and heals."""
        pid, since = main_pid(), self.lab.last()
        self._tell_osdp(f"card {card(0x123456, 26)}")
        self._denied(since, 1, "the OSDP reader's card refused")
        self._tell_osdp("keys 12345678#")
        self._denied(since, 2, "the OSDP reader's PIN refused")
        self.lab.say("OSDP under the secure channel: a card and a PIN read, refused as unknown", "2 of 2")
        self._tell_osdp("tamper 1")
        self._until("osdp", "tampered")
        self._tell_osdp("tamper 0")
        self._until("osdp", "ready")
        self.lab.say("OSDP: the housing opened, shut", "tampered, ready")
        if self._osdp is not None:
            self._osdp.kill()
            self._osdp.wait()
        self._until("osdp", "lost")
        self._start_osdp()
        took_s = self._until("osdp", "ready")
        self.lab.say("OSDP: the line gone, and back", f"lost, ready after {took_s:.0f} s")
        self._same(pid)

    def _same(self, pid: str) -> None:
        if main_pid() != pid:
            raise LabError("the agent was restarted meanwhile")
