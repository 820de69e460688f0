"""The emulated board from inside: shell commands, the agent's journal, the outside ends of its lines, and the kernel's record of them.

Rule: what an output line does is taken from the kernel: a probe on each function of the simulated chip notes every level that it is
      given, with its time, so no instant between two looks is missed. What the outside sees (sysfs) is compared with the record.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

CHIP = Path("/sys/devices/platform/gpio-sim.0")
TRACING = Path("/sys/kernel/tracing")
PROBES = """p:lab/set gpio_sim:gpio_sim_set pin=%si:u32 value=%dx:s32
p:lab/many gpio_sim:gpio_sim_set_multiple mask=+0(%si):x64 bits=+0(%dx):x64
p:lab/out gpio_sim:gpio_sim_direction_output pin=%si:u32 value=%dx:s32
p:lab/in gpio_sim:gpio_sim_direction_input pin=%si:u32
p:lab/free gpio_sim:gpio_sim_free pin=%si:u32
"""
NOTED = re.compile(r"^\s*.+-(\d+)\s+\[\d+\] \S+\s+(\d+\.\d+): (set|many|out|in|free): \(.*?\)(.*)$")
JOURNAL = Path("/var/lib/tourlatch/journal.db")


class LabError(Exception):
    """A step did not show what it must; the sentence says what was seen."""


def sh(command: str, *, is_needed: bool = True, timeout_s: float = 300) -> str:
    """Run a command and return its output; stop the lab when it fails."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode and is_needed:
        raise LabError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def until(holds: Callable[[], bool], limit_s: float, what: Callable[[], str] | str, *, pause_s: float = 0.02) -> float:
    """Seconds until something holds; raises `LabError` saying what was awaited, and what was seen instead."""
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > limit_s:
            raise LabError(f"not within {limit_s:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause_s)
    return time.monotonic() - began_s


def main_pid() -> str:
    """The agent's, by systemd; `0` when there is none."""
    return sh("systemctl show tourlatch -P MainPID")


def is_running(*, but: str = "0") -> bool:
    """Whether the unit is up and ready, with another process than `but`."""
    state, pid = sh("systemctl show tourlatch -P SubState -P MainPID").split()
    if state.isdigit():
        state, pid = pid, state
    return state == "running" and pid != but


class Pin:
    """A line's end outside the board: a contact, a button, a panel, or what a relay board sees."""

    def __init__(self, number: int) -> None:
        folder = next(CHIP.glob(f"gpiochip*/sim_gpio{number}"))
        self.number = number
        self._value = os.open(folder / "value", os.O_RDONLY)
        self._pull = os.open(folder / "pull", os.O_WRONLY)

    def level(self) -> int:
        """0 or 1, now."""
        return int(os.pread(self._value, 1, 0))

    def drive(self, level: int) -> None:
        """From outside; an output of the board's is not moved by it."""
        os.pwrite(self._pull, b"pull-up" if level else b"pull-down", 0)


class Record(threading.Thread):
    """The kernel's record of the relays' lines.

    `locked` gives each pin's locked level, at which its resistor holds it when nobody drives. `changes` has each level that the outside
    sees; `drives` each level that a thread of some process gave, whether it changed anything or not.
    """

    def __init__(self, locked: dict[int, int]) -> None:
        super().__init__(daemon=True)
        self.locked = locked
        self.pins = {number: Pin(number) for number in locked}
        self.changes: list[tuple[float, int, str]] = []
        self.drives: list[tuple[float, int, int, int]] = []
        self._level = dict(locked)

    def begin(self) -> None:
        """Pull the lines to locked, and probe."""
        for number, level in self.locked.items():
            self.pins[number].drive(level)
        (TRACING / "trace_clock").write_text("mono")
        (TRACING / "kprobe_events").write_text(PROBES)
        (TRACING / "events/lab/enable").write_text("1")
        self.start()

    def run(self) -> None:
        """Read what the kernel notes, for as long as the board is up."""
        with (TRACING / "trace_pipe").open() as lines:
            for line in lines:
                if found := NOTED.match(line):
                    values = {name: int(value, 0) for name, value in re.findall(r"(\w+)=(\S+)", found[4])}
                    for pin, level in self._levels(found[3], values):
                        self._take(float(found[2]), found[3], pin, level, int(found[1]))

    def _levels(self, what: str, values: dict[str, int]) -> list[tuple[int, int]]:
        if what == "many":
            return [(pin, values["bits"] >> pin & 1) for pin in self.locked if values["mask"] >> pin & 1]
        pin = values["pin"]
        if pin not in self.locked or what == "in":
            return []
        return [(pin, self.locked[pin] if what == "free" else int(values["value"] != 0))]

    def _take(self, at_s: float, what: str, pin: int, level: int, thread: int) -> None:
        if what != "free":
            self.drives.append((at_s, pin, level, thread))
        if level != self._level[pin]:
            self._level[pin] = level
            self.changes.append((at_s, pin, str(level)))

    def level(self, pin: int) -> int:
        """What the outside sees now."""
        return self.pins[pin].level()

    def is_locked(self, pin: int) -> bool:
        """Whether the outside sees the locked level now."""
        return self.level(pin) == self.locked[pin]

    def are_locked(self) -> bool:
        """All of them."""
        return all(map(self.is_locked, self.locked))

    def settle(self) -> None:
        """Until the record says what the outside sees: it is moments behind; raises `LabError` when it does not come to it."""
        until(self._agrees, 20, lambda: f"the record {self._level} as the outside sees it: {[self.level(pin) for pin in self._level]}")

    def _agrees(self) -> bool:
        return all(self.level(pin) == level for pin, level in self._level.items())

    def pulses(self, pin: int, since: int = 0) -> list[tuple[float, float]]:
        """Each release on a pin among the changes from `since` on, by begin and end; one under way ends at infinity."""
        times = [at_s for at_s, which, _ in self.changes[since:] if which == pin]
        return [(times[place], times[place + 1] if place + 1 < len(times) else float("inf")) for place in range(0, len(times), 2)]


class Lab:
    """What every step uses, and a table of what each showed."""

    def __init__(self, record: Record) -> None:
        self.rows: list[tuple[str, str]] = []
        self.record = record
        self.began_s = time.monotonic()
        self.codes: list[str] = []

    def say(self, what: str, shown: str) -> None:
        """One row, at once."""
        self.rows.append((what, shown))
        print(f"{time.monotonic() - self.began_s:6.0f} s  {what:72} {shown}", flush=True)

    def journal(self, since: int = 0, door: str | None = None) -> list[dict[str, Any]]:
        """The agent's journal from a number on, oldest first; of one door, if it is given."""
        if not JOURNAL.exists():
            return []
        with closing(sqlite3.connect(f"file:{JOURNAL}?mode=ro", uri=True, timeout=20)) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute("SELECT * FROM journal WHERE seq > ? ORDER BY seq", (since,))]
        for row in rows:
            row["detail"] = json.loads(row["detail"]) if row.get("detail") else {}
        return [row for row in rows if door is None or row["door"] == door]

    def last(self) -> int:
        """The number of the journal's last entry."""
        rows = self.journal()
        return int(rows[-1]["seq"]) if rows else 0

    def kinds(self, since: int, door: str | None = None) -> list[str]:
        """What the journal tells from a number on."""
        return [str(row["kind"]) for row in self.journal(since, door)]

    def until_kinds(self, since: int, door: str, expected: list[str], limit_s: float = 30) -> list[dict[str, Any]]:
        """Until a door's journal has exactly these kinds from a number on, in this order.

        The verdict on an earlier admission that nobody opened the door for comes late: it counts only where it is awaited.
        """

        def counted() -> list[dict[str, Any]]:
            return [row for row in self.journal(since, door) if row["kind"] != "not_opened" or "not_opened" in expected]

        def told() -> list[str]:
            return [str(row["kind"]) for row in counted()]

        until(lambda: told() == expected, limit_s, lambda: f"the journal of {door} has {expected}; it has {told()}", pause_s=0.1)
        return counted()

    def ask(self, **request: object) -> dict[str, Any]:
        """The running agent's answer on its socket, as `tourlatch` programs get it."""
        from agent import protocol

        return protocol.ask(Path("/run/tourlatch/agent.sock"), request)
