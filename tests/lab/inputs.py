"""Contact, request-to-exit, tamper and fire, driven by real edges on the lines' outside ends; what becomes of them is journaled."""

from __future__ import annotations

import time
from functools import partial

from tests.lab.board import LabError, main_pid, sh, until
from tests.lab.site import DOORS, GUESSES, HELD_ALARM_S, HELD_WARN_S, LOCKED, PULSE_S, SECOND, Site

FIRE_DOORS = tuple(name for name, way in DOORS.items() if way.has_fire)
FIRE_PINS = {DOORS[name].pin: DOORS[name].released for name in FIRE_DOORS}
SOON_S = 0.3
"""How soon fire has to release, of that 30 ms of debouncing."""


class Inputs:
    """The steps with the watched lines."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.lab = site.lab
        self.record = site.record
        self._contact = site.contacts["front"]

    def _admit(self) -> None:
        self.site.release("front")
        self.site.released[SECOND] += 1

    def opened(self) -> None:
        """Opened within the release, shut again; and a release that nobody used."""
        since = self.lab.last()
        self._admit()
        self._contact.drive(1)
        time.sleep(0.5)
        self._contact.drive(0)
        self.site.until_locked("front")
        rows = self.lab.until_kinds(since, "front", ["admission", "opened", "shut"])
        if not rows[0]["appointment_id"] or rows[0]["appointment_id"] != rows[1]["appointment_id"]:
            raise LabError(f"the opening belongs to another admission: {rows}")
        self.lab.say("contact: opened within the release, shut", "admission, opened (that appointment's), shut")
        since = self.lab.last()
        self._admit()
        self.site.until_locked("front")
        rows = self.lab.until_kinds(since, "front", ["admission", "not_opened"])
        if rows[0]["appointment_id"] != rows[1]["appointment_id"]:
            raise LabError(f"what was not opened belongs to another admission: {rows}")
        self.lab.say("contact: released and never opened", "admission, not_opened")

    def forced(self) -> None:
        """Opened while locked, with a contact that bounces; the request-to-exit before it makes it no forced one."""
        since, changes = self.lab.last(), len(self.record.changes)
        for _ in range(10):  # each level stands for less than the 50 ms that count
            self._contact.drive(1)
            time.sleep(0.004)
            self._contact.drive(0)
            time.sleep(0.004)
        self._contact.drive(1)
        self.lab.until_kinds(since, "front", ["forced"])
        self._contact.drive(0)
        self.lab.until_kinds(since, "front", ["forced", "secured"])
        self.lab.say("contact: bounces ten times, opened while locked, shut", "one forced, then secured")
        since = self.lab.last()
        self.site.rex.drive(1)
        time.sleep(0.3)
        self.site.rex.drive(0)
        self.lab.until_kinds(since, "front", ["rex"])
        self._contact.drive(1)
        self.lab.until_kinds(since, "front", ["rex", "opened"])
        self._contact.drive(0)
        self.lab.until_kinds(since, "front", ["rex", "opened", "shut"])
        if self.record.changes[changes:]:
            raise LabError(f"a line moved: {self.record.changes[changes:]}")
        self.lab.say("request-to-exit, then opened while locked", "rex, opened, shut; no line moved")

    def held(self) -> None:
        """Opened within the release and left open: a warning, an alarm, and secured when it is shut."""
        since = self.lab.last()
        self._admit()
        self._contact.drive(1)
        began_s = time.monotonic()
        self.lab.until_kinds(since, "front", ["admission", "opened", "held"], HELD_WARN_S + 20)
        warned_s = time.monotonic() - began_s
        self.lab.until_kinds(since, "front", ["admission", "opened", "held", "held_alarm"], HELD_ALARM_S + 20)
        alarmed_s = time.monotonic() - began_s
        self._contact.drive(0)
        self.lab.until_kinds(since, "front", ["admission", "opened", "held", "held_alarm", "secured"])
        self.lab.say(
            "contact: left open: held, held_alarm, then shut: secured",
            f"{warned_s:.1f} s for {HELD_WARN_S} s, {alarmed_s:.1f} s for {HELD_ALARM_S} s",
        )

    def tampered(self) -> None:
        """The housing's switch."""
        since = self.lab.last()
        self.site.tamper.drive(1)
        self.lab.until_kinds(since, "front", ["tamper"])
        if not self.lab.ask(do="status")["doors"]["front"]["tamper"]:
            raise LabError("the status does not say that somebody tampers")
        self.site.tamper.drive(0)
        self.lab.until_kinds(since, "front", ["tamper", "tamper_over"])
        self.lab.say("tamper: on, in the status, off", "tamper, tamper_over")

    def _begin_fire(self) -> float:
        """Seconds until all doors that have the panel are released."""
        began_s = time.monotonic()
        self.site.fire.drive(1)
        self._until_free(SOON_S)
        self.record.settle()
        self.site.released.update(list(FIRE_PINS))
        return max(at_s for at_s, pin, _ in self.record.changes[-len(FIRE_PINS) :] if pin in FIRE_PINS) - began_s

    def _until_free(self, limit_s: float) -> None:
        until(lambda: not any(map(self.record.is_locked, FIRE_PINS)), limit_s, lambda: f"free: {self.record.changes[-9:]}", pause_s=0.002)

    def _end_fire(self) -> None:
        self.site.fire.drive(0)
        self.site.until_locked(*FIRE_DOORS, limit_s=10)

    def _none_locked(self, drives: int, during: str) -> None:
        locked = [drive for drive in self.record.drives[drives:] if drive[1] in FIRE_PINS and drive[2] == LOCKED[drive[1]]]
        if locked:
            raise LabError(f"a line was driven locked {during}: {locked}")

    def fire(self) -> None:
        """Released at once and for as long as it lasts, whatever is asked: a refusal, a code, a pulse's end, `tourlatch lock`."""
        since, drives = self.lab.last(), len(self.record.drives)
        took_s = self._begin_fire()
        others = [name for name in DOORS if name not in FIRE_DOORS and not self.record.is_locked(DOORS[name].pin)]
        if others:
            raise LabError(f"released without a panel: {others}")
        self.lab.say("fire: three doors released, those without the panel not", f"{took_s * 1000:.0f} ms, of them 30 for debouncing")
        self.site.show("front", "GARBAGE")
        self.lab.until_kinds(since, "front", ["fire", "refusal"])
        self.site.show("front", self.site.code("front"))
        self.lab.until_kinds(since, "front", ["fire", "refusal", "admission"])
        sh("tourlatch lock")
        time.sleep(PULSE_S + 1)
        self._none_locked(drives, "in a fire")
        self._until_free(0.1)
        self._end_fire()
        until(lambda: "fire_over" in self.lab.kinds(since, "front"), 20, "fire_over in the journal")
        self.lab.say("fire: a refusal, a code, its pulse's end, `tourlatch lock`", "no line driven locked; fire_over: locked")

    def _tells_more(self, since: int, before: int) -> bool:
        return len(self.lab.kinds(since, "front")) > before

    def _count_again(self, marks: dict[int, int], how_often: set[int]) -> None:
        """Released so often since the marks: for a moment by `tourlatch lock`, which gives the line back, and by a new agent."""
        for pin, mark in marks.items():
            again = len(self.record.pulses(pin)) - mark
            if again not in how_often:
                raise LabError(f"released {again} times by an end in a fire: {self.record.changes[-12:]}")
            self.site.released[pin] += again

    def _has_changed(self, mark: int) -> bool:
        return len(self.record.changes) > mark

    def fire_in_lockout(self) -> None:
        """A reader that is locked out for guessing does not keep the fire panel from releasing."""
        since = self.lab.last()
        for number in range(GUESSES):
            before = len(self.lab.kinds(since, "front"))
            if "lockout" in self.lab.kinds(since, "front"):
                break
            self.site.show("front", f"GUESS{number}")
            until(partial(self._tells_more, since, before), 30, "a refusal", pause_s=0.1)
        until(lambda: "lockout" in self.lab.kinds(since, "front"), 10, lambda: f"a lockout: {self.lab.kinds(since, 'front')}", pause_s=0.1)
        took_s = self._begin_fire()
        self._end_fire()
        self.lab.say("fire while the reader is locked out", f"released in {took_s * 1000:.0f} ms")

    def fire_in_restart(self) -> None:
        """The agent restarted, killed, and stopped in a fire: nobody drives a line locked, and the new agent's first word is released.

        While no agent runs, a line is held by its resistor; how long that is, the table says. The panel's own contact in the lock's
        circuit is what releases then: see the wiring guide.
        """
        self._begin_fire()
        for how, command in (("restarted", "systemctl restart tourlatch"), ("SIGKILL", "kill -9 {pid}")):
            drives, changes, pid = len(self.record.drives), len(self.record.changes), main_pid()
            marks = {pin: len(self.record.pulses(pin)) for pin in FIRE_PINS}
            sh(command.format(pid=pid))
            until(partial(self._has_changed, changes), 30, "the lines given back")
            self._until_free(120)
            self.site.until_running(pid)
            self.record.settle()
            self._none_locked(drives, f"in a fire, {how}")
            gap_s = self.record.changes[-1][0] - self.record.changes[changes][0]
            self._count_again(marks, {1, 2})
            self.lab.say(f"fire, the agent {how}: no line driven locked, released again", f"after {gap_s:.1f} s")
        drives, marks = len(self.record.drives), {pin: len(self.record.pulses(pin)) for pin in FIRE_PINS}
        sh("systemctl stop tourlatch")
        self.record.settle()
        self._count_again(marks, {0, 1})
        self._none_locked(drives, "by a stop in a fire")
        self.lab.say("fire, the agent stopped: no line driven locked", "the lines are given back to their resistors")
        self.site.fire.drive(0)
        sh("systemctl start tourlatch")
        if not self.record.are_locked():
            raise LabError("not locked by a start without fire")
