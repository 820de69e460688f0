"""The lab's site: five doors, one for each way of locking, wired to the emulated board; their configuration, and its installation.

The lines have their resistors outside: the simulated chip takes a pull of its own for the outside's, and would overrule a contact.
"""

from __future__ import annotations

import json
import os
import time
import tty
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.lab.board import Lab, LabError, Pin, is_running, sh, until

PULSE_S = 4.0
MAX_S = 12.0
HELD_WARN_S, HELD_ALARM_S = 4, 8
SUPPRESS_S = 6
GUESSES, LOCKOUT_S = 5, 20
FIRE, TAMPER, REX, SECOND = 13, 19, 6, 26
D0, D1 = 7, 8
"""Wiegand's lines at `front`."""


@dataclass(frozen=True, slots=True)
class Way:
    """A door: its lock's table, its relay's pin and releasing level, its contact's pin, and whether the fire panel is wired to it."""

    lock: str
    pin: int
    released: int
    contact: int | None = None
    has_fire: bool = False

    @property
    def locked(self) -> int:
        """The relay's level at rest."""
        return 1 - self.released


DOORS = {
    "front": Way('kind = "strike", fails = "secure", mode = "pulse"', 17, 1, 5, has_fire=True),
    "side": Way('kind = "strike", fails = "safe", mode = "pulse"', 22, 0, None, has_fire=True),
    "lobby": Way('kind = "maglock", fails = "safe", mode = "hold", relock = "closed"', 27, 0, 16, has_fire=True),
    "gate": Way('kind = "maglock", fails = "safe", mode = "hold", relock = "opened"', 23, 1, 20),
    "garage": Way('kind = "strike", fails = "secure", mode = "hold", relock = "time"', 24, 1, 21),
}
LOCKED = {way.pin: way.locked for way in DOORS.values()} | {SECOND: 0}
HEAD = f"""
community_id = "1001"
time_zone = "America/Los_Angeles"
[clock]
trust = "system"
[rules]
hold_open_max_min = 5
[lockout]
guesses = {GUESSES}
lock_s = {LOCKOUT_S}
[control]
kiosk_users = ["tourlatch-kiosk"]
kiosk_doors = ["front"]
[knock]
base_url = "http://127.0.0.1:9"
"""


def door_table(name: str, *, more: str = "", readers: str = "") -> str:
    """The tables of one door; `more` goes into the door's own table, `readers` are more readers."""
    way = DOORS[name]
    active = "high" if way.released else "low"
    lines = [
        "[[door]]",
        f'name = "{name}"',
        f"pulse_s = {PULSE_S}",
        f"max_pulse_s = {MAX_S}",
        f"lock = {{ {way.lock} }}",
        more,
        f'relay = {{ driver = "gpio", pin = {way.pin}, active = "{active}" }}',
        _input("contact", way.contact, f", held_warn_s = {HELD_WARN_S}, held_alarm_s = {HELD_ALARM_S}, debounce_ms = 50"),
        _input("fire", FIRE if way.has_fire else None),
    ]
    if name == "front":
        lines += [
            _input("rex", REX, f", suppress_s = {SUPPRESS_S}"),
            _input("tamper", TAMPER),
            f'second_relay = {{ driver = "gpio", pin = {SECOND}, active = "high", delay_s = 1.0, pulse_s = 1.5 }}',
        ]
    lines += ["[[door.reader]]", 'driver = "serial"', f'name = "{name}-scanner"', f'port = "/run/scanner-{name}"']
    return "\n".join(line for line in lines if line) + "\n" + readers


def _input(name: str, pin: int | None, more: str = "") -> str:
    if pin is None:
        return ""
    return f'{name} = {{ driver = "gpio", pin = {pin}, active = "high", normally = "open", pull = "none"{more} }}'


class Site:
    """The doors' outside ends: scanners, contacts, buttons and the panel."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.record = lab.record
        self._scanners: dict[str, int] = {}
        self._codes: dict[str, list[str]] = {}
        self.contacts = {name: Pin(way.contact) for name, way in DOORS.items() if way.contact is not None}
        self.fire, self.tamper, self.rex = Pin(FIRE), Pin(TAMPER), Pin(REX)
        self.admitted = 0
        self.released: Counter[int] = Counter()
        """How often each line may have been released, by what the steps did."""

    def rest(self) -> None:
        """Every contact shut, no button, no fire; each with its resistor."""
        for pin in (*self.contacts.values(), self.fire, self.tamper, self.rex):
            pin.drive(0)

    def install(self, readers: str) -> None:
        """As systemd/README.md says, without a network, on a board whose resistors hold each line where its relay is off."""
        self.rest()
        began_s = time.monotonic()
        sh("PIP_NO_INDEX=1 PIP_FIND_LINKS=/lab/wheels sh /lab/src/systemd/install.sh --desk --osdp --kiosk", timeout_s=900)
        self.lab.say("installed by systemd/install.sh --desk --osdp --kiosk, offline", f"{time.monotonic() - began_s:.0f} s")
        sh("tourlatch keys new -f /root/keys; install -m 644 /root/keys/*.pub.toml /etc/tourlatch/keys/")
        key = Path("/etc/tourlatch/credentials/knock-appointment-key")
        key.touch(0o600)
        key.write_text("lab\n")
        for name in DOORS:
            master, line = os.openpty()
            tty.setraw(line)
            path = os.ttyname(line)
            sh(f"chgrp dialout {path}; chmod 660 {path}; ln -sf {path} /run/scanner-{name}")
            self._scanners[name] = master
        tables = [door_table(name, readers=readers if name == "front" else "") for name in DOORS]
        Path("/etc/tourlatch/agent.toml").write_text(HEAD + "".join(tables))
        drop_in = Path("/etc/systemd/system/tourlatch.service.d/lab.conf")
        drop_in.parent.mkdir()
        # gpiozero wants a board's revision; the lab's stands in a file bound over /proc/cpuinfo, which the unit's own /proc does not have
        drop_in.write_text("[Service]\nBindReadOnlyPaths=/run/cpuinfo:/proc/cpuinfo\n")
        sh("systemctl daemon-reload; tourlatch check")

    def issue(self, each: int) -> None:
        """So many codes for each door, all by `tourlatch code issue`, whose Python is started once."""
        began_s = time.monotonic()
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset)) for offset in (-600, 7200))
        doors = [name for name in DOORS for _ in range(each)]
        options = ["code", "issue", "-f", "/root/keys", "--community", "1001", "--start", start, "--end", end]
        program = (
            "import sys; from agent.cli import main\n"
            f"for number, door in enumerate({doors}, 1):\n"
            f"    sys.argv[1:] = {options} + ['--appointment', str(number), '--prospect', str(number), '--door', door]\n"
            "    try:\n        main()\n    except SystemExit as done:\n        assert not done.code\n"
        )
        Path("/root/issue.py").write_text(program)
        texts = sh("/opt/tourlatch/venv/bin/python -I /root/issue.py").split("\n")
        for door, text in zip(doors, texts, strict=True):
            self._codes.setdefault(door, []).append(text)
        self.lab.say("tour codes by `tourlatch code issue`", f"{len(texts)} in {time.monotonic() - began_s:.0f} s")

    def show(self, door: str, text: str) -> None:
        """One line from a door's scanner or keypad."""
        os.write(self._scanners[door], text.encode() + b"\r\n")

    def code(self, door: str) -> str:
        """A code of an appointment that nobody has shown yet."""
        self.admitted += 1
        return self._codes[door].pop()

    def release(self, *doors: str) -> None:
        """A new code at each door, all at the same time, until all their lines are released at once."""
        for door in reversed(doors):  # the short pulses come first in the list, and last here
            self.show(door, self.code(door))
        self.released.update(DOORS[door].pin for door in doors)
        pins = [DOORS[door].pin for door in doors]
        until(lambda: not any(map(self.record.is_locked, pins)), 30, lambda: f"{doors} released; changes: {self.record.changes[-12:]}")
        self.record.settle()

    def until_locked(self, *doors: str, limit_s: float = 60) -> None:
        """Until the lines of these doors are at their locked level."""
        pins = [DOORS[door].pin for door in doors]
        until(lambda: all(map(self.record.is_locked, pins)), limit_s, lambda: f"{doors} locked; changes: {self.record.changes[-12:]}")
        self.record.settle()

    def until_running(self, before: str, limit_s: float = 180) -> float:
        """Seconds until the unit runs and is ready, with another process than before."""
        return until(lambda: is_running(but=before), limit_s, "the agent running again", pause_s=0.3)

    def count(self) -> None:
        """Every tour that was admitted is in the outbox once, through kills and restarts."""
        waiting = json.loads(sh("tourlatch outbox list --json"))
        if len(waiting) != self.admitted or len({row["appointment_id"] for row in waiting}) != self.admitted:
            raise LabError(f"admitted {self.admitted}, in the outbox {sorted(row['appointment_id'] for row in waiting)}")
        exposure = sh("systemd-analyze security tourlatch --no-pager | sed -n 's/.*level for tourlatch.service: //p'")
        self.lab.say("visits in the outbox, one for each admitted tour; the unit's security score", f"{len(waiting)}; {exposure[:3]}")
