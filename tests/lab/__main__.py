"""Every step on the emulated board, in order; 1 at the first that fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial

from tests.lab.board import Lab, LabError, Record, sh
from tests.lab.desk import DeskLab
from tests.lab.doors import HUNG_S, KILLED_S, Doors
from tests.lab.inputs import Inputs
from tests.lab.readers import TABLES, Readers
from tests.lab.sandbox import Sandbox
from tests.lab.screen import ScreenLab
from tests.lab.site import LOCKED, Site

CODES = 20
"""For each door; what is left over is no matter."""


def steps(lab: Lab) -> list[Callable[[], None]]:
    """The agent alone first, then with the screen's page and with the desk beside it."""
    site = Site(lab)
    doors, inputs, readers, sandbox = Doors(site), Inputs(site), Readers(site), Sandbox(lab)
    screen, desk = ScreenLab(site), DeskLab(site, readers)
    return [
        lab.record.begin,
        partial(site.install, TABLES),
        partial(site.issue, CODES),
        readers.prepare,
        doors.start,
        readers.ready,
        doors.grant,
        doors.bound,
        doors.office,
        *(inputs.opened, inputs.forced, inputs.held, inputs.tampered),
        *(inputs.fire, inputs.fire_in_lockout),
        *(readers.wiegand, readers.keyboard, readers.serial, readers.osdp),
        sandbox.deny,
        partial(doors.end, "SIGKILL", "kill -KILL {pid}", KILLED_S),
        partial(doors.end, "SIGSEGV", "kill -SEGV {pid}", KILLED_S),
        partial(doors.end, "SIGSTOP (hung: the watchdog)", "kill -STOP {pid}", HUNG_S),
        partial(doors.end, "systemctl restart", "systemctl restart tourlatch", KILLED_S),
        partial(doors.end, "systemctl stop", "systemctl stop tourlatch", KILLED_S),
        inputs.fire_in_restart,
        *(screen.start, screen.follow, screen.touch, screen.keep_apart, screen.die, screen.browse),
        site.count,
        *(desk.start, desk.join, desk.book, desk.open, desk.crash, desk.keep_apart, desk.heal, desk.cancel, desk.stop, desk.count),
        doors.count,
    ]


def main() -> int:
    """Run them."""
    lab = Lab(Record(LOCKED))
    # The board's clock goes by instructions only while it has some: idle, it would go by the clock of this machine, which may be late
    spinner = subprocess.Popen(["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"])
    try:
        for step in steps(lab):
            step()
    except (LabError, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}")
        print(sh("journalctl -u tourlatch -u 'tourlatch-desk' --no-pager -o cat | tail -80", is_needed=False))
        return 1
    finally:
        spinner.kill()
    print(f"{len(lab.rows)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
