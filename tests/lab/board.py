"""The agent on the emulated board, as root: installs as a user would, and watches the lines from outside the agent.

Emulation is about fifteen times slower than a Pi, so time limits here are wide; a pulse's length is told and held to 15 %.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

PULSE_S = 4.0
FRONT, SIDE = 17, 22  # active high, active low
LINES = {"front": FRONT, "side": SIDE}
LOCKED = {FRONT: "0", SIDE: "1"}
CONFIG = f"""
community_id = "1001"
time_zone = "America/Los_Angeles"
[clock]
trust = "system"
[knock]
base_url = "http://127.0.0.1:9"
[[door]]
name = "front"
pulse_s = {PULSE_S}
relay = {{ driver = "gpio", pin = {FRONT}, active = "high" }}
reader = [{{ driver = "serial", name = "front-scanner", port = "/run/scanner-front" }}]
[[door]]
name = "side"
pulse_s = {PULSE_S}
relay = {{ driver = "gpio", pin = {SIDE}, active = "low" }}
reader = [{{ driver = "serial", name = "side-scanner", port = "/run/scanner-side" }}]
"""
# gpiozero wants a board's revision; the lab's stands in a file bound over /proc/cpuinfo, which the unit's own /proc does not have
DROP_IN = "[Service]\nBindReadOnlyPaths=/run/cpuinfo:/proc/cpuinfo\n"


def sh(command: str, *, is_needed: bool = True, timeout_s: float = 300) -> str:
    """Run a command and return its output; stop the lab when it fails."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode and is_needed:
        raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


class Watch(threading.Thread):
    """Records each change of the two lines, as the outside world sees them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.changes: list[tuple[float, int, str]] = []
        chip = Path("/sys/devices/platform/gpio-sim.0")
        self._paths = {pin: next(chip.glob(f"gpiochip*/sim_gpio{pin}/value")) for pin in (FRONT, SIDE)}

    def level(self, pin: int) -> str:
        """`0` or `1`, now."""
        return self._paths[pin].read_text().strip()

    def run(self) -> None:
        """Look every few milliseconds."""
        before = {pin: self.level(pin) for pin in self._paths}
        while True:
            for pin in self._paths:
                now = self.level(pin)
                if now != before[pin]:
                    self.changes.append((time.monotonic(), pin, now))
                    before[pin] = now
            time.sleep(0.003)

    def until(self, holds: Callable[[], bool], limit_s: float, *, pause_s: float = 0.01) -> float:
        """Seconds until something holds, which is looked at again after each pause."""
        began_s = time.monotonic()
        while not holds():
            if time.monotonic() - began_s > limit_s:
                raise RuntimeError(f"not within {limit_s:.0f} s; changes so far: {self.changes}")
            time.sleep(pause_s)
        return time.monotonic() - began_s

    def pulse_s(self, pin: int, since: int) -> float:
        """The length of the one pulse on `pin` among the changes from `since` on."""
        seen = [(at, level) for at, which, level in self.changes[since:] if which == pin]
        released = "1" if LOCKED[pin] == "0" else "0"
        if [level for _, level in seen] != [released, LOCKED[pin]]:
            raise RuntimeError(f"not one pulse on {pin}: {seen}")
        return seen[1][0] - seen[0][0]


class Lab:
    """The steps, and a table of what each showed."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.watch = Watch()
        self._scanners: dict[str, int] = {}
        self._codes = 0

    def say(self, what: str, shown: str) -> None:
        """One row, at once."""
        self.rows.append((what, shown))
        print(f"  {what:58} {shown}", flush=True)

    def install(self) -> None:
        """As the README says, without a network, on a board whose resistors pull each line to where its relay is off."""
        sh(f"pin {FRONT} down; pin {SIDE} up")
        sh("getent group dialout || groupadd -r dialout")
        began_s = time.monotonic()
        sh("PIP_NO_INDEX=1 PIP_FIND_LINKS=/lab/wheels sh /lab/src/systemd/install.sh --desk", timeout_s=900)
        Path("/etc/tourlatch/agent.toml").write_text(CONFIG)
        sh("tourlatch keys new -f /root/keys; install -m 644 /root/keys/*.pub.toml /etc/tourlatch/keys/")
        key = Path("/etc/tourlatch/credentials/knock-appointment-key")
        key.touch(0o600)
        key.write_text("lab\n")
        for name in ("front", "side"):
            master, line = os.openpty()
            tty.setraw(line)
            path = os.ttyname(line)
            sh(f"chgrp dialout {path}; chmod 660 {path}; ln -sf {path} /run/scanner-{name}")
            self._scanners[name] = master
        drop_in = Path("/etc/systemd/system/tourlatch.service.d/lab.conf")
        drop_in.parent.mkdir()
        drop_in.write_text(DROP_IN)
        sh("systemctl daemon-reload; tourlatch check")
        self.say("installed by systemd/install.sh --desk, offline", f"{time.monotonic() - began_s:.0f} s")

    def scan(self, door: str) -> None:
        """A new appointment's code at a door's scanner."""
        self._codes += 1
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset)) for offset in (-600, 3600))
        issue = f"tourlatch code issue -f /root/keys --community 1001 --appointment {self._codes} --prospect {self._codes}"
        code = sh(f"{issue} --door {door} --start {start} --end {end}")
        self.show(door, code)

    def show(self, door: str, text: str) -> None:
        """One line from a door's scanner or keypad."""
        os.write(self._scanners[door], text.encode() + b"\r\n")

    def pulse_s(self, door: str, since: int) -> float:
        """The length of the one pulse at a door among the changes from `since` on, when it is over; it must be right."""
        self.watch.until(lambda: len(self.watch.changes) >= since + 2, 60)
        length_s = self.watch.pulse_s(LINES[door], since)
        if abs(length_s - PULSE_S) > PULSE_S * 0.15:
            raise RuntimeError(f"the pulse at {door} lasted {length_s:.3f} s")
        return length_s

    def is_active(self) -> bool:
        """Whether the unit is up and ready."""
        return sh("systemctl show tourlatch -P SubState") == "running"

    def are_locked(self) -> bool:
        """Both lines at their locked level."""
        return all(self.watch.level(pin) == level for pin, level in LOCKED.items())

    def start(self) -> None:
        """Started by systemd, READY by its own word, both polarities locked."""
        sh("tourlatch lock")
        if not self.are_locked():
            raise RuntimeError("not locked by `tourlatch lock`")
        self.say("`tourlatch lock` without an agent", "locked")
        self.watch.start()
        began_s = time.monotonic()
        sh("systemctl start tourlatch")
        if not self.are_locked() or any(level != LOCKED[pin] for _, pin, level in self.watch.changes):
            raise RuntimeError(f"a line was released by the start: {self.watch.changes}")
        self.say("started: READY, no line released on the way", f"{time.monotonic() - began_s:.0f} s")

    def grant(self) -> None:
        """One pulse of the right length on the right line; nothing for garbage."""
        for door, active in (("front", "high"), ("side", "low")):
            since = len(self.watch.changes)
            self.scan(door)
            self.say(f"a code at {door} (active {active})", f"pulse of {self.pulse_s(door, since):.3f} s for {PULSE_S} s")
        since = len(self.watch.changes)
        os.write(self._scanners["front"], b"GARBAGE\r\n")
        time.sleep(3)
        if self.watch.changes[since:]:
            raise RuntimeError("garbage moved a line")
        self.say("garbage", "no line moved")

    def end_in_pulse(self, signal: str, limit_s: float) -> None:
        """SIGKILL or SIGSTOP in the middle of a pulse: locked from outside, and back by itself."""
        since = len(self.watch.changes)
        self.scan("front")
        self.watch.until(lambda: len(self.watch.changes) > since, 60)
        pid = sh("systemctl show tourlatch -P MainPID")
        sh(f"kill -{signal} {pid}")
        locked_s = self.watch.until(self.are_locked, limit_s)
        back_s = self.watch.until(lambda: self.is_active() and sh("systemctl show tourlatch -P MainPID") != pid, 180)
        if not self.are_locked():
            raise RuntimeError("released by the restart")
        self.say(f"SIG{signal} in a pulse: locked, then running again", f"{locked_s:.1f} s, {back_s:.0f} s")

    def stop(self) -> None:
        """An orderly stop in a pulse."""
        since = len(self.watch.changes)
        self.scan("side")
        self.watch.until(lambda: len(self.watch.changes) > since, 60)
        sh("systemctl stop tourlatch")
        if not self.are_locked():
            raise RuntimeError("not locked after the stop")
        self.say("stopped in a pulse", "locked")

    def count(self) -> None:
        """Every tour that was admitted is in the outbox, through kills and restarts."""
        waiting: list[dict[str, Any]] = json.loads(sh("tourlatch outbox list --json"))
        appointments = sorted(int(row["appointment_id"]) for row in waiting)
        if appointments != list(range(1, self._codes + 1)):
            raise RuntimeError(f"admitted {self._codes}, in the outbox {appointments}")
        self.say("visits in the outbox, one for each admitted tour", str(len(appointments)))
        exposure = re.findall(r"level for tourlatch.service: ([0-9.]+)", sh("systemd-analyze security tourlatch --no-pager"))
        self.say("security score of the running unit", exposure[0])
