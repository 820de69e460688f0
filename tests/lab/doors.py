"""The relays' lines of five ways of locking: through grants, and through every end that an agent can come to."""

from __future__ import annotations

import time

from tests.lab.board import LabError, is_running, main_pid, sh, until
from tests.lab.site import DOORS, LOCKED, MAX_S, PULSE_S, SECOND, Site

TOLERANCE_S = 0.02
"""How far a length may be off. The board's clock goes by its instructions, so that what else this machine does is no part of it."""
ACT_S = 0.3
"""How much later the agent may act on an edge, of that 50 ms of debouncing: the board has a quarter of a Pi's speed, and five doors that
want it at once."""
HUNG_S = 30.0
"""A hung agent cannot lock. WatchdogSec= is 15 s after its last word, which may be new, and then a cold Python has to start."""
KILLED_S = 3.0


def check(what: str, length_s: float, asked_s: float, late_s: float = TOLERANCE_S) -> str:
    """A length that must be right, for the table; up to `late_s` longer."""
    if not -TOLERANCE_S <= length_s - asked_s <= late_s:
        raise LabError(f"{what} lasted {length_s:.3f} s instead of {asked_s} s")
    return f"{length_s:.3f} s"


class Doors:
    """The steps with the relays' lines alone."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.lab = site.lab
        self.record = site.record

    def start(self) -> None:
        """Started by systemd, READY by its own word; both polarities locked from the moment the board is up."""
        sh("tourlatch lock")
        until(lambda: {pin for _, pin, _, _ in self.record.drives} == set(LOCKED), 20, "the record of `tourlatch lock`")
        drives = {pin: level for _, pin, level, _ in self.record.drives}
        if drives != LOCKED:
            raise LabError(f"`tourlatch lock` drove {drives}")
        self.lab.say("`tourlatch lock` without an agent: each line driven locked", f"{len(drives)} of {len(LOCKED)}")
        began_s = time.monotonic()
        sh("systemctl start tourlatch")
        self.record.settle()
        if self.record.changes or not self.record.are_locked():
            raise LabError(f"a line was released by the start: {self.record.changes}")
        self.lab.say("started: READY, no line released since the board is up", f"{time.monotonic() - began_s:.0f} s, {len(LOCKED)} lines")

    def grant(self) -> None:
        """A code at each door at the same time; each lock ends its release as its table says."""
        since, marks = self.lab.last(), {pin: len(self.record.pulses(pin)) for pin in LOCKED}
        self.site.release(*DOORS)
        self.site.released[SECOND] += 1
        opened_s = {}
        for door in ("gate", "garage", "lobby"):
            opened_s[door] = time.monotonic()
            self.site.contacts[door].drive(1)
        self.site.until_locked("gate")
        time.sleep(1)
        if self.record.is_locked(DOORS["lobby"].pin):
            raise LabError("the lobby's magnet held before the door was shut")
        shut_s = time.monotonic()
        for door in ("lobby", "gate", "garage"):
            self.site.contacts[door].drive(0)
        self.site.until_locked(*DOORS)
        until(lambda: len(self.record.pulses(SECOND)) > marks[SECOND] and self.record.is_locked(SECOND), 20, "the second relay's pulse")
        self.record.settle()
        pulses = {pin: self.record.pulses(pin)[marks[pin] :] for pin in LOCKED}
        if any(len(found) != 1 for found in pulses.values()):
            raise LabError(f"not one release on each line: {pulses}")
        span = {door: pulses[way.pin][0] for door, way in DOORS.items()}
        for door in ("front", "side"):
            shown = check(f"the pulse at {door}", span[door][1] - span[door][0], PULSE_S)
            self.lab.say(f"{DOORS[door].lock} (active {'high' if DOORS[door].released else 'low'})", f"{shown} for {PULSE_S} s")
        shown = check("garage, after the opening,", span["garage"][1] - opened_s["garage"], PULSE_S, ACT_S)
        self.lab.say("hold, relock by time: locked after the opening", f"{shown} for {PULSE_S} s")
        self._soon("hold, relock when opened: locked after the opening", span["gate"][1] - opened_s["gate"])
        self._soon("hold, relock when closed: open for a second, locked after the shutting", span["lobby"][1] - shut_s)
        second = pulses[SECOND][0]
        shown = check("the second relay's delay", second[0] - span["front"][0], 1.0)
        self.lab.say("second relay: delay, pulse", f"{shown} for 1 s, {check('its pulse', second[1] - second[0], 1.5)} for 1.5 s")
        for door in ("gate", "garage", "lobby"):
            self.lab.until_kinds(since, door, ["admission", "opened", "shut"])
        self.lab.until_kinds(since, "front", ["admission", "not_opened"])

    def _soon(self, what: str, took_s: float) -> None:
        if not 0 <= took_s <= ACT_S:
            raise LabError(f"{what}: {took_s:.3f} s")
        self.lab.say(what, f"{took_s * 1000:.0f} ms, of them 50 for debouncing")

    def bound(self) -> None:
        """Held for an opening that never comes: locked by the hard maximum, and the journal says so. Garbage moves nothing."""
        since, doors = self.lab.last(), ("lobby", "gate", "garage")
        self.site.release(*doors)
        self.site.show("front", "GARBAGE")
        self.site.until_locked(*doors)
        shown = ""
        for door in doors:
            begin_s, end_s = self.record.pulses(DOORS[door].pin)[-1]
            shown = check(f"the hold at {door}", end_s - begin_s, MAX_S)
            self.lab.until_kinds(since, door, ["admission", "not_opened"])
        self.lab.say("hold, never opened: locked by the maximum, `not_opened`, three doors", f"{shown} for {MAX_S} s")
        self.lab.until_kinds(since, "front", ["refusal"])
        self.lab.say("garbage meanwhile", "denied, no line moved")

    def end(self, how: str, command: str, limit_s: float) -> None:
        """An end while all five lines are released: locked, and back with no line released on the way. `{pid}` is the agent's."""
        pid = main_pid()
        self.site.release(*DOORS)
        self.site.released[SECOND] += 1
        time.sleep(1.2)  # until the second relay is energised, too
        drives, began_s = len(self.record.drives), time.monotonic()
        sh(command.format(pid=pid))
        until(self.record.are_locked, limit_s, lambda: f"all locked; changes: {self.record.changes[-12:]}")
        self.record.settle()
        locked_s = max(at_s for at_s, _, _ in self.record.changes) - began_s
        if is_stopped := "stop" in how:
            if is_running():
                raise LabError("it still runs")
            sh("systemctl start tourlatch")
        back_s = self.site.until_running(pid)
        back_s = time.monotonic() - began_s if not is_stopped else back_s
        self.record.settle()
        driven = self.record.drives[drives:]
        if any(level != LOCKED[pin] for _, pin, level, _ in driven) or not self.record.are_locked():
            raise LabError(f"released on the way back: {driven}")
        lines = {pin: {thread for _, which, _, thread in driven if which == pin} for pin in LOCKED}
        if any(len(threads) < 2 for pin, threads in lines.items() if pin != SECOND):
            raise LabError(f"not driven locked both after the end and by the start: {driven}")
        count = f"{len(DOORS)} of {len(DOORS)} in {max(locked_s, 0):.2f} s"
        self.lab.say(f"{how}, all doors released: locked, running again", f"{count}, {back_s:.0f} s")

    def office(self) -> None:
        """Staff hold a door open for a while; `tourlatch lock` ends it, and so does a restart."""
        since = self.lab.last()
        until_ms = int(time.time() * 1000) + 120_000
        self.lab.ask(do="unlock", door="side", reason="lab", until_ms=until_ms)
        self.site.released[DOORS["side"].pin] += 1
        until(lambda: not self.record.is_locked(DOORS["side"].pin), 20, "the side door released")
        time.sleep(MAX_S + 2)
        if self.record.is_locked(DOORS["side"].pin):
            raise LabError("an office hold did not outlast the maximum of a pulse")
        sh("tourlatch lock")
        self.site.until_locked("side", limit_s=5)
        begin_s, end_s = self.record.pulses(DOORS["side"].pin)[-1]
        self.lab.say("held open by staff, past the maximum, ended by `tourlatch lock`", f"{end_s - begin_s:.1f} s of 120 s")
        kinds = self.lab.kinds(since, "side")
        if "hold_open" not in kinds or "hold_open_over" not in kinds:
            raise LabError(f"the journal says {kinds}")

    def count(self) -> None:
        """Over the whole run: no line was released more often than a step had it released, and none is now."""
        self.record.settle()
        found = {pin: len(self.record.pulses(pin)) for pin in LOCKED}
        if found != {pin: self.site.released[pin] for pin in LOCKED} or not self.record.are_locked():
            raise LabError(f"releases by line {found}, asked for {dict(self.site.released)}")
        self.lab.say("since the board is up: releases, and of them asked for", f"{sum(found.values())}, {sum(found.values())}")
        self.lab.say("levels given to the lines, each noted by the kernel", str(len(self.record.drives)))
