"""The agent on an emulated Raspberry Pi 3B: installed on its card, started at power-on, its relays watched in the SoC's registers.

usage: python -m tests.lab.pi CACHE IMAGE, where CACHE is what pi-build.sh made and IMAGE the card that pi-card.sh made.

What this cannot show: input edges (qemu raises none), and a Raspberry Pi kernel's ways (Debian's makes a dead process's line an input
at once, theirs may keep it driven; ExecStopPost= is there for that, and its work is counted here).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from tests.lab.pi_board import Board, LabError, until

CONFIG = tomllib.loads(Path(__file__).with_name("pi.toml").read_text())
FRONT, SIDE = (door["relay"]["pin"] for door in CONFIG["door"])
ACTIVE = {door["relay"]["pin"]: int(door["relay"]["active"] == "high") for door in CONFIG["door"]}
LOCKED = {pin: (1 - active, 1) for pin, active in ACTIVE.items()}
"""Level and function of each line while it is driven locked; function 1 is output."""
USB_DEVICE = "/sys/bus/usb/devices/1-1.1"
PULSE_S = CONFIG["door"][0]["pulse_s"]
TOLERANCE_S = 0.3
"""How far a pulse may be off here: four emulated processors share two real ones that other work has, too."""
KILLED_S = 2.0
"""Within so long after `kill -9` a line no longer drives its relay; the kernel lets go of it as the process goes."""
BOOT_S = 600
ENDS = 3
"""SIGKILL, a restart, a stop."""


class PiLab:
    """The steps, in order, and a table of what each showed."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.rows: list[tuple[str, str]] = []
        self._codes: list[str] = []
        self._pulses = 0
        self._issued = 0

    def say(self, what: str, shown: str) -> None:
        """One row, at once."""
        self.rows.append((what, shown))
        print(f"  {what:66} {shown}", flush=True)

    def power_on(self) -> None:
        """From power-on to READY by the agent's own word: both lines come up as outputs at the locked level, and never released before."""
        began_s = time.monotonic()
        self.board.plug()
        self.board.wait_ready(BOOT_S)
        model = self.board.sh("tr -d '\\0' < /proc/device-tree/model; uname -m | sed 's/^/, /'").replace("\n", "")
        self._until_running("0")
        took_s = time.monotonic() - began_s
        self._expect_states("after the start", LOCKED)
        if self.board.pins.changes:
            raise LabError(f"a line was released before anybody asked: {self.board.pins.changes}")
        state = self.board.sh("systemctl is-system-running --wait", is_needed=False)
        exposure = self.board.sh("systemd-analyze security tourlatch --no-pager | sed -n 's/.*level for tourlatch.service: //p'")
        self.say(f"power on: {model}, the unit enabled", f"READY after {took_s:.0f} s, {state}; security score {exposure[:3]}")
        self.say("front (active high) low, side (active low) high, both outputs", f"never released in {self.board.pins.writes} writes")
        took_s = max(self._until_reader(name, "ready") for name in ("header", "usb"))
        self.say("readers ready: the header's UART, a USB serial scanner", "2 of 2")

    def _expect_states(self, when: str, expected: dict[int, tuple[int, int]]) -> None:
        read = {pin: self.board.read(pin) for pin in expected}
        if read != expected:
            raise LabError(f"{when} the pins' level and function are {read}, not {expected}")
        recorded = {pin: self.board.pins.state(pin) for pin in expected}
        if recorded != expected:
            raise LabError(f"{when} the record says {recorded}, the registers {read}")

    def issue(self, door: str) -> str:
        """A new appointment's code, by the board's own `tourlatch code issue`."""
        self._issued += 1
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset)) for offset in (-600, 3600))
        return self.board.sh(
            "tourlatch code issue -f /root/keys --community 1001"
            f" --appointment {self._issued} --prospect {self._issued} --door {door} --start {start} --end {end}"
        )

    def show(self, door: str, text: str) -> None:
        """A line from a door's scanner."""
        if door == "front":
            self.board.scan(text)
        else:
            self.board.scan_usb(text)

    def release(self, door: str, pin: int) -> None:
        """A code at a door, until its line releases."""
        code = self.issue(door)
        since = len(self.board.pins.changes)
        self.show(door, code)
        until(lambda: len(self.board.pins.changes) > since, 60, f"a release at {door}")
        self._pulses += 1
        at_released = {pin: (ACTIVE[pin], 1)}
        self._expect_states(f"released at {door}", at_released)

    def locked_s(self, pin: int, limit_s: float) -> float:
        """The length of the pulse under way on a pin, when it is over."""
        until(lambda: not self.board.pins.is_released(pin), limit_s, f"the pin {pin} locked")
        (began_s, was_pin, was_released), (ended_s, is_pin, is_released) = self.board.pins.changes[-2:]
        if (was_pin, was_released, is_pin, is_released) != (pin, True, pin, False):
            raise LabError(f"not one pulse on {pin}: {self.board.pins.changes[-4:]}")
        return ended_s - began_s

    def grant(self) -> None:
        """One pulse of the right length on the right line, for both polarities and both kinds of port; nothing for what is no code."""
        for door, pin, port in (("front", FRONT, "the header's UART"), ("side", SIDE, "a USB serial scanner")):
            self.release(door, pin)
            length_s = self.locked_s(pin, PULSE_S + 30)
            if abs(length_s - PULSE_S) > TOLERANCE_S:
                raise LabError(f"the pulse at {door} lasted {length_s:.3f} s")
            self._expect_states("after the pulse", LOCKED)
            self.say(f"a code at {door} (active {'high' if ACTIVE[pin] else 'low'}) through {port}", f"{length_s:.3f} s for {PULSE_S} s")
        since = int(self._denied())
        self.show("front", "GARBAGE")
        until(lambda: self._denied() > since, 60, "a refusal", pause_s=0.5)
        self._expect_states("after garbage", LOCKED)
        self.say("garbage through the header's UART", "refused, no line moved")

    def _denied(self) -> int:
        return self.board.sh("journalctl -u tourlatch -o cat --no-pager", is_needed=False).count("refused door=front")

    def replug(self) -> None:
        """The USB scanner gone and back while the agent runs, by the kernel's word: qemu's host controller dies of a real unplugging."""
        pid = self.board.sh("systemctl show tourlatch -P MainPID")
        self.board.sh(f"echo 0 > {USB_DEVICE}/authorized")
        self._until_reader("usb", "lost")
        self.board.sh(f"echo 1 > {USB_DEVICE}/authorized")
        took_s = self._until_reader("usb", "ready")
        self.release("side", SIDE)
        self.locked_s(SIDE, PULSE_S + 30)
        if self.board.sh("systemctl show tourlatch -P MainPID") != pid:
            raise LabError("the agent was restarted meanwhile")
        self.say("the USB scanner disconnected and back: it opens again", f"ready after {took_s:.0f} s")

    def _until_reader(self, name: str, state: str) -> float:
        return until(lambda: f"{name} {state}" in self.board.sh("tourlatch status"), 120, f"the reader {name} {state}", pause_s=0.5)

    def kill(self) -> None:
        """SIGKILL in a pulse: the line no longer drives the relay at once, ExecStopPost= drives it locked, and the agent is back."""
        pid = self.board.sh("systemctl show tourlatch -P MainPID")
        self.release("front", FRONT)
        began_s = time.time()
        self.board.sh(f"kill -9 {pid}")
        until(lambda: not self.board.pins.is_released(FRONT), KILLED_S + 30, "locked after SIGKILL")
        locked_s = self.board.pins.changes[-1][0] - began_s
        if locked_s > KILLED_S:
            raise LabError(f"released for {locked_s:.1f} s after SIGKILL")
        began_s = time.time()
        self._until_running(pid)
        self._expect_states("back after SIGKILL", LOCKED)
        self.say("SIGKILL in a pulse: not driven after, running again after", f"{locked_s * 1000:.0f} ms, {time.time() - began_s:.0f} s")

    def _until_running(self, before: str) -> None:
        def is_back() -> bool:
            shown = self.board.sh("systemctl show tourlatch -P SubState -P MainPID").split()
            return shown[0] == "running" and shown[1] != before if shown[0].isalpha() else shown[1] == "running" and shown[0] != before

        until(is_back, 180, "the agent running again", pause_s=0.5)

    def restart(self) -> None:
        """`systemctl restart` in a pulse: locked by the stop, and never released on the way back."""
        self.release("front", FRONT)
        began_s = time.time()
        self.board.sh("systemctl restart tourlatch")
        locked_s = self.board.pins.changes[-1][0] - began_s
        self._expect_states("after the restart", LOCKED)
        self.say("restarted in a pulse: locked after, running again after", f"{locked_s:.1f} s, {time.time() - began_s:.0f} s")

    def stop(self) -> None:
        """An orderly stop in a pulse: the lines are given back, so the relay boards' resistors hold them."""
        self.release("side", SIDE)
        began_s = time.time()
        self.board.sh("systemctl stop tourlatch")
        locked_s = self.board.pins.changes[-1][0] - began_s
        functions = [self.board.read(pin)[1] for pin in ACTIVE]
        if any(functions) or any(map(self.board.pins.is_released, ACTIVE)):
            raise LabError(f"after the stop the pins' functions are {functions}")
        self.say("stopped in a pulse: locked after, then both lines inputs", f"{locked_s:.1f} s")

    def count(self) -> None:
        """Over the whole record: as many releases as codes, on the right lines, and each admission in the outbox."""
        changes = self.board.pins.changes
        releases = sum(is_released for _, _, is_released in changes)
        if releases != self._pulses or any(map(self.board.pins.is_released, ACTIVE)):
            raise LabError(f"{self._pulses} codes, {releases} releases: {changes}")
        longest_s = max(end[0] - begin[0] for begin, end in zip(changes[::2], changes[1::2], strict=True))
        if longest_s > PULSE_S + TOLERANCE_S:
            raise LabError(f"a release lasted {longest_s:.3f} s")
        writes = self.board.pins.writes
        self.say(f"power-on to stop: releases for {self._pulses} codes, the longest", f"{releases}, {longest_s:.3f} s; {writes} writes")
        waiting = json.loads(self.board.sh("tourlatch outbox list --json"))
        if len({row["appointment_id"] for row in waiting}) != self._pulses or len(waiting) != self._pulses:
            raise LabError(f"{self._pulses} admitted, in the outbox {len(waiting)}")
        self.say("visits in the outbox, one for each", str(len(waiting)))
        locks = self.board.sh("journalctl -u tourlatch -o cat --no-pager").count("Locked: front, side.")
        if locks != ENDS:
            raise LabError(f"{ENDS} ends, and ExecStopPost= locked {locks} times")
        self.say("ends of the agent, and lockings by ExecStopPost=", f"{ENDS}, {locks}")


def main() -> int:
    """Every step; 1 at the first that fails."""
    cache, image = Path(sys.argv[1]), Path(sys.argv[2])
    board = Board(cache, image, Path(tempfile.mkdtemp(prefix="tourlatch-pi-")), ACTIVE)
    lab = PiLab(board)
    began_s = time.monotonic()
    try:
        board.start()
        for step in (lab.power_on, lab.grant, lab.replug, lab.kill, lab.restart, lab.stop, lab.count):
            step()
    except LabError as error:
        print(f"FAILED: {error}")
        print(board.last_words())
        return 1
    finally:
        board.stop()
    print(f"{len(lab.rows)} passed, 0 failed, in {time.monotonic() - began_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
